"""What hangs on a block: cache marks and citations; and how members of a block are read.

It follows https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching and …/citations (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import CacheMark, Citation
from ...universal.loss import LossKind, Severity
from ..fields import STRING, optional, rest
from ..scope import Scope
from .profile import CACHE_TTLS, NAME

__all__ = [
    "decode_cache",
    "decode_citations",
    "encode_cache",
    "encode_citation",
    "encode_citations",
    "finish",
]

_CACHE = frozenset({"type", "ttl"})


def decode_cache(block: dict[str, Any], path: str) -> CacheMark | UnsetType:
    """Read a ``cache_control`` member; a null one is left to ``ext``.

    Raises:
        InvalidDocument: It is no object, or its ttl no text.
    """
    value = block.get("cache_control")
    if value is None:
        return UNSET
    path = f"{path}.cache_control" if path else "cache_control"
    if type(value) is not dict:
        raise InvalidDocument(path, "must be an object")
    ephemeral = value.get("type") == "ephemeral"
    ext = rest(value, _CACHE if ephemeral else {"ttl"})
    return CacheMark(
        ttl=optional(value, "ttl", STRING, path), ext=ext, form=() if ephemeral or "type" in value else ("type:absent",)
    )


def encode_cache(mark: CacheMark, path: str, scope: Scope) -> dict[str, Any]:
    """Write a cache mark; a lifetime that we lack becomes the longest that we have."""
    document: dict[str, Any] = {} if scope.home and "type:absent" in mark.form else {"type": "ephemeral"}
    if mark.ttl is not UNSET:
        document["ttl"] = mark.ttl
        if not scope.home and mark.ttl not in CACHE_TTLS:
            document["ttl"] = CACHE_TTLS[-1]
            scope.add(f"{path}.ttl", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has other lifetimes")
    if scope.home:
        document.update(mark.ext or {})
    else:
        scope.ext(mark.ext, path)
    return document


_TITLES = {"char_location": "document_title", "page_location": "document_title"}
_TITLES["content_block_location"] = "document_title"


def decode_citations(value: list[Any], path: str) -> tuple[Citation, ...]:
    """Read a list of citations.

    Raises:
        InvalidDocument: One is no object with a type, or a text of it is none.
    """
    return tuple(_citation(item, f"{path}[{index}]") for index, item in enumerate(value))


def _citation(value: Any, path: str) -> Citation:
    if type(value) is not dict or type(value.get("type")) is not str:
        raise InvalidDocument(path, "must be an object with a type")
    kind = value["type"]
    title = _TITLES.get(kind, "title")
    return Citation(
        kind=kind,
        url=optional(value, "url", STRING, path),
        title=optional(value, title, STRING, path),
        cited_text=optional(value, "cited_text", STRING, path),
        ext=rest(value, ("type", "url", title, "cited_text")),
    )


def encode_citations(citations: tuple[Citation, ...], path: str, scope: Scope) -> list[dict[str, Any]]:
    """Write a list of citations; those that cannot be said are gone."""
    documents = (encode_citation(citation, f"{path}[{index}]", scope) for index, citation in enumerate(citations))
    return [document for document in documents if document is not None]


def encode_citation(citation: Citation, path: str, scope: Scope) -> dict[str, Any] | None:
    """Write one citation.

    One from elsewhere becomes a web search's in an answer, if it has an address. A request cannot hold it: the
    provider checks ``encrypted_index``, which only it can make.
    """
    if scope.home:
        title = _TITLES.get(citation.kind, "title")
        members = {"url": citation.url, title: citation.title, "cited_text": citation.cited_text}
        document: dict[str, Any] = {"type": citation.kind}
        document.update((name, value) for name, value in members.items() if value is not UNSET)
        document.update(citation.ext or {})
        return document
    if not scope.answer or not citation.url:
        scope.drop(path, Severity.DEGRADED, f"{NAME} takes only citations of its own")
        return None
    scope.add(path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} cites whole texts, as a web search does")
    return {
        "type": "web_search_result_location",
        "cited_text": citation.cited_text or "",
        "encrypted_index": "",
        "title": citation.title if citation.title is not UNSET else None,
        "url": citation.url,
    }


def finish(block: dict[str, Any], part: Any, path: str, scope: Scope) -> list[dict[str, Any]]:
    """Add what any block may have: the cache mark, and what the tables do not know."""
    if part.cache is not UNSET:
        block["cache_control"] = encode_cache(part.cache, f"{path}.cache", scope)
    if part.ext is not UNSET:
        if scope.home:
            block.update(part.ext)
        else:
            scope.ext(part.ext, path)
    return [block]
