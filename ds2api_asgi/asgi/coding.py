"""Content codings of answers: an app is asked for none, and what it compresses all the same is inflated in windows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

__all__ = ["WINDOW", "BadCoding", "Inflate"]

WINDOW = 64 * 1024
"""Bytes that are inflated at a time: what a small message may blow up to before it is passed on."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # the header says which


class BadCoding(Exception):
    """The body is not in the coding that its header states, or the coding is none that we read."""


class Inflate:
    """Reads one body in the codings ``gzip``, ``x-gzip`` and ``deflate``.

    Args:
        coding: The answer's content-encoding, in lower case.

    Raises:
        BadCoding: Another coding.
    """

    def __init__(self, coding: str) -> None:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise BadCoding("a content-encoding that was not asked for")
        self._inflate = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes hold, in pieces of at most `WINDOW` bytes.

        Raises:
            BadCoding: They are garbage.
        """
        full = False
        while (data or full) and not self._inflate.eof:
            try:
                piece = self._inflate.decompress(data, WINDOW)
            except zlib.error:
                raise BadCoding("a body that is not in its content-encoding") from None
            data = self._inflate.unconsumed_tail
            full = len(piece) == WINDOW
            if piece:
                yield piece
