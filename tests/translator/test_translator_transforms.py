"""Transforms: what a model prints becomes what clients of every protocol know, those of the app's own too."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import ResponseOutputItem

from conformity import problems
from dialogues import (
    HEADERS,
    PATHS,
    ended_well,
    events_of,
    openai_answer,
    openai_frames,
    request_in,
    responses_answer,
    responses_frames,
    streamed,
    text_of,
)
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from ds2api_asgi.transforms import TextTools, ThinkTags
from ds2api_asgi.translator import Translator

PRINTED = "<think>two and two</think>four"
CLIENTS = ("anthropic", "openai-chat")


def _driver(client: str, app: Any) -> Driver:
    return Driver(Translator(app, speaks="openai-chat", transforms=[ThinkTags()]), headers=HEADERS[client])


def _thought_and_text(client: str, document: dict[str, Any]) -> tuple[str, str]:
    if client == "openai-chat":
        message = document["choices"][0]["message"]
        return message["reasoning_content"], message["content"]
    thinking, text = document["content"]
    return thinking["thinking"], text["text"]


@pytest.mark.anyio
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_printed_thought_is_reasoning_in_a_whole_answer(client: str) -> None:
    upstream = ScriptedUpstream([json_script(openai_answer(PRINTED))])
    answer = await _driver(client, upstream).request("POST", PATHS[client], json=request_in(client))
    assert _thought_and_text(client, answer.json()) == ("two and two", "four")


@pytest.mark.anyio
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", [1, 3, 100])
async def test_a_printed_thought_is_reasoning_in_a_stream(client: str, size: int) -> None:
    words = [PRINTED[start : start + size] for start in range(0, len(PRINTED), size)]
    upstream = ScriptedUpstream([streamed(*openai_frames(*words))])
    answer = await _driver(client, upstream).request("POST", PATHS[client], json=request_in(client, stream=True))
    assert text_of(client, answer.body) == "four"
    assert "two and two" in _thoughts(client, answer.body)
    assert ended_well(client, answer.body)


def _thoughts(client: str, body: bytes) -> str:
    events = events_of(body)
    if client == "anthropic":
        return "".join(event.get("delta", {}).get("thinking", "") for event in events)
    deltas = [choice["delta"] for event in events for choice in event.get("choices", ())]
    return "".join(delta.get("reasoning_content") or "" for delta in deltas)


@pytest.mark.anyio
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_stream_is_folded_through_transforms_once(client: str) -> None:
    upstream = ScriptedUpstream([streamed(*openai_frames("<think>two and two</think>", "four"))])
    answer = await _driver(client, upstream).request("POST", PATHS[client], json=request_in(client))
    assert _thought_and_text(client, answer.json()) == ("two and two", "four")


@pytest.mark.anyio
async def test_what_transforms_have_nothing_to_do_with_passes_untouched() -> None:
    models = {"object": "list", "data": [], "vendor": 1.50}
    upstream = ScriptedUpstream([json_script(models)])
    answer = await _driver("openai-chat", upstream).request("GET", "/v1/models")
    assert answer.json() == models


@pytest.mark.anyio
async def test_a_client_of_the_apps_own_protocol_keeps_its_own_headers_and_members() -> None:
    upstream = ScriptedUpstream([json_script(openai_answer("four"))])
    request = request_in("openai-chat", vendor={"a": 1.50})
    driver = Driver(
        Translator(upstream, speaks="openai-chat", transforms=[ThinkTags()]),
        headers={"authorization": "Bearer sk-client", "openai-beta": "x=1"},
    )
    answer = await driver.request("POST", "/v1/chat/completions", json=request)
    (asked,) = upstream.requests
    assert answer.status == 200
    assert asked.json() == request
    assert (asked.header("authorization"), asked.header("openai-beta")) == ("Bearer sk-client", "x=1")


TOOL = {"type": "function", "name": "get", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CALL = '<tool_calls><invoke name="get"><parameter name="city">Paris</parameter></invoke></tool_calls>'


@pytest.mark.anyio
@pytest.mark.parametrize("answered", ["whole", "folded", "streamed"])
@pytest.mark.parametrize(
    ("printed", "kinds"),
    [
        (f"<think>hm</think>I look.\n{CALL}", ["reasoning", "message", "function_call"]),
        (f"{CALL}\nThat was it.", ["function_call", "message"]),
        (f"One {CALL} two", ["message", "function_call", "message"]),
        (CALL, ["function_call"]),
        ("<think>on and on", ["reasoning"]),
        ("just words", ["message"]),
    ],
)
async def test_items_made_of_an_item_of_the_clients_own_protocol_are_items(
    answered: str, printed: str, kinds: list[str]
) -> None:
    script = json_script(responses_answer(printed)) if answered == "whole" else streamed(*responses_frames(printed))
    upstream = ScriptedUpstream([script])
    app = Translator(upstream, speaks="openai-responses", transforms=[TextTools(), ThinkTags()])
    asked = request_in("openai-responses", stream=answered == "streamed", tools=[TOOL])
    answer = await Driver(app, headers=HEADERS["openai-responses"]).request("POST", "/v1/responses", json=asked)
    output = events_of(answer.body)[-1]["response"]["output"] if answered == "streamed" else answer.json()["output"]
    assert [item["type"] for item in output] == kinds
    assert [problem for item in output for problem in problems(item, ResponseOutputItem)] == []
    ids = [item["id"] for item in output]
    assert [id_.partition("_")[0] for id_ in ids] == [PREFIXES[kind] for kind in kinds]
    assert len(set(ids)) == len(ids)
    assert "msg_1" in ids or "message" not in kinds  # the text's own id stays with it
    assert all(item["status"] == "completed" for item in output)
    if answered == "streamed":
        events = events_of(answer.body)
        assert [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"] == ids
        assert {event["item_id"] for event in events if "item_id" in event} == set(ids)


PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc"}


ITEMS = [
    {"role": "user", "content": "hello"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
    {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get", "arguments": '{"city":"Paris"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "again"}]},
    {"type": "function_call", "id": "fc_2", "call_id": "c2", "name": "get", "arguments": '{"city":"Lima"}'},
    {"type": "function_call_output", "call_id": "c2", "output": "rainy"},
]


@pytest.mark.anyio
async def test_a_history_of_items_is_told_as_the_model_said_it() -> None:
    upstream = ScriptedUpstream([json_script(openai_answer())])
    app = Translator(upstream, speaks="openai-chat", transforms=[TextTools(), ThinkTags()])
    asked = {"model": "m", "input": ITEMS, "tools": [TOOL]}
    await Driver(app, headers=HEADERS["openai-responses"]).request("POST", "/v1/responses", json=asked)
    messages = upstream.requests[0].json()["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[2]["content"].startswith("<think>hm</think>I look.\n\n<tool_calls>")
    assert messages[4]["content"].startswith("<think>again</think>")
    assert "Lima" in messages[4]["content"]


@pytest.mark.anyio
async def test_items_that_became_words_have_no_id_of_another_kind() -> None:
    upstream = ScriptedUpstream([json_script(responses_answer())])
    app = Translator(upstream, speaks="openai-responses", transforms=[TextTools(), ThinkTags()])
    asked = {"model": "m", "input": ITEMS, "tools": [TOOL]}
    await Driver(app, headers=HEADERS["openai-responses"]).request("POST", "/v1/responses", json=asked)
    items = upstream.requests[0].json()["input"]
    assert {item.get("type", "message") for item in items} == {"message"}
    assert [item["id"] for item in items if "id" in item] == ["msg_1"]


@pytest.mark.anyio
async def test_calls_of_a_model_with_tools_keep_their_ids_behind_thoughts_in_words() -> None:
    upstream = ScriptedUpstream([json_script(responses_answer())])
    app = Translator(upstream, speaks="openai-responses", transforms=[ThinkTags()])
    asked = {"model": "m", "input": ITEMS, "tools": [TOOL]}
    await Driver(app, headers=HEADERS["openai-responses"]).request("POST", "/v1/responses", json=asked)
    items = upstream.requests[0].json()["input"]
    assert [(item.get("type", "message"), item.get("id")) for item in items] == [
        ("message", None),
        ("message", "msg_1"),
        ("function_call", "fc_1"),
        ("function_call_output", None),
        ("message", None),
        ("function_call", "fc_2"),
        ("function_call_output", None),
    ]
