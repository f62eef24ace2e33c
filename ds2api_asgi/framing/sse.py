"""Server-sent events: `SseParser` reads them, `write_event` and `write_comment` write them.

The rule: lines end at CR, LF or CRLF and nowhere else (U+2028, U+0085, VT and FF are data), so it works on bytes.
It follows https://html.spec.whatwg.org/multipage/server-sent-events.html (section 9.2.6), but for one thing: an event
that the stream's end cuts off before its blank line is not dropped, since many LLM servers leave that line out; it
comes from `SseParser.close` with ``complete=False``.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ..errors import FramingError

__all__ = ["MAX_EVENT", "MAX_LINE", "SseEvent", "SseParser", "frame_boundary", "write_comment", "write_event"]

MAX_LINE: Final = 1024 * 1024
"""Default bound of one line, in bytes without its line end."""

MAX_EVENT: Final = 4 * 1024 * 1024
"""Default bound of one event's data, in bytes."""

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = 0x0D
_LF: Final = 0x0A
_RETRY_DIGITS: Final = 18  # 31 million years, and int() stays cheap


class SseEvent(Struct, frozen=True, gc=False):
    """One event.

    Attributes:
        data: The ``data`` lines, joined by LF.
        name: The ``event`` field, ``b""`` when it has none.
        id: The last ``id`` the stream gave so far, ``b""`` when none.
        complete: False when the stream ended before the blank line that closes the event.
    """

    data: bytes
    name: bytes = b""
    id: bytes = b""
    complete: bool = True


class SseParser:
    """Reads an event stream, cut into reads anyhow, in linear time.

    Args:
        max_line: Bound of one line, in bytes without its line end.
        max_event: Bound of one event's data, in bytes.

    Attributes:
        comments: How many comment lines (keep-alives) came so far.
        retry: The last ``retry`` field in milliseconds, None when none came.
    """

    def __init__(self, *, max_line: int = MAX_LINE, max_event: int = MAX_EVENT) -> None:
        self.comments = 0
        self.retry: int | None = None
        self._max_line = max_line
        self._max_event = max_event
        self._broken: str | None = None
        self._head: bytes | None = b""  # what may become a byte order mark; None once that is decided
        self._after_cr = False  # an LF that comes next belongs to a line end already seen
        self._tail: list[bytes] = []  # the line in progress: joined once, at its end
        self._tail_size = 0
        self._name = b""
        self._id = b""
        self._data: list[bytes] = []  # the data lines of the event in progress
        self._data_size = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take the next bytes, give the events that they complete.

        Raises:
            FramingError: A line or an event is over its bound; the events before it were given by earlier calls.
        """
        self._raise_if_broken()
        events: list[SseEvent] = []
        lines, rest = self._split(data)
        self._take(lines, events)
        if rest and self._broken is None:
            self._keep(rest)
        if not events:
            self._raise_if_broken()
        return events

    def close(self) -> list[SseEvent]:
        """Say that the stream has ended: give the event in progress, if it has data, as ``complete=False``.

        Raises:
            FramingError: A line or an event is over its bound; the events before it were given by earlier calls.
        """
        self._raise_if_broken()
        if self._head:
            self._keep(self._head)
        self._head = None
        if self._tail:
            line = b"".join(self._tail)
            self._tail.clear()
            self._take([line], [])
        self._raise_if_broken()
        if not self._data:
            return []
        event = SseEvent(b"\n".join(self._data), self._name, self._id, complete=False)
        self._data = []
        return [event]

    def _split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Give the lines that `data` completes, and the part of a line after them."""
        if self._head is not None:
            data = self._without_bom(data)
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == _LF:
                data = data[1:]
        if not data:
            return [], b""
        lines = data.splitlines()  # of bytes: at CR, LF and CRLF only
        self._after_cr = data[-1] == _CR
        rest = b"" if self._after_cr or data[-1] == _LF else lines.pop()
        if lines and self._tail:
            self._tail.append(lines[0])
            lines[0] = b"".join(self._tail)
            self._tail.clear()
            self._tail_size = 0
        return lines, rest

    def _without_bom(self, data: bytes) -> bytes:
        head = (self._head or b"") + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_BOM)

    def _keep(self, part: bytes) -> None:
        self._tail.append(part)
        self._tail_size += len(part)
        if self._tail_size > self._max_line:
            self._break("line", self._max_line)

    def _take(self, lines: list[bytes], events: list[SseEvent]) -> None:
        max_line = self._max_line
        max_event = self._max_event
        data = self._data
        for line in lines:
            if not line:
                if data:
                    events.append(SseEvent(b"\n".join(data), self._name, self._id))
                    data.clear()
                    self._data_size = 0
                self._name = b""
                continue
            if len(line) > max_line:
                self._break("line", max_line)
                return
            if line[:6] == b"data: ":
                value = line[6:]
            elif line[:5] == b"data:":
                value = line[5:]
            elif line == b"data":
                value = b""
            else:
                self._field(line)
                continue
            self._data_size += len(value) + bool(data)
            if self._data_size > max_event:
                self._break("event", max_event)
                return
            data.append(value)

    def _field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value
        elif not field:
            self.comments += 1
        elif field == b"id" and b"\0" not in value:
            self._id = value
        elif field == b"retry" and value.isdigit() and len(value) <= _RETRY_DIGITS:
            self.retry = int(value)

    def _break(self, what: str, limit: int) -> None:
        self._broken = f"an event stream's {what} is over the limit of {limit} bytes"
        self._tail.clear()
        self._data.clear()

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise FramingError(self._broken)


def write_event(data: bytes, name: bytes = b"") -> bytes:
    r"""Write one event: ``event: ping\ndata: {}\n\n``.

    Args:
        data: Any bytes; each of its lines gets a ``data`` line, so its CR and CRLF arrive as LF.
        name: The event's name, ``b""`` for none.

    Raises:
        FramingError: The name holds a line break.
    """
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_lines(data))
    if not name:
        return b"data: %b\n\n" % data
    if b"\n" in name or b"\r" in name:
        raise FramingError("an event's name cannot hold a line break")
    return b"event: %b\ndata: %b\n\n" % (name, data)


def write_comment(text: bytes = b"") -> bytes:
    r"""Write a comment (``: text\n\n``), which every client ignores: a keep-alive."""
    return b"%b\n\n" % b"\n".join(b": %b" % line if line else b":" for line in _lines(text))


def frame_boundary(data: bytes) -> int:
    """Find the end of the last complete frame: the index after the last blank line, 0 if there is none.

    It looks at neighbouring line ends only, so bytes already searched may be left out but for the last three.
    """
    at = max(data.rfind(b"\n\n"), data.rfind(b"\n\r"), data.rfind(b"\r\r"))
    if at < 0:
        return 0
    return at + 3 if data[at + 1 : at + 3] == b"\r\n" else at + 2


def _lines(text: bytes) -> list[bytes]:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
