"""Embeddings: ``POST /api/embed``, and the older ``POST /api/embeddings`` of one text (dialect `LEGACY`).

https://docs.ollama.com/api/embed (read 2026-11-28); the older path takes ``prompt`` and answers ``embedding``
(https://github.com/ollama/ollama/blob/main/docs/api.md). Upstreams are always asked by the newer.

| form | on | the wire had |
|---|---|---|
| ``input:string`` | `EmbeddingRequest` | one text, in no list |
| ``prompt:absent`` | `EmbeddingRequest` | no ``prompt``, or null: the model is only loaded |
| ``embedding:lone`` | `EmbeddingResponse` | the older answer |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.embedding import EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Vector
from ...universal.node import Origin
from ..base import Encoded
from ..embedding import Report, numbers, read_numbers, texts_only, vectors_for
from ..fields import BOOLEAN, INTEGER, STRING, STRINGS, Field, Json, expect, put, table, take
from ..scope import Scope
from .profile import LEGACY, NAME, TARGET
from .usage import decode_usage, encode_usage

__all__ = [
    "decode_embedding_request",
    "decode_embedding_response",
    "encode_embedding_request",
    "encode_embedding_response",
]

_REQUEST: Final = table(
    Field("model", "model", STRING),
    Field("truncate", "truncate", BOOLEAN),
    Field("dimensions", "dimensions", INTEGER),
)
_ANSWER: Final = frozenset({"model", "embeddings", "embedding"})


def decode_embedding_request(document: Json, *, dialect: str = "") -> EmbeddingRequest:
    """See `base.Embeddings.decode_embedding_request`."""
    expect(document.get("model"), STRING, "model")
    member = "prompt" if dialect == LEGACY else "input"
    values, rest = take(document, _REQUEST, handled=(member,))
    inputs, form = _decode_inputs(document.get(member), member)
    if form == ("prompt:absent",) and "prompt" in document:
        rest = {**(rest or {}), "prompt": None}
    return EmbeddingRequest(inputs=inputs, ext=rest, form=form, origin=Origin(protocol=NAME, dialect=dialect), **values)


def _decode_inputs(value: Any, member: str) -> tuple[tuple[EmbeddingInput, ...], tuple[str, ...]]:
    if type(value) is str:
        return (EmbeddingInput(text=value),), ("input:string",)
    if member == "prompt":
        if value is not None:
            raise InvalidDocument(member, "must be a string")
        return (), ("prompt:absent",)
    return tuple(EmbeddingInput(text=text) for text in expect(value, STRINGS, member)), ()


def encode_embedding_request(request: EmbeddingRequest, *, dialect: str = "") -> Encoded:  # noqa: ARG001 - the newer path
    """See `base.Embeddings.encode_embedding_request`; one that was born here in the older words keeps them."""
    report = Report(NAME, home=request.origin.protocol == NAME)
    document: Json = {}
    put(request, _REQUEST, document)
    texts: list[str] = []
    for index, item, text in texts_only(request, report):
        report.lacks(item, f"inputs[{index}]", "task", "title")
        texts.append(text)
    if not report.home:
        document["input"] = texts
    elif request.origin.dialect != LEGACY:
        document["input"] = texts[0] if "input:string" in request.form and len(texts) == 1 else texts
    elif texts:
        document["prompt"] = texts[0]
    report.lacks(request, "", "encoding", "user")
    if report.home:
        document.update(request.ext or {})
    return Encoded(document=document, losses=tuple(report.losses))


def decode_embedding_response(document: Json) -> EmbeddingResponse:
    """See `base.Embeddings.decode_embedding_response`."""
    lone = "embeddings" not in document and "embedding" in document
    found = [document["embedding"]] if lone else document.get("embeddings")
    if type(found) is not list:
        raise InvalidDocument("embeddings", "must be an array")
    usage, read = decode_usage(document)
    ext = {key: value for key, value in document.items() if key not in _ANSWER and key not in read}
    model = document.get("model", UNSET)
    if type(model) is not str and model is not UNSET:
        ext["model"], model = model, UNSET
    if not lone and "embedding" in document:
        ext["embedding"] = document["embedding"]
    return EmbeddingResponse(
        model=model,
        vectors=tuple(Vector(values=read_numbers(v, f"embeddings[{at}]")) for at, v in enumerate(found)),
        usage=usage,
        ext=ext or UNSET,
        form=("embedding:lone",) if lone else (),
        origin=Origin(protocol=NAME),
    )


def encode_embedding_response(response: EmbeddingResponse, request: EmbeddingRequest | UnsetType = UNSET) -> Encoded:
    """See `base.Embeddings.encode_embedding_response`; the older answer has the vector only."""
    report = Report(NAME, home=response.origin.protocol == NAME)
    vectors = response.vectors if report.home else vectors_for(response, request)
    rows = [numbers(vector, f"vectors[{index}]") for index, vector in enumerate(vectors)]
    for index, vector in enumerate(vectors):
        report.lacks(vector, f"vectors[{index}]")
    if request is UNSET:
        legacy = report.home and "embedding:lone" in response.form
    else:
        legacy = request.origin.protocol == NAME and request.origin.dialect == LEGACY
    document: Json = {"embedding": rows[0] if rows else []} if legacy else {"embeddings": rows}
    scope = Scope(TARGET, origin=response.origin.protocol)
    counts = {} if response.usage is UNSET else encode_usage(response.usage, scope)
    if report.home:
        if response.model is not UNSET:
            document["model"] = response.model
        document.update({**counts, **(response.ext or {})})
        return Encoded(document=document)
    report.lacks(response, "")
    if legacy:
        report.lacks(response, "", "model", "usage")
        return Encoded(document=document, losses=tuple(report.losses))
    model = response.model
    if model is UNSET and request is not UNSET:
        model = request.model
    document = {"model": model or "", **document}
    counts.pop("eval_count", None)  # nothing was generated
    document.update(counts)
    return Encoded(document=document, losses=(*report.losses, *scope.losses))
