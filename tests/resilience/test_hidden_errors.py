"""Errors under a success status: what `Retry`, `Failover` and `KeyPool` make of a 200 whose body is an error."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from ds2api_asgi.asgi.facts import Judged
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.hidden import MAX_JUDGED, judge_of
from ds2api_asgi.resilience import Failover, Retry
from ds2api_asgi.testing.driver import Driver
from ds2api_asgi.universal.failure import Fault

pytestmark = pytest.mark.anyio

CHOICE = {
    "index": 0,
    "message": {"role": "assistant", "content": 'an "error" is {"error": 1}'},
    "finish_reason": "stop",
}
GOOD = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}).encode()
DOWN = json.dumps({"error": {"code": 502, "message": "the model is down"}}).encode()
IN_CHOICE = json.dumps({"id": "g", "choices": [{"error": {"code": 502, "message": "down"}, "message": {}}]}).encode()
FILTERED = json.dumps(
    {"error": {"message": "filtered", "type": None, "param": "prompt", "code": "content_filter", "status": 400}}
).encode()
LIMITED = json.dumps({"error": {"code": 429, "message": "slow down"}}).encode()


async def ask(app: Any) -> Any:
    return await Driver(app).request("POST", "/v1/chat/completions", json={"model": "m", "messages": []})


def retried(app: Any, **terms: Any) -> Retry:
    return Retry(app, protocol="openai-chat", backoff=0.0, rng=Random(1), **terms)


@pytest.mark.parametrize("body", [DOWN, IN_CHOICE])
@pytest.mark.parametrize("size", [7, 1 << 16])
async def test_the_client_sees_the_second_try_and_nothing_of_the_first(stage, body, size):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    app = stage.Actor(stage.answer(*parts), stage.answer(GOOD))
    answer = await ask(retried(app))
    assert (answer.status, answer.body, app.calls) == (200, GOOD, 2)


async def test_an_error_in_one_message_with_its_end_is_seen_too(stage):
    async def at_once(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": DOWN})

    app = stage.Actor(at_once, stage.answer(GOOD))
    answer = await ask(retried(app))
    assert (answer.status, answer.body, app.calls) == (200, GOOD, 2)


async def test_when_nothing_better_comes_the_client_gets_a_true_error_status(stage):
    app = stage.Actor(stage.answer(DOWN))
    answer = await ask(retried(app, max_attempts=2))
    assert (answer.status, app.calls) == (502, 2)
    assert answer.json()["error"] == {"code": 502, "message": "the model is down"}


async def test_a_filtered_prompt_is_the_requests_fault_and_not_tried_again(stage):
    app = stage.Actor(stage.answer(FILTERED))
    answer = await ask(retried(app))
    assert (answer.status, app.calls) == (400, 1)
    assert answer.json()["error"]["code"] == "content_filter"
    assert [fact.verdict.fault for fact in app.facts(Judged)] == [Fault.REQUEST]


async def test_failover_goes_on_to_the_next_app(stage):
    first, second = stage.Actor(stage.answer(DOWN)), stage.Actor(stage.answer(GOOD))
    app = Failover([first, second], protocol="openai-chat", backoff=0.0, rng=Random(1))
    answer = await ask(app)
    assert (answer.status, answer.body, second.calls) == (200, GOOD, 1)


async def test_a_key_over_its_rate_is_not_one_that_served(stage):
    keys = []

    async def by_key(scope, receive, send):
        keys.append(dict(scope["headers"])[b"authorization"])
        await stage.answer(LIMITED if len(keys) == 1 else GOOD)(scope, receive, send)

    app = stage.Actor(by_key)
    pool = KeyPool(app, protocol="openai-chat", keys=["sk-one", "sk-two"], strategy="round-robin", rng=Random(1))
    answer = await ask(retried(pool))
    assert (answer.status, answer.body) == (200, GOOD)
    assert len(set(keys)) == 2
    judged = app.facts(Judged)
    assert [(fact.by, fact.status, fact.verdict.fault) for fact in judged] == [("pool", 0, Fault.RATE)]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"error": "' + b"x" * MAX_JUDGED + b'"}', ()),
        (DOWN, [(b"content-encoding", b"gzip")]),
        (GOOD, ()),
    ],
    ids=["too large", "encoded", "good"],
)
async def test_what_cannot_be_told_passes_as_it_is(stage, body, headers):
    app = stage.Actor(stage.answer(body, headers=headers))
    answer = await ask(retried(KeyPool(app, protocol="openai-chat", keys=["sk-one"])))
    assert (answer.status, answer.body, app.calls) == (200, body, 1)


async def test_other_content_is_never_read(stage):
    async def text(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": DOWN})

    answer = await ask(retried(stage.Actor(text)))
    assert (answer.status, answer.body) == (200, DOWN)


def test_only_protocols_that_declare_it_have_a_judge(stage):
    assert judge_of(registry.get("anthropic"), b"application/json") is None
    assert judge_of(stage.protocol, b"application/json") is None
    assert judge_of(registry.get("openai-chat"), b"application/json; charset=utf-8") is not None
    assert judge_of(registry.get("openai-chat"), None) is None
