"""Newline-delimited JSON, one document a line: `NdjsonParser` reads it, `write_line` writes it.

The rule: lines end at LF; a CR, space or tab at either end of a line is whitespace of JSON and is dropped, and so are
blank lines. Ollama streams this way (https://docs.ollama.com/api/streaming).
"""

from __future__ import annotations

from typing import Final

from ..errors import FramingError

__all__ = ["MAX_LINE", "NdjsonParser", "frame_boundary", "write_line"]

MAX_LINE: Final = 4 * 1024 * 1024
"""Default bound of one line, in bytes without its line end."""

_BLANK: Final = b" \t\r"


class NdjsonParser:
    """Reads lines of JSON, cut into reads anyhow, in linear time; whether they are JSON is for the reader of them.

    Args:
        max_line: Bound of one line, in bytes without its LF.
    """

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._broken = False
        self._tail: list[bytes] = []  # the line in progress: joined once, at its end
        self._tail_size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes, give the lines that they complete, without blank ones.

        Raises:
            FramingError: A line is over its bound; the lines before it were given by earlier calls.
        """
        self._raise_if_broken()
        *lines, rest = data.split(b"\n")
        if lines:
            self._tail.append(lines[0])
            lines[0] = b"".join(self._tail)
            self._tail.clear()
            self._tail_size = 0
        found = self._take(lines)
        self._tail.append(rest)
        self._tail_size += len(rest)
        if self._tail_size > self._max_line:
            self._break()
        if not found:
            self._raise_if_broken()
        return found

    def close(self) -> list[bytes]:
        """Say that the stream has ended: give the last line, if it lacks its LF.

        Raises:
            FramingError: A line is over its bound; the lines before it were given by earlier calls.
        """
        self._raise_if_broken()
        line = b"".join(self._tail)
        self._tail.clear()
        return self._take([line])

    def _take(self, lines: list[bytes]) -> list[bytes]:
        found: list[bytes] = []
        for line in lines:
            if len(line) > self._max_line:
                self._break()
                break
            if document := line.strip(_BLANK):
                found.append(document)
        return found

    def _break(self) -> None:
        self._broken = True
        self._tail.clear()

    def _raise_if_broken(self) -> None:
        if self._broken:
            raise FramingError(f"a line is over the limit of {self._max_line} bytes")


def write_line(data: bytes) -> bytes:
    """Write one JSON document as a line; line breaks between its tokens become spaces.

    Args:
        data: One JSON document (inside its strings, JSON allows no bare line break).
    """
    return data.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"


def frame_boundary(data: bytes) -> int:
    """Find the end of the last complete line: the index after the last LF, 0 if there is none."""
    return data.rfind(b"\n") + 1
