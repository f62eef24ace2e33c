"""Watching a stream pass by untouched.

The markers are ``"done":true`` and ``"error"``; inside a JSON text a quote is always escaped, so neither stands there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET

from ...universal.jsontext import dumps
from ..stream import LineWatch
from .errors import decode_error

__all__ = ["StreamWatch"]

_MARKED: Final = re.compile(rb'"done"\s*:\s*true|"error"')
_CONTENT: Final = ("content", "response", "thinking", "tool_calls", "images")


class StreamWatch(LineWatch):
    """See `base.StreamWatch`."""

    _field = b""

    @staticmethod
    @lru_cache(maxsize=1)
    def _marked(data: bytes) -> bool:
        return _MARKED.search(data) is not None

    def _document(self, document: dict[str, Any]) -> None:
        if document.get("error") is not None:
            self.failure = self.failure or decode_error(UNSET, {}, dumps(document))
            return
        message = document.get("message", document)  # an answer to a prompt has no message around it
        if type(message) is dict and any(message.get(name) for name in _CONTENT):
            self.content = True
        if document.get("done") is True:
            self.content = self.terminal = self.ended = True
