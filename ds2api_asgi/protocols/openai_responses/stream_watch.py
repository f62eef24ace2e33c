"""Watching a stream pass by untouched.

The markers are the types of the last events, which stand in plain letters in each of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ...errors import InvalidDocument
from ...framing.sse import write_event
from ...universal.failure import Failure
from ...universal.jsontext import dumps, loads
from ..fields import Json
from ..stream import LineWatch, type_at
from .errors import decode_event, decode_failed, encode_event, encode_failed

__all__ = ["StreamWatch"]

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_FAILED: Final = "response.failed"
_BEGUN: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_NUMBER: Final = b'"sequence_number"'
_MARKS: Final = (b'response.completed"', b'response.incomplete"', b'response.failed"', b'"error"')


class StreamWatch(LineWatch):
    """See `base.StreamWatch`; content is a delta, a complete item, or the end of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self._response: Json | None = None  # the answer as it was begun
        self._numbered = b""  # the last lines that had a number

    def stream_error(self, failure: Failure) -> bytes:
        """See `ending.KnowsTheStream`: an answer that was begun has failed."""
        number = self._last_number() + 1
        if self._response is None:
            return encode_event(failure, number)
        response = {**self._response, "status": "failed", "error": encode_failed(failure)}
        event = {"type": _FAILED, "sequence_number": number, "response": response}
        return write_event(dumps(event), _FAILED.encode())

    def _last_number(self) -> int:
        for line in reversed(self._numbered.splitlines()):
            if line.startswith(self._field):
                try:
                    document = loads(line[len(self._field) :])
                except InvalidDocument:
                    continue
                number = document.get("sequence_number") if type(document) is dict else None
                if type(number) is int:
                    return number
        return -1

    def _look(self, lines: bytes) -> None:
        if _NUMBER in lines:
            self._numbered = lines
        super()._look(lines)

    @staticmethod
    @lru_cache(maxsize=1)
    def _marked(data: bytes) -> bool:
        for mark in _MARKS:  # noqa: SIM110 - a generator costs as much as the searches
            if data.find(mark) >= 0:
                return True
        return False

    def _document(self, document: Json) -> None:
        kind = document.get("type")
        if type(kind) is not str:
            kind = "error" if document.get("error") is not None else ""
        if kind in _BEGUN:
            response = document.get("response")
            self._response = response if type(response) is dict else self._response
        elif kind in _ENDS:
            self.content = self.terminal = self.ended = True
        elif kind == "error":
            self.failure = self.failure or decode_event(document)
        elif kind == _FAILED:
            self.failure = self.failure or decode_failed(document)
        elif kind == "response.output_item.done" or (kind.endswith(".delta") and document.get("delta")):
            self.content = True

    def _too_long(self, beginning: bytes) -> None:
        kind = type_at(beginning)
        if kind is not None:  # an end repeats the pictures that were made
            self._document({"type": kind})
