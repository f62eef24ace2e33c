"""Answers that a server compressed although it was asked not to; parts above read bodies, so they get them plain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from ..asgi.coding import BadCoding, Inflate
from ..asgi.headers import find
from ..errors import BrokenStream
from .sender import UpstreamAnswer

__all__ = ["plain"]

_STALE = frozenset({b"content-encoding", b"content-length"})


def plain(answer: UpstreamAnswer) -> UpstreamAnswer:
    """The answer without its content-encoding; one in a coding that we cannot read stays as it is."""
    coding = find(answer.headers, b"content-encoding")
    if coding is None or answer.status in (204, 304):
        return answer
    try:
        return _Inflated(answer, Inflate(coding.strip().lower().decode("latin-1")))
    except BadCoding:
        return answer


class _Inflated:
    def __init__(self, answer: UpstreamAnswer, inflate: Inflate) -> None:
        self._answer = answer
        self._inflate = inflate
        self.status = answer.status
        self.headers: Sequence[tuple[bytes, bytes]] = [
            header for header in answer.headers if header[0].lower() not in _STALE
        ]
        self.chunks = self._chunks()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self._answer.chunks:
            try:
                for piece in self._inflate.pieces(chunk):
                    yield piece
            except BadCoding as error:
                raise BrokenStream("protocol", f"the upstream answered with {error}") from None

    async def aclose(self) -> None:
        await self.chunks.aclose()
        await self._answer.aclose()
