"""Watching a stream pass by untouched.

The markers are the types of the last events, which stand in plain letters in each of them.
"""

from __future__ import annotations

from typing import Final

from ..fields import Json
from ..stream import LineWatch
from .errors import decode_event, failure_of

__all__ = ["StreamWatch"]

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_FAILED: Final = "response.failed"
_MARKS: Final = (b'response.completed"', b'response.incomplete"', b'response.failed"', b'"error"')


class StreamWatch(LineWatch):
    """See `base.StreamWatch`; content is a delta, a complete item, or the end of an answer."""

    def _marked(self, data: bytes) -> bool:
        return any(mark in data for mark in _MARKS)

    def _document(self, document: Json) -> None:
        kind = document.get("type")
        if type(kind) is not str:
            kind = "error" if document.get("error") is not None else ""
        if kind in _ENDS:
            self.content = self.terminal = self.ended = True
        elif kind == "error":
            self.failure = self.failure or decode_event(document)
        elif kind == _FAILED:
            response = document.get("response")
            told = response if type(response) is dict else {}
            self.failure = self.failure or failure_of({**told, "status": "failed"})
        elif kind == "response.output_item.done" or (kind.endswith(".delta") and document.get("delta")):
            self.content = True
