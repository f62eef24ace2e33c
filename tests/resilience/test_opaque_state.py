"""Opaque state through retries, key pools and failover: a tool loop goes on where its thoughts were minted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.resilience import Failover, Retry
from ds2api_asgi.testing import Driver
from ds2api_asgi.testing.scripted import ScriptedUpstream, json_script
from ds2api_asgi.translator import Translator
from minters import MintingUpstream

pytestmark = pytest.mark.anyio

TOOL_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ANSWERS: dict[str, list[Any]] = {
    "openai-responses": [
        [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}],
             "encrypted_content": "ENC1"},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "w", "arguments": '{"city":"Paris"}'},
        ],
        [
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "ENC2"},
            {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "w", "arguments": '{"city":"Lima"}'},
        ],
        [
            {"type": "message", "id": "msg_1", "role": "assistant",
             "content": [{"type": "output_text", "text": "Done.", "annotations": []}]},
        ],
    ],
    "anthropic": [
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "SIG1"},
            {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"city": "Paris"}},
        ],
        [
            {"type": "redacted_thinking", "data": "RED"},
            {"type": "tool_use", "id": "toolu_2", "name": "w", "input": {"city": "Lima"}},
        ],
        [{"type": "text", "text": "Done."}],
    ],
}  # fmt: skip


def failing(app: Any, *statuses: int) -> Any:
    """The app, but its first calls fail with these."""
    left = list(statuses)
    refusals = {status: ScriptedUpstream([json_script({"error": {"message": "no"}}, status=status)] * 9)
                for status in set(statuses)}  # fmt: skip

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and left:
            await refusals[left.pop(0)](scope, receive, send)
        else:
            await app(scope, receive, send)

    return wrapped


def pooled(upstream: MintingUpstream) -> Any:
    """One account with two keys: the first is limited, the second has a bad moment."""
    flaky = failing(upstream, 429, 500)
    pool = KeyPool(flaky, protocol=upstream.protocol, keys=["key-one", "key-two"], strategy="round-robin")
    return Translator(Retry(pool, protocol=upstream.protocol, backoff=0.01), speaks=upstream.protocol)


def failing_over(upstream: MintingUpstream) -> Any:
    """Two regions of one provider, which read each other's state: one is down from the second request on."""
    calls = 0

    async def dying(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        await (upstream if calls == 1 else failing(upstream, 503))(scope, receive, send)

    apps = [dying, upstream]
    return Translator(Failover(apps, protocol=upstream.protocol, backoff=0.01), speaks=upstream.protocol)


def failing_over_above(upstream: MintingUpstream) -> Any:
    """The same with a translator around each region."""
    flaky = failing(upstream, 503, 503)
    apps = [Translator(app, speaks=upstream.protocol, origin="family/account") for app in (flaky, upstream)]
    return Failover(apps, backoff=0.01)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("chain", [pooled, failing_over, failing_over_above])
async def test_an_anthropic_client_keeps_the_state_of_responses(
    chain: Callable[[MintingUpstream], Any], stream: bool
) -> None:
    upstream = MintingUpstream("openai-responses", ANSWERS["openai-responses"])
    driver = Driver(chain(upstream))
    messages: list[Any] = [{"role": "user", "content": "q"}]
    said: list[Any] = []
    for _ in range(3):
        asked = {
            "model": "m",
            "max_tokens": 4000,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tools": [{"name": "w", "input_schema": TOOL_SCHEMA}],
            "messages": messages,
            "stream": stream,
        }
        answer = await driver.request("POST", "/v1/messages", json=asked)
        assert answer.status == 200, answer.body
        said = _blocks(answer.body) if stream else answer.json()["content"]
        messages.append({"role": "assistant", "content": said})
        uses = [block for block in said if block["type"] == "tool_use"]
        if not uses:
            break
        results = [{"type": "tool_result", "tool_use_id": use["id"], "content": use["input"]["city"]} for use in uses]
        messages.append({"role": "user", "content": results})
    assert [block["text"] for block in said if block["type"] == "text"] == ["Done."]
    assert upstream.problems == []
    assert b"ds2.1." not in json.dumps(upstream.asked).encode()
    assert [item["encrypted_content"] for item in upstream.asked[-1]["input"] if item.get("type") == "reasoning"] == [
        "ENC1",
        "ENC2",
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("chain", [pooled, failing_over, failing_over_above])
async def test_a_responses_client_keeps_the_state_of_anthropic(
    chain: Callable[[MintingUpstream], Any], stream: bool
) -> None:
    upstream = MintingUpstream("anthropic", ANSWERS["anthropic"])
    driver = Driver(chain(upstream))
    items: list[Any] = [{"role": "user", "content": "q"}]
    output: list[Any] = []
    for _ in range(3):
        asked = {
            "model": "m",
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "high", "summary": "auto"},
            "tools": [{"type": "function", "name": "w", "parameters": TOOL_SCHEMA}],
            "input": items,
            "stream": stream,
        }
        answer = await driver.request("POST", "/v1/responses", json=asked)
        assert answer.status == 200, answer.body
        events = SseParser().feed(answer.body) if stream else []
        output = (json.loads(events[-1].data)["response"] if stream else answer.json())["output"]
        calls = [item for item in output if item["type"] == "function_call"]
        items += output
        if not calls:
            break
        items += [{"type": "function_call_output", "call_id": call["call_id"], "output": "r"} for call in calls]
    assert [item["content"][0]["text"] for item in output if item["type"] == "message"] == ["Done."]
    assert upstream.problems == []
    assert b"ds2.1." not in json.dumps(upstream.asked).encode()
    assert all(document["thinking"]["type"] == "adaptive" for document in upstream.asked)


def _blocks(body: bytes) -> list[Any]:
    """The blocks of a stream as Anthropic's SDK accumulates them."""
    blocks: list[Any] = []
    arguments: dict[int, str] = {}
    for event in SseParser().feed(body):
        data = json.loads(event.data)
        match data["type"]:
            case "content_block_start":
                blocks.append(data["content_block"])
            case "content_block_delta":
                delta, block = data["delta"], blocks[data["index"]]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] = delta["signature"]
                    case "input_json_delta":
                        index = data["index"]
                        arguments[index] = arguments.get(index, "") + delta["partial_json"]
    for index, text in arguments.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return blocks
