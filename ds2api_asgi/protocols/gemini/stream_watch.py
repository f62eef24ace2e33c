"""Watching a stream pass by untouched.

After content only lines are read that may hold a ``finishReason``, an error or a blocked prompt: their names are part
of each, in plain letters. A text may hold them too, which costs time only. An array of JSON is read element by element:
few clients ask for one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET

from ...errors import FramingError, InvalidDocument
from ...framing.json_array import JsonArrayParser
from ...universal.failure import Failure
from ...universal.jsontext import dumps, loads
from ..stream import LineWatch, another_index
from .errors import decode_failure, encode_failure, stream_error
from .spelling import canonical
from .stops import blocked, is_reason

__all__ = ["StreamWatch"]

_MARKS: Final = (b'eason"', b'"error"')
"""``finishReason``, ``finish_reason``, ``blockReason``, ``block_reason``; an error."""


class StreamWatch(LineWatch):
    """See `base.StreamWatch`; the answer is complete when each candidate that began has its ``finishReason``.

    Only an array has a last word, its closing bracket.
    """

    def __init__(self) -> None:
        super().__init__()
        self._candidates: dict[int, bool] = {}  # whether each has its finish reason
        self._array: JsonArrayParser | None = None
        self._first = True  # no element of the array has passed
        self._begun = False
        self._broken = False

    def stream_error(self, failure: Failure) -> bytes:
        """See `ending.KnowsTheStream`: in an array a last element, and its end."""
        if self._array is None:
            return stream_error(failure)
        return (b"[" if self._first else b",\n") + dumps(encode_failure(failure)) + b"\n]"

    def feed(self, data: bytes) -> None:
        """See `base.StreamWatch.feed`."""
        if not self._begun and data.strip():
            self._begun = True
            start = data.lstrip()[:1]
            if start == b",":  # we look at the middle of an array
                data = b"[" + data.lstrip()[1:]
            self._array = JsonArrayParser() if data.lstrip()[:1] == b"[" else None
            if start == b"{":
                self._field = b""
        if self._array is None:
            super().feed(data)
        elif not self._broken:
            self._elements(self._array, data)

    def _elements(self, array: JsonArrayParser, data: bytes) -> None:
        try:
            elements = array.feed(data)
        except FramingError:
            self._broken = True
            return
        self._first = self._first and not elements
        for element in elements:
            if self.content and not self._matters(element):
                continue
            try:
                document = loads(element)
            except InvalidDocument:
                continue
            if type(document) is dict:
                self._document(document)
        self.ended = array.complete and self.terminal

    @staticmethod
    @lru_cache(maxsize=1)
    def _marked(data: bytes) -> bool:
        for mark in _MARKS:
            if data.find(mark) >= 0:
                return True
        return another_index(data)

    def _document(self, document: dict[str, Any]) -> None:
        document = canonical(document)[0]
        if document.get("error") is not None:
            if self.failure is None:
                self.failure = decode_failure(document, UNSET)
            return
        if blocked(document.get("promptFeedback")) is not None:
            self.content = self.terminal = True
        candidates = document.get("candidates")
        for candidate in candidates if type(candidates) is list else ():
            if type(candidate) is dict:
                self._candidate(canonical(candidate)[0])

    def _candidate(self, candidate: dict[str, Any]) -> None:
        index = candidate.get("index")
        if type(index) is not int:
            index = 0
        self._several = self._several or index != 0
        if is_reason(candidate.get("finishReason")):
            self._candidates[index] = True
            self.content = True
            self.terminal = all(self._candidates.values())
            return
        if index not in self._candidates:
            self._candidates[index] = self.terminal = False
        content = candidate.get("content")
        parts = content.get("parts") if type(content) is dict else None
        if type(parts) is list and not self.content:
            self.content = any(part not in ({}, {"text": ""}) for part in parts)
