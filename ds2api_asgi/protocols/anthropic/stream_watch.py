"""Watching a stream pass by untouched: has content passed, has its end, has an error?"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...framing.sse import MAX_LINE
from ...universal.failure import Failure
from ...universal.jsontext import loads
from .errors import decode_failure

__all__ = ["StreamWatch"]

_CONTENT: Final = frozenset({"content_block_delta", "message_delta"})
_EMPTY_STARTS: Final = frozenset({"text", "thinking", "tool_use"})


class StreamWatch:
    """See `base.StreamWatch`.

    Before content, each event is read. After it only lines that hold ``message_stop`` or ``"error"`` are: a reader of
    JSON is the judge, the search merely spares it the rest. It misses nothing, since the two words stand in their
    events in plain letters, whole lines are searched, and the provider puts each event's data on one line.
    """

    def __init__(self) -> None:
        self.content = False
        self.terminal = False
        self.ended = False
        self.failure: Failure | None = None
        self._line: list[bytes] = []  # the line in progress
        self._size = 0

    def feed(self, data: bytes) -> None:
        """See `base.StreamWatch.feed`."""
        end = data.rfind(b"\n") + 1
        if not end:
            end = data.rfind(b"\r") + 1
        if end:
            lines = data[:end]
            if self._line:
                lines = b"".join((*self._line, lines))
                self._line = []
            if not self.content or b"message_stop" in lines or b'"error"' in lines:
                self._read(lines)
            data = data[end:]
            self._size = 0
        if data:
            self._size += len(data)
            if self._size > MAX_LINE:  # no event of ours
                self._line = []
            else:
                self._line.append(data)
                # The last line of a stream may lack its end.
                if data.endswith(b"}") and b"message_stop" in (tail := b"".join(self._line[-8:])):
                    self._read(tail if len(self._line) <= 8 else b"".join(self._line))

    def _read(self, lines: bytes) -> None:
        for line in lines.splitlines():
            if line.startswith(b"data:"):
                try:
                    document = loads(line[5:])
                except InvalidDocument:
                    continue
                if type(document) is dict:
                    self._event(document)

    def _event(self, document: dict[str, Any]) -> None:
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
    if type(block) is not dict or block.get("type") not in _EMPTY_STARTS:
        return False
    return not (block.get("text") or block.get("thinking") or block.get("signature") or block.get("input"))
