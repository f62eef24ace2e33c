"""`convert`: every kind, both ways, without any web."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dialogues import (
    PAIRS,
    answer_in,
    anthropic_request,
    ended_well,
    error_in,
    error_of,
    events_of,
    frames_in,
    openai_request,
    request_in,
    text_of,
    words_of,
)
from ds2api_asgi.errors import ConfigurationError, InvalidDocument
from ds2api_asgi.translator import convert


@pytest.mark.parametrize("form", [bytes, str, dict])
def test_a_request_may_be_bytes_text_or_an_object(form: type) -> None:
    document = anthropic_request(system="be brief")
    body: Any = {bytes: json.dumps(document).encode(), str: json.dumps(document), dict: document}[form]
    converted = convert(body, kind="request", source="anthropic", target="openai-chat")
    assert [message["role"] for message in converted.document["messages"]] == ["system", "user"]
    assert json.loads(converted.body) == converted.document
    assert converted.context is not None


def test_a_request_tells_what_it_lost() -> None:
    converted = convert(anthropic_request(top_k=3), kind="request", source="anthropic", target="openai-chat")
    assert any("top_k" in loss.path for loss in converted.losses)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_response_is_converted(source: str, target: str) -> None:
    converted = convert(answer_in(source), kind="response", source=source, target=target, now=7)
    found = converted.document
    assert words_of(target, found) == "Hi there"
    created = {"openai-chat": "created", "openai-responses": "created_at"}
    if target in created and source not in (*created, "ollama"):  # theirs states no time
        assert found[created[target]] == 7


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_stream_is_converted(source: str, target: str) -> None:
    converted = convert(b"".join(frames_in(source, "Hi", " there")), kind="stream", source=source, target=target)
    assert text_of(target, converted.body) == "Hi there"
    assert ended_well(target, converted.body)
    with pytest.raises(InvalidDocument):
        _ = converted.document


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_cut_stream_ends_in_the_targets_error(source: str, target: str) -> None:
    converted = convert(b"".join(frames_in(source, "Hi", " there")[:2]), kind="stream", source=source, target=target)
    error_of(target, events_of(converted.body)[-1])
    assert not ended_well(target, converted.body)


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("kind", ["error", "response"])
def test_an_error_is_converted_also_where_an_answer_was_expected(source: str, target: str, kind: Any) -> None:
    converted = convert(error_in(source, "slow down"), kind=kind, source=source, target=target)
    assert error_of(target, converted.document)["message"] == "slow down"


def test_the_way_back_knows_the_tools_names_by_the_requests_context() -> None:
    tool = {"name": "get.weather/now", "input_schema": {"type": "object"}}
    request = convert(anthropic_request(tools=[tool]), kind="request", source="anthropic", target="openai-chat")
    name = request.document["tools"][0]["function"]["name"]
    assert name != tool["name"]
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {**answer_in("openai-chat"), "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    for _ in range(2):
        back = convert(answer, kind="response", source="openai-chat", target="anthropic", context=request.context)
        assert back.document["content"][0]["name"] == tool["name"]


@pytest.mark.parametrize("protocol", ["anthropic", "openai-chat", "gemini"])
@pytest.mark.parametrize("kind", ["request", "response"])
def test_to_the_same_protocol_nothing_changes(protocol: str, kind: Any) -> None:
    document = request_in(protocol, vendor={"x": 1.0}) if kind == "request" else answer_in(protocol)
    converted = convert(document, kind=kind, source=protocol, target=protocol)
    assert converted.document == document
    assert not converted.losses


@pytest.mark.parametrize("kind", ["request", "response"])
@pytest.mark.parametrize("body", [b"", b"{", "[]", b"\xff", {"messages": {1, 2}}, {"messages": 5}, 7, None, ["x"]])
def test_what_is_no_such_document_is_an_invalid_document(kind: Any, body: Any) -> None:
    with pytest.raises(InvalidDocument):
        convert(body, kind=kind, source="openai-chat", target="anthropic")


def test_a_stream_is_bytes() -> None:
    with pytest.raises(InvalidDocument):
        convert({"a": 1}, kind="stream", source="openai-chat", target="anthropic")


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "question", "source": "anthropic", "target": "openai-chat"},
        {"kind": "request", "source": "klingon", "target": "openai-chat"},
        {"kind": "request", "source": "anthropic", "target": "klingon"},
    ],
)
def test_an_unknown_kind_or_protocol_is_a_configuration_error(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        convert(openai_request(), **options)


@pytest.mark.parametrize(
    ("stream", "path", "query"),
    [
        (False, "/v1beta/models/m:generateContent", b""),
        (True, "/v1beta/models/m:streamGenerateContent", b"alt=sse"),
    ],
)
def test_a_request_tells_how_an_upstream_is_asked_with_it(stream: bool, path: str, query: bytes) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": stream}
    got = convert(request, kind="request", source="openai-chat", target="gemini")
    assert got.route is not None
    assert (got.route.method, got.route.path, got.route.query) == ("POST", path, query)
    back = convert(got.body, kind="request", source="gemini", target="openai-chat", model="m", stream=stream)
    assert {name: back.document[name] for name in ("model", "stream")} == {"model": "m", "stream": stream}


def test_a_request_without_a_model_has_no_route_where_the_path_names_it() -> None:
    request = {"contents": [{"parts": [{"text": "a"}]}]}
    assert convert(request, kind="request", source="gemini", target="gemini").route is None


@pytest.mark.parametrize("kind", ["lark", "regex"])
def test_a_grammar_stands_where_each_of_openais_protocols_has_it(kind: str) -> None:
    grammar = {"syntax": kind, "definition": "start: x"}
    flat = {"type": "custom", "name": "run", "format": {"type": "grammar", **grammar}}
    nested = {"type": "custom", "custom": {"name": "run", "format": {"type": "grammar", "grammar": grammar}}}
    chat = {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [nested]}
    responses = {"model": "m", "input": "x", "tools": [flat]}
    to_responses = convert(chat, kind="request", source="openai-chat", target="openai-responses")
    assert to_responses.document["tools"] == [flat]
    to_chat = convert(responses, kind="request", source="openai-responses", target="openai-chat")
    assert to_chat.document["tools"] == [nested]
