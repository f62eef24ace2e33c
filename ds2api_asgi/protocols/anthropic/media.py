"""Images and documents.

It follows https://docs.anthropic.com/en/docs/build-with-claude/vision and …/pdf-support (read 2026-11-22).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import Base64, FileId, Inline, Media, OpaquePart, Part, PlainText, Source, Url
from ...universal.loss import LossKind, Severity
from ...universal.media import parse_data_url
from ..fields import STRING, Json, optional, rest
from ..scope import Scope
from .marks import decode_cache
from .profile import IMAGE_TYPES, NAME

__all__ = ["decode_media", "encode_source", "home_source"]

_KNOWN: Final = frozenset({"type", "source", "title", "context", "cache_control"})
_CITING: Final = _KNOWN | {"citations"}

Nested = Callable[[Any, str], tuple[Part, ...]]


def decode_media(block: dict[str, Any], kind: Literal["image", "document"], path: str, nested: Nested) -> Part:
    """Read an ``image`` or ``document`` block; a kind of source that we do not know keeps the block as it is.

    Args:
        block: The block.
        kind: Its type.
        path: Where it stands.
        nested: Reads the blocks of a document that is made of blocks.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    source = block.get("source")
    if type(source) is not dict or type(source.get("type")) is not str:
        raise InvalidDocument(f"{path}.source", "must be an object with a type")
    found = _source(source, f"{path}.source", nested)
    if found is None:
        return OpaquePart(json=block, protocol=NAME)
    content, mime, source_ext = found
    citing = block.get("citations")
    plain = type(citing) is dict and len(citing) == 1 and type(citing.get("enabled")) is bool
    return Media(
        kind=kind,
        source=content,
        mime=mime,
        title=optional(block, "title", STRING, path),
        context=optional(block, "context", STRING, path),
        citations=citing["enabled"] if citing is not None and plain else UNSET,
        cache=decode_cache(block, path),
        source_ext=source_ext,
        ext=rest(block, _CITING if plain else _KNOWN),
    )


def _source(
    source: dict[str, Any], path: str, nested: Nested
) -> tuple[Source, str | UnsetType, Json | UnsetType] | None:
    match source["type"]:
        case "base64":
            mime = optional(source, "media_type", STRING, path)
            return Base64(_required(source, "data", path)), mime, rest(source, ("type", "data", "media_type"))
        case "text":
            mime = optional(source, "media_type", STRING, path)
            return PlainText(_required(source, "data", path)), mime, rest(source, ("type", "data", "media_type"))
        case "url":
            return Url(_required(source, "url", path)), UNSET, rest(source, ("type", "url"))
        case "file":
            return FileId(_required(source, "file_id", path)), UNSET, rest(source, ("type", "file_id"))
        case "content":
            content = source.get("content")
            form = ("content:string",) if type(content) is str else ()
            return Inline(nested(content, f"{path}.content"), form), UNSET, rest(source, ("type", "content"))
        case _:
            return None


def _required(source: dict[str, Any], name: str, path: str) -> str:
    value = source.get(name)
    if type(value) is not str:
        raise InvalidDocument(f"{path}.{name}", "must be a string")
    return value


def home_source(part: Media, nested: Callable[[Inline], Any]) -> dict[str, Any]:
    """Write the source of a part that was born here.

    Args:
        part: The part.
        nested: Writes the content of a document that is made of blocks.
    """
    document: dict[str, Any]
    match part.source:
        case Base64(data=data):
            document = {"type": "base64", "data": data}
        case PlainText(text=text):
            document = {"type": "text", "data": text}
        case Url(url=url):
            document = {"type": "url", "url": url}
        case FileId(id=file_id):
            document = {"type": "file", "file_id": file_id}
        case Inline() as inline:
            document = {"type": "content", "content": nested(inline)}
    if part.mime is not UNSET and isinstance(part.source, (Base64, PlainText)):
        document["media_type"] = part.mime
    document.update(part.source_ext or {})
    return document


def encode_source(part: Media, path: str, scope: Scope, nested: Callable[[Inline], Any]) -> dict[str, Any] | None:
    """Write the source of a part that was born elsewhere; None (reported) when it cannot be said."""
    match part.source:
        case Url(url=url) if (inline := parse_data_url(url)) is not None:
            scope.add(f"{path}.source", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} takes no data URLs")
            return _inline(part, *inline, path, scope)
        case Url(url=url):
            if url.startswith(("https://", "http://")):
                return {"type": "url", "url": url}
            problem = "it fetches http and https only"
        case Base64(data=data):
            return _inline(part, part.mime or _sniff(data, path, scope), data, path, scope)
        case PlainText(text=text):
            return {"type": "text", "media_type": "text/plain", "data": text}
        case Inline() as content:
            return {"type": "content", "content": nested(content)}
        case FileId():
            scope.add(path, LossKind.STATEFUL, Severity.BLOCKING, "the file was uploaded to another provider")
            return None
    scope.drop(path, Severity.BLOCKING, problem)
    return None


def _inline(part: Media, mime: str, data: str, path: str, scope: Scope) -> dict[str, Any] | None:
    kind = mime.partition(";")[0].strip().lower()
    kind = "image/jpeg" if kind == "image/jpg" else kind
    if kind != part.mime and part.mime is not UNSET:
        scope.add(f"{path}.mime", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} spells it {kind}")
    if kind in IMAGE_TYPES if part.kind == "image" else kind == "application/pdf":
        return {"type": "base64", "media_type": kind, "data": data}
    text = _text(data) if part.kind == "document" and kind.startswith("text/") else None
    if text is None:
        scope.drop(path, Severity.BLOCKING, f"{NAME} does not take this type of {part.kind}")
        return None
    scope.add(f"{path}.source", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} takes text as text")
    if kind != "text/plain":
        scope.add(f"{path}.mime", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} knows plain text only")
    return {"type": "text", "media_type": "text/plain", "data": text}


_MAGIC: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}


def _sniff(data: str, path: str, scope: Scope) -> str:
    for start, mime in _MAGIC.items():
        if data.startswith(start):
            scope.add(f"{path}.mime", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands it; the data shows it")
            return mime
    return ""


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
