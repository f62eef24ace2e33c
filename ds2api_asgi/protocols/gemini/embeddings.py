"""Embeddings: ``:embedContent`` of one content, ``:batchEmbedContents`` of several (dialect `BATCH`).

https://ai.google.dev/api/embeddings (read 2026-11-28). Each request of a batch repeats its model; what all of them say
alike of the size of vectors is one value here. Upstreams are always asked in batches. A content of several texts is
one input of their sum, and kept beside it; any other content (media) is kept as it is.

| form | on | the wire had |
|---|---|---|
| ``model:…`` | `EmbeddingInput` | the model in the body too, as the path has it |
| ``role:…`` | `EmbeddingInput` | a role, which says nothing here |
| ``embedding:lone`` | `EmbeddingResponse` | the answer of ``:embedContent`` |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.embedding import EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Vector
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.response import Usage
from ..base import Encoded
from ..embedding import Report, numbers, read_numbers, vectors_for
from ..fields import INTEGER, OBJECT, STRING, Field, Json, expect, put, table, take
from .profile import BATCH, NAME
from .spelling import canonical, respelled

__all__ = [
    "decode_embedding_request",
    "decode_embedding_response",
    "encode_embedding_request",
    "encode_embedding_response",
]

_INPUT: Final = table(Field("task", "taskType", STRING), Field("title", "title", STRING))
_COUNT: Final = "promptTokenCount"
_MODEL, _ROLE = "model:", "role:"


def decode_embedding_request(document: Json, *, dialect: str = "") -> EmbeddingRequest:
    """See `base.Embeddings.decode_embedding_request`."""
    origin = Origin(protocol=NAME, dialect=dialect)
    values: dict[str, Any]
    if dialect != BATCH:
        item, size = _decode_input(document, "")
        values = {} if type(size) is not int else {"dimensions": size}
        return EmbeddingRequest(inputs=(_with_size(item, size, values),), origin=origin, **values)
    requests = document.get("requests")
    if type(requests) is not list:
        raise InvalidDocument("requests", "must be an array")
    found = [
        _decode_input(expect(entry, OBJECT, f"requests[{at}]"), f"requests[{at}].") for at, entry in enumerate(requests)
    ]
    sizes = {size for _, size in found}
    one = sizes.pop() if len(sizes) == 1 else UNSET
    values = {} if type(one) is not int else {"dimensions": one}
    ext = {key: value for key, value in document.items() if key != "requests"}
    inputs = tuple(_with_size(item, size, values) for item, size in found)
    return EmbeddingRequest(inputs=inputs, ext=ext or UNSET, origin=origin, **values)


def _with_size(item: EmbeddingInput, size: Any, values: dict[str, Any]) -> EmbeddingInput:
    """An input whose size of vectors is not that of all keeps it for itself."""
    if size is UNSET or values:
        return item
    return EmbeddingInput(
        text=item.text, json=item.json, task=item.task, title=item.title, form=item.form,
        ext={**(item.ext or {}), "outputDimensionality": size},
    )  # fmt: skip


def _decode_input(document: Json, at: str) -> tuple[EmbeddingInput, Any]:
    document, form = canonical(document)
    values, rest = take(document, _INPUT, handled=("content", "outputDimensionality"), path=at.rstrip("."))
    ext: Json = {} if rest is UNSET else rest
    size = document.get("outputDimensionality", UNSET)
    if size is None:
        ext["outputDimensionality"], size = None, UNSET
    elif size is not UNSET:
        expect(size, INTEGER, f"{at}outputDimensionality")
    if type(ext.get("model")) is str:  # the path says it too
        form.append(_MODEL + ext.pop("model"))
    content = expect(document.get("content"), OBJECT, f"{at}content")
    parts = content.get("parts")
    if parts is not None and type(parts) is not list:
        raise InvalidDocument(f"{at}content.parts", "must be an array")
    texts = [part.get("text") for part in parts or () if type(part) is dict]
    if not texts or len(texts) != len(parts or ()) or not all(type(text) is str for text in texts):
        return EmbeddingInput(json=content, ext=ext or UNSET, form=tuple(form), **values), size
    role = content.get("role", UNSET)
    if type(role) is str:
        form.append(_ROLE + role)
    plain = {"parts": [{"text": texts[0]}], **({"role": role} if type(role) is str else {})}
    if content != plain:  # it says more than a text
        ext["content"] = content
    return EmbeddingInput(text="".join(map(str, texts)), ext=ext or UNSET, form=tuple(form), **values), size


def encode_embedding_request(request: EmbeddingRequest, *, dialect: str = "") -> Encoded:  # noqa: ARG001 - always a batch
    """See `base.Embeddings.encode_embedding_request`; one that was born here alone stays so."""
    report = Report(NAME, home=request.origin.protocol == NAME)
    if report.home:
        entries = [_home_input(item, request) for item in request.inputs]
        if request.origin.dialect != BATCH:
            return Encoded(document=entries[0] if entries else {})
        return Encoded(document={"requests": entries, **(request.ext or {})})
    entries = []
    model = request.model or ""
    for index, item in enumerate(request.inputs):
        path = f"inputs[{index}]"
        report.lacks(item, path)
        if item.text is UNSET:
            reason = "token ids mean nothing to another tokenizer" if item.json is UNSET else "it is another's content"
            report.add(path, LossKind.DROPPED, Severity.BLOCKING, reason)
            continue
        entry: Json = {
            "model": model if "/" in model else f"models/{model}",
            "content": {"parts": [{"text": item.text}]},
        }
        put(item, _INPUT, entry)
        if request.dimensions is not UNSET:
            entry["outputDimensionality"] = request.dimensions
        entries.append(entry)
    report.lacks(request, "", "encoding", "truncate", "user")
    return Encoded(document={"requests": entries}, losses=tuple(report.losses))


def _home_input(item: EmbeddingInput, request: EmbeddingRequest) -> Json:
    spelled = dict(form.split(":", 1) for form in item.form)
    content: Json = {"parts": [{"text": item.text}]}
    if "role" in spelled:
        content["role"] = spelled["role"]
    entry: Json = {"content": item.json if item.text is UNSET else content}
    if "model" in spelled:
        entry["model"] = spelled["model"]
    put(item, _INPUT, entry)
    if request.dimensions is not UNSET:
        entry["outputDimensionality"] = request.dimensions
    for key, value in (item.ext or {}).items():
        # Of an edited text the content it came in says no more.
        if key != "content" or "".join(part["text"] for part in value["parts"]) == item.text:
            entry[key] = value
    return respelled(entry, item.form)


def decode_embedding_response(document: Json) -> EmbeddingResponse:
    """See `base.Embeddings.decode_embedding_response`."""
    document, form = canonical(document)
    lone = "embeddings" not in document and "embedding" in document
    found = [document["embedding"]] if lone else document.get("embeddings")
    if type(found) is not list:
        raise InvalidDocument("embeddings", "must be an array")
    ext = {key: value for key, value in document.items() if key not in ("embeddings", "embedding", "usageMetadata")}
    if not lone and "embedding" in document:
        ext["embedding"] = document["embedding"]
    usage: Usage | UnsetType = UNSET
    counts = document.get("usageMetadata")
    if type(counts) is dict and type(counts.get(_COUNT)) is int:
        others = {key: value for key, value in counts.items() if key != _COUNT}
        usage = Usage(input_total=counts[_COUNT], ext=others or UNSET)
    elif "usageMetadata" in document:
        ext["usageMetadata"] = counts
    return EmbeddingResponse(
        vectors=tuple(_decode_vector(entry, f"embeddings[{at}]") for at, entry in enumerate(found)),
        usage=usage,
        ext=ext or UNSET,
        form=tuple(sorted((*form, "embedding:lone") if lone else form)),
        origin=Origin(protocol=NAME),
    )


def _decode_vector(entry: Any, path: str) -> Vector:
    ext = {key: value for key, value in expect(entry, OBJECT, path).items() if key != "values"}
    return Vector(values=read_numbers(entry.get("values"), f"{path}.values"), ext=ext or UNSET)


def encode_embedding_response(response: EmbeddingResponse, request: EmbeddingRequest | UnsetType = UNSET) -> Encoded:
    """See `base.Embeddings.encode_embedding_response`."""
    report = Report(NAME, home=response.origin.protocol == NAME)
    vectors = response.vectors if report.home else vectors_for(response, request)
    entries = []
    for index, vector in enumerate(vectors):
        path = f"vectors[{index}]"
        report.lacks(vector, path)
        entries.append({"values": numbers(vector, path), **((vector.ext or {}) if report.home else {})})
    if request is UNSET:
        lone = report.home and "embedding:lone" in response.form
    else:
        lone = request.origin.protocol == NAME and request.origin.dialect != BATCH
    document: Json = {"embedding": entries[0] if entries else {"values": []}} if lone else {"embeddings": entries}
    usage = response.usage
    if usage is not UNSET and usage.input_total is not UNSET:
        document["usageMetadata"] = {_COUNT: usage.input_total, **((usage.ext or {}) if report.home else {})}
    if report.home:
        document.update(response.ext or {})
        return Encoded(document=respelled(document, response.form))
    report.uncounted(usage, "input_total")
    report.lacks(response, "", "model")
    return Encoded(document=document, losses=tuple(report.losses))
