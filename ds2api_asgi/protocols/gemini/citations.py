"""Citations: ``groundingMetadata``, whose segments count bytes of UTF-8, where ours count code points.

Its own protocol gets it back as it was; the citations are for the others.
It follows https://ai.google.dev/api/generate-content#GroundingMetadata (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET

from ...universal.content import Citation
from ...universal.loss import LossKind, Severity
from ..scope import Scope
from .profile import NAME

__all__ = ["Ground", "read_grounding"]


def read_grounding(metadata: Any, texts: Sequence[str]) -> list[tuple[int, Citation]]:
    """The citations that a ``groundingMetadata`` holds.

    Args:
        metadata: Its value.
        texts: The texts of the answer's parts, ``""`` for those that are none.

    Returns:
        Each with the number of its part.
    """
    if type(metadata) is not dict:
        return []
    chunks = metadata.get("groundingChunks")
    supports = metadata.get("groundingSupports")
    if type(chunks) is not list or type(supports) is not list:
        return []
    found: list[tuple[int, Citation]] = []
    for support in supports:
        segment = support.get("segment") if type(support) is dict else None
        if type(segment) is not dict:
            continue
        number = _integer(segment.get("partIndex"))
        if number >= len(texts):
            continue
        span = _span(texts[number], _integer(segment.get("startIndex")), _integer(segment.get("endIndex")))
        if span is None:
            continue
        indices = support.get("groundingChunkIndices")
        for index in indices if type(indices) is list else ():
            if type(index) is int and 0 <= index < len(chunks):
                citation = _citation(chunks[index], span)
                if citation is not None:
                    found.append((number, citation))
    return found


def _integer(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _span(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Code points of a span of bytes; None where it is no span of this text."""
    data = text.encode("utf-8", "surrogatepass")
    if not 0 <= start < end <= len(data):
        return None
    try:
        before = len(data[:start].decode("utf-8", "surrogatepass"))
        return before, before + len(data[start:end].decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return None


def _citation(chunk: Any, span: tuple[int, int]) -> Citation | None:
    for kind in ("web", "retrievedContext", "maps"):
        source = chunk.get(kind) if type(chunk) is dict else None
        if type(source) is dict:
            url, title, text = source.get("uri"), source.get("title"), source.get("text")
            return Citation(
                kind=kind,
                url=url if type(url) is str else UNSET,
                title=title if type(title) is str else UNSET,
                cited_text=text if type(text) is str else UNSET,
                start=span[0],
                end=span[1],
            )
    return None


class Ground:
    """Writes the ``groundingMetadata`` of an answer from elsewhere."""

    __slots__ = ("_chunks", "_supports")

    def __init__(self) -> None:
        self._chunks: list[dict[str, Any]] = []
        self._supports: list[dict[str, Any]] = []

    def add(self, citations: Iterable[Citation], text: str, number: int, path: str, scope: Scope) -> None:
        """Note the citations of one part.

        Args:
            citations: Of the part.
            text: The part's.
            number: Of the part in its content.
            path: Of the part.
            scope: This run.
        """
        for index, citation in enumerate(citations):
            at = f"{path}.citations[{index}]"
            if citation.url is UNSET:
                scope.lacks(at, Severity.DEGRADED, "citations without a URL")
                continue
            scope.add(at, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} cites pages of the web")
            start = citation.start or 0
            end = len(text) if citation.end is UNSET else citation.end
            web = {"uri": citation.url}
            if citation.title is not UNSET:
                web["title"] = citation.title
            before = len(text[:start].encode("utf-8", "surrogatepass"))
            segment: dict[str, Any] = {
                "endIndex": before + len(text[start:end].encode("utf-8", "surrogatepass")),
                "text": text[start:end],
            }
            if before:
                segment["startIndex"] = before
            if number:
                segment["partIndex"] = number
            self._supports.append({"segment": segment, "groundingChunkIndices": [len(self._chunks)]})
            self._chunks.append({"web": web})

    def document(self) -> dict[str, Any] | None:
        """The metadata; None when nothing was cited."""
        if not self._chunks:
            return None
        return {"groundingChunks": self._chunks, "groundingSupports": self._supports}
