"""Dialects: laws that hold for each, and what each vendor is sent, spelled out by hand from its page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Operation
from ds2api_asgi.protocols.openai_chat import PROTOCOL
from ds2api_asgi.protocols.openai_chat.dialects import DIALECTS, Effort
from ds2api_asgi.protocols.openai_chat.profile import violations
from ds2api_asgi.protocols.openai_chat.spelling import nearest
from ds2api_asgi.translator import Translator, convert
from ds2api_asgi.universal.content import Base64, Media, Reasoning, Refusal, Text, ToolCall, ToolResult
from ds2api_asgi.universal.diff import Change, diff, format_path
from ds2api_asgi.universal.effort import EFFORTS
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.loss import Loss, LossKind, Severity
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.normal import regroup
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OutputFormat, Request, ToolSubset, Turn
from ds2api_asgi.upstream.address import Address
from lawkit import core_requests, read_request, request_documents, wire

VENDORS = sorted(name for name, dialect in DIALECTS.items() if dialect.name)
SPELLING = frozenset({"form", "origin"})
vendors = pytest.mark.parametrize("vendor", VENDORS)
few = settings(max_examples=20)  # for each vendor


def encode(request: Request, vendor: str) -> tuple[dict[str, Any], tuple[Loss, ...]]:
    encoded = PROTOCOL.encode_request(request, dialect=vendor)
    return wire(encoded.document), encoded.losses


def decode(document: dict[str, Any], vendor: str) -> Request:
    return PROTOCOL.decode_request(document, dialect=vendor)


def within(inner: str, outer: str) -> bool:
    return inner == outer or (inner.startswith(outer) and inner[len(outer)] in ".[")


def silent(changes: list[Change], losses: tuple[Loss, ...]) -> list[Change]:
    """Changes that no loss speaks of; what moved within the conversation is covered by any loss in it."""
    in_turns = any(loss.path.startswith("turns[") for loss in losses)
    return [
        change
        for change in changes
        if not (in_turns and format_path(change.path).startswith("turns["))
        and not any(
            within(format_path(change.path), loss.path) or within(loss.path, format_path(change.path))
            for loss in losses
        )
        and not nothing(change)
    ]


def nothing(change: Change) -> bool:
    if change.path[-1:] == ("ext",):
        return isinstance(change.value, dict) and not any(value is not None for value in change.value.values())
    return (change.path[-2:-1] == ("ext",) and change.value is None) or change.value == ()


def breaches(document: dict[str, Any], vendor: str) -> list[str]:
    """In what a document is not what the vendor's table says."""
    dialect = DIALECTS[vendor]
    found = [] if dialect.open else [f"{name} is refused" for name in document if not dialect.takes(name)]
    known = {"seed", "top_k", "logit_bias", "n", "user", "stop", "store", "logprobs", "verbosity", "stream_options"}
    found += [f"{name} is refused" for name in known & document.keys() if not dialect.takes(name)]
    if {"max_tokens", "max_completion_tokens"} - {dialect.bound} & document.keys():
        found.append("the bound has another name")
    for message in document["messages"]:
        if message["role"] == "developer" and not dialect.developer:
            found.append("a developer")
        if message["role"] in ("user", "system") and "name" in message and not dialect.names:
            found.append("a name")
        if dialect.message is not None:
            found += [f"messages: {name}" for name in message if name not in dialect.message and name != "name"]
        found += [
            f"messages: {name}" for name in ("reasoning", "reasoning_content") if name in message
            and name != dialect.thoughts
        ]  # fmt: skip
        ids = [call["id"] for call in message.get("tool_calls") or () if "id" in call]
        ids += [message["tool_call_id"]] if "tool_call_id" in message else []
        found += [f"the id {id_!r}" for id_ in ids if not dialect.call_id.fullmatch(id_)]
    for tool in document.get("tools") or ():
        if tool.get("type") == "custom" and not dialect.custom:
            found.append("a custom tool")
        if "strict" in tool.get("function", {}) and not dialect.strict:
            found.append("a strict tool")
    return found


# -- laws ------------------------------------------------------------------------------------------------------------


@vendors
@few
@given(core=core_requests())
def test_the_core_comes_back_but_for_what_is_reported(vendor: str, core: Request) -> None:
    document, losses = encode(core, vendor)
    back = decode(document, vendor)
    changes = diff(regroup(core), regroup(back), ignore=SPELLING | {"stream_usage"})
    # Ids of another alphabet are told per call, and their results follow.
    assert silent(changes, losses) == []
    severe = {loss.path for loss in losses if loss.severity not in (Severity.COSMETIC, Severity.DEGRADED)}
    allowed = {"tool_choice"} | ({"stop"} if vendor == "xai" else set())
    assert severe <= allowed


@vendors
@few
@given(core=core_requests())
def test_what_is_reported_of_the_core_differs(vendor: str, core: Request) -> None:
    document, losses = encode(core, vendor)
    changes = [format_path(change.path) for change in diff(core, decode(document, vendor))]
    for loss in losses:
        assert any(within(path, loss.path) or within(loss.path, path) for path in changes), loss


@vendors
@few
@given(core=core_requests())
def test_what_is_sent_of_the_core_is_valid(vendor: str, core: Request) -> None:
    document, _ = encode(core, vendor)
    assert breaches(document, vendor) == []
    assert violations(document) == []


@vendors
@few
@given(data=st.data())
def test_what_is_sent_of_any_document_is_valid_and_reported(vendor: str, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(["anthropic", "openai-chat"]))
    request = read_request(source, data.draw(request_documents(source)))
    document, losses = encode(request, vendor)
    assert breaches(document, vendor) == []
    changes = diff(regroup(request), regroup(decode(document, vendor)), ignore=SPELLING | {"stream_usage"})
    assert silent(changes, losses) == []


@vendors
@few
@given(core=core_requests())
def test_what_is_sent_is_the_same_each_time_and_grows_at_its_end(vendor: str, core: Request) -> None:
    document, _ = encode(core, vendor)
    assert encode(core, vendor)[0] == document
    longer = replace(core, turns=(*core.turns, Turn(role="assistant", parts=(Text(text="so"),))))
    messages = encode(longer, vendor)[0]["messages"]
    assert messages[: len(document["messages"])] == document["messages"]


@vendors
@few
@given(ids=st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=6))
def test_call_ids_keep_apart_and_come_back(vendor: str, ids: list[str]) -> None:
    turns: list[Turn] = [Turn(role="user", parts=(Text(text="a"),))]
    for id_ in ids:  # the same id may come again: then it is another call
        turns.append(Turn(role="assistant", parts=(ToolCall(id=id_, name="look", arguments=JsonText("{}")),)))
        turns.append(Turn(role="tool", parts=(ToolResult(call_id=id_, parts=(Text(text="r"),)),)))
    encoded = PROTOCOL.encode_request(
        Request(model="m", turns=tuple(turns), origin=Origin(protocol="x")), dialect=vendor
    )
    calls = [call["id"] for message in encoded.document["messages"] for call in message.get("tool_calls", ())]
    results = [message["tool_call_id"] for message in encoded.document["messages"] if message["role"] == "tool"]
    assert calls == results
    assert len(set(calls)) == len(calls)
    assert encoded.context is not None
    assert [encoded.context.call_ids.get(id_, id_) for id_ in calls] == ids


@given(word=st.sampled_from(EFFORTS), words=st.sets(st.sampled_from(EFFORTS[1:]), min_size=1))
def test_the_nearest_effort_is_a_fixed_point_and_keeps_the_order(word: str, words: set[str]) -> None:
    effort = Effort(words=frozenset(words))
    assert nearest(word, effort) in words
    assert nearest(nearest(word, effort), effort) == nearest(word, effort)
    higher = EFFORTS[EFFORTS.index(word) :]
    places = [EFFORTS.index(nearest(each, effort)) for each in higher]
    assert places == sorted(places)


# -- what each vendor is sent ----------------------------------------------------------------------------------------

FULL = Request(
    model="m",
    turns=(
        Turn(role="developer", parts=(Text(text="be brief"),)),
        Turn(role="user", parts=(Text(text="look"),), name="ann"),
        Turn(
            role="assistant",
            parts=(
                Reasoning(text="so", opaque=(Opaque(kind="signature", value="SIG", protocol="elsewhere"),)),
                Text(text="I look"),
                ToolCall(id="toolu_01ABCDEF", name="look", arguments=JsonText("{}")),
            ),
        ),
        Turn(role="tool", parts=(ToolResult(call_id="toolu_01ABCDEF", parts=(Text(text="seen"),)),)),
        Turn(role="assistant", parts=(Refusal(text="I will not"),)),
    ),
    tools=(FunctionTool(name="look", schema={"type": "object"}, strict=True),),
    tool_choice="required",
    parallel_tools=False,
    max_output_tokens=9,
    stop=("a", "b"),
    seed=7,
    top_k=5,
    presence_penalty=0.5,
    logit_bias={"1": 1},
    user="u",
    stream=True,
    service_tier="priority",
    reasoning_effort="max",
    output_format=OutputFormat(kind="json_schema", name="r", schema={"type": "object"}),
    origin=Origin(protocol="elsewhere"),
)
SENT: dict[str, dict[str, Any]] = {
    "azure": {"max_completion_tokens": 9, "stop": ["a", "b"], "seed": 7, "presence_penalty": 0.5, "user": "u",
              "logit_bias": {"1": 1}, "parallel_tool_calls": False, "reasoning_effort": "max",
              "service_tier": "priority", "stream_options": {"include_usage": True}},
    "cerebras": {"max_completion_tokens": 9, "stop": ["a", "b"], "seed": 7, "presence_penalty": 0.5, "user": "u",
                 "logit_bias": {"1": 1}, "parallel_tool_calls": False, "reasoning_effort": "high",
                 "service_tier": "priority", "stream_options": {"include_usage": True}},
    "deepseek": {"max_tokens": 9, "stop": ["a", "b"], "reasoning_effort": "max",
                 "stream_options": {"include_usage": True}},
    "fireworks": {"max_tokens": 9, "stop": ["a", "b"], "seed": 7, "top_k": 5, "presence_penalty": 0.5, "user": "u",
                  "logit_bias": {"1": 1}, "parallel_tool_calls": False, "reasoning_effort": "high",
                  "service_tier": "priority"},
    "groq": {"max_completion_tokens": 9, "stop": ["a", "b"], "seed": 7, "user": "u", "parallel_tool_calls": False,
             "reasoning_effort": "high"},
    "llama.cpp": {"max_tokens": 9, "stop": ["a", "b"], "seed": 7, "top_k": 5, "presence_penalty": 0.5, "user": "u",
                  "logit_bias": {"1": 1}, "parallel_tool_calls": False, "reasoning_effort": "max",
                  "service_tier": "priority", "stream_options": {"include_usage": True}},
    "mistral": {"max_tokens": 9, "stop": ["a", "b"], "random_seed": 7, "top_k": 5, "presence_penalty": 0.5,
                "parallel_tool_calls": False, "reasoning_effort": "max"},
    "ollama": {"max_tokens": 9, "stop": ["a", "b"], "seed": 7, "presence_penalty": 0.5, "reasoning_effort": "max",
               "stream_options": {"include_usage": True}},
    "openrouter": {"max_completion_tokens": 9, "stop": ["a", "b"], "seed": 7, "top_k": 5, "presence_penalty": 0.5,
                   "user": "u", "logit_bias": {"1": 1}, "parallel_tool_calls": False, "reasoning": {"effort": "max"},
                   "service_tier": "priority", "stream_options": {"include_usage": True}},
    "together": {"max_tokens": 9, "stop": ["a", "b"], "seed": 7, "top_k": 5, "presence_penalty": 0.5,
                 "logit_bias": {"1": 1}, "reasoning_effort": "high"},
    "vllm": {"max_completion_tokens": 9, "stop": ["a", "b"], "seed": 7, "top_k": 5, "presence_penalty": 0.5,
             "user": "u", "logit_bias": {"1": 1}, "parallel_tool_calls": False, "reasoning_effort": "max",
             "stream_options": {"include_usage": True}},
    "xai": {"max_completion_tokens": 9, "seed": 7, "user": "u", "parallel_tool_calls": False,
            "reasoning_effort": "high", "stream_options": {"include_usage": True}},
}  # fmt: skip
"""What a vendor is sent of `FULL` beside the model, the messages, the tools and the format."""

_THOUGHTS = {"azure": {}, "xai": {}, "deepseek": {"reasoning_content": "so"},
             "fireworks": {"reasoning_content": "so"}, "llama.cpp": {"reasoning_content": "so"},
             "together": {"reasoning_content": "so"}}  # fmt: skip


@vendors
def test_members_go_by_the_names_that_the_vendor_knows(vendor: str) -> None:
    document, _ = encode(FULL, vendor)
    beside = ("model", "messages", "stream", "tools", "tool_choice", "response_format")
    assert {key: value for key, value in document.items() if key not in beside} == SENT[vendor]


@vendors
def test_messages_say_thoughts_roles_and_refusals_as_the_vendor_knows_them(vendor: str) -> None:
    system, user, caller, result, refusal = encode(FULL, vendor)[0]["messages"]
    developers = {"azure", "cerebras", "groq", "llama.cpp", "openrouter", "vllm"}
    assert system["role"] == ("developer" if vendor in developers else "system")
    named = {"azure", "cerebras", "llama.cpp", "ollama", "openrouter", "together", "vllm", "xai"}
    assert ("name" in user) == (vendor in named)
    thoughts = {"reasoning", "reasoning_content"} & caller.keys()
    if vendor == "mistral":
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}
        assert caller["content"] == [thinking, {"type": "text", "text": "I look"}]
        assert thoughts == set()
    else:
        assert {name: caller[name] for name in thoughts} == _THOUGHTS.get(vendor, {"reasoning": "so"})
        assert caller["content"] == "I look"
    assert "SIG" not in json.dumps([system, user, caller])
    assert caller["tool_calls"][0]["id"] == result["tool_call_id"]
    knows = {"azure", "llama.cpp", "openrouter", "vllm", "xai"}
    assert refusal == (
        {"role": "assistant", "content": None, "refusal": "I will not"}
        if vendor in knows
        else {"role": "assistant", "content": "I will not"}
    )


@vendors
def test_tools_and_formats_are_what_the_vendor_knows(vendor: str) -> None:
    document, losses = encode(FULL, vendor)
    strict = document["tools"][0]["function"].get("strict")
    assert strict == (None if vendor in {"deepseek", "ollama", "together"} else True)
    assert document.get("tool_choice") == {"mistral": "any", "ollama": None}.get(vendor, "required")
    kind = document["response_format"]["type"]
    assert kind == ("json_object" if vendor == "deepseek" else "json_schema")
    told = {loss.path for loss in losses}
    assert ("output_format" in told) == (vendor == "deepseek")
    assert ("tool_choice" in told) == (vendor == "ollama")
    assert {"top_k"} & told == ({"top_k"} if "top_k" not in document else set())


@pytest.mark.parametrize(
    ("vendor", "asked", "sent"),
    [
        ("openrouter", {"reasoning_budget": 2000}, {"reasoning": {"max_tokens": 2000}}),
        ("openrouter", {"reasoning_mode": "disabled"}, {"reasoning": {"effort": "none"}}),
        ("openrouter", {"reasoning_budget": 2000, "reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ("fireworks", {"reasoning_budget": 2000}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        ("fireworks", {"reasoning_budget": 500}, {"reasoning_effort": "low"}),
        ("deepseek", {"reasoning_mode": "disabled"}, {"thinking": {"type": "disabled"}}),
        ("deepseek", {"reasoning_budget": 2048}, {"reasoning_effort": "low"}),
        ("together", {"reasoning_effort": "none"}, {"reasoning": {"enabled": False}}),
        ("together", {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ("groq", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
        ("vllm", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}),
    ],
)
def test_reasoning_is_asked_for_as_the_vendor_knows_it(vendor: str, asked: Any, sent: Any) -> None:
    request = Request(model="m", turns=FULL.turns[:2], origin=Origin(protocol="elsewhere"), **asked)
    document, _ = encode(request, vendor)
    assert {
        key: value for key, value in document.items() if key in ("reasoning", "thinking", "reasoning_effort")
    } == sent
    back = decode(document, vendor)
    if "reasoning_budget" in asked and "reasoning_effort" not in sent and "effort" not in sent.get("reasoning", {}):
        assert back.reasoning_budget == asked["reasoning_budget"]
    assert encode(back, vendor)[0] == document


def test_a_clients_own_request_is_made_to_fit_too() -> None:
    """An OpenAI SDK in front of Mistral: what it would be refused for goes, and is told."""
    document = {
        "model": "m",
        "messages": [
            {"role": "developer", "content": "be brief"},
            {
                "role": "user",
                "name": "ann",
                "content": [{"type": "text", "text": "hi", "cache_control": {"type": "x"}}],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "reasoning_content": "so",
                "parsed": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}", "parsed_arguments": {}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "r"},
        ],
        "max_completion_tokens": 5,
        "stop": "x",
        "seed": 1,
        "store": True,
        "min_tokens": 3,
        "mirostat": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "custom", "custom": {"name": "f"}}],
        "tool_choice": "required",
    }
    encoded = PROTOCOL.encode_request(PROTOCOL.decode_request(document), dialect="mistral")
    sent = wire(encoded.document)
    id_ = sent["messages"][3]["tool_call_id"]
    assert len(id_) == 9
    assert sent == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}],
                "tool_calls": [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": id_, "content": "r"},
        ],
        "max_tokens": 5,
        "stop": ["x"],
        "random_seed": 1,
        "min_tokens": 3,
        "stream": True,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "parameters": {
                        "type": "object",
                        "properties": {"input": {"type": "string"}},
                        "required": ["input"],
                    },
                },
            }
        ],
        "tool_choice": "any",
    }
    told = {loss.path for loss in encoded.losses}
    assert {"store", "ext.mirostat", "stream_usage", "turns[0].role", "turns[1].name", "tools[0]"} <= told
    assert encoded.context is not None
    assert (encoded.context.call_ids, encoded.context.custom_tools) == ({id_: "call_1"}, {"f"})


def test_a_legacy_conversation_becomes_one_of_tools_where_functions_are_unknown() -> None:
    document = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
        "functions": [{"name": "f", "parameters": {"type": "object"}}],
        "function_call": "auto",
    }
    request = PROTOCOL.decode_request(document)
    assert encode(request, "groq")[0]["functions"] == document["functions"]
    sent = encode(request, "vllm")[0]
    assert violations(sent) == []
    assert "functions" not in sent
    assert "function_call" not in sent
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]


def test_choices_that_a_vendor_cannot_make_are_said_as_near_as_can_be() -> None:
    tools = (FunctionTool(name="f"), FunctionTool(name="g", kind="custom"))
    for choice, vendor, sent in (
        (ToolSubset(mode="required", names=("f",)), "groq", "required"),
        (ToolSubset(mode="auto", names=("f",)), "mistral", "auto"),
        (NamedTool(name="g", kind="custom"), "vllm", {"type": "function", "function": {"name": "g"}}),
        (NamedTool(name="g", kind="custom"), "azure", {"type": "custom", "custom": {"name": "g"}}),
    ):
        request = Request(model="m", turns=FULL.turns[:2], tools=tools, tool_choice=choice, origin=Origin(protocol="e"))
        document, losses = encode(request, vendor)
        assert document["tool_choice"] == sent
        assert ("tool_choice" in {loss.path for loss in losses}) == (sent in ("required", "auto"))


def test_media_of_a_user_stay_beside_the_text() -> None:
    image = Media(kind="image", source=Base64("aQ=="), mime="image/png")
    request = Request(model="m", turns=(Turn(role="user", parts=(Text(text="a"), image)),), origin=Origin(protocol="e"))
    for vendor in VENDORS:
        content = encode(request, vendor)[0]["messages"][0]["content"]
        assert [part["type"] for part in content] == ["text", "image_url"]


def test_media_that_a_vendor_has_no_place_for_are_told_also_in_results() -> None:
    sound = Media(kind="audio", source=Base64("aQ=="), mime="audio/wav")
    look = ToolCall(id="call_1", name="f", arguments=JsonText("{}"))
    turns = (
        Turn(role="user", parts=(Text(text="a"), sound)),
        Turn(role="assistant", parts=(look,)),
        Turn(role="tool", parts=(ToolResult(call_id="call_1", parts=(Text(text="r"), sound)),)),
    )
    request = Request(model="m", turns=turns, origin=Origin(protocol="elsewhere"))
    document, losses = encode(request, "groq")
    assert "audio" not in json.dumps(document)
    told = {loss.path for loss in losses if loss.severity is Severity.SEMANTIC}
    assert told == {"turns[0].parts[1]", "turns[2].parts[0].parts[1]"}
    assert "input_audio" in json.dumps(encode(request, "mistral")[0])


def test_members_of_mistrals_thoughts_are_told_where_they_have_no_place() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "so"}], "closed": True}
    document = {"model": "m", "messages": [{"role": "assistant", "content": [thinking, {"type": "text", "text": "a"}]}]}
    request = PROTOCOL.decode_request(document)
    assert encode(request, "mistral")[0] == document
    sent, losses = encode(request, "deepseek")
    assert sent["messages"] == [
        {"role": "assistant", "reasoning_content": "so", "content": [{"type": "text", "text": "a"}]}
    ]
    assert [loss.path for loss in losses] == ["turns[0].parts[0].ext.closed"]


# -- where it is asked -----------------------------------------------------------------------------------------------

ENDPOINTS = {
    "azure": "https://RESOURCE.openai.azure.com/openai/v1/chat/completions",
    "cerebras": "https://api.cerebras.ai/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/v1/chat/completions",
    "fireworks": "https://api.fireworks.ai/inference/v1/chat/completions",
    "groq": "https://api.groq.com/openai/v1/chat/completions",
    "mistral": "https://api.mistral.ai/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "together": "https://api.together.ai/v1/chat/completions",
    "xai": "https://api.x.ai/v1/chat/completions",
}


@vendors
def test_the_base_url_and_the_route_make_the_endpoint(vendor: str) -> None:
    base = DIALECTS[vendor].base_url
    route = PROTOCOL.route(Operation.GENERATE, stream=False, model="m", dialect=vendor)
    assert route is not None
    if base:
        assert Address(base).url(route.path) == ENDPOINTS[vendor]
    else:
        assert vendor in {"llama.cpp", "ollama", "vllm"}
        assert route.path == "/v1/chat/completions"


async def _app(scope: Any, receive: Any, send: Any) -> None: ...


def test_an_unknown_dialect_is_refused_when_the_translator_is_made() -> None:
    for speaks, dialect in (("openai-chat", "klingon"), ("anthropic", "1999-01-01"), ("anthropic", "mistral")):
        with pytest.raises(ConfigurationError, match=f"{speaks} has no dialect '{dialect}'; known: ''"):
            Translator(_app, speaks=speaks, dialect=dialect)
    for speaks in registry.names():
        with pytest.raises(ConfigurationError, match=f"{speaks} has no dialect 'klingon'"):
            Translator(_app, speaks=speaks, dialect="klingon")
        for dialect in registry.get(speaks).dialects:
            Translator(_app, speaks=speaks, dialect=dialect)


def test_convert_refuses_it_too() -> None:
    body = {"model": "m", "messages": []}
    with pytest.raises(ConfigurationError):
        convert(body, kind="request", source="openai-chat", target="anthropic", target_dialect="klingon")
    with pytest.raises(ConfigurationError):
        convert(body, kind="request", source="openai-chat", target="anthropic", source_dialect="klingon")


def test_one_vendors_document_becomes_anothers() -> None:
    body = {"model": "m", "random_seed": 1, "max_tokens": 5, "messages": [{"role": "user", "content": "a"}]}
    ways = {"source": "openai-chat", "target": "openai-chat"}
    sent = convert(body, kind="request", source_dialect="mistral", target_dialect="groq", **ways)  # type: ignore[arg-type]
    assert json.loads(sent.body) == {
        "model": "m",
        "seed": 1,
        "max_completion_tokens": 5,
        "messages": [{"role": "user", "content": "a"}],
    }
    assert sent.losses == ()


def test_a_loss_names_the_vendor() -> None:
    _, losses = encode(FULL, "groq")
    reasons = {loss.path: loss.reason for loss in losses}
    assert reasons["logit_bias"] == "groq has no logit_bias"
    assert [loss.kind for loss in losses if loss.path == "reasoning_effort"] == [LossKind.CLAMPED]
    assert replace(FULL, origin=Origin(protocol="openai-chat")).ext is UNSET
