"""A translator in front of a vendor: conversations that cross, in the vendor's spelling, and come back."""

from __future__ import annotations

from typing import Any

import pytest

from dialogues import ANTHROPIC_HEADERS
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from ds2api_asgi.testing.scripted import event_script
from ds2api_asgi.translator import Translator
from ds2api_asgi.universal import jsontext

pytestmark = pytest.mark.anyio

TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
ANTHROPIC = {"model": "m", "max_tokens": 64, "top_k": 5, "tools": [TOOL], "tool_choice": {"type": "any"}}


def answered(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


async def test_an_anthropic_client_makes_a_tool_loop_with_mistral() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    calls = [{"id": "D681PevKs", "function": {"name": "look", "arguments": "{}"}, "index": 0}]
    upstream = ScriptedUpstream(
        [
            json_script(answered(content=[thinking, {"type": "text", "text": "I look"}], tool_calls=calls)),
            json_script(answered(content="seen")),
        ]
    )
    driver = Driver(Translator(upstream, speaks="openai-chat", dialect="mistral"), headers=ANTHROPIC_HEADERS)
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_01AAAA", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01AAAA", "content": "nothing"}]},
    ]
    first = await driver.request("POST", "/v1/messages", json={**ANTHROPIC, "messages": history})
    blocks = first.json()["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert first.json()["stop_reason"] == "tool_use"
    result = {"type": "tool_result", "tool_use_id": blocks[2]["id"], "content": "it"}
    history += [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
    second = await driver.request("POST", "/v1/messages", json={**ANTHROPIC, "messages": history})
    assert second.status == 200
    one, two = (request.json() for request in upstream.requests)
    assert (one["max_tokens"], one["top_k"], one["tool_choice"]) == (64, 5, "any")
    assert two["messages"][:3] == one["messages"]  # a cached prefix stays one
    ids = [call["id"] for message in two["messages"] for call in message.get("tool_calls", ())]
    assert ids[1] == "D681PevKs"
    assert [message["tool_call_id"] for message in two["messages"] if message["role"] == "tool"] == ids
    assert all(len(id_) == 9 for id_ in ids)


async def test_a_client_of_the_same_protocol_is_made_to_fit_too() -> None:
    upstream = ScriptedUpstream([json_script(answered(content="hi")), json_script({"object": "list", "data": []})])
    driver = Driver(Translator(upstream, speaks="openai-chat", dialect="groq"))
    asked = {
        "model": "m",
        "max_tokens": 5,
        "logprobs": True,
        "messages": [{"role": "user", "name": "a", "content": "x"}],
    }
    answer = await driver.request("POST", "/v1/chat/completions", json=asked)
    assert answer.json() == answered(content="hi")
    sent = {"model": "m", "max_completion_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    assert upstream.requests[0].json() == sent
    await driver.request("GET", "/v1/models")
    assert upstream.requests[1].path == "/v1/models"


async def test_calls_come_back_in_the_shape_that_the_client_knows() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "run", "arguments": '{"input":"ls"}'}}]
    upstream = ScriptedUpstream([json_script(answered(tool_calls=calls, content=None))], repeat=True)
    driver = Driver(Translator(upstream, speaks="openai-chat", dialect="vllm"))
    asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    custom = {**asked, "tools": [{"type": "custom", "custom": {"name": "run"}}]}
    message = (await driver.request("POST", "/v1/chat/completions", json=custom)).json()["choices"][0]["message"]
    assert message["tool_calls"] == [{"id": "c1", "type": "custom", "custom": {"name": "run", "input": "ls"}}]
    legacy = {**asked, "functions": [{"name": "run", "parameters": {"type": "object"}}]}
    choice = (await driver.request("POST", "/v1/chat/completions", json=legacy)).json()["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": None, "function_call": calls[0]["function"]}
    assert choice["finish_reason"] == "function_call"


async def test_a_stream_of_the_same_protocol_keeps_what_it_says() -> None:
    def chunk(finish_reason: Any = None, **delta: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    chunks = [chunk(role="assistant", reasoning="hm"), chunk(content="hi"), chunk("stop")]
    upstream = ScriptedUpstream([event_script(*chunks, done=True)])
    driver = Driver(Translator(upstream, speaks="openai-chat", dialect="groq"))
    asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    answer = await driver.request("POST", "/v1/chat/completions", json=asked)
    assert b'"reasoning":"hm"' in answer.body
    assert b'"content":"hi"' in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_the_losses_are_refused_where_the_policy_says_so() -> None:
    upstream = ScriptedUpstream([json_script(answered(content="hi"))])
    driver = Driver(Translator(upstream, speaks="openai-chat", dialect="groq", on_loss="reject"))
    asked = {"model": "m", "logprobs": True, "messages": [{"role": "user", "content": "x"}]}
    answer = await driver.request("POST", "/v1/chat/completions", json=asked)
    assert (answer.status, answer.json()["error"]["param"]) == (400, "logprobs")
    assert not upstream.requests


async def test_without_a_dialect_a_client_of_the_same_protocol_passes_untouched() -> None:
    upstream = ScriptedUpstream([json_script(answered(content="hi"))])
    driver = Driver(Translator(upstream, speaks="openai-chat"))
    body = b'{ "model":"m",  "messages":[{"role":"user","content":"x"}],"odd":1.0}'
    await driver.request("POST", "/v1/chat/completions", body=body)
    assert upstream.requests[0].body == body


async def test_a_chat_client_asks_perplexity() -> None:
    begun = {"id": "resp_1", "object": "response", "created_at": 1, "model": "perplexity/sonar", "output": []}
    found = {"type": "search_results", "queries": ["q"], "results": [{"id": 1, "url": "https://a.example"}]}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    events = [
        {"type": "response.created", "response": {**begun, "status": "in_progress"}},
        {"type": "response.reasoning.started", "thought": "hm"},
        {"type": "response.output_item.added", "output_index": 0, "item": found},
        {"type": "response.output_item.done", "output_index": 0, "item": found},
        {"type": "response.output_item.added", "output_index": 1, "item": said},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "hi"},
        {"type": "response.completed", "response": {**begun, "status": "completed"}},
    ]
    upstream = ScriptedUpstream([event_script(*events)])
    driver = Driver(Translator(upstream, speaks="openai-responses", dialect="perplexity"))
    asked = {"model": "m", "stream": True, "user": "u", "messages": [{"role": "user", "content": "x"}]}
    answer = await driver.request("POST", "/v1/chat/completions", json=asked)
    assert upstream.requests[0].path == "/v1/responses"
    assert jsontext.loads(upstream.requests[0].body).keys() == {"model", "stream", "input"}
    assert b'"content":"hi"' in answer.body
    assert b'"finish_reason":"stop"' in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")
