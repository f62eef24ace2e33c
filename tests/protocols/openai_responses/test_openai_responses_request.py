"""Requests of OpenAI Responses: identity, strictness, and what becomes of conversations of other protocols."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from openai.types.responses.input_token_count_params import InputTokenCountParams

from conformity import problems
from ds2api_asgi.errors import ConfigurationError, InvalidDocument
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.anthropic import PROTOCOL as ANTHROPIC
from ds2api_asgi.protocols.base import Context, Operation
from ds2api_asgi.protocols.namespaces import flat_names
from ds2api_asgi.protocols.openai_chat import PROTOCOL as CHAT
from ds2api_asgi.protocols.openai_responses import PROTOCOL
from ds2api_asgi.protocols.openai_responses.profile import violations
from ds2api_asgi.universal.content import Base64, Media, OpaquePart, Reasoning, Refusal, Text, ToolCall, ToolResult
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.loss import Severity
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OpaqueTool, OutputFormat, Request, Turn
from ds2api_asgi.universal.response import Candidate, Response
from lawkit import core_requests

OTHERS = [name for name in registry.names() if name != "openai-responses"]


def asked(*items: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "input": list(items), **members}


def foreign(*turns: Turn, **members: Any) -> Request:
    return Request(turns=turns, model="m", origin=Origin(protocol="elsewhere"), **members)


def items_of(request: Request, dialect: str = "") -> list[dict[str, Any]]:
    return list(PROTOCOL.encode_request(request, dialect=dialect).document["input"])


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
    {"include": ["reasoning.encrypted_content"], "truncation": "disabled"},
    {"include": ["reasoning.encrypted_content", "a", "message.output_text.logprobs"]},
    {"include": ["message.output_text.logprobs", "reasoning.encrypted_content", "reasoning.encrypted_content"]},
    {"include": "reasoning.encrypted_content"},
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


def test_a_question_for_a_count_says_only_what_is_counted() -> None:
    request = foreign(
        Turn(role="user", parts=(Text(text="x"),)),
        tools=(FunctionTool(name="f", schema={"type": "object"}),),
        tool_choice="auto",
        temperature=1,
        max_output_tokens=9,
        stream=True,
        metadata={"a": "b"},
        store=False,
        user="u",
        cache_key="k",
        service_tier="auto",
        logprobs=True,
        verbosity="low",
        reasoning_effort="low",
    )
    document = PROTOCOL.encode_request(request, operation=Operation.COUNT_TOKENS).document
    assert document.keys() == {"model", "input", "tools", "tool_choice", "text", "reasoning"}
    assert problems(loads(dumps(document)), InputTokenCountParams) == []


@given(core_requests())
def test_any_question_for_a_count_is_one_of_the_sdks(request_: Request) -> None:
    document = PROTOCOL.encode_request(request_, operation=Operation.COUNT_TOKENS).document
    assert problems(loads(dumps(document)), InputTokenCountParams) == []


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


REFERENCES = [
    {"type": "item_reference", "id": "msg_1"},
    {"id": "msg_1"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
    {"type": "configuration_update", "reasoning": {"effort": "low"}},
]


@pytest.mark.parametrize("target", OTHERS)
@pytest.mark.parametrize("item", REFERENCES, ids=lambda item: item.get("type", "no type"))
def test_an_item_that_only_its_server_can_resolve_is_refused_elsewhere(target: str, item: dict[str, Any]) -> None:
    request = PROTOCOL.decode_request(asked(item, {"role": "user", "content": "x"}))
    losses = [
        loss for loss in registry.get(target).encode_request(request).losses if loss.severity is Severity.BLOCKING
    ]
    assert [loss.path for loss in losses] == ["turns[0].parts[0]"]
    assert "openai-responses" in losses[0].reason
    assert item.get("type", "item_reference") in losses[0].reason


# As Codex sends it for a model that it does not know (recorded 2026-11).
CODEX = asked(
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
    {"role": "user", "content": "q"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "E"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look"}],
     "phase": "commentary"},
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
    {"type": "function_call", "id": "fc_1", "call_id": "c2", "name": "spawn", "namespace": "collab", "arguments": "{}"},
    {"type": "custom_tool_call_output", "id": "ctco_1", "call_id": "c1", "output": "ok"},
    {"type": "function_call_output", "id": "fco_1", "call_id": "c2", "output": "done"},
    tools=[
        {"type": "custom", "name": "apply_patch", "description": "d",
         "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "namespace", "name": "collab", "description": "d", "tools": [
            {"type": "function", "name": "spawn", "parameters": {"type": "object"}, "strict": False},
            {"type": "function", "name": "wait", "parameters": {"type": "object"}, "strict": False}]},
        {"type": "web_search"},
        {"type": "tool_search", "execution": "client"},
    ],
    store=False, stream=True, include=["reasoning.encrypted_content"], prompt_cache_key="k", client_metadata={"a": "b"},
    parallel_tool_calls=True, tool_choice="auto",
)  # fmt: skip


def test_an_agents_request_comes_back_as_it_was() -> None:
    encoded = PROTOCOL.encode_request(PROTOCOL.decode_request(CODEX))
    assert equal(encoded.document, CODEX)
    assert encoded.losses == ()


def test_an_agents_request_reaches_chat() -> None:
    encoded = CHAT.encode_request(PROTOCOL.decode_request(CODEX))
    roles = [message["role"] for message in encoded.document["messages"]]
    assert roles == ["developer", "user", "assistant", "tool", "tool"]
    assistant = encoded.document["messages"][2]
    assert assistant["content"] == "I look"
    assert [call["id"] for call in assistant["tool_calls"]] == ["c1", "c2"]
    assert assistant["tool_calls"][0]["custom"] == {"name": "apply_patch", "input": "*** Begin"}
    assert assistant["tool_calls"][1]["function"]["name"] == "collab__spawn"
    names = [tool[tool["type"]]["name"] for tool in encoded.document["tools"]]
    assert names == ["apply_patch", "collab__spawn", "collab__wait"]
    assert not any(loss.severity is Severity.BLOCKING for loss in encoded.losses)
    lost = {loss.path for loss in encoded.losses}
    assert {"turns[2].parts[0]", "turns[3].parts[0]", "tools", "tools[2]", "tools[3]"} <= lost


def test_an_agents_request_reaches_anthropic() -> None:
    encoded = ANTHROPIC.encode_request(PROTOCOL.decode_request(CODEX))
    (_, assistant, results) = encoded.document["messages"]
    assert [block["type"] for block in assistant["content"]] == ["text", "tool_use", "tool_use"]
    assert loads(dumps(assistant["content"][1]["input"])) == {"input": "*** Begin"}
    assert [block["name"] for block in assistant["content"][1:]] == ["apply_patch", "collab__spawn"]
    assert [block["tool_use_id"] for block in results["content"]] == ["c1", "c2"]
    assert [tool["name"] for tool in encoded.document["tools"]] == ["apply_patch", "collab__spawn", "collab__wait"]


@pytest.mark.parametrize("target", OTHERS)
def test_a_call_comes_back_into_its_namespace_and_kind(target: str) -> None:
    request = PROTOCOL.decode_request(CODEX)
    context = registry.get(target).encode_request(request).context
    assert context is not None
    patch = JsonText('{"input":"*** End"}' if "apply_patch" in context.custom_tools else "*** End")
    calls = (
        ToolCall(id="n1", name="collab__wait", arguments=JsonText('{"a":1}')),
        ToolCall(
            id="n2",
            name="apply_patch",
            arguments=patch,
            kind="function" if "apply_patch" in context.custom_tools else "custom",
        ),
    )
    answer = Response(
        id="x",
        candidates=(Candidate(turns=(Turn(role="assistant", parts=calls),)),),
        origin=Origin(protocol=target),
    )
    whole = loads(dumps(PROTOCOL.encode_response(answer, context).document))["output"]
    assert [(item["type"], item["name"], item.get("namespace")) for item in whole] == [
        ("function_call", "wait", "collab"),
        ("custom_tool_call", "apply_patch", None),
    ]
    assert (whole[0]["arguments"], whole[1]["input"]) == ('{"a":1}', "*** End")
    stream = PROTOCOL.stream_encoder(context).write(unfold(answer, chunk=3))
    decoder = PROTOCOL.stream_decoder()
    streamed = PROTOCOL.encode_response(PROTOCOL.fold(decoder.feed(stream) + decoder.close()), Context()).document
    assert loads(dumps(streamed))["output"] == whole


def test_names_of_namespaces_never_meet() -> None:
    tools = (
        FunctionTool(name="a__b"),
        OpaqueTool(json={}, protocol="x", namespace="a", functions=(FunctionTool(name="b"), FunctionTool(name="_c"))),
        OpaqueTool(json={}, protocol="x", namespace="a__", functions=(FunctionTool(name="b"), FunctionTool(name="c"))),
    )
    names = flat_names(tools)
    assert len({*names.values(), "a__b"}) == 5
    assert names["a", "b"] == "a__b_"


def test_a_text_among_results_is_a_users() -> None:
    """An older content of Gemini, of the role ``function``, may hold one."""
    turn = Turn(role="tool", parts=(Text(text="so"),))
    encoded = PROTOCOL.encode_request(Request(model="m", turns=(turn,), origin=Origin(protocol="gemini")))
    assert encoded.document["input"][0]["role"] == "user"
    assert "turns[0].parts[0]" in {loss.path for loss in encoded.losses}
