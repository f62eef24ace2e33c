"""Requests of Ollama: identity of odd documents, and what becomes of conversations that have no ids."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.ollama import PROTOCOL
from ds2api_asgi.protocols.ollama.profile import violations
from ds2api_asgi.universal.content import Base64, Media, Part, Reasoning, Text, ToolCall, ToolResult, Url
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.loss import LossKind, Severity
from ds2api_asgi.universal.media import sniff_mime
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import FunctionTool, OutputFormat, Request, Turn

ODD = [
    {"role": "user"},
    {"role": "user", "content": ""},
    {"role": "user", "content": None, "images": []},
    {"role": "user", "content": "a", "images": ["AAAA", "BBBB"], "name": "n"},
    {"role": "oracle", "content": "x", "mood": {"a": 1.00}},
    {"role": "assistant", "content": "", "thinking": "", "tool_calls": []},
    {"role": "assistant", "thinking": "t", "tool_calls": [{"function": {"name": "f"}}]},
    {"role": "assistant", "tool_calls": [{"id": None, "function": {"name": "f", "arguments": None, "strict": True}}]},
    {
        "role": "assistant",
        "tool_calls": [{"type": "x", "function": {"index": 3, "name": "f", "arguments": {"a": 1e2}}}],
    },
    {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}]},
    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"_ds2_raw": "{"}}}]},
    {"role": "tool", "content": None, "tool_name": None},
    {"role": "tool", "content": "", "tool_call_id": "1", "tool_name": "f", "images": ["AAAA"], "x": 1},
]


def chat(*messages: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **members}


def read(document: dict[str, Any]) -> Request:
    return PROTOCOL.decode_request(PROTOCOL.parse(dumps(document)))


def again(document: dict[str, Any]) -> Any:
    return loads(dumps(PROTOCOL.encode_request(read(document)).document))


def foreign(*turns: Turn, **members: Any) -> Request:
    return Request(turns=turns, model="m", origin=Origin(protocol="elsewhere"), **members)


@pytest.mark.parametrize("message", ODD, ids=range(len(ODD)))
def test_odd_messages_come_back_as_they_were(message: dict[str, Any]) -> None:
    assert equal(again(chat(message)), chat(message))


@pytest.mark.parametrize(
    "members",
    [
        {"options": {}},
        {"options": None, "tools": None, "format": None, "think": None},
        {"options": {"num_predict": -1, "num_ctx": 4096, "stop": ["a"], "temperature": 0.50, "seed": None}},
        {"format": ""},
        {"format": "yaml"},
        {"format": {"type": "object"}, "keep_alive": "5m"},
        {"think": True, "tools": []},
        {"think": False},
        {"think": "high", "tools": [{"function": {"name": "f", "strict": True}}, {"type": "web", "x": 1}, {}]},
    ],
    ids=str,
)
def test_odd_members_come_back_as_they_were(members: dict[str, Any]) -> None:
    assert equal(again(chat(**members)), chat(**members))


def test_a_request_that_only_loads_a_model_comes_back() -> None:
    assert again({"model": "m"}) == {"model": "m"}
    assert again({"model": "m", "messages": None}) == {"model": "m", "messages": None}


def test_arguments_keep_their_text() -> None:
    entry = b'{"function":{"name":"f","arguments":{ "a" : 1.0}}}'
    body = b'{"model":"m","messages":[{"role":"assistant","tool_calls":[%b]}]}' % entry
    call = PROTOCOL.decode_request(PROTOCOL.parse(body)).turns[0].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments.text == '{ "a" : 1.0}'
    assert call.id is UNSET


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"messages": []}, "model"),
        (chat({"role": "user", "content": []}), "messages[0].content"),
        (chat({"role": "user", "images": [1]}), "messages[0].images"),
        (chat({"content": "a"}), "messages[0].role"),
        (chat({"role": "assistant", "tool_calls": [{"function": {}}]}), "messages[0].tool_calls[0].function.name"),
        (
            chat({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (chat(options={"num_predict": "9"}), "options.num_predict"),
        (chat(format=[]), "format"),
        (chat(think=1), "think"),
        (chat(tools={}), "tools"),
    ],
    ids=str,
)
def test_a_wrong_type_is_refused_with_its_path(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(document)
    assert caught.value.path == path


def test_an_unsaid_stream_stays_unsaid() -> None:
    assert read(chat()).stream is UNSET


PARALLEL = chat(
    {"role": "user", "content": "q"},
    {
        "role": "assistant",
        "tool_calls": [
            {"function": {"name": "heat", "arguments": {"city": "Oslo"}}},
            {"function": {"name": "rain", "arguments": {"city": "Oslo"}}},
            {"function": {"name": "heat", "arguments": {"city": "Rome"}}},
        ],
    },
    {"role": "tool", "tool_name": "rain", "content": "dry"},
    {"role": "tool", "tool_name": "heat", "content": "5"},
    {"role": "tool", "tool_name": "heat", "content": "30"},
    {"role": "assistant", "tool_calls": [{"function": {"name": "heat", "arguments": {"city": "Bonn"}}}]},
    {"role": "tool", "content": "15"},
)


@pytest.mark.parametrize("target", ["openai-chat", "anthropic"])
def test_results_without_ids_pair_by_name_and_order(target: str) -> None:
    other = registry.get(target)
    turns = other.decode_request(loads(dumps(other.encode_request(read(PARALLEL)).document))).turns
    parts = [part for turn in turns for part in turn.parts]
    calls = {part.id: part.arguments.value["city"] for part in parts if isinstance(part, ToolCall)}
    answers = [(calls[part.call_id], part.parts[0].text) for part in parts if isinstance(part, ToolResult)]  # type: ignore[index,union-attr]
    assert len(calls) == 4
    assert sorted(answers) == [("Bonn", "15"), ("Oslo", "5"), ("Oslo", "dry"), ("Rome", "30")]


def test_a_turn_of_several_texts_becomes_several_messages() -> None:
    parts: tuple[Part, ...] = (Text(text="a"), Media(kind="image", source=Base64("AAAA")), Text(text="b"))
    encoded = PROTOCOL.encode_request(foreign(Turn(role="user", parts=parts)))
    assert encoded.document["messages"] == [
        {"role": "user", "content": "a", "images": ["AAAA"]},
        {"role": "user", "content": "b"},
    ]
    assert encoded.losses == ()


def test_an_image_goes_with_the_text_behind_it() -> None:
    parts: tuple[Part, ...] = (Media(kind="image", source=Base64("AAAA")), Text(text="a"))
    encoded = PROTOCOL.encode_request(foreign(Turn(role="user", parts=parts)))
    assert encoded.document["messages"] == [{"role": "user", "content": "a", "images": ["AAAA"]}]
    assert [loss.kind for loss in encoded.losses] == [LossKind.RELOCATED]


def test_an_image_behind_an_address_is_a_semantic_loss() -> None:
    encoded = PROTOCOL.encode_request(foreign(Turn(role="user", parts=(Media(kind="image", source=Url("https://x")),))))
    assert [loss.severity for loss in encoded.losses] == [Severity.SEMANTIC]


def test_a_step_keeps_its_ids_and_names() -> None:
    call = ToolCall(id="c1", name="look", arguments=JsonText("broken"))
    result = ToolResult(call_id="c1", parts=(Text(text="r"),), is_error=True)
    said = (Reasoning(text="t"), call, Text(text="late"))
    encoded = PROTOCOL.encode_request(
        foreign(Turn(role="assistant", parts=said), Turn(role="tool", parts=(result,)))
    ).document
    assert encoded["messages"] == [
        {
            "role": "assistant",
            "thinking": "t",
            "content": "late",
            "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {"_ds2_raw": "broken"}}}],
        },
        {"role": "tool", "tool_call_id": "c1", "tool_name": "look", "content": "[tool error] r"},
    ]
    assert violations(encoded) == []


@pytest.mark.parametrize(
    ("members", "think"),
    [
        ({}, UNSET),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "xhigh"}, "max"),
        ({"reasoning_mode": "adaptive"}, True),
        ({"reasoning_mode": "adaptive", "reasoning_effort": "medium"}, "medium"),
        ({"reasoning_mode": "disabled", "reasoning_effort": "medium"}, False),
        ({"reasoning_mode": "enabled", "reasoning_budget": 9000}, "medium"),
    ],
    ids=str,
)
def test_all_that_is_said_of_reasoning_becomes_one_member(members: dict[str, Any], think: Any) -> None:
    assert PROTOCOL.encode_request(foreign(**members)).document.get("think", UNSET) == think


def test_calls_of_assistants_in_a_row_are_one_step() -> None:
    """google-genai sends a content for each chunk: calls made side by side are answered together."""
    contents = [
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [{"text": "I look."}]},
        *({"role": "model", "parts": [{"functionCall": {"name": name, "args": {}}}]} for name in "fgh"),
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": name, "response": {"output": name}}} for name in "fgh"],
        },
    ]
    gemini = registry.get("gemini")
    request = gemini.decode_request(gemini.parse(json.dumps({"contents": contents}).encode()))
    document = PROTOCOL.encode_request(replace(request, model="m")).document
    assert violations(document) == []
    assert [message["role"] for message in document["messages"]] == ["user", "assistant", "assistant", *["tool"] * 3]
    assert [call["function"]["name"] for call in document["messages"][2]["tool_calls"]] == ["f", "g", "h"]
    assert [message["content"] for message in document["messages"][3:]] == ["f", "g", "h"]


def test_where_no_tool_may_be_called_none_is_shown() -> None:
    tools = (FunctionTool(name="f"),)
    assert "tools" not in PROTOCOL.encode_request(foreign(tools=tools, tool_choice="none")).document
    encoded = PROTOCOL.encode_request(foreign(tools=tools, tool_choice="required"))
    assert encoded.document["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert Severity.SEMANTIC in [loss.severity for loss in encoded.losses]


def test_a_schema_is_the_format() -> None:
    shape = OutputFormat(kind="json_schema", name="n", schema={"type": "object"})
    assert PROTOCOL.encode_request(foreign(output_format=shape)).document["format"] == {"type": "object"}


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        ("iVBORw0KGgoA", "image/png"),
        ("/9j/4AAQ", "image/jpeg"),
        ("R0lGODlh", "image/gif"),
        ("UklGRlKJavBXRUJQVlA4IA==", "image/webp"),
        ("AAAA", None),
    ],
)
def test_images_tell_what_they_are(data: str, mime: str | None) -> None:
    assert sniff_mime(data) == mime
