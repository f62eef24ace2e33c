"""Requests of OpenAI Chat: identity, strictness, and what becomes of conversations of other protocols."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.errors import ConfigurationError, InvalidDocument
from ds2api_asgi.protocols.openai_chat import PROTOCOL
from ds2api_asgi.protocols.openai_chat.profile import violations
from ds2api_asgi.universal.content import (
    Base64,
    CacheMark,
    FileId,
    Media,
    OpaquePart,
    PlainText,
    Reasoning,
    ServerCall,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from ds2api_asgi.universal.jsontext import JsonText, equal
from ds2api_asgi.universal.loss import LossKind, Severity
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OpaqueTool, OutputFormat, Request, ToolSubset, Turn


def chat(*messages: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **members}


def foreign(*turns: Turn, **members: Any) -> Request:
    return Request(turns=turns, model="m", origin=Origin(protocol="elsewhere"), **members)


def user(*parts: Any) -> Turn:
    return Turn(role="user", parts=parts)


def assistant(*parts: Any) -> Turn:
    return Turn(role="assistant", parts=parts)


def call(id_: str, name: str = "look") -> ToolCall:
    return ToolCall(id=id_, name=name, arguments=JsonText("{}"))


def messages_of(request: Request, dialect: str = "") -> list[dict[str, Any]]:
    return list(PROTOCOL.encode_request(request, dialect=dialect).document["messages"])


PNG = "data:image/png;base64,AAAA"
ODD = [
    {"role": "user", "content": ""},
    {"role": "user", "content": []},
    {"role": "user", "content": None, "name": "n"},
    {"role": "user"},
    {"role": "oracle", "content": "x", "mood": {"a": 1.0}},
    {"role": "user", "content": [{"type": "hologram", "depth": 3}, {"no": "type"}]},
    {"role": "user", "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
    {
        "role": "user",
        "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "x", "ttl": "30m"}}],
    },
    {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": None}]},
    {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}, "prompt_cache_breakpoint": {}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": None, "x": None}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": "https://x/y.png"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "DATA:image/PNG;charset=a;BASE64,AA=="}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,a%20b", "detail": "low"}}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "mpeg", "rate": 1}}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]},
    {"role": "user", "content": [{"type": "file", "file": {"file_id": "f", "filename": None}}]},
    {"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf", "file_id": "f"}}]},
    {"role": "user", "content": [{"type": "file", "file": {"file_data": PNG}}]},
    {"role": "user", "content": [{"type": "file", "file": {"somewhere": "else"}}]},
    {"role": "assistant", "content": None, "refusal": None, "tool_calls": []},
    {
        "role": "assistant",
        "content": "a",
        "refusal": "b",
        "reasoning_content": "c",
        "reasoning": "c",
        "audio": {"id": "x"},
    },
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no", "x": 1}], "reasoning": "r"},
    {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}], "closed": True}],
    },
    {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}] * 2}]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "plain"}]},
    {
        "role": "assistant",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": None}}],
    },
    {"role": "assistant", "tool_calls": [{"id": None, "function": {"name": "f", "strict": None}, "index": 0}]},
    {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "x", "y": 1}}]},
    {"role": "assistant", "tool_calls": [{"type": "custom"}, {"type": "web", "query": 1}], "content": "x"},
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}", "x": 1}},
    {"role": "assistant", "content": "", "function_call": None, "parsed": None},
    {"role": "function", "name": "f", "content": "r"},
    {"role": "tool", "tool_call_id": "a", "content": None},
    {"role": "tool", "content": [], "cache_control": {"type": "ephemeral"}},
    {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "a"}], "name": None},
]


@pytest.mark.parametrize("message", ODD, ids=range(len(ODD)))
def test_odd_messages_come_back_as_they_were(message: dict[str, Any]) -> None:
    document = chat(message)
    encoded = PROTOCOL.encode_request(PROTOCOL.decode_request(document))
    assert equal(encoded.document, document)
    assert encoded.losses == ()


MEMBERS: list[dict[str, Any]] = [
    {
        "tools": None,
        "tool_choice": None,
        "stop": None,
        "response_format": None,
        "stream_options": None,
        "functions": None,
    },
    {"tools": [], "functions": [], "stop": [], "stream_options": {}},
    {"tools": [{"function": {"name": "f", "parameters": {"a": 1.50}}, "cache_control": {"type": "ephemeral"}}]},
    {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}, "x": None}}, {"type": "mcp"}]},
    {"functions": [{"name": "f", "description": None, "x": 1}], "function_call": {"name": "f", "x": 1}},
    {"functions": [{"name": "f"}], "function_call": "auto", "tools": [], "tool_choice": "none"},
    {"function_call": None, "tool_choice": "any"},
    {"tool_choice": {"type": "function", "function": {"name": "f", "x": 1}, "y": 2}},
    {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "x"}], "y": 2}}},
    {"tool_choice": {"mode": "auto"}, "function_call": 7},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"x": 1e2}, "y": 1}, "z": 1}},
    {"response_format": {"type": "json_object", "schema": {}}},
    {"response_format": {"type": "grammar", "grammar": "g"}},
    {"response_format": {"type": ["x"]}, "tools": [{"type": {}}], "tool_choice": {"type": []}},
    {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": []}]}}},
    {"max_tokens": 5, "stop": "x", "stream_options": {"include_usage": None, "extra": 1}},
    {"max_tokens": 5, "max_completion_tokens": 6, "stream_options": {"include_usage": True}},
    {"max_tokens": None, "top_k": 5, "min_p": 0.1, "thinking": {"type": "enabled"}, "reasoning": {"effort": "low"}},
]


@pytest.mark.parametrize("members", MEMBERS, ids=range(len(MEMBERS)))
def test_odd_members_come_back_as_they_were(members: dict[str, Any]) -> None:
    document = chat({"role": "user", "content": "x"}, **members)
    assert equal(PROTOCOL.encode_request(PROTOCOL.decode_request(document)).document, document)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"messages": []}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": "x"}, "messages"),
        (chat({"content": "x"}), "messages[0].role"),
        (chat({"role": "user", "content": 7}), "messages[0].content"),
        (chat({"role": "user", "content": [{"type": "text", "text": 7}]}), "messages[0].content[0].text"),
        (chat({"role": "user", "content": [7]}), "messages[0].content[0]"),
        (chat({"role": "user", "content": [{"type": "image_url"}]}), "messages[0].content[0].image_url"),
        (chat({"role": "assistant", "tool_calls": {}}), "messages[0].tool_calls"),
        (
            chat({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 7}}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (chat(temperature="hot"), "temperature"),
        (chat(stop=[1]), "stop"),
        (chat(tools=[{"type": "function", "function": {}}]), "tools[0].function.name"),
        (chat(max_tokens=1.5), "max_tokens"),
        (chat(stream_options={"include_usage": 1}), "stream_options.include_usage"),
    ],
)
def test_a_wrong_type_names_its_path(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        PROTOCOL.decode_request(document)
    assert caught.value.path == path


ANYTHING = ["tools", "tool_choice", "functions", "function_call", "response_format", "stop", "stream_options", "n", "x"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["text", "function", "tool"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "image_url",
                    "url",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=3), st.dictionaries(st.sampled_from(ANYTHING), json_values, max_size=4))
def test_any_json_is_either_refused_or_comes_back(messages: list[Any], members: dict[str, Any]) -> None:
    document = {"model": "m", "messages": messages, **members}
    try:
        request = PROTOCOL.decode_request(document)
    except InvalidDocument:
        return
    assert equal(PROTOCOL.encode_request(request).document, document)


def test_tool_results_follow_their_call_directly() -> None:
    request = foreign(
        user(Text(text="q")),
        assistant(Text(text="a"), call("t1"), call("t2")),
        Turn(role="system", parts=(Text(text="s"),)),
        user(
            ToolResult(call_id="t1", parts=(Text(text="r1"),)),
            ToolResult(call_id="t2", parts=(Text(text="r2"), Text(text="r3"))),
            Text(text="go on"),
        ),
    )
    encoded = PROTOCOL.encode_request(request)
    assert violations(encoded.document) == []
    roles = [(m["role"], m.get("tool_call_id")) for m in encoded.document["messages"]]
    assert roles == [
        ("user", None),
        ("assistant", None),
        ("tool", "t1"),
        ("tool", "t2"),
        ("system", None),
        ("user", None),
    ]
    assert {loss.kind for loss in encoded.losses} == {LossKind.RELOCATED}


def test_a_failed_tool_says_so_in_words() -> None:
    for parts, content in (
        ((Text(text="boom"),), "[tool error] boom"),
        (
            (Text(text="a"), Text(text="b")),
            [{"type": "text", "text": text} for text in ("[tool error] ", "a", "b")],
        ),
        (UNSET, "[tool error] "),
    ):
        request = foreign(assistant(call("t")), user(ToolResult(call_id="t", parts=parts, is_error=True)))
        encoded = PROTOCOL.encode_request(request)
        assert encoded.document["messages"][1]["content"] == content
        assert "T1" in {loss.template for loss in encoded.losses}


def test_media_of_a_tool_follow_in_a_user_message_after_the_step() -> None:
    image = Media(kind="image", source=Base64("AAAA"), mime="image/png")
    request = foreign(
        assistant(call("t1"), call("t2")),
        user(
            ToolResult(call_id="t1", parts=(Text(text="see"), image)),
            ToolResult(call_id="t2", parts=(Text(text="ok"),)),
            Text(text="next"),
        ),
    )
    encoded = PROTOCOL.encode_request(request)
    tools, media = encoded.document["messages"][1:3], encoded.document["messages"][3]
    assert [message["content"] for message in tools] == ["see", "ok"]
    assert media == {
        "role": "user",
        "content": [
            {"type": "text", "text": "[media returned by tool call t1]"},
            {"type": "image_url", "image_url": {"url": PNG}},
        ],
    }
    assert {(loss.kind, loss.template) for loss in encoded.losses} == {
        (LossKind.RELOCATED, "T2"),
        (LossKind.INVENTED, "T2"),
    }


def test_kinds_of_an_assistant_turn_are_kept_apart_and_a_changed_order_is_reported() -> None:
    turn = assistant(Reasoning(text="th"), call("t"), Text(text="after"))
    encoded = PROTOCOL.encode_request(foreign(turn))
    assert encoded.document["messages"] == [
        {
            "role": "assistant",
            "reasoning_content": "th",
            "content": "after",
            "tool_calls": [{"type": "function", "id": "t", "function": {"name": "look", "arguments": "{}"}}],
        }
    ]
    assert [(loss.path, loss.kind) for loss in encoded.losses] == [("turns[0].parts", LossKind.RELOCATED)]


def test_reasoning_goes_by_dialect_and_signatures_never() -> None:
    signature = Opaque(kind="signature", value="SIG", protocol="elsewhere")
    request = foreign(assistant(Reasoning(text="th", opaque=(signature,)), Text(text="a")))
    assert messages_of(request)[0]["reasoning_content"] == "th"
    assert "reasoning_content" not in messages_of(request, "strict")[0]
    encoded = PROTOCOL.encode_request(request)
    assert "SIG" not in json.dumps(encoded.document)
    assert [loss.kind for loss in encoded.losses] == [LossKind.ORIGIN_MISMATCH]
    with pytest.raises(ConfigurationError):
        PROTOCOL.encode_request(request, dialect="klingon")


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({"reasoning_mode": "enabled", "reasoning_budget": 8192}, "medium"),
        ({"reasoning_mode": "enabled", "reasoning_budget": 8192, "reasoning_effort": "max"}, "max"),
        ({"reasoning_mode": "disabled"}, "none"),
        ({"reasoning_mode": "disabled", "reasoning_effort": "high"}, "none"),
        ({"reasoning_mode": "adaptive"}, None),
        ({"reasoning_mode": "adaptive", "reasoning_effort": "xhigh"}, "xhigh"),
        ({"reasoning_effort": "cosmic"}, None),
    ],
)
def test_one_effort_stands_for_all_that_is_said_of_reasoning(members: dict[str, Any], effort: str | None) -> None:
    encoded = PROTOCOL.encode_request(foreign(user(Text(text="q")), **members))
    assert encoded.document.get("reasoning_effort") == effort
    assert encoded.losses


def test_bounds_of_the_protocol_are_kept_and_reported() -> None:
    request = foreign(
        user(Text(text="q")),
        stop=("a", "b", "c", "d", "e"),
        top_k=5,
        max_output_tokens=7,
        service_tier="standard_only",
        parallel_tools=False,
        tool_choice="required",
        cache=CacheMark(),
        output_format=OutputFormat(kind="json_schema", schema={"type": "object"}),
        stream=True,
    )
    encoded = PROTOCOL.encode_request(request)
    assert {key: value for key, value in encoded.document.items() if key != "messages"} == {
        "model": "m",
        "stream": True,
        "stop": ["a", "b", "c", "d"],
        "max_completion_tokens": 7,
        "service_tier": "default",
        "response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}},
        "stream_options": {"include_usage": True},
    }
    assert {loss.path for loss in encoded.losses} == {
        "stop",
        "top_k",
        "service_tier",
        "parallel_tools",
        "tool_choice",
        "cache",
        "output_format.name",
        "stream_usage",
    }
    old = PROTOCOL.encode_request(request, dialect="compatible").document
    assert (old["max_tokens"], old["top_k"]) == (7, 5)


def test_names_and_ids_outside_the_alphabet_change_everywhere_alike_and_back() -> None:
    name, id_ = "files.read:" + "x" * 80, "toolu_" + "y" * 60
    request = foreign(
        assistant(call(id_, name)),
        user(ToolResult(call_id=id_, parts=(Text(text="r"),))),
        tools=(FunctionTool(name=name),),
        tool_choice=NamedTool(name=name),
    )
    encoded = PROTOCOL.encode_request(request)
    assert violations(encoded.document) == []
    document, context = encoded.document, encoded.context
    assert context is not None
    short = document["tools"][0]["function"]["name"]
    made = document["messages"][0]["tool_calls"][0]
    assert made["function"]["name"] == short == document["tool_choice"]["function"]["name"]
    assert document["messages"][1]["tool_call_id"] == made["id"]
    assert context.tool_names == {short: name}
    assert context.call_ids == {made["id"]: id_}


def test_what_has_no_place_is_dropped_aloud() -> None:
    request = foreign(
        user(
            Media(kind="image", source=FileId("file_1")),
            Media(kind="document", source=Url("https://x/y.pdf")),
            Media(kind="video", source=Base64("AA"), mime="video/mp4"),
            OpaquePart(json={"type": "odd"}, protocol="elsewhere"),
        ),
        assistant(ServerCall(kind="server_tool_use", name="web_search", arguments=JsonText("{}"))),
        tools=(OpaqueTool(json={"type": "web_search_x"}, protocol="elsewhere"),),
    )
    encoded = PROTOCOL.encode_request(request)
    assert [message["content"] for message in encoded.document["messages"]] == [""]  # the assistant said nothing here
    assert "tools" not in encoded.document
    severities = {loss.path: loss.severity for loss in encoded.losses}
    assert severities["turns[0].parts[0]"] is Severity.BLOCKING
    for path in ("turns[0].parts[1]", "turns[0].parts[2]", "turns[0].parts[3]", "turns[1].parts[0]", "tools[0]"):
        assert severities[path] is Severity.SEMANTIC


def test_documents_travel_as_files_and_texts() -> None:
    request = foreign(
        user(
            Media(kind="document", source=Base64("JVBE"), mime="application/pdf", name="a.pdf"),
            Media(kind="document", source=Base64("JVBE"), mime="application/pdf"),
            Media(kind="document", source=PlainText("words"), title="t"),
        )
    )
    encoded = PROTOCOL.encode_request(request)
    url = "data:application/pdf;base64,JVBE"
    assert encoded.document["messages"][0]["content"] == [
        {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": url, "filename": "document.pdf"}},
        {"type": "text", "text": "words"},
    ]
    assert {loss.path for loss in encoded.losses} == {
        "turns[0].parts[1].name",
        "turns[0].parts[2]",
        "turns[0].parts[2].title",
    }


def test_a_subset_of_tools_is_allowed_tools() -> None:
    request = foreign(
        user(Text(text="q")),
        tools=(FunctionTool(name="a"), FunctionTool(name="b")),
        tool_choice=ToolSubset(mode="required", names=("b",)),
    )
    assert PROTOCOL.encode_request(request).document["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]},
    }


def test_carried_reasoning_is_read_back_with_its_payloads() -> None:
    details = [
        {"type": "reasoning.text", "text": "th", "signature": "S", "format": "ds2", "index": 0},
        {"type": "reasoning.encrypted", "data": "D", "format": "ds2", "index": 1},
    ]
    message = {"role": "assistant", "content": "a", "reasoning_content": "th", "reasoning_details": details}
    request = PROTOCOL.decode_request(chat(message))
    thought, redacted, _ = request.turns[0].parts
    assert isinstance(thought, Reasoning)
    assert isinstance(redacted, Reasoning)
    assert thought.opaque == (Opaque(kind="signature", value="S", protocol="openai-chat"),)
    assert redacted.opaque == (Opaque(kind="redacted", value="D", protocol="openai-chat"),)
    assert messages_of(request) == [message]
    changed = {**message, "reasoning_content": "edited"}
    assert messages_of(PROTOCOL.decode_request(chat(changed))) == [changed]


def test_an_empty_text_does_not_part_calls_from_their_results() -> None:
    turns = (user(Text(text="q")), assistant(call("c1")), assistant(Text(text="")), user(ToolResult(call_id="c1")))
    messages = messages_of(foreign(*turns))
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]


def test_a_file_by_its_address_is_one_and_comes_back() -> None:
    file = {"type": "file", "file": {"file_data": "https://a.b/c.pdf", "filename": "c.pdf"}}
    document = chat({"role": "user", "content": [file]})
    request = PROTOCOL.decode_request(document)
    (part,) = request.turns[0].parts
    assert isinstance(part, Media)
    assert part.source == Url("https://a.b/c.pdf")
    assert PROTOCOL.encode_request(request).document == document


def test_modalities_that_nobody_knows_here_are_reported() -> None:
    encoded = PROTOCOL.encode_request(foreign(user(Text(text="q")), modalities=("text", "image")))
    assert "modalities" not in encoded.document
    assert [loss.path for loss in encoded.losses] == ["modalities"]
