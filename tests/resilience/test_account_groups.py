"""Whose account answered is told, so that nobody else is given what is bound to it."""

from __future__ import annotations

from typing import Any

import pytest

from ds2api_asgi.asgi.exchange import enter
from ds2api_asgi.asgi.facts import AccountGroup
from ds2api_asgi.pool import Key, KeyPool, Secret
from ds2api_asgi.resilience import Retry
from ds2api_asgi.testing import Driver
from ds2api_asgi.testing.scripted import ScriptedUpstream, json_script
from ds2api_asgi.translator import Translator

pytestmark = pytest.mark.anyio

THOUGHT = [{"type": "thinking", "thinking": "Hm.", "signature": "SIG"}, {"type": "text", "text": "So."}]
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": THOUGHT,
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
ASKED = [{"role": "user", "content": "q"}]


@pytest.mark.parametrize(("origin", "reaches"), [("anthropic/blue", False), ("anthropic/green", True)])
async def test_state_of_the_organisation_that_a_retry_ended_at_reaches_only_that_one(
    origin: str, reaches: bool
) -> None:
    limited = json_script({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, status=429)
    upstream = ScriptedUpstream([limited, json_script(ANSWER), json_script(ANSWER)])
    keys = [Key(secret=Secret(f"sk-{scope}"), alias=scope, quota_scope=scope) for scope in ("blue", "green")]
    pool = KeyPool(upstream, protocol="anthropic", keys=keys, strategy="fill-first")
    app = Translator(Retry(pool, protocol="anthropic", backoff=0.01), speaks="anthropic", origin=origin)
    groups: list[str] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        scope, exchange = enter(scope)
        await app(scope, receive, send)
        groups.extend(fact.group for fact in exchange.all(AccountGroup))

    driver = Driver(watched)
    body = {"model": "m", "messages": ASKED}
    answer = await driver.request("POST", "/v1/chat/completions", json=body)
    assert groups == ["blue", "green"]
    message = answer.json()["choices"][0]["message"]
    body = {"model": "m", "messages": [*ASKED, message, *ASKED]}
    await driver.request("POST", "/v1/chat/completions", json=body)
    assert (b"SIG" in upstream.requests[2].body) is reaches


async def test_a_pool_with_affinity_keeps_the_key_of_a_conversation() -> None:
    upstream = ScriptedUpstream([json_script(ANSWER)] * 20)
    keys = [f"sk-{number}" for number in range(8)]
    driver = Driver(KeyPool(upstream, protocol="anthropic", keys=keys, strategy="affinity"))
    for conversation in range(10):
        first = [{"role": "user", "content": f"q{conversation}"}]
        for turns in (first, [*first, {"role": "assistant", "content": "a"}, *ASKED]):
            await driver.request("POST", "/v1/messages", json={"model": "m", "max_tokens": 9, "messages": turns})
    used = [dict(request.headers)[b"x-api-key"] for request in upstream.requests]
    assert used[0::2] == used[1::2]
    assert len(set(used)) > 1
