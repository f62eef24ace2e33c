"""Citations: a message's ``annotations``, which count code points of its text.

https://platform.openai.com/docs/guides/tools-web-search?api-mode=chat (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.content import Citation
from ..fields import Json
from ..openai_shared.marks import merge

__all__ = ["decode_citation", "encode_citation", "foreign_citation"]


def decode_citation(annotation: Any) -> Citation | None:
    """An annotation to a citation; None when it is of another shape than ``url_citation``."""
    if type(annotation) is not dict or annotation.get("type") != "url_citation":
        return None
    inner = annotation.get("url_citation")
    if type(inner) is not dict:
        return None
    values: dict[str, Any] = {}
    ext = {key: value for key, value in annotation.items() if key not in ("type", "url_citation")}
    for key, value in inner.items():
        name, kind = _CITATION.get(key, ("", object))
        if type(value) is kind:
            values[name] = value
        else:
            ext[f"url_citation.{key}"] = value
    return Citation(kind="url_citation", ext=ext or UNSET, **values)


_CITATION: Final[dict[str, tuple[str, type]]] = {
    "url": ("url", str),
    "title": ("title", str),
    "start_index": ("start", int),
    "end_index": ("end", int),
}


def encode_citation(citation: Citation, *, home: bool) -> Json:
    """A citation to an annotation."""
    inner = {
        key: getattr(citation, name) for key, (name, _) in _CITATION.items() if getattr(citation, name) is not UNSET
    }
    document: Json = {"type": "url_citation", "url_citation": inner}
    if home and citation.ext is not UNSET:
        merge(document, citation.ext, "url_citation")
    return document


def foreign_citation(citation: Citation, start: int, length: int) -> Json | None:
    """An annotation from another protocol's citation, its span counted from the message's start; None without a URL."""
    if citation.url is UNSET:
        return None
    document = encode_citation(citation, home=False)
    inner = document["url_citation"]
    inner["start_index"] = start + (citation.start or 0)
    inner["end_index"] = start + (length if citation.end is UNSET else citation.end)
    inner.setdefault("title", "")
    return document
