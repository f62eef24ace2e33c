"""L13: what an official SDK sends back of an answer is, to the upstream that gave it, its own history.

Let r be an upstream's answer with opaque state, m what the SDK of another protocol puts into its history when it got
the translation of r, whole or as a stream: the translation of the next request has r in the upstream's own form, all
payloads byte for byte and in their places. The upstreams mint and check (`minters`): what is missing, altered or moved
is refused. Three answers with a loop of tools between.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ds2api_asgi.translator import Translator
from minters import MintingUpstream
from replaying import CLIENTS, client_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

SECRET = b"s" * 32


def _chat(*calls: tuple[str, str], sign: bool = True) -> list[Any]:
    return [
        {
            "id": id_,
            "type": "function",
            "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
            **({"extra_content": {"google": {"thought_signature": f"SIG{id_}=="}}} if sign else {}),
        }
        for id_, city in calls
    ]


ANSWERS: dict[str, list[Any]] = {
    "anthropic": [
        [
            {"type": "thinking", "thinking": "First I look.", "signature": "c2lnMQ=="},
            {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
            {"type": "text", "text": "Looking it up."},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"city": "Lima"}},
        ],
        [
            {"type": "thinking", "thinking": "", "signature": "c2lnMi1vbWl0dGVk"},
            {"type": "text", "text": "One more."},
            {"type": "thinking", "thinking": "Interleaved.", "signature": "c2lnMw=="},
            {"type": "tool_use", "id": "toolu_3", "name": "get_weather", "input": {"city": "Oslo"}},
        ],
        [{"type": "thinking", "thinking": "Done", "signature": "c2lnNA=="}, {"type": "text", "text": "It is sunny."}],
        [{"type": "text", "text": "Bye."}],
    ],
    "openai-responses": [
        [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [
                    {"type": "summary_text", "text": "**Look**"},
                    {"type": "summary_text", "text": "**Then call**"},
                ],
                "encrypted_content": "gAAAA1",
            },
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "phase": "commentary",
                "content": [{"type": "output_text", "text": "Looking it up.", "annotations": []}],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "get_weather",
                "arguments": '{"city":"Paris"}',
                "status": "completed",
            },
        ],
        [
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA2"},
            {
                "type": "function_call",
                "id": "fc_2",
                "call_id": "call_2",
                "name": "get_weather",
                "arguments": '{"city":"Lima"}',
                "status": "completed",
            },
            {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "gAAAA3"},
            {
                "type": "function_call",
                "id": "fc_3",
                "call_id": "call_3",
                "name": "get_weather",
                "arguments": '{"city":"Oslo"}',
                "status": "completed",
            },
        ],
        [
            {"type": "reasoning", "id": "rs_4", "summary": [], "encrypted_content": "gAAAA4"},
            {
                "type": "message",
                "id": "msg_4",
                "role": "assistant",
                "status": "completed",
                "phase": "final_answer",
                "content": [{"type": "output_text", "text": "It is sunny.", "annotations": []}],
            },
        ],
        [
            {
                "type": "message",
                "id": "msg_5",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Bye.", "annotations": []}],
            },
        ],
    ],
    "gemini": [
        [
            {"text": "I think about it.", "thought": True},
            {"text": "Looking it up."},
            {
                "functionCall": {"name": "get_weather", "args": {"city": "Paris"}},
                "thoughtSignature": "c2lnbmF0dXJlLTE=",
            },
            {"functionCall": {"name": "get_weather", "args": {"city": "Lima"}}},
        ],
        [
            {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2lnLTI="},
        ],
        [{"text": "It is sunny.", "thoughtSignature": "c2lnLTM="}],
        [{"text": "Bye."}],
    ],
    "openai-chat": [
        {
            "content": "Looking it up.",
            "reasoning_content": "I think.",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "I think.", "signature": "S1", "format": "anthropic", "index": 0},
                {"type": "reasoning.encrypted", "data": "D1", "format": "anthropic", "index": 1},
            ],
            "tool_calls": _chat(("call_1", "Paris"), ("call_2", "Lima")),
        },
        {"content": None, "tool_calls": _chat(("call_3", "Oslo"))},
        {
            "content": "It is sunny.",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "D2", "format": "x", "index": 0}],
        },
        {"content": "Bye."},
    ],
    "ollama": [
        {
            "content": "Looking it up.",
            "thinking": "I think.",
            "tool_calls": [
                {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}},
                {"function": {"name": "get_weather", "arguments": {"city": "Lima"}}},
            ],
        },
        {"content": "", "thinking": "On.", "tool_calls": [{"function": {"name": "get_weather", "arguments": {}}}]},
        {"content": "It is sunny."},
        {"content": "Bye."},
    ],
}
PAIRS = [(client, upstream) for client in CLIENTS for upstream in ANSWERS if client != upstream]


async def converse(client: Any, answers: int) -> None:
    """The user asks, tools answer, until the upstream has nothing more to say."""
    client.say("What is the weather?")
    for turn in range(answers):
        calls = await client.answer()
        for call, arguments in calls:
            client.result(call, f"{arguments} is sunny")
        if not calls and turn < answers - 1:
            client.say(f"And then? {turn}")


@pytest.mark.parametrize("secret", [None, SECRET], ids=["hint", "signed"])
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_an_answer_comes_back_as_the_upstream_gave_it(
    client: str, upstream: str, anyio_backend: str, *, streams: bool, secret: bytes | None
) -> None:
    minting = MintingUpstream(upstream, ANSWERS[upstream])
    app = Translator(minting, speaks=upstream, secret=secret)
    async with client_of(client, app, streams=streams) as sdk:
        try:
            await converse(sdk, len(minting.answers))
        finally:
            assert minting.problems == []
    assert len(minting.asked) == len(minting.answers)


CHAINS = [
    (client, middle, upstream)
    for client in CLIENTS
    for middle in CLIENTS
    for upstream in ("anthropic", "openai-responses", "gemini", "openai-chat")
    if client != middle != upstream
]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "middle", "upstream"), CHAINS)
async def test_an_answer_comes_back_through_two_translators(
    client: str, middle: str, upstream: str, anyio_backend: str, *, streams: bool
) -> None:
    answers = ANSWERS[upstream]
    if middle in ("anthropic", "openai-responses"):  # they take no thought back that has no payload
        answers = [_without_bare_thoughts(upstream, answer) for answer in answers]
    minting = MintingUpstream(upstream, answers)
    app = Translator(Translator(minting, speaks=upstream), speaks=middle)
    async with client_of(client, app, streams=streams) as sdk:
        try:
            await converse(sdk, len(minting.answers))
        finally:
            assert minting.problems == []
    assert len(minting.asked) == len(minting.answers)


def _without_bare_thoughts(upstream: str, answer: Any) -> Any:
    if upstream == "gemini":
        return [part for part in answer if not part.get("thought") or "thoughtSignature" in part]
    if upstream == "openai-chat":
        return {name: value for name, value in answer.items() if name != "reasoning_content"}
    return answer
