"""Answers: identity over real traffic, usage arithmetic, stops, and answers from elsewhere as the SDK takes them."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.anthropic import PROTOCOL
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.universal.content import Citation, Reasoning, Refusal, ServerCall, Text, ToolCall
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.loss import Severity
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}


def read(document: Any) -> Response:
    return PROTOCOL.decode_response(PROTOCOL.parse(dumps(document)))


def answer(*parts: Any, reason: StopReason = StopReason.END, usage: Any = UNSET, **more: Any) -> Response:
    candidate = Candidate(turns=(Turn(role="assistant", parts=parts),), stop=Stop(reason=reason))
    return Response(candidates=(candidate,), usage=usage, origin=Origin(protocol="elsewhere"), **more)


def say(response: Response, context: Context | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document as the SDK reads it, and losses by path."""
    encoded = PROTOCOL.encode_response(response, context or Context(now=1))
    document = loads(dumps(encoded.document))
    Message.model_validate(document)
    return document, {loss.path: loss for loss in encoded.losses}


@pytest.mark.parametrize(
    "members",
    [
        {"usage": None},
        {"usage": {}},
        {"usage": {"input_tokens": None, "cache_read_input_tokens": 3, "cache_creation": None, "x": {"y": 1.0}}},
        {"usage": {"input_tokens": 1, "cache_creation_input_tokens": None, "cache_creation": {}, "service_tier": None}},
        {"usage": {"input_tokens": "1", "output_tokens_details": {"thinking_tokens": None, "x": 1}}},
        {"stop_reason": None, "stop_sequence": None, "stop_details": None},
        {"stop_reason": "end_turn"},
        {"stop_reason": "compaction", "stop_sequence": None, "stop_details": {"type": "x"}},
        {"stop_reason": "stop_sequence", "stop_sequence": "X", "container": None, "diagnostics": {"a": 1}},
        {"content": None},
        {"content": "text", "role": 1, "type": None},
        {"content": [1, {"type": "text"}, {"type": "hologram"}, {"type": "text", "text": "a", "citations": [1]}]},
        {"id": 5, "model": None, "service_tier": "odd"},
    ],
)
def test_odd_members_come_back_as_they_were(members: dict[str, Any]) -> None:
    document = {**MESSAGE, **members}
    encoded = PROTOCOL.encode_response(read(document), Context())
    assert equal(loads(dumps(encoded.document)), document)


def test_what_is_no_message_is_refused_and_an_error_is_one() -> None:
    with pytest.raises(InvalidDocument):
        read({"object": "chat.completion"})
    response = read({"type": "error", "error": {"type": "overloaded_error", "message": "full"}})
    assert response.error is not UNSET
    assert response.error.message == "full"


def test_input_tokens_are_inclusive_inside_and_exclusive_outside() -> None:
    wire = {"input_tokens": 50, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50, "output_tokens": 7}
    usage = read({**MESSAGE, "usage": wire}).usage
    assert usage is not UNSET
    assert (usage.input_total, usage.cache_read, usage.cache_write, usage.reasoning) == (1000, 900, 50, UNSET)
    document, _ = say(answer(usage=Usage(input_total=1000, cache_read=900, cache_write=50, output_total=7)))
    assert document["usage"] == wire


def test_usage_that_nobody_stated_is_reported() -> None:
    document, losses = say(answer(Text(text="a")))
    assert document["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert {"usage.input_total", "usage.output_total"} <= set(losses)


counts = st.integers(0, 10**9) | st.none()


@given(
    st.dictionaries(
        st.sampled_from(["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"]),
        counts,
    )
)
def test_usage_comes_back_whatever_is_missing(usage: dict[str, Any]) -> None:
    document = {**MESSAGE, "usage": usage}
    assert equal(loads(dumps(PROTOCOL.encode_response(read(document), Context()).document)), document)


@pytest.mark.parametrize(
    ("reason", "parts", "word"),
    [
        (StopReason.END, (Text(text="a"),), "end_turn"),
        (StopReason.END, (ToolCall(id="c", name="w", arguments=JsonText("{}")),), "tool_use"),
        (StopReason.TOOL, (Text(text="a"),), "end_turn"),
        (StopReason.LENGTH, (ToolCall(id="c", name="w", arguments=JsonText('{"a": ')),), "max_tokens"),
        (StopReason.END, (Refusal(text="no"),), "refusal"),
        (StopReason.FILTER, (Text(text="a"),), "refusal"),
        (StopReason.MALFORMED, (), "refusal"),
        (StopReason.CONTEXT, (), "model_context_window_exceeded"),
        (StopReason.PAUSE, (), "pause_turn"),
    ],
)
def test_a_stop_is_said_so_that_clients_do_the_right_thing(reason: StopReason, parts: Any, word: str) -> None:
    document, losses = say(answer(*parts, reason=reason))
    assert document["stop_reason"] == word
    same = PROTOCOL.decode_response(document).candidates[0].stop
    assert same is not UNSET
    assert (same.reason is reason) is ("candidates[0].stop.reason" not in losses)


def test_names_and_ids_are_the_clients_again() -> None:
    context = Context(tool_names={"a_b_1": "a.b"}, call_ids={"call_x": "x:1"})
    document, _ = say(answer(ToolCall(id="call_x", name="a_b_1", arguments=JsonText("{}"))), context)
    assert (document["content"][0]["id"], document["content"][0]["name"]) == ("x:1", "a.b")


def test_thoughts_from_elsewhere_have_an_empty_signature() -> None:
    document, _ = say(answer(Reasoning(text="rc"), Text(text="")))
    assert document["content"] == [{"type": "thinking", "thinking": "rc", "signature": ""}]


def test_citations_with_an_address_are_a_web_searchs() -> None:
    cited = Text(text="a", citations=(Citation(kind="url_citation", url="https://r", title="t", start=0, end=1),))
    document, losses = say(answer(cited))
    assert document["content"][0]["citations"][0]["url"] == "https://r"
    assert any(path.endswith("citations[0]") for path in losses)


def test_a_tool_of_another_provider_is_never_a_clients() -> None:
    call = ServerCall(kind="web_search_call", name="web_search", arguments=JsonText("{}"))
    document, losses = say(answer(call, Text(text="a")))
    assert [block["type"] for block in document["content"]] == ["text"]
    assert losses["candidates[0].turns[0].parts[0]"].severity is Severity.SEMANTIC


def test_of_two_answers_the_first_is_said() -> None:
    one = answer(Text(text="A")).candidates[0]
    two = Candidate(turns=(Turn(role="assistant", parts=(Text(text="B"),)),), index=1)
    document, losses = say(Response(candidates=(one, two), origin=Origin(protocol="elsewhere")))
    assert [block["text"] for block in document["content"]] == ["A"]
    assert losses["candidates[1]"].severity is Severity.SEMANTIC


def test_an_id_is_kept_or_made_of_the_answer() -> None:
    assert say(answer(Text(text="a"), id="chatcmpl-1"))[0]["id"] == "chatcmpl-1"
    made = say(answer(Text(text="a")))[0]["id"]
    assert made == say(answer(Text(text="a")))[0]["id"] != say(answer(Text(text="b")))[0]["id"]
