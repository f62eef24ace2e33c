"""Requests of OpenAI Responses: identity, strictness, and what becomes of conversations of other protocols."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.errors import ConfigurationError, InvalidDocument
from ds2api_asgi.protocols.anthropic import PROTOCOL as ANTHROPIC
from ds2api_asgi.protocols.base import Operation
from ds2api_asgi.protocols.openai_chat import PROTOCOL as CHAT
from ds2api_asgi.protocols.openai_responses import PROTOCOL
from ds2api_asgi.protocols.openai_responses.profile import violations
from ds2api_asgi.universal.content import Base64, Media, OpaquePart, Reasoning, Refusal, Text, ToolCall, ToolResult
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.loss import Severity
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OpaqueTool, OutputFormat, Request, Turn
from shared import corpus_bodies, needs_shared

# Test data of public projects that OpenAI itself would refuse.
REFUSED = {
    "741c9498070f": "a refusal without words",
    "dda42c6c1e6c": "a message without a role",
    "6acf0251dea1": "a message without a role",
    "6a5a9bcd8fd1": "a message without a role",
}


def asked(*items: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "input": list(items), **members}


def foreign(*turns: Turn, **members: Any) -> Request:
    return Request(turns=turns, model="m", origin=Origin(protocol="elsewhere"), **members)


def items_of(request: Request, dialect: str = "") -> list[dict[str, Any]]:
    return list(PROTOCOL.encode_request(request, dialect=dialect).document["input"])


@needs_shared
def test_every_recorded_request_comes_back_as_it_was() -> None:
    bodies = corpus_bodies("openai_responses", "request")
    assert len(bodies) > 200
    for name, body in bodies:
        document = loads(body)
        if name in REFUSED:
            with pytest.raises(InvalidDocument):
                PROTOCOL.decode_request(document)
            continue
        encoded = PROTOCOL.encode_request(PROTOCOL.decode_request(document))
        assert equal(encoded.document, document), name
        assert encoded.losses == (), name


PNG = "data:image/png;base64,AAAA"
ODD: list[Any] = [
    {"role": "user", "content": ""},
    {"role": "user", "content": []},
    {"role": "user", "content": None, "id": None, "phase": None},
    {"role": "user", "type": "message"},
    {"role": "oracle", "content": "x", "mood": {"a": 1.0}},
    {"role": "user", "content": [{"type": "hologram", "depth": 3}, {"no": "type"}]},
    {"role": "user", "content": [{"type": "output_text", "text": "a"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": None, "logprobs": []}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "x", "url": 1}]}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": [3]}]},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no", "x": 1}], "phase": "commentary"},
    {"role": "user", "content": [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
    {"role": "user", "content": [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"ttl": "30m"}}]},
    {"role": "user", "content": [{"type": "input_image", "image_url": PNG, "detail": "auto"}]},
    {"role": "user", "content": [{"type": "input_image", "image_url": PNG, "file_id": "f", "detail": None}]},
    {"role": "user", "content": [{"type": "input_image", "image_url": "data:,a%20b", "detail": "low"}]},
    {"role": "user", "content": [{"type": "input_image", "file_id": "f"}, {"type": "input_image"}]},
    {"role": "user", "content": [{"type": "input_file", "file_data": "AAAA", "filename": None}]},
    {"role": "user", "content": [{"type": "input_file", "file_data": PNG, "filename": "a.png"}]},
    {"role": "user", "content": [{"type": "input_file", "file_url": "https://x/y.pdf", "detail": "high"}]},
    {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{", "id": "fc_1", "status": None},
    {"type": "function_call", "name": "f", "call_id": "c", "arguments": {"a": 1}, "caller": {"type": "direct"}},
    {"type": "function_call", "name": "f", "namespace": "n", "async": True},
    {"type": "custom_tool_call", "name": "f", "call_id": "c", "input": "free\ntext", "x": None},
    {"type": "function_call_output", "call_id": "c", "output": "r", "status": "completed", "id": "fco_1"},
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}, {"type": "?"}]},
    {"type": "custom_tool_call_output", "call_id": None, "output": None, "name": "f"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None, "content": None},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "x": 1}], "content": []},
    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": t} for t in "ab"], "encrypted_content": "z"},
    {"type": "item_reference", "id": "x"},
    {"id": "x"},
    {"type": "mcp_call", "arguments": "{}", "error": {"a": 1.50}},
    {"type": ["odd"]},
]


@pytest.mark.parametrize("item", ODD, ids=range(len(ODD)))
def test_odd_items_come_back_as_they_were(item: dict[str, Any]) -> None:
    document = asked(item)
    encoded = PROTOCOL.encode_request(PROTOCOL.decode_request(document))
    assert equal(encoded.document, document)
    assert encoded.losses == ()


MEMBERS: list[dict[str, Any]] = [
    {"tools": None, "tool_choice": None, "text": None, "reasoning": None, "stream_options": None, "include": None},
    {"tools": [], "text": {}, "reasoning": {}, "stream_options": {}, "include": [], "background": False},
    {"instructions": "be kind", "background": True, "conversation": {"id": "c"}, "prompt": {"id": "p"}},
    {"instructions": None, "background": None, "truncation": "auto", "context_management": [{"type": "compaction"}]},
    {"include": ["a", "message.output_text.logprobs", "b"], "top_logprobs": 3},
    {"include": ["message.output_text.logprobs"]},
    {"text": {"format": None, "verbosity": None, "x": 1}},
    {"text": {"format": {"type": "grammar"}, "verbosity": "low"}},
    {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1.50}, "strict": None}}},
    {"reasoning": {"effort": None, "summary": "auto", "context": "x", "generate_summary": None}},
    {"tools": [{"type": "function", "name": "f", "parameters": None, "strict": None, "defer_loading": True}]},
    {"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}, {"type": "web_search"}]},
    {"tools": [{"type": "custom", "name": "c", "format": {"type": "text"}}, {"type": "namespace", "tools": []}]},
    {"tool_choice": {"type": "function", "name": "f", "namespace": "n"}},
    {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]}},
    {"tool_choice": {"type": "mcp", "server_label": "s"}},
    {"prompt_cache_options": {"mode": "implicit", "ttl": "12h"}, "stream_options": {"include_usage": True}},
]


@pytest.mark.parametrize("members", MEMBERS, ids=range(len(MEMBERS)))
def test_odd_members_come_back_as_they_were(members: dict[str, Any]) -> None:
    for source in ("hello", [{"role": "user", "content": "hello"}], None):
        document = {"model": "m", "input": source, **members}
        encoded = PROTOCOL.encode_request(PROTOCOL.decode_request(document))
        assert equal(encoded.document, document)
        assert encoded.losses == ()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "model"),
    ({"model": "m", "input": 3}, "input"),
    ({"model": "m", "instructions": ["x"]}, "instructions"),
    (asked(3), "input[0]"),
    (asked({"role": 3, "content": ""}), "input[0].role"),
    (asked({"role": "user", "content": 3}), "input[0].content"),
    (asked({"role": "user", "content": [3]}), "input[0].content[0]"),
    (asked({"role": "user", "content": [{"type": "input_text"}]}), "input[0].content[0].text"),
    (asked({"type": "function_call", "arguments": "{}"}), "input[0].name"),
    (asked({"type": "function_call_output", "output": 3}), "input[0].output"),
    (asked({"type": "reasoning", "summary": "x"}), "input[0].summary"),
    (asked(tools={}), "tools"),
    (asked(tools=[{"type": "function"}]), "tools[0].name"),
    (asked(tools=[{"type": "function", "name": "f", "strict": 1}]), "tools[0].strict"),
    (asked(text={"format": 1}), "text.format"),
    (asked(reasoning={"effort": 1}), "reasoning.effort"),
    (asked(stream_options=3), "stream_options"),
    (asked(background="yes"), "background"),
]


@pytest.mark.parametrize(("document", "path"), WRONG, ids=[path for _, path in WRONG])
def test_a_wrong_type_is_refused_with_its_path(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidDocument) as error:
        PROTOCOL.decode_request(document)
    assert error.value.path == path


def test_a_question_for_a_count_needs_no_model() -> None:
    request = PROTOCOL.decode_request({"input": "x"}, operation=Operation.COUNT_TOKENS)
    assert PROTOCOL.encode_request(request).document == {"input": "x"}


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        PROTOCOL.encode_request(foreign(), dialect="martian")


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_read(body: bytes) -> None:
    with contextlib.suppress(InvalidDocument):
        PROTOCOL.decode_request(PROTOCOL.parse(body))


# --- from elsewhere

CALL = ToolCall(id="c1", name="look", arguments=JsonText('{"at": 1.0}'))


def test_a_tool_loop_becomes_items_in_their_order() -> None:
    picture = Media(kind="image", source=Base64("AAAA"), mime="image/png")
    result = ToolResult(call_id="c1", parts=(Text(text="seen"), picture))
    request = foreign(
        Turn(role="system", parts=(Text(text="be kind"),)),
        Turn(role="user", parts=(Text(text="look"), picture)),
        Turn(role="assistant", parts=(Text(text="I look"), CALL)),
        Turn(role="tool", parts=(result,)),
    )
    image = {"type": "input_image", "image_url": PNG, "detail": "auto"}
    assert items_of(request) == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "input_text", "text": "look"}, image]},
        {"role": "assistant", "content": "I look"},
        {"type": "function_call", "name": "look", "arguments": '{"at": 1.0}', "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "seen"}, image]},
    ]
    assert violations(PROTOCOL.encode_request(request).document) == []
    assert PROTOCOL.encode_request(request).losses == ()


def test_a_failed_tool_says_so_in_words() -> None:
    request = foreign(
        Turn(role="assistant", parts=(CALL,)),
        Turn(role="user", parts=(ToolResult(call_id="c1", parts=(Text(text="boom"),), is_error=True),)),
    )
    assert items_of(request)[1]["output"] == "[tool error] boom"
    (loss,) = PROTOCOL.encode_request(request).losses
    assert (loss.path, loss.template) == ("turns[1].parts[0]", "T1")


def test_thoughts_go_back_to_their_minter_only() -> None:
    own = Reasoning(summary=("s",), opaque=(Opaque(kind="encrypted", value="z", protocol="openai-responses"),))
    other = Reasoning(text="t", opaque=(Opaque(kind="signature", value="x", protocol="anthropic"),))
    request = foreign(Turn(role="assistant", parts=(own, other, Text(text="a"))))
    items = items_of(request)
    assert [item.get("type") for item in items] == ["reasoning", None]
    assert items[0]["encrypted_content"] == "z"
    assert items_of(request, "compatible")[1]["content"] == [{"type": "reasoning_text", "text": "t"}]
    assert "turns[0].parts[1]" in {loss.path for loss in PROTOCOL.encode_request(request).losses}


def test_custom_tools_stay_custom() -> None:
    call = ToolCall(id="c1", name="sh", arguments=JsonText("ls"), kind="custom")
    result = ToolResult(call_id="c1", parts=(Text(text="."),))
    items = items_of(foreign(Turn(role="assistant", parts=(call,)), Turn(role="tool", parts=(result,))))
    assert items == [
        {"type": "custom_tool_call", "name": "sh", "input": "ls", "call_id": "c1"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "."},
    ]


def test_settings_from_elsewhere_are_said_in_our_words() -> None:
    request = foreign(
        Turn(role="user", parts=(Text(text="x"),)),
        tools=(
            FunctionTool(name="f", schema={"type": "object"}),
            OpaqueTool(json={"type": "bash"}, protocol="anthropic"),
        ),
        tool_choice=NamedTool(name="f"),
        output_format=OutputFormat(kind="json_schema", schema={"type": "object"}),
        reasoning_budget=8192,
        reasoning_mode="enabled",
        verbosity="low",
        stop=("x",),
        logprobs=True,
    )
    encoded = PROTOCOL.encode_request(request)
    assert encoded.document["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
    ]
    assert encoded.document["tool_choice"] == {"type": "function", "name": "f"}
    assert encoded.document["text"]["format"] == {
        "type": "json_schema",
        "name": "response",
        "schema": {"type": "object"},
    }
    assert encoded.document["text"]["verbosity"] == "low"
    assert encoded.document["reasoning"] == {"effort": "medium"}
    assert encoded.document["include"] == ["message.output_text.logprobs"]
    assert {"stop", "tools[1]", "reasoning_budget", "output_format.name"} <= {loss.path for loss in encoded.losses}


def test_a_refusal_keeps_being_one() -> None:
    (item,) = items_of(foreign(Turn(role="assistant", parts=(Refusal(text="no"),))))
    assert item["content"] == [{"type": "refusal", "refusal": "no"}]
    again = PROTOCOL.decode_request(asked(item))
    assert again.turns[0].parts == (Refusal(text="no"),)


# --- to elsewhere


@pytest.mark.parametrize("target", [CHAT, ANTHROPIC], ids=lambda codec: codec.name)
@pytest.mark.parametrize(
    "members",
    [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}, {"prompt": {"id": "p"}}, {"background": True}],
    ids=lambda members: next(iter(members)),
)
def test_state_on_a_server_is_refused_elsewhere(target: Any, members: dict[str, Any]) -> None:
    request = PROTOCOL.decode_request(asked({"role": "user", "content": "x"}, **members))
    losses = target.encode_request(request).losses
    assert [loss.path for loss in losses if loss.severity is Severity.BLOCKING] == list(members)


@pytest.mark.parametrize("target", [CHAT, ANTHROPIC], ids=lambda codec: codec.name)
def test_a_loop_with_parallel_calls_goes_elsewhere_and_comes_back(target: Any) -> None:
    document = asked(
        {"role": "user", "content": "q"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x": 1}'},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
        instructions="be kind",
        max_output_tokens=9,
    )
    request = PROTOCOL.decode_request(document)
    there = target.encode_request(request).document
    back = target.decode_request(target.parse(_dump(there)))
    items = PROTOCOL.encode_request(back).document["input"]
    assert items == [{"role": "system", "content": "be kind"}, *document["input"]]


def test_items_of_the_providers_tools_become_nobodys_calls() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    request = PROTOCOL.decode_request(asked(item, {"role": "user", "content": "x"}))
    assert isinstance(request.turns[0].parts[0], OpaquePart)
    encoded = CHAT.encode_request(request)
    assert not any("tool_calls" in message for message in encoded.document["messages"])
    assert any(loss.severity is Severity.SEMANTIC for loss in encoded.losses)


def test_parallel_calls_are_one_message_of_chat() -> None:
    request = PROTOCOL.decode_request(
        asked(
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b", "output": "2"},
        )
    )
    message, *results = CHAT.encode_request(request).document["messages"]
    assert message["reasoning_content"] == "s"
    assert [call["id"] for call in message["tool_calls"]] == [r["tool_call_id"] for r in results] == ["a", "b"]


def _dump(document: Any) -> bytes:
    return dumps(document)


def test_a_default_says_nothing_elsewhere() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
    request = PROTOCOL.decode_request(asked({"role": "user", "content": "x"}, tools=tools))
    assert request.tools is not UNSET
    assert "strict" not in CHAT.encode_request(request).document["tools"][0]["function"]
