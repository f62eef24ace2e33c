"""Embeddings keep the laws: identity, round trip, report, validity; vectors keep number, order and digits."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from typing import Any

import ollama
import openai.types
import pytest
from google.genai import types as genai
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace
from pydantic import TypeAdapter

from documents import json_values, names, texts
from ds2api_asgi import InvalidDocument
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Embeddings
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.diff import diff, format_path, patch
from ds2api_asgi.universal.embedding import EmbeddingRequest, EmbeddingResponse
from ds2api_asgi.universal.loss import Severity

# Protocol and dialect: what paths of one protocol say in different words is a case each.
WIRES = {
    "openai": ("openai-chat", ""),
    "gemini": ("gemini", ""),
    "gemini-batch": ("gemini", "batch"),
    "ollama": ("ollama", ""),
    "ollama-legacy": ("ollama", "legacy"),
}
every = pytest.mark.parametrize("wire", WIRES)
pairs = pytest.mark.parametrize(
    ("source", "target"), [(a, b) for a in WIRES for b in WIRES if WIRES[a][0] != WIRES[b][0]]
)

extras = st.dictionaries(names.map("x_".__add__), json_values, max_size=2)
words = st.text("abc é\u2028\ue000", min_size=1, max_size=8)
numbers = st.one_of(
    st.integers(-3, 3), st.sampled_from(["0.10", "1e-3", "-0.0", "0.123456789012345678901"]).map(jsontext.loads),
    st.floats(-1, 1, width=32),
)  # fmt: skip
vectors = st.lists(numbers, min_size=1, max_size=4)
packed = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=4).map(
    lambda values: b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
)


def codec(wire: str) -> Embeddings:
    found = registry.get(WIRES[wire][0]).embeddings
    assert found is not None
    return found


def _objects(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda a, b: {**b, **a}, st.fixed_dictionaries(required, optional=optional), extras)


@st.composite
def requests(draw: st.DrawFn, wire: str, *, plain: bool = False) -> dict[str, Any]:
    """Request documents; plain: texts only."""
    several = st.lists(words, min_size=1, max_size=3)
    optional: dict[str, Any]
    if wire == "openai":
        tokens = st.lists(st.integers(0, 2**20), min_size=1, max_size=3)
        inputs = st.one_of(words, several, *(() if plain else (tokens, st.lists(tokens, min_size=1, max_size=2))))
        optional = {
            "dimensions": st.integers(1, 9), "user": texts, "encoding_format": st.sampled_from(["float", "base64"])
        }  # fmt: skip
        return draw(_objects({"model": names, "input": inputs}, optional))
    if wire.startswith("ollama"):
        optional = {"truncate": st.booleans(), "dimensions": st.integers(1, 9), "keep_alive": st.just("5m")}
        optional["options"] = st.just({"num_ctx": 8})
        name, values = ("prompt", words) if wire == "ollama-legacy" else ("input", st.one_of(words, several))
        return draw(_objects({"model": names, name: values}, optional))
    part = st.builds(lambda text: {"text": text}, words)
    parts = st.lists(part, min_size=1, max_size=2)
    if not plain:
        parts = st.one_of(parts, st.just([{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]))
    content = st.fixed_dictionaries({"parts": parts}, optional={"role": st.just("user")})
    optional = {
        "taskType": st.sampled_from(["RETRIEVAL_QUERY", "CLUSTERING"]),
        "title": texts,
        "outputDimensionality": st.integers(1, 3),
        "model": names.map("models/".__add__),
    }
    if wire == "gemini":
        return draw(_objects({"content": content}, optional))
    return draw(_objects({"requests": st.lists(_objects({"content": content}, optional), min_size=1, max_size=3)}, {}))


@st.composite
def answers(draw: st.DrawFn, wire: str, count: int | None = None) -> dict[str, Any]:
    """Answer documents, of so many vectors."""
    count = draw(st.integers(1, 3)) if count is None else count
    rows = [draw(vectors) for _ in range(count)]
    if wire == "openai":
        data = [
            {"object": "embedding", "index": at, "embedding": draw(packed) if draw(st.booleans()) else row}
            for at, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": draw(st.integers(0, 9)), "total_tokens": draw(st.integers(0, 9))}
        return {"object": "list", "data": data, "model": draw(names), "usage": usage, **draw(extras)}
    if wire == "ollama":
        counts = {"total_duration": st.integers(0, 9), "load_duration": st.integers(0, 9)}
        counts["prompt_eval_count"] = st.integers(0, 9)
        more = draw(st.fixed_dictionaries({}, optional={**counts, "model": names}))
        return {"embeddings": rows, **more, **draw(extras)}
    if wire == "ollama-legacy":
        return {"embedding": rows[0], **draw(extras)}
    found = [{"values": row, **draw(extras)} for row in rows]
    usage = draw(st.sampled_from([{}, {"usageMetadata": {"promptTokenCount": 3}}, {"usageMetadata": {"x": 1}}]))
    return {**({"embedding": found[0]} if wire == "gemini" else {"embeddings": found}), **usage, **draw(extras)}


def rewire(document: Any) -> Any:
    return jsontext.loads(jsontext.dumps(document))


def read(wire: str, document: dict[str, Any]) -> EmbeddingRequest:
    request = codec(wire).decode_embedding_request(rewire(document), dialect=WIRES[wire][1])
    return replace(request, model="path") if request.model is UNSET else request  # Gemini's path says it


def read_answer(wire: str, document: dict[str, Any]) -> EmbeddingResponse:
    return codec(wire).decode_embedding_response(rewire(document))


@every
@given(data=st.data())
def test_requests_come_back(wire: str, data: st.DataObject) -> None:
    document = data.draw(requests(wire))
    encoded = codec(wire).encode_embedding_request(read(wire, document))
    assert jsontext.equal(rewire(encoded.document), rewire(document))
    assert encoded.losses == ()


@every
@given(data=st.data())
def test_answers_come_back_digit_by_digit(wire: str, data: st.DataObject) -> None:
    document = data.draw(answers(wire))
    encoded = codec(wire).encode_embedding_response(read_answer(wire, document))
    assert jsontext.equal(rewire(encoded.document), rewire(document))
    assert encoded.losses == ()


def upstream(target: str) -> str:
    """How an upstream of this protocol is asked."""
    return {"gemini": "gemini-batch", "ollama-legacy": "ollama"}.get(target, target)


@pairs
@given(data=st.data())
def test_what_differs_is_reported_and_comes_back_with_its_residue(
    source: str, target: str, data: st.DataObject
) -> None:
    document = data.draw(requests(source))
    request = read(source, document)
    encoded = codec(target).encode_embedding_request(request)
    detour = read(upstream(target), encoded.document)
    changes = diff(request, detour, ignore=frozenset({"form", "origin"}))
    blocked = any(loss.severity is Severity.BLOCKING for loss in encoded.losses)
    for change in changes:
        path = format_path(change.path)
        if path == "ext" or path.endswith("].ext"):
            continue  # as a whole: its members are losses each
        if path == "model" and WIRES[target][0] == "gemini":
            continue  # it stands in the path
        if blocked and path.startswith(("inputs", "dimensions")):
            continue  # it is not sent
        if change.value is None and ".ext." in f".{path}":
            continue
        assert any(
            path == loss.path or path.startswith((loss.path + ".", loss.path + "[")) for loss in encoded.losses
        ), path
    restored = patch(detour, diff(request, detour))
    assert restored == request
    assert jsontext.equal(rewire(codec(source).encode_embedding_request(restored).document), rewire(document))


_REQUEST_MEMBERS = {
    "openai-chat": {"model", "input", "dimensions", "encoding_format", "user"},
    "gemini": {"requests"},
    "ollama": {"model", "input", "truncate", "dimensions"},
}
_REQUEST_TYPES: dict[str, Any] = {
    "openai-chat": TypeAdapter(openai.types.EmbeddingCreateParams),
    "ollama": TypeAdapter(ollama._types.EmbedRequest),
}
_ANSWER_TYPES: dict[str, Any] = {
    "openai": openai.types.CreateEmbeddingResponse,
    "gemini-batch": genai.EmbedContentResponse,
    "ollama": ollama.EmbedResponse,
    "ollama-legacy": ollama.EmbeddingsResponse,
}
_ANSWER_MEMBERS = {
    "openai": {"object", "data", "model", "usage"},
    "gemini": {"embedding", "usageMetadata"},
    "gemini-batch": {"embeddings", "usageMetadata"},
    "ollama": {"model", "embeddings", "prompt_eval_count"},
    "ollama-legacy": {"embedding"},
}


@pairs
@given(data=st.data())
def test_a_translated_request_is_valid_and_asks_for_each_text_once(
    source: str, target: str, data: st.DataObject
) -> None:
    request = read(source, data.draw(requests(source, plain=True)))
    document = rewire(codec(target).encode_embedding_request(request).document)
    known = _REQUEST_MEMBERS[WIRES[target][0]]
    assert set(document) <= known
    if WIRES[target][0] in _REQUEST_TYPES and request.model is not UNSET:
        _REQUEST_TYPES[WIRES[target][0]].validate_python(document)
    if WIRES[target][0] == "gemini":
        asked = [entry["content"]["parts"][0]["text"] for entry in document["requests"]]
        assert all(
            set(e) <= {"model", "content", "taskType", "title", "outputDimensionality"} for e in document["requests"]
        )
    else:
        asked = document["input"]
    assert asked == [item.text for item in request.inputs]


@pairs
@given(data=st.data())
def test_vectors_reach_the_client_in_number_order_and_digits(source: str, target: str, data: st.DataObject) -> None:
    """Source is the client, target the upstream."""
    request = read(source, data.draw(requests(source, plain=True)))
    wire = upstream(target) if WIRES[target][0] != "openai" else "openai"
    document = data.draw(answers(wire, len(request.inputs)))
    answer = read_answer(wire, document)
    encoded = codec(source).encode_embedding_response(answer, request)
    got = rewire(encoded.document)
    assert set(got) <= _ANSWER_MEMBERS[source]
    if source in _ANSWER_TYPES and not (source == "openai" and request.encoding == "base64"):
        _ANSWER_TYPES[source].model_validate(got)
    before, after = read_answer(wire, document), read_answer(source, got)
    assert len(after.vectors) == len(request.inputs)
    for a, b in zip(before.ordered(), after.ordered(), strict=True):
        assert _floats(b) == pytest.approx(_floats(a), rel=1e-6, abs=1e-40)
        if a.values is not UNSET and b.values is not UNSET:
            assert jsontext.equal(list(a.values), list(b.values))
        if a.packed is not UNSET and b.values is not UNSET:
            assert list(b.values) == _floats(a)


def _floats(vector: Any) -> list[float]:
    if vector.values is not UNSET:
        return [float(value) for value in vector.values]
    data = b64decode(vector.packed)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


@given(vector=packed)
def test_packed_vectors_are_unpacked_and_packed_again_exactly(vector: str) -> None:
    request = read("openai", {"model": "m", "input": "a", "encoding_format": "base64"})
    answer = read_answer("openai", {"data": [{"embedding": vector}]})
    numbers_ = codec("ollama").encode_embedding_response(answer, request).document["embeddings"]
    again = codec("openai").encode_embedding_response(read_answer("ollama", {"embeddings": numbers_}), request)
    assert again.document["data"][0]["embedding"] == vector


def test_numbers_that_come_out_of_order_are_put_in_order() -> None:
    data = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]
    answer = read_answer("openai", {"data": data})
    request = read("ollama", {"model": "m", "input": ["a", "b"]})
    assert codec("ollama").encode_embedding_response(answer, request).document["embeddings"] == [[1], [2]]


@pytest.mark.parametrize(("wire", "document"), [
    ("openai", {"data": [{"embedding": [1]}]}),
    ("ollama", {"embeddings": [[1], [2], [3]]}),
    ("gemini", {"embeddings": []}),
])  # fmt: skip
def test_more_or_fewer_vectors_than_inputs_are_no_answer(wire: str, document: dict[str, Any]) -> None:
    client = "ollama" if wire == "openai" else "openai"
    request = read(client, {"model": "m", "input": ["a", "b"]})
    with pytest.raises(InvalidDocument):
        codec(client).encode_embedding_response(read_answer(wire, document), request)


@pytest.mark.parametrize("vector", ["AAA", "AAAAAAA=", "é", "AACAfw=="])
def test_what_is_no_packed_vector_is_no_answer(vector: str) -> None:
    answer = read_answer("openai", {"data": [{"embedding": vector}]})
    with pytest.raises(InvalidDocument):
        codec("ollama").encode_embedding_response(answer)


@pytest.mark.parametrize("target", ["ollama", "gemini"])
def test_token_ids_are_refused_by_who_cannot_read_them(target: str) -> None:
    for given_ in ([1, 2], [[1], [2]]):
        encoded = codec(target).encode_embedding_request(read("openai", {"model": "m", "input": given_}))
        assert [loss.severity for loss in encoded.losses].count(Severity.BLOCKING) == (1 if given_ == [1, 2] else 2)


def test_anthropic_has_none() -> None:
    assert registry.get("anthropic").embeddings is None
