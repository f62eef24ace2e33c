"""Watching a stream pass by untouched: has content passed, has its end, has an error?

The markers are ``message_stop`` and ``"error"``, which stand in their events in plain letters; the provider puts each
event's data on one line.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET

from ..stream import LineWatch
from .errors import decode_failure

__all__ = ["StreamWatch"]

_CONTENT: Final = frozenset({"content_block_delta", "message_delta"})
_EMPTY_STARTS: Final = frozenset({"text", "thinking", "tool_use"})


class StreamWatch(LineWatch):
    """See `base.StreamWatch`."""

    @staticmethod
    @lru_cache(maxsize=1)
    def _marked(data: bytes) -> bool:
        return data.find(b"message_stop") >= 0 or data.find(b'"error"') >= 0

    def _document(self, document: dict[str, Any]) -> None:
        kind = document.get("type")
        if kind == "message_stop":
            self.terminal = self.ended = True
        elif kind == "error" or (type(kind) is not str and "error" in document):
            self.failure = self.failure or decode_failure(document, UNSET)
        elif kind == "content_block_start":
            self.content = self.content or not _is_empty(document.get("content_block"))
        elif type(kind) is str and kind in _CONTENT:
            self.content = True


def _is_empty(block: Any) -> bool:
    """Whether a block starts without saying anything yet."""
    kind = block.get("type") if type(block) is dict else None
    if type(kind) is not str or kind not in _EMPTY_STARTS:
        return False
    return not (block.get("text") or block.get("thinking") or block.get("signature") or block.get("input"))
