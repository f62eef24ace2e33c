"""Requests: identity over real traffic, and conversations from elsewhere in this provider's order."""

from __future__ import annotations

from typing import Any

import anthropic.types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.anthropic import PROTOCOL
from ds2api_asgi.protocols.anthropic.profile import DEFAULT_MAX_TOKENS, STRICT_DIALECT, violations
from ds2api_asgi.protocols.base import Encoded, Operation
from ds2api_asgi.universal.content import (
    Base64,
    FileId,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.loss import LossKind, Severity
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import FunctionTool, NamedTool, Request, ToolSubset, Turn

NEEDED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}


def read(document: Any, **more: Any) -> Request:
    return PROTOCOL.decode_request(PROTOCOL.parse(dumps(document)), **more)


def say(*turns: Turn, dialect: str = "", **more: Any) -> Encoded:
    """A request from elsewhere, encoded."""
    more = {"model": "m", "max_output_tokens": 2048, **more}
    return PROTOCOL.encode_request(Request(turns=turns, origin=Origin(protocol="elsewhere"), **more), dialect=dialect)


def user(text: str = "q") -> Turn:
    return Turn(role="user", parts=(Text(text=text),))


def assistant(*parts: Any) -> Turn:
    return Turn(role="assistant", parts=parts or (Text(text="a"),))


def system(text: str) -> Turn:
    return Turn(role="system", parts=(Text(text=text),))


def result(call: str) -> Turn:
    return Turn(role="tool", parts=(ToolResult(call_id=call, parts=(Text(text=f"r{call}"),)),))


def call(identity: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id=identity, name="w", arguments=JsonText(arguments))


def lost(encoded: Encoded, path: str) -> Any:
    found = [loss for loss in encoded.losses if loss.path == path]
    assert found, [loss.path for loss in encoded.losses]
    return found[0]


def test_bytes_of_arguments_come_back_with_their_white_space() -> None:
    body = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t",'
        b'"name":"w","input":{ "a" : 1.0, "b":1e2,\n"c":123456789012345678901234567890 }}]}]}'
    )
    request = PROTOCOL.decode_request(PROTOCOL.parse(body))
    assert b'{ "a" : 1.0, "b":1e2,\n"c":123456789012345678901234567890 }' in dumps(
        PROTOCOL.encode_request(request).document
    )


@pytest.mark.parametrize(
    "members",
    [
        {"system": None, "tools": None, "thinking": None, "metadata": None, "tool_choice": None, "cache_control": None},
        {"system": [], "tools": [], "stop_sequences": []},
        {"metadata": {}, "output_config": {}, "thinking": {}, "tool_choice": {}},
        {"metadata": {"user_id": None, "x": 1}, "output_config": {"effort": None, "format": None, "task_budget": {}}},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False, "x": [1.0]}},
        {"tool_choice": {"type": "quantum"}, "thinking": {"type": "dreaming", "depth": 3}},
        {"cache_control": {"type": "ephemeral", "ttl": "5m", "x": 1}, "temperature": 1.0, "unknown": {"a": None}},
        {"cache_control": {"ttl": None}, "output_config": {"format": {"type": "xml"}}},
        {"tools": [{"type": "custom", "name": "a", "input_schema": {}, "x": 1}, {"type": "web_search_20260318"}]},
        {"messages": [{"role": "critic", "content": [], "x": None}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram", "text": 1}, {"type": "text", "text": ""}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": None}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "ether", "x": 1}}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": ""}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "w"}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "mcp_tool_use", "name": "w", "input": None}]}]},
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "x_tool_result", "content": None, "tool_use_id": None}]}
            ]
        },
    ],
)
def test_odd_members_come_back_as_they_were(members: dict[str, Any]) -> None:
    document = {**NEEDED, **members}
    encoded = PROTOCOL.encode_request(read(document))
    assert equal(loads(dumps(encoded.document)), loads(dumps(document)))


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"messages": {}}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"role": 1, "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "a", "content": [{"type": "tool_use", "name": "w", "input": 1}]}]},
            "messages[0].content[0].input",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"thinking": {"budget_tokens": "many"}}, "thinking.budget_tokens"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": [{"name": "a", "input_schema": []}]}, "tools[0].input_schema"),
        ({"system": 1}, "system"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_by_its_path(members: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read({**NEEDED, **members})
    assert caught.value.path == path


def test_only_a_request_for_an_answer_needs_a_bound() -> None:
    document = {name: value for name, value in NEEDED.items() if name != "max_tokens"}
    with pytest.raises(InvalidDocument, match="max_tokens"):
        read(document)
    request = read(document, operation=Operation.COUNT_TOKENS)
    assert PROTOCOL.encode_request(request).document == document


@given(st.binary(max_size=60))
def test_bytes_that_are_no_request_are_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(InvalidDocument):
        PROTOCOL.decode_request(PROTOCOL.parse(body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "input", "source", "cache_control", "citations", "id", "data"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["system", "tools", "tool_choice", "thinking", "metadata", "x"]), json_values),
    json_values,
)
def test_whatever_is_taken_comes_back(members: dict[str, Any], content: Any) -> None:
    document = {**NEEDED, **members, "messages": [{"role": "user", "content": content}]}
    try:
        request = read(document)
    except InvalidDocument:
        return
    assert equal(loads(dumps(PROTOCOL.encode_request(request).document)), loads(dumps(document)))


# --- from elsewhere


def test_leading_system_turns_become_the_system_prompt() -> None:
    document = say(system("S"), Turn(role="developer", parts=(Text(text="D"),)), user()).document
    assert [block["text"] for block in document["system"]] == ["S", "D"]
    plain = Turn(role="system", parts=(Text(text="S"),), form=("content:string",))
    assert say(plain, user()).document["system"] == "S"


def test_a_late_system_turn_stays_between_a_user_and_an_assistant() -> None:
    encoded = say(user(), system("S"), assistant(), user())
    assert [message["role"] for message in encoded.document["messages"]] == ["user", "system", "assistant", "user"]
    assert encoded.losses == ()


def test_a_late_system_turn_moves_behind_the_next_user() -> None:
    encoded = say(user(), assistant(), system("S"), user("q2"))
    assert [message["role"] for message in encoded.document["messages"]] == ["user", "assistant", "user", "system"]
    assert lost(encoded, "turns[2]").kind is LossKind.RELOCATED


def test_a_late_system_turn_with_no_user_to_follow_is_said_by_one() -> None:
    encoded = say(user(), assistant(), system("S"))
    assert [message["role"] for message in encoded.document["messages"]] == ["user", "assistant", "user"]
    assert lost(encoded, "turns[2]").severity is Severity.SEMANTIC


def test_results_come_first_in_the_order_of_their_calls() -> None:
    encoded = say(user(), assistant(call("c1"), call("c2")), result("c2"), user("and"), result("c1"))
    blocks = encoded.document["messages"][2]["content"]
    assert [block.get("tool_use_id") for block in blocks] == ["c1", "c2", None]
    assert {loss.kind for loss in encoded.losses} == {LossKind.RELOCATED}
    assert violations(encoded.document) == []


def test_neighbours_of_one_role_become_one_message() -> None:
    encoded = say(user("a"), user("b"), assistant(), assistant(Text(text="c")), user())
    assert [len(message["content"]) for message in encoded.document["messages"]] == [2, 2, 1]
    assert encoded.losses == ()


def test_empty_texts_are_gone_and_nothing_takes_their_place() -> None:
    encoded = say(
        user(),
        assistant(Text(text=""), call("c1", "")),
        Turn(role="tool", parts=(ToolResult(call_id="c1", parts=(Text(text=""),)),)),
    )
    assert encoded.document["messages"][1]["content"] == [{"type": "tool_use", "id": "c1", "name": "w", "input": {}}]
    assert encoded.document["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "c1"}]
    assert {loss.severity for loss in encoded.losses} == {Severity.COSMETIC}


def test_arguments_that_are_no_object_are_wrapped_and_unwrapped() -> None:
    encoded = say(user(), assistant(call("c1", '{"a": "un')), result("c1"))
    assert encoded.document["messages"][1]["content"][0]["input"] == {"_ds2_raw": '{"a": "un'}
    back = read(encoded.document).turns[1].parts[0]
    assert isinstance(back, ToolCall)
    assert back.arguments.text == '{"a": "un'


def test_strange_ids_and_names_are_mapped_one_to_one() -> None:
    odd = ToolCall(id="call:1/ä", name="a.b", arguments=JsonText("{}"))
    encoded = say(
        user(), assistant(odd), result("call:1/ä"), tools=(FunctionTool(name="a.b"), FunctionTool(name="a_b"))
    )
    context = encoded.context
    assert context is not None
    block = encoded.document["messages"][1]["content"][0]
    assert context.call_ids[block["id"]] == "call:1/ä"
    assert context.tool_names[block["name"]] == "a.b"
    assert encoded.document["tools"][0]["name"] == block["name"] != encoded.document["tools"][1]["name"]
    assert violations(encoded.document) == []


def test_thoughts_go_upstream_only_with_a_signature_of_ours() -> None:
    ours = Reasoning(text="t", opaque=(Opaque(kind="signature", value="S", protocol="anthropic"),))
    theirs = Reasoning(text="u", opaque=(Opaque(kind="encrypted", value="E", protocol="elsewhere"),))
    encoded = say(user(), assistant(ours, theirs, Text(text="a")), user())
    assert encoded.document["messages"][1]["content"][0] == {"type": "thinking", "thinking": "t", "signature": "S"}
    assert len(encoded.document["messages"][1]["content"]) == 2
    assert lost(encoded, "turns[1].parts[1]").severity is Severity.DEGRADED


def test_a_refusal_in_the_history_is_said_as_text() -> None:
    encoded = say(user(), assistant(Refusal(text="no")), user())
    assert encoded.document["messages"][1]["content"] == [{"type": "text", "text": "no"}]
    assert lost(encoded, "turns[1].parts[0]").kind is LossKind.TEXTUALISED


def test_scalars_are_moved_to_what_the_provider_takes() -> None:
    encoded = say(user(), temperature=1.7, stop=("X", " \n"), seed=1, safety_identifier="u", service_tier="flex")
    assert encoded.document["temperature"] == 1
    assert encoded.document["stop_sequences"] == ["X"]
    assert encoded.document["metadata"] == {"user_id": "u"}
    assert "service_tier" not in encoded.document
    assert lost(encoded, "temperature").kind is LossKind.CLAMPED
    assert lost(encoded, "stop[1]").severity is Severity.SEMANTIC
    lost(encoded, "seed")


def test_a_bound_is_invented_only_where_there_is_none() -> None:
    encoded = say(user(), max_output_tokens=UNSET)
    assert encoded.document["max_tokens"] == DEFAULT_MAX_TOKENS
    assert lost(encoded, "max_output_tokens").kind is LossKind.INVENTED


@pytest.mark.parametrize(
    ("members", "thinking", "effort"),
    [
        ({"reasoning_effort": "none"}, {"type": "disabled"}, None),
        ({"reasoning_effort": "minimal"}, {"type": "adaptive"}, "low"),
        ({"reasoning_effort": "max"}, {"type": "adaptive"}, "max"),
        ({"reasoning_mode": "enabled"}, {"type": "adaptive"}, None),
        ({"reasoning_mode": "disabled", "reasoning_effort": "none"}, {"type": "disabled"}, None),
        ({"reasoning_display": "auto"}, {"type": "adaptive", "display": "summarized"}, None),
        ({"reasoning_display": "omitted"}, None, None),
        ({"reasoning_effort": "low", "temperature": 1}, {"type": "adaptive"}, "low"),
        # What the provider refuses beside thoughts was asked for in so many words.
        ({"reasoning_effort": "low", "temperature": 0.5}, None, "low"),
        ({"reasoning_effort": "low", "top_k": 5}, None, "low"),
        ({"reasoning_budget": 100}, {"type": "enabled", "budget_tokens": 1024}, None),
        ({"reasoning_budget": 9999}, {"type": "enabled", "budget_tokens": 2047}, None),
        ({"reasoning_budget": 0}, {"type": "disabled"}, None),
        (
            {"reasoning_mode": "adaptive", "reasoning_display": "auto"},
            {"type": "adaptive", "display": "summarized"},
            None,
        ),
    ],
)
def test_reasoning_is_said_by_thinking_and_effort(members: dict[str, Any], thinking: Any, effort: Any) -> None:
    document = say(user(), **members).document
    assert document.get("thinking") == thinking
    assert document.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        ("claude-sonnet-4-5-20250929", {"type": "enabled", "budget_tokens": 2047}, None),
        ("claude-opus-4-20250514", {"type": "enabled", "budget_tokens": 2047}, None),
        ("claude-3-7-sonnet-latest", {"type": "enabled", "budget_tokens": 2047}, None),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", {"type": "enabled", "budget_tokens": 2047}, None),
        ("claude-sonnet-4@20250514", {"type": "enabled", "budget_tokens": 2047}, None),
        ("claude-3-5-haiku-latest", None, None),
        ("claude-opus-4-7", {"type": "adaptive"}, "low"),
        ("claude-sonnet-5", {"type": "adaptive"}, "low"),
        ("kimi-k3", {"type": "adaptive"}, "low"),
    ],
)
def test_older_models_get_a_budget_for_an_effort(model: str, thinking: Any, effort: Any) -> None:
    encoded = say(user(), reasoning_effort="low", model=model)
    assert encoded.document.get("thinking") == thinking
    assert encoded.document.get("output_config", {}).get("effort") == effort
    if effort is None:
        lost(encoded, "reasoning_effort")
    assert "thinking" not in say(user(), reasoning_effort="low", model="claude-opus-4-5", max_output_tokens=9).document


@pytest.mark.parametrize("choice", ["required", NamedTool(name="w"), ToolSubset(mode="required", names=("w",))])
def test_who_forces_a_tool_gets_no_thoughts(choice: Any) -> None:
    tool = FunctionTool(name="w", schema={"type": "object"})
    assert "thinking" in say(user(), tools=(tool,), tool_choice="auto", reasoning_effort="low").document
    assert "thinking" not in say(user(), tools=(tool,), tool_choice=choice, reasoning_effort="low").document


def test_a_tool_loop_that_began_without_a_signed_thought_goes_on_without() -> None:
    signed = Reasoning(text="t", opaque=(Opaque(kind="signature", value="S", protocol="anthropic"),))
    theirs = Reasoning(text="t", opaque=(Opaque(kind="encrypted", value="E", protocol="elsewhere"),))
    call = ToolCall(id="c1", name="w", arguments=JsonText("{}"))
    again = ToolCall(id="c2", name="w", arguments=JsonText("{}"))

    def thinks(*turns: Any) -> bool:
        return "thinking" in say(user(), *turns, reasoning_effort="low").document

    assert thinks(assistant(signed, call), result("c1"))
    assert thinks(assistant(signed), assistant(call), result("c1"), assistant(again), result("c2"))
    assert not thinks(assistant(call), result("c1"))
    assert not thinks(assistant(theirs, call), result("c1"))
    assert not thinks(assistant(call, signed), result("c1"))
    assert thinks(assistant(call), result("c1"), assistant(Text(text="so")), user())


def test_the_newer_dialect_refuses_sampling() -> None:
    encoded = say(user(), temperature=0.5, top_p=0.5, dialect=STRICT_DIALECT)
    assert "temperature" not in encoded.document
    assert {loss.path for loss in encoded.losses} == {"temperature", "top_p"}
    home = read({**NEEDED, "temperature": 1})
    assert "temperature" in PROTOCOL.encode_request(home).document
    assert "temperature" not in PROTOCOL.encode_request(home, dialect=STRICT_DIALECT).document


def test_tools_of_free_text_become_functions_of_one_text() -> None:
    custom = FunctionTool(name="sh", kind="custom")
    spoken = ToolCall(id="c1", name="sh", arguments=JsonText("ls -l"), kind="custom")
    encoded = say(user(), assistant(spoken), result("c1"), tools=(custom,))
    assert encoded.document["tools"][0]["input_schema"]["required"] == ["input"]
    assert loads(dumps(encoded.document["messages"][1]["content"][0]["input"])) == {"input": "ls -l"}
    assert encoded.context is not None
    assert encoded.context.custom_tools == {"sh"}


def test_choices_and_parallel_calls() -> None:
    tool = FunctionTool(name="w", schema={"type": "object"})
    assert say(user(), tools=(tool,), parallel_tools=False).document["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }
    assert say(user(), tools=(tool,), tool_choice="required").document["tool_choice"] == {"type": "any"}
    subset = say(user(), tools=(tool,), tool_choice=ToolSubset(mode="required", names=("w",)))
    assert subset.document["tool_choice"] == {"type": "any"}
    assert len(subset.document["tools"]) == 1
    assert lost(subset, "tool_choice").severity is Severity.SEMANTIC
    assert "tool_choice" not in say(user(), tool_choice="auto").document


@pytest.mark.parametrize(
    ("media", "source"),
    [
        (
            Media(kind="image", source=Url("data:image/png;base64,iVBORw==")),
            {"type": "base64", "media_type": "image/png", "data": "iVBORw=="},
        ),
        (Media(kind="image", source=Url("https://x/y.png")), {"type": "url", "url": "https://x/y.png"}),
        (
            Media(kind="image", source=Base64("/9j/aa==")),
            {"type": "base64", "media_type": "image/jpeg", "data": "/9j/aa=="},
        ),
        (
            Media(kind="document", source=Base64("JVBERi0="), mime="application/pdf"),
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        ),
        (
            Media(kind="document", source=Base64("aGk="), mime="text/markdown"),
            {"type": "text", "media_type": "text/plain", "data": "hi"},
        ),
    ],
)
def test_media_find_a_source(media: Media, source: dict[str, Any]) -> None:
    document = say(Turn(role="user", parts=(media, Text(text="q")))).document
    assert document["messages"][0]["content"][0] == {"type": media.kind, "source": source}


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="document", source=FileId("file-1")),
        Media(kind="image", source=Url("gs://bucket/x")),
        Media(kind="image", source=Base64("Qk0="), mime="image/bmp"),
    ],
)
def test_media_that_cannot_be_said_block_the_request(media: Media) -> None:
    encoded = say(Turn(role="user", parts=(media, Text(text="q"))))
    assert lost(encoded, "turns[0].parts[0]").severity is Severity.BLOCKING


def test_white_space_at_the_end_of_a_prefill_is_trimmed() -> None:
    encoded = say(user(), assistant(Text(text="The answer is ")))
    assert encoded.document["messages"][1]["content"][0]["text"] == "The answer is"
    assert lost(encoded, "turns").kind is LossKind.CLAMPED


def test_an_instruction_alone_is_a_question() -> None:
    encoded = say(system("Say hi"))
    assert encoded.document["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Say hi"}]}]
    assert lost(encoded, "turns[0]").severity is Severity.SEMANTIC


def test_a_conversation_in_which_nothing_is_said_is_blocked() -> None:
    encoded = say(user(""))
    assert encoded.document["messages"] == []
    assert lost(encoded, "turns").severity is Severity.BLOCKING


@pytest.mark.parametrize("protocol", ["core", "anthropic"])
def test_a_count_is_asked_with_what_the_provider_counts_and_nothing_else(protocol: str) -> None:
    request = Request(
        model="m",
        turns=(user(),),
        tools=(FunctionTool(name="f", schema={"type": "object"}),),
        tool_choice="auto",
        temperature=0.5,
        top_p=0.5,
        stop=("x",),
        stream=True,
        max_output_tokens=9,
        metadata={"a": "b"},
        user="u",
        service_tier="auto",
        origin=Origin(protocol=protocol),
    )
    encoded = PROTOCOL.encode_request(request, operation=Operation.COUNT_TOKENS)
    assert set(encoded.document) == {"model", "messages", "tools", "tool_choice"}
    assert set(encoded.document) <= set(anthropic.types.MessageCountTokensParams.__annotations__)
    assert encoded.losses == ()
