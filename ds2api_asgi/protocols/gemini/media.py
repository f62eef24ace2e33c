"""Media: ``inlineData`` (base64) and ``fileData`` (an address, or a file that was uploaded to the provider).

It follows https://ai.google.dev/api/caching#Blob and …#FileData (read 2026-11-23).
"""

from __future__ import annotations

import base64
import mimetypes
from typing import Any, Final, Literal

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import Base64, FileId, Inline, Media, PlainText, Source, Text, Url
from ...universal.loss import LossKind, Severity
from ...universal.media import parse_data_url
from ..fields import rest
from ..scope import Scope
from .profile import NAME
from .spelling import canonical, put_ext, respelled

__all__ = ["decode_media", "encode_media"]

Part = dict[str, Any]
Kind = Literal["image", "audio", "video", "document"]

_KINDS: Final[dict[str, Kind]] = {"image": "image", "audio": "audio", "video": "video"}
_GUESS: Final = {"image": "image/jpeg", "audio": "audio/mp3", "video": "video/mp4", "document": "application/pdf"}
_INLINE: Final = ("data", "mimeType", "displayName")
_FILE: Final = ("fileUri", "mimeType", "displayName")
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
# Addresses that mean something to this provider only.
_OWN: Final = ("gs://", "https://generativelanguage.googleapis.com/")


def decode_media(part: Part, name: str, form: list[str], ext: dict[str, Any] | UnsetType, path: str) -> Media:
    """Read a part with ``inlineData`` or ``fileData``.

    Args:
        part: The part, spelled in camelCase.
        name: Which of the two.
        form: Of the part so far.
        ext: Of the part.
        path: Where it stands.

    Raises:
        InvalidDocument: A member of the wrong type, or none where there must be one.
    """
    path = f"{path}.{name}"
    document, tags = canonical(part[name], f"{name}.")
    known, member = (_INLINE, "data") if name == "inlineData" else (_FILE, "fileUri")
    texts: dict[str, str | UnsetType] = {}
    for key in known:
        value = document.get(key)
        if value is not None and type(value) is not str:
            raise InvalidDocument(f"{path}.{key}", "must be a string")
        texts[key] = UNSET if value is None else value
    data, mime = texts[member], texts["mimeType"]
    if data is UNSET:
        raise InvalidDocument(f"{path}.{member}", "is required")
    return Media(
        kind=_kind(mime, data if name == "fileData" else ""),
        source=Base64(data) if name == "inlineData" else _address(data),
        mime=mime,
        name=texts["displayName"],
        source_ext=rest(document, known),
        ext=ext,
        form=(*form, *tags),
    )


def _address(uri: str) -> Source:
    return FileId(uri) if uri.startswith(_OWN) else Url(uri)


def _kind(mime: str | UnsetType, uri: str) -> Kind:
    if mime is UNSET:
        mime = mimetypes.guess_type(uri.partition("?")[0])[0] or ""
    return _KINDS.get(mime.partition("/")[0].lower(), "document")


def encode_media(part: Media, path: str, scope: Scope) -> list[Part]:
    """Write media; a document made of texts becomes texts."""
    if scope.home:
        return [_home(part)]
    source = part.source
    if isinstance(source, Inline):
        return _inline(source, path, scope)
    document: dict[str, Any]
    member = "inlineData"
    mime = part.mime
    match source:
        case Base64(data=data):
            document = {"data": data}
        case PlainText(text=text):
            document = {"data": base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")}
            scope.add(f"{path}.source", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} takes texts as base64")
            mime = mime or "text/plain"
        case FileId(id=file_id):
            if not file_id.startswith(_OWN):
                scope.add(path, LossKind.STATEFUL, Severity.BLOCKING, "the file was uploaded to another provider")
                return []
            member, document = "fileData", {"fileUri": file_id}
        case Url(url=url):
            found = parse_data_url(url)
            if found is None:
                member, document = "fileData", {"fileUri": url}
            else:
                document = {"data": found[1]}
                scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has no data URLs")
                mime = found[0] if mime is UNSET else mime
    if "data" in document:
        padded = _padded(document["data"])
        if padded is None:
            scope.drop(path, Severity.BLOCKING, "its data is no base64")
            return []
        if padded != document["data"]:
            document["data"] = padded
            scope.add(f"{path}.source", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} takes no base64 unpadded")
    document["mimeType"] = _mime(part, mime, path, scope)
    _losses(part, path, scope)
    return [{member: document}]


def _padded(data: str) -> str | None:
    """Base64 as the provider reads it, None when it is none; a text is not decoded for that."""
    bare = data.rstrip("=")
    if len(bare) % 4 == 1 or len(data) - len(bare) > 2 or not bare.isascii():
        return None
    return None if bare.encode().translate(None, _ALPHABET) else bare + "=" * (-len(bare) % 4)


def _mime(part: Media, mime: str | UnsetType, path: str, scope: Scope) -> str:
    if mime is UNSET:
        uri = part.source.url if isinstance(part.source, Url) else ""
        mime = mimetypes.guess_type(uri.partition("?")[0])[0] or _GUESS[part.kind]
        scope.add(f"{path}.mime", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a type")
    elif part.mime is UNSET:
        scope.add(f"{path}.mime", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a type")
    if _kind(mime, "") != part.kind:
        scope.add(f"{path}.kind", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} tells kinds by their type")
    return mime


def _losses(part: Media, path: str, scope: Scope) -> None:
    if part.name is not UNSET:
        scope.lacks(f"{path}.name", Severity.COSMETIC, "names of files")
    for name, severity in (
        ("detail", Severity.DEGRADED),
        ("title", Severity.DEGRADED),
        ("context", Severity.SEMANTIC),
        ("citations", Severity.DEGRADED),
        ("cache", Severity.COSMETIC),
        ("source_ext", Severity.DEGRADED),
    ):
        if getattr(part, name) is not UNSET:
            scope.lacks(f"{path}.{name}", severity, f"{name} of media")
    scope.ext(part.ext, path)


def _inline(source: Inline, path: str, scope: Scope) -> list[Part]:
    parts: list[Part] = []
    for index, inner in enumerate(source.parts):
        if isinstance(inner, Text):
            parts.append({"text": inner.text})
        elif isinstance(inner, Media):
            parts += encode_media(inner, f"{path}.source.parts[{index}]", scope)
    scope.add(path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no documents made of parts")
    return parts


def _home(part: Media) -> Part:
    source = part.source
    document: dict[str, Any] = {}
    if isinstance(source, Base64):
        member, document["data"] = "inlineData", source.data
    elif isinstance(source, PlainText):
        member, document["data"] = "inlineData", base64.b64encode(source.text.encode()).decode("ascii")
    else:
        member = "fileData"
        document["fileUri"] = source.id if isinstance(source, FileId) else getattr(source, "url", "")
    if part.mime is not UNSET:
        document["mimeType"] = part.mime
    if part.name is not UNSET:
        document["displayName"] = part.name
    put_ext(document, part.source_ext)
    result: Part = {member: respelled(document, part.form, f"{member}.")}
    put_ext(result, part.ext)
    return respelled(result, part.form)
