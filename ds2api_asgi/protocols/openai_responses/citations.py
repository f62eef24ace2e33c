"""Citations: the ``annotations`` of a text, which count code points of it.

https://platform.openai.com/docs/guides/tools-web-search (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.content import Citation
from ..fields import Json

__all__ = ["decode_citation", "decode_citations", "encode_citation", "foreign_citation"]

_KIND: Final = "url_citation"
_MEMBERS: Final[dict[str, tuple[str, type]]] = {
    "url": ("url", str),
    "title": ("title", str),
    "start_index": ("start", int),
    "end_index": ("end", int),
}


def decode_citation(annotation: Any) -> Citation | None:
    """An annotation of any kind to a citation; None when it is no object that says its kind."""
    if type(annotation) is not dict or type(annotation.get("type")) is not str:
        return None
    values: dict[str, Any] = {}
    ext: Json = {}
    for key, value in annotation.items():
        name, kind = _MEMBERS.get(key, ("", object))
        if type(value) is kind:
            values[name] = value
        elif key != "type":
            ext[key] = value
    return Citation(kind=annotation["type"], ext=ext or UNSET, **values)


def decode_citations(annotations: Any) -> tuple[Citation, ...] | None:
    """All annotations of a text; None when one of them is no citation."""
    if type(annotations) is not list:
        return None
    found = tuple(citation for entry in annotations if (citation := decode_citation(entry)) is not None)
    return found if len(found) == len(annotations) else None


def encode_citation(citation: Citation) -> Json:
    """A citation that was born here to its annotation."""
    document: Json = {"type": citation.kind}
    for key, (name, _) in _MEMBERS.items():
        value = getattr(citation, name)
        if value is not UNSET:
            document[key] = value
    for key, value in (citation.ext or {}).items():
        document.setdefault(key, value)
    return document


def foreign_citation(citation: Citation, length: int) -> Json | None:
    """An annotation from another protocol's citation; None without a URL."""
    if citation.url is UNSET:
        return None
    return {
        "type": _KIND,
        "url": citation.url,
        "title": citation.title or "",
        "start_index": citation.start or 0,
        "end_index": length if citation.end is UNSET else citation.end,
    }
