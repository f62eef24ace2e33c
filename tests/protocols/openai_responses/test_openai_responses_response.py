"""Answers of OpenAI Responses: identity, and what clients get from other protocols."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET
from openai.types.responses import Response as SdkResponse
from openresponses_types.types import ResponseResource

from conformity import problems
from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.anthropic import PROTOCOL as ANTHROPIC
from ds2api_asgi.protocols.base import Context, Protocol
from ds2api_asgi.protocols.openai_chat import PROTOCOL as CHAT
from ds2api_asgi.protocols.openai_responses import PROTOCOL
from ds2api_asgi.universal.content import Citation, OpaquePart, Reasoning, Refusal, Text, ToolCall
from ds2api_asgi.universal.failure import FailureKind
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage
from shared import corpus_bodies, corpus_items, needs_shared

EXTENSIONS = ("store", "frequency_penalty", "presence_penalty")  # OpenAI sends them, Open Responses demands them


def answer(*parts: Any, reason: StopReason = StopReason.END, **members: Any) -> Response:
    candidate = Candidate(turns=(Turn(role="assistant", parts=parts),), stop=Stop(reason=reason))
    return Response(model="m", candidates=(candidate,), origin=Origin(protocol="elsewhere"), **members)


def encoded(response: Response, **context: Any) -> dict[str, Any]:
    document: dict[str, Any] = PROTOCOL.encode_response(response, Context(now=1, **context)).document
    valid(document)
    return document


def valid(document: dict[str, Any]) -> None:
    """It is what the official SDK's types and those of Open Responses say."""
    wire = json.loads(dumps(document))
    found = [line for line in problems(wire, SdkResponse) if not any(f".{name}:" in line for name in EXTENSIONS)]
    assert found == []
    ResponseResource.model_validate({"service_tier": "default", **wire})  # which nobody can state for another


@needs_shared
def test_every_recorded_answer_comes_back_as_it_was() -> None:
    bodies = corpus_bodies("openai_responses", "response")
    assert len(bodies) > 150
    for name, body in bodies:
        document = loads(body)
        again = PROTOCOL.encode_response(PROTOCOL.decode_response(document), Context())
        assert equal(again.document, document), name
        assert again.losses == (), name


ODD: list[dict[str, Any]] = [
    {"output": []},
    {"output": None, "error": {"message": "x"}, "status": "failed"},
    {"output": [3, {"type": "message"}, {"role": "user", "content": "x"}, {"type": "function_call_output"}]},
    {"output": [], "status": "incomplete"},
    {"output": [], "status": "incomplete", "incomplete_details": {"reason": "steered"}},
    {"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens", "x": 1}},
    {"output": [], "status": "queued", "incomplete_details": None, "error": None},
    {"output": [], "status": 3, "usage": None, "object": "other", "id": None},
    {"output": [], "status": "completed", "incomplete_details": {"reason": "x"}},
    {"output": [], "usage": {"input_tokens": 1, "input_tokens_details": {}, "x": 1.50}},
    {"output": [], "tools": 3, "text": None, "temperature": 1.0, "conversation": {"id": "c"}},
]


@pytest.mark.parametrize("document", ODD, ids=range(len(ODD)))
def test_odd_answers_come_back_as_they_were(document: dict[str, Any]) -> None:
    again = PROTOCOL.encode_response(PROTOCOL.decode_response(document), Context())
    assert equal(again.document, document)
    assert again.losses == ()


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(InvalidDocument):
        PROTOCOL.decode_response({"choices": []})


def test_an_answer_that_failed_is_a_failure() -> None:
    error = {"code": "rate_limit_exceeded", "message": "slow"}
    response = PROTOCOL.decode_response({"output": [], "status": "failed", "error": error})
    assert response.error is not UNSET
    assert (response.error.kind, response.error.message) == (FailureKind.RATE, "slow")


def test_a_call_makes_the_stop_a_tool_stop() -> None:
    item = {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}", "id": "fc_1"}
    response = PROTOCOL.decode_response({"output": [item], "status": "completed"})
    assert response.candidates[0].stop == Stop(reason=StopReason.TOOL)
    chat = CHAT.encode_response(response, Context(now=1)).document
    assert chat["choices"][0]["finish_reason"] == "tool_calls"
    assert chat["choices"][0]["message"]["tool_calls"][0]["id"] == "c"


def test_an_answer_from_elsewhere_is_items() -> None:
    response = answer(
        Reasoning(text="t", summary=("s",)),
        Text(text="a", citations=(Citation(kind="x", url="https://x"), Citation(kind="y"))),
        Text(text="b"),
        ToolCall(id="c1", name="f", arguments=JsonText("")),
        Refusal(text="no"),
        reason=StopReason.TOOL,
        usage=Usage(input_total=5, cache_read=2, output_total=3),
    )
    document = encoded(response)
    assert [item["type"] for item in document["output"]] == ["reasoning", "message", "function_call", "message"]
    assert [part["text"] for part in document["output"][1]["content"]] == ["a", "b"]
    assert document["output"][2]["arguments"] == "{}"
    assert document["usage"]["input_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 0}
    assert document["usage"]["total_tokens"] == 8
    assert len({item["id"] for item in document["output"]}) == 4
    assert encoded(response) == document


@pytest.mark.parametrize(
    ("reason", "status", "word"),
    [
        (StopReason.END, "completed", None),
        (StopReason.SEQUENCE, "completed", None),
        (StopReason.LENGTH, "incomplete", "max_output_tokens"),
        (StopReason.CONTEXT, "incomplete", "max_output_tokens"),
        (StopReason.FILTER, "incomplete", "content_filter"),
        (StopReason.REFUSAL, "incomplete", "content_filter"),
        (StopReason.MALFORMED, "incomplete", "content_filter"),
    ],
)
def test_stops_from_elsewhere_have_a_status(reason: StopReason, status: str, word: str | None) -> None:
    document = encoded(answer(Text(text="a"), reason=reason))
    assert document["status"] == status
    assert document["incomplete_details"] == (None if word is None else {"reason": word})


def test_an_answer_repeats_its_request() -> None:
    document = {
        "model": "m",
        "instructions": "be kind",
        "input": "x",
        "tools": [{"type": "function", "name": "f", "parameters": None, "strict": None}],
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "store": True,
        "truncation": "auto",
        "text": {"verbosity": "low"},
        "background": None,
    }
    told = encoded(answer(Text(text="a")), request=PROTOCOL.decode_request(document))
    for name in ("instructions", "metadata", "temperature", "store", "truncation"):
        assert told[name] == document[name]
    assert told["tools"] == [{"description": None, **document["tools"][0]}]
    assert told["reasoning"] == {"effort": "low", "summary": None}
    assert told["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert told["background"] is False


def test_what_an_answer_repeats_is_no_loss_elsewhere() -> None:
    document = json.loads(dumps(encoded(answer(Text(text="a"), id="r", created=1))))
    response = PROTOCOL.decode_response(document)
    assert {loss.path for loss in CHAT.encode_response(response, Context()).losses} <= {
        "candidates[0].turns[0].id",
        "candidates[0].turns[0].status",
    }


def test_items_of_the_providers_tools_stay_with_it() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    response = PROTOCOL.decode_response({"output": [item], "status": "completed"})
    assert response.candidates[0].turns[0].parts == (OpaquePart(json=item, protocol=PROTOCOL.name),)
    document = ANTHROPIC.encode_response(response, Context(now=1)).document
    assert document["content"] == []


@needs_shared
@pytest.mark.parametrize(("source", "corpus"), [(CHAT, "openai_chat"), (ANTHROPIC, "anthropic_messages")])
def test_every_recorded_answer_of_others_is_a_valid_one(source: Protocol, corpus: str) -> None:
    for name, body in corpus_bodies(corpus, "response"):
        try:
            response = source.decode_response(source.parse(body))
        except InvalidDocument:
            continue
        if response.error is UNSET:
            assert encoded(response)["object"] == "response", name


@needs_shared
def test_recorded_errors_come_back_as_they_were() -> None:
    items = [item for item in corpus_items("errors", "response") if item.get("for_protocol") == "openai_responses"]
    for item in items:
        failure = PROTOCOL.decode_error(item["status"], {}, dumps(item["body"]))
        wire = PROTOCOL.encode_error(failure)
        assert (wire.status, wire.document) == (item["status"], item["body"])
