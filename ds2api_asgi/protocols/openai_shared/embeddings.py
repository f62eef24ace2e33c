"""Embeddings, the same in every OpenAI protocol: ``POST /v1/embeddings``.

https://platform.openai.com/docs/api-reference/embeddings/create (read 2026-11-28). Vectors are numbers, or packed where
the request says ``encoding_format: base64``, as the official SDKs do without being told.

| form | on | the wire had |
|---|---|---|
| ``input:string`` | `EmbeddingRequest` | one text, in no list |
| ``input:tokens`` | `EmbeddingRequest` | one list of token ids, in no list |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.embedding import EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Vector, pack
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.response import Usage
from ..base import Encoded
from ..embedding import Report, numbers, read_numbers, vectors_for
from ..fields import INTEGER, STRING, Field, Json, expect, put, table, take

__all__ = [
    "decode_embedding_request",
    "decode_embedding_response",
    "encode_embedding_request",
    "encode_embedding_response",
]

NAME: Final = "openai"
"""The origin of these documents: both protocols have the same."""

_REQUEST: Final = table(
    Field("model", "model", STRING), Field("dimensions", "dimensions", INTEGER), Field("user", "user", STRING)
)
_USAGE: Final = table(Field("input_total", "prompt_tokens", INTEGER), Field("total", "total_tokens", INTEGER))
_ENCODINGS: Final = ("float", "base64")


def decode_embedding_request(document: Json, *, dialect: str = "") -> EmbeddingRequest:
    """See `base.Embeddings.decode_embedding_request`."""
    expect(document.get("model"), STRING, "model")
    values, rest = take(document, _REQUEST, handled=("input", "encoding_format"))
    ext: Json = {} if rest is UNSET else rest
    inputs, form = _decode_inputs(document.get("input"))
    encoding = document.get("encoding_format", UNSET)
    if encoding in _ENCODINGS:
        values["encoding"] = encoding
    elif encoding is None:
        ext["encoding_format"] = None
    elif encoding is not UNSET:
        raise InvalidDocument("encoding_format", "must be float or base64")
    origin = Origin(protocol=NAME, dialect=dialect)
    return EmbeddingRequest(inputs=inputs, ext=ext or UNSET, form=form, origin=origin, **values)


def _decode_inputs(value: Any) -> tuple[tuple[EmbeddingInput, ...], tuple[str, ...]]:
    if type(value) is str:
        return (EmbeddingInput(text=value),), ("input:string",)
    if type(value) is not list:
        raise InvalidDocument("input", "must be a string or an array")
    if value and all(type(item) is int for item in value):
        return (EmbeddingInput(tokens=tuple(value)),), ("input:tokens",)
    return tuple(_decode_input(item, f"input[{index}]") for index, item in enumerate(value)), ()


def _decode_input(item: Any, path: str) -> EmbeddingInput:
    if type(item) is str:
        return EmbeddingInput(text=item)
    if type(item) is list and all(type(token) is int for token in item):
        return EmbeddingInput(tokens=tuple(item))
    raise InvalidDocument(path, "must be a string or an array of token ids")


def encode_embedding_request(request: EmbeddingRequest, *, dialect: str = "") -> Encoded:  # noqa: ARG001 - there is only one
    """See `base.Embeddings.encode_embedding_request`."""
    report = Report(NAME, home=request.origin.protocol == NAME)
    document: Json = {}
    put(request, _REQUEST, document)
    inputs = [
        found
        for index, item in enumerate(request.inputs)
        if (found := _encode_input(item, f"inputs[{index}]", report)) is not None
    ]
    lone = len(inputs) == 1 and bool(request.form) and report.home
    document["input"] = inputs[0] if lone else inputs
    if request.encoding is not UNSET:
        document["encoding_format"] = request.encoding
    report.lacks(request, "", "truncate")
    if report.home:
        document.update(request.ext or {})
    return Encoded(document=document, losses=tuple(report.losses))


def _encode_input(item: EmbeddingInput, path: str, report: Report) -> Any:
    report.lacks(item, path, "task", "title")
    if item.text is not UNSET:
        return item.text
    if item.tokens is not UNSET:
        return list(item.tokens)
    report.add(path, LossKind.DROPPED, Severity.BLOCKING, f"{NAME} embeds texts only")
    return None


def decode_embedding_response(document: Json) -> EmbeddingResponse:
    """See `base.Embeddings.decode_embedding_response`."""
    data = document.get("data")
    if type(data) is not list:
        raise InvalidDocument("data", "must be an array")
    vectors = tuple(_decode_vector(entry, f"data[{index}]") for index, entry in enumerate(data))
    ext = {key: value for key, value in document.items() if key not in ("object", "data", "model", "usage")}
    model = document.get("model", UNSET)
    if type(model) is not str and model is not UNSET:
        ext["model"], model = model, UNSET
    usage: Usage | UnsetType = UNSET
    if type(document.get("usage")) is dict:
        counts, rest = take(document["usage"], _USAGE, handled=(), strict=False)
        usage = Usage(ext=rest, **counts)
    elif "usage" in document:
        ext["usage"] = document["usage"]
    form: tuple[str, ...] = ()
    if document.get("object") != "list":
        form = ("object:absent",)
        if "object" in document:
            ext["object"] = document["object"]
    return EmbeddingResponse(
        model=model, vectors=vectors, usage=usage, ext=ext or UNSET, form=form, origin=Origin(protocol=NAME)
    )


def _decode_vector(entry: Any, path: str) -> Vector:
    if type(entry) is not dict:
        raise InvalidDocument(path, "must be an object")
    ext = {key: value for key, value in entry.items() if key not in ("object", "index", "embedding")}
    index = entry.get("index", UNSET)
    if type(index) is not int and index is not UNSET:
        ext["index"], index = index, UNSET
    form: tuple[str, ...] = ()
    if entry.get("object") != "embedding":
        form = ("object:absent",)
        if "object" in entry:
            ext["object"] = entry["object"]
    found = entry.get("embedding")
    if type(found) is str:
        return Vector(packed=found, index=index, ext=ext or UNSET, form=form)
    return Vector(values=read_numbers(found, f"{path}.embedding"), index=index, ext=ext or UNSET, form=form)


def encode_embedding_response(response: EmbeddingResponse, request: EmbeddingRequest | UnsetType = UNSET) -> Encoded:
    """See `base.Embeddings.encode_embedding_response`."""
    report = Report(NAME, home=response.origin.protocol == NAME)
    packed = None if request is UNSET else request.encoding == "base64"
    vectors = response.vectors if report.home else vectors_for(response, request)
    document: Json = {} if "object:absent" in response.form and report.home else {"object": "list"}
    document["data"] = [_encode_vector(vector, index, report, packed) for index, vector in enumerate(vectors)]
    if response.model is not UNSET:
        document["model"] = response.model
    if report.home:
        if response.usage is not UNSET:
            document["usage"] = _counts(response.usage)
        document.update(response.ext or {})
    else:
        document.setdefault("model", "" if request is UNSET or request.model is UNSET else request.model)
        document["usage"] = _usage(response.usage, report)
        report.lacks(response, "")
    return Encoded(document=document, losses=tuple(report.losses))


def _encode_vector(vector: Vector, index: int, report: Report, packed: bool | None) -> Json:
    path = f"vectors[{index}]"
    report.lacks(vector, path)
    document: Json = {} if report.home and "object:absent" in vector.form else {"object": "embedding"}
    if report.home:
        if vector.index is not UNSET:
            document["index"] = vector.index
        document.update(vector.ext or {})
        packed = vector.packed is not UNSET
    else:
        document["index"] = index
    if packed:
        values = vector.values or ()
        document["embedding"] = pack(values, path) if vector.packed is UNSET else vector.packed
    else:
        document["embedding"] = numbers(vector, path)
    return document


def _counts(usage: Usage) -> Json:
    document: Json = {}
    put(usage, _USAGE, document)
    return {**document, **(usage.ext or {})}


def _usage(usage: Usage | UnsetType, report: Report) -> Json:
    """The counts, which clients demand; zeros where the source states none."""
    report.uncounted(usage, "input_total", "total")
    usage = Usage() if usage is UNSET else usage
    if usage.input_total is UNSET:
        report.add("usage.input_total", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a count")
    tokens = usage.input_total or 0
    return {"prompt_tokens": tokens, "total_tokens": tokens if usage.total is UNSET else usage.total}
