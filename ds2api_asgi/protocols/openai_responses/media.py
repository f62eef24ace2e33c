"""Media: images and files inside a message or a tool's output.

https://platform.openai.com/docs/guides/pdf-files and …/images-vision (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``detail:auto`` | `Media` | the default, which the SDKs' types demand on images |
| ``file`` | `Media` | a file part, though it is no document |
| ``data:bare`` | `Media` | ``file_data`` that is no data URL |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...universal.content import Base64, FileId, Inline, Media, OpaquePart, Part, PlainText, Source, Url
from ...universal.loss import LossKind, Severity
from ...universal.media import data_url, parse_data_url
from ..fields import STRING, Field, Json, expect, table, take
from ..openai_shared.marks import decode_cache, encode_cache, merged
from ..openai_shared.results import write_text_document
from ..scope import Scope
from .profile import NAME

__all__ = ["decode_file", "decode_image", "encode_media"]

_DETAILS: Final = frozenset({"auto", "low", "high", "original"})
_AUTO: Final = "auto"
_FILE_NAME: Final = "document.pdf"
_IMAGE: Final = table(Field("detail", "detail", STRING))
_FILE: Final = table(Field("detail", "detail", STRING), Field("name", "filename", STRING))
_KINDS: Final[dict[str, Any]] = {"image": "image", "audio": "audio", "video": "video"}


def decode_image(part: Json, path: str) -> Part:
    """An ``input_image`` part; one that refers to its image in a way that we do not know is opaque."""
    return _decode(part, path, _IMAGE, ("image_url", "file_id"))


def decode_file(part: Json, path: str) -> Part:
    """An ``input_file`` part; one that refers to its file in a way that we do not know is opaque."""
    return _decode(part, path, _FILE, ("file_data", "file_url", "file_id"))


def _decode(part: Json, path: str, table: dict[str, Field], references: tuple[str, ...]) -> Part:
    key = next((name for name in references if part.get(name) is not None), None)
    if key is None:
        return OpaquePart(json=part, protocol=NAME)
    value = expect(part[key], STRING, f"{path}.{key}")
    mark, marked = decode_cache(part, path)
    values, rest = take(part, table, handled={"type", key, marked}, path=path)
    ext: Json = {} if rest is UNSET else rest
    mime: str | UnsetType = UNSET
    forms: list[str] = []
    source: Source = FileId(value) if key == "file_id" else Url(value)
    parsed = parse_data_url(value) if key in ("image_url", "file_data") else None
    if parsed is not None:
        mime, data = parsed
        source = Base64(data)
        if data_url(mime, data) != value:
            ext[key] = value  # only the original is the original
    elif key == "file_data":
        source = Base64(value)
        forms.append("data:bare")
    image = table is _IMAGE
    if values.get("detail") == _AUTO:
        del values["detail"]
        forms.append("detail:auto")
    family = "" if mime is UNSET else mime.partition("/")[0]
    if not image and family in _KINDS:
        forms.append("file")
    return Media(
        kind="image" if image else _KINDS.get(family, "document"),
        source=source,
        mime=mime,
        cache=mark,
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
        **values,
    )


def encode_media(part: Media, path: str, scope: Scope) -> Json | None:
    """Media to a content part; None when it has none (reported)."""
    file = part.kind == "document" or (scope.home and "file" in part.form)
    document = _write_file(part, path, scope) if file else _write_image(part) if part.kind == "image" else None
    if document is None or (not scope.home and isinstance(part.source, FileId)):
        if isinstance(part.source, FileId):
            scope.add(path, LossKind.STATEFUL, Severity.BLOCKING, f"{NAME} cannot reach another provider's file")
        else:
            scope.lacks(path, Severity.SEMANTIC, f"{part.kind} of this kind")
        return None
    encode_cache(part.cache, document, path, scope)
    if not scope.home:
        _report(part, document, path, scope)
    return merged(document, part.ext, scope)


def _report(part: Media, document: Json, path: str, scope: Scope) -> None:
    scope.ext(part.ext, path)
    scope.lacks_each(part, ("title", "context", "citations"), path, Severity.DEGRADED, "of media")
    if part.source_ext is not UNSET and any(value is not None for value in part.source_ext.values()):
        scope.lacks(f"{path}.source_ext", Severity.DEGRADED, "such members of a source")
    if part.name is not UNSET and document.get("filename") != part.name:
        scope.lacks(f"{path}.name", Severity.DEGRADED, "name of this")
    if part.mime is not UNSET and not isinstance(part.source, Base64):
        scope.lacks(f"{path}.mime", Severity.COSMETIC, "MIME type beside a URL")
    if document["type"] == "input_image":
        known = part.detail in _DETAILS
        if part.detail is not UNSET and (not known or part.detail == _AUTO):
            severity = Severity.COSMETIC if known else Severity.DEGRADED
            scope.add(f"{path}.detail", LossKind.APPROXIMATED, severity, "it is said by default")
        document["detail"] = part.detail if known else _AUTO
    elif part.detail is not UNSET:
        scope.lacks(f"{path}.detail", Severity.DEGRADED, "detail of this")


def _data(part: Media, data: str, key: str) -> str:
    """The data URL: as it was spelled, if it still means the same."""
    if "data:bare" in part.form and part.mime is UNSET:
        return data
    mime = "application/octet-stream" if part.mime is UNSET else part.mime
    odd = (part.ext or {}).get(key)
    if type(odd) is str and parse_data_url(odd) == (mime, data):
        return odd
    return data_url(mime, data)


def _write_image(part: Media) -> Json | None:
    document: Json = {"type": "input_image"}
    match part.source:
        case Url(url=url):
            document["image_url"] = url
        case Base64(data=data):
            document["image_url"] = _data(part, data, "image_url")
        case FileId(id=id_):
            document["file_id"] = id_
        case _:
            return None
    _put_detail(part, document)
    return document


def _put_detail(part: Media, document: Json) -> None:
    if part.detail is not UNSET:
        document["detail"] = part.detail
    elif "detail:auto" in part.form:
        document["detail"] = _AUTO


def _write_file(part: Media, path: str, scope: Scope) -> Json | None:
    document: Json = {"type": "input_file"}
    match part.source:
        case Base64(data=data):
            document["file_data"] = _data(part, data, "file_data")
        case Url(url=url):
            document["file_url"] = url
        case FileId(id=id_):
            document["file_id"] = id_
        case PlainText() | Inline() if not scope.home:
            return write_text_document(part, "input_text", path, scope)
        case _:
            return None
    if part.name is not UNSET:
        document["filename"] = part.name
    elif not scope.home and "file_data" in document:
        # OpenAI refuses file_data without a name.
        document["filename"] = _FILE_NAME
        scope.add(f"{path}.name", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a file name")
    if scope.home:
        _put_detail(part, document)
    return document
