"""Media: images, audio and files inside a message's content.

https://platform.openai.com/docs/guides/pdf-files and …/images-vision (read 2026-11-23). Members of an object inside a
part (``image_url.detail``) that we do not know are kept in ``source_ext``.

| form | on | the wire had |
|---|---|---|
| ``file`` | `Media` | a file part, though it is no document |
| ``image_url:string`` | `Media` | the URL in place of the object |
| ``url:…`` | `Media` | this odd head of a data URL |
| ``data:bare`` | `Media` | ``file_data`` that is no data URL |
| ``format:…`` | `Media` | this odd name of an audio format |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...universal.content import Base64, FileId, Inline, Media, OpaquePart, Part, PlainText, Source, Url
from ...universal.loss import LossKind, Severity
from ...universal.media import data_url, parse_data_url, sniff_mime
from ..fields import OBJECT, STRING, Json, expect
from ..openai_shared.marks import SPELLINGS, decode_cache, encode_cache, merged, without
from ..openai_shared.results import write_text_document
from ..scope import Scope
from .profile import NAME

__all__ = ["decode_audio", "decode_file", "decode_image", "encode_media"]

_FORMATS: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_MIMES: Final = {mime: name for name, mime in _FORMATS.items()} | {"audio/x-wav": "wav", "audio/mp3": "mp3"}
_DETAILS: Final = frozenset({"auto", "low", "high", "original"})
_FILE_NAME: Final = "document.pdf"


def decode_image(part: Json, path: str) -> Media:
    """An ``image_url`` part."""
    inner: Any = part.get("image_url")
    forms: list[str] = []
    if type(inner) is str:
        inner = {"url": inner}
        forms.append("image_url:string")
    expect(inner, OBJECT, f"{path}.image_url")
    url = expect(inner.get("url"), STRING, f"{path}.image_url.url")
    source, mime, rest = _decode_url(url, inner, forms, "url", "detail")
    detail = inner.get("detail", UNSET)
    if detail is None:
        rest = {**(rest or {}), "detail": None}
        detail = UNSET
    elif detail is not UNSET:
        expect(detail, STRING, f"{path}.image_url.detail")
    cache, key = decode_cache(part, path, SPELLINGS)
    return Media(
        kind="image",
        source=source,
        mime=mime,
        detail=detail,
        cache=cache,
        source_ext=rest,
        ext=without(part, "type", "image_url", key),
        form=tuple(sorted(forms)),
    )


def _decode_url(
    url: str, inner: Json, forms: list[str], key: str, *known: str
) -> tuple[Source, str | UnsetType, Json | UnsetType]:
    """The source that a URL is, its MIME type, and the members of its object that have no place."""
    rest = without(inner, key, *known)
    parsed = parse_data_url(url)
    if parsed is None:
        return Url(url), UNSET, rest
    mime, data = parsed
    if data_url(mime, data) != url:
        if url.endswith("," + data):
            forms.append("url:" + url[: len(url) - len(data)])
        else:  # percent-encoded: only the original is the original
            rest = {**(rest or {}), key: url}
    return Base64(data), mime, rest


def _encode_url(part: Media, key: str, scope: Scope) -> str | None:
    """The URL of a source: as it was spelled, if it still means the same; None when it has none."""
    source = part.source
    if isinstance(source, Url):
        return source.url
    if not isinstance(source, Base64):
        return None
    mime = "application/octet-stream" if part.mime is UNSET else part.mime
    if scope.home:
        if "data:bare" in part.form:
            return source.data
        odd = next((form[4:] + source.data for form in part.form if form.startswith("url:")), None)
        odd = odd or (part.source_ext or {}).get(key)
        if type(odd) is str and parse_data_url(odd) == (mime, source.data):
            return odd
    return data_url(mime, source.data)


def decode_audio(part: Json, path: str) -> Media:
    """An ``input_audio`` part."""
    inner = expect(part.get("input_audio"), OBJECT, f"{path}.input_audio")
    data = expect(inner.get("data"), STRING, f"{path}.input_audio.data")
    name = inner.get("format", UNSET)
    mime: str | UnsetType = UNSET
    forms: tuple[str, ...] = ()
    if name is not UNSET:
        expect(name, STRING, f"{path}.input_audio.format")
        mime = _FORMATS.get(name, f"audio/{name}")
        if _format(mime) != name:
            forms = (f"format:{name}",)
    cache, key = decode_cache(part, path, SPELLINGS)
    return Media(
        kind="audio",
        source=Base64(data),
        mime=mime,
        cache=cache,
        source_ext=without(inner, "data", "format"),
        ext=without(part, "type", "input_audio", key),
        form=forms,
    )


def _format(mime: str) -> str:
    return _MIMES.get(mime) or mime.removeprefix("audio/")


def decode_file(part: Json, path: str) -> Part:
    """A ``file`` part; one that refers to its file in a way that we do not know is opaque."""
    inner = expect(part.get("file"), OBJECT, f"{path}.file")
    forms: list[str] = []
    mime: str | UnsetType = UNSET
    source: Source
    if inner.get("file_data") is not None:
        data = expect(inner["file_data"], STRING, f"{path}.file.file_data")
        source, mime, rest = _decode_url(data, inner, forms, "file_data", "filename")
        if isinstance(source, Url) and not data.startswith(("https://", "http://")):  # OpenRouter takes addresses
            source = Base64(data)
            forms.append("data:bare")
    elif inner.get("file_id") is not None:
        source = FileId(expect(inner["file_id"], STRING, f"{path}.file.file_id"))
        rest = without(inner, "file_id", "filename")
    else:  # a reference of a kind that we do not know
        return OpaquePart(json=part, protocol=NAME)
    name = inner.get("filename", UNSET)
    if name is None:
        rest = {**(rest or {}), "filename": None}
        name = UNSET
    elif name is not UNSET:
        expect(name, STRING, f"{path}.file.filename")
    family = "" if mime is UNSET else mime.partition("/")[0]
    if family in _KINDS:
        forms.append("file")
    cache, key = decode_cache(part, path, SPELLINGS)
    return Media(
        kind=_KINDS.get(family, "document"),
        source=source,
        mime=mime,
        name=name,
        cache=cache,
        source_ext=rest,
        ext=without(part, "type", "file", key),
        form=tuple(sorted(forms)),
    )


_KINDS: Final[dict[str, Any]] = {"image": "image", "audio": "audio", "video": "video"}


def encode_media(part: Media, path: str, scope: Scope) -> Json | None:
    """Media to a content part; None when it has none (reported)."""
    if part.mime is UNSET and part.kind != "audio" and not scope.home and isinstance(part.source, Base64):
        part = replace(part, mime=sniff_mime(part.source.data) or "application/octet-stream")
        scope.add(f"{path}.mime", LossKind.INVENTED, Severity.COSMETIC, "a data URL has a type; the data may show it")
    file = part.kind == "document" or (scope.home and "file" in part.form)
    writer = _write_file if file else _WRITERS.get(part.kind)
    document = writer(part, path, scope) if writer is not None else None
    if document is None:
        if isinstance(part.source, FileId):
            scope.add(path, LossKind.STATEFUL, Severity.BLOCKING, f"{NAME} cannot reach another provider's file")
        else:
            scope.lacks(path, Severity.SEMANTIC, f"{part.kind} of this kind")
        return None
    encode_cache(part.cache, document, path, scope)
    scope.ext(part.ext, path)
    for name in _unsaid(part, document):
        scope.lacks(f"{path}.{name}", Severity.DEGRADED, f"{name} of media")
    return merged(document, part.ext, scope)


def _unsaid(part: Media, document: Json) -> Iterable[str]:
    for name in ("title", "context", "citations"):
        if getattr(part, name) is not UNSET:
            yield name
    if part.name is not UNSET and document["type"] != "file":
        yield "name"
    if part.detail is not UNSET and "detail" not in document.get("image_url", ()):
        yield "detail"


def _source(part: Media, inner: Json, path: str, scope: Scope) -> Json:
    """An object of the wire with the members that it had beside."""
    if part.source_ext is not UNSET:
        if scope.home:
            return {**part.source_ext, **inner}
        if any(value is not None for value in part.source_ext.values()):
            scope.lacks(f"{path}.source_ext", Severity.DEGRADED, "such members of a source")
    return inner


def _write_image(part: Media, path: str, scope: Scope) -> Json | None:
    url = _encode_url(part, "url", scope)
    if url is None:
        return None
    if scope.home and "image_url:string" in part.form and part.detail is UNSET:
        return {"type": "image_url", "image_url": url}
    inner = {"url": url}
    if part.detail is not UNSET and (scope.home or part.detail in _DETAILS):
        inner["detail"] = part.detail
    return {"type": "image_url", "image_url": _source(part, inner, path, scope)}


def _write_audio(part: Media, path: str, scope: Scope) -> Json | None:
    if not isinstance(part.source, Base64):
        return None
    inner = {"data": part.source.data}
    if part.mime is not UNSET:
        inner["format"] = _format(part.mime)
        for form in part.form:
            if scope.home and form.startswith("format:") and part.mime == f"audio/{form[7:]}":
                inner["format"] = form[7:]
    if not scope.home and inner.get("format") not in _FORMATS:
        return None
    return {"type": "input_audio", "input_audio": _source(part, inner, path, scope)}


def _write_file(part: Media, path: str, scope: Scope) -> Json | None:
    inner: Json = {}
    match part.source:
        case Base64():
            inner["file_data"] = _encode_url(part, "file_data", scope)
        case Url(url=url) if scope.home:
            inner["file_data"] = url
        case FileId(id=id_) if scope.home:
            inner["file_id"] = id_
        case PlainText() | Inline() if not scope.home:
            return write_text_document(part, "text", path, scope)
        case _:
            return None
    if part.name is not UNSET:
        inner["filename"] = part.name
    elif not scope.home:
        # OpenAI refuses file_data without a name.
        inner["filename"] = _FILE_NAME
        scope.add(f"{path}.name", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a file name")
    return {"type": "file", "file": _source(part, inner, path, scope)}


_WRITERS: Final[dict[str, Callable[[Media, str, Scope], Json | None]]] = {
    "image": _write_image,
    "audio": _write_audio,
}
