"""Errors under a success status: what `Retry`, `Failover` and `KeyPool` make of a 200 whose body is an error."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.facts import Judged
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.hidden import MAX_JUDGED, judge_of
from ds2api_asgi.resilience import Failover, Retry
from ds2api_asgi.testing.driver import Driver
from ds2api_asgi.universal.failure import Fault
from shared import corpus_items, needs_shared

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


HIDDEN = {
    "openai-chat": {"error": {"code": 503, "message": "busy"}},
    "openai-responses": {
        "id": "r",
        "object": "response",
        "status": "failed",
        "error": {"code": "server_error", "message": "busy"},
    },
    "openai-responses 2": {"error": {"message": "busy", "type": "server_error"}},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
    "anthropic 2": {"error": {"type": "overloaded_error", "message": "busy"}},
    "gemini": {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
    "gemini 2": [{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}],
    "ollama": {"error": "server busy, please try again"},
}
ASKED = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
    "ollama": "/api/chat",
}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("indent", [None, 2])
async def test_every_protocols_errors_under_200_are_tried_again_and_else_have_a_true_status(stage, name, indent):
    protocol = name.partition(" ")[0]
    failing, good = stage.answer(json.dumps(HIDDEN[name], indent=indent).encode()), stage.answer(b'{"good": "error"}')

    async def put(*scenes: Any, **terms: Any) -> tuple[Any, Any]:
        app = stage.Actor(*scenes)
        pool = KeyPool(app, protocol=protocol, keys=["sk-one", "sk-two"])
        retry = Retry(pool, protocol=protocol, backoff=0.0, rng=Random(1), **terms)
        body = {"model": "m", "stream": False}
        headers = {"anthropic-version": "2023-06-01"}
        return app, await Driver(retry).request("POST", ASKED[protocol], json=body, headers=headers)

    app, answer = await put(failing, good)
    assert (answer.status, answer.body, app.calls) == (200, b'{"good": "error"}', 2)
    _, answer = await put(failing, max_attempts=1)
    assert answer.status >= 500
    assert "busy" in answer.text


CORPUS = {
    "openai-chat": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic": "anthropic_messages",
    "gemini": "gemini",
    "ollama": "ollama_chat",
}


@needs_shared
@pytest.mark.parametrize("protocol", CORPUS)
@pytest.mark.parametrize("indent", [None, 2])
def test_no_genuine_answer_is_judged_an_error(protocol, indent):
    judge = judge_of(registry.get(protocol), b"application/json")
    assert judge is not None
    items = [item for item in corpus_items(CORPUS[protocol], "response") if (item.get("status") or 200) < 300]
    assert len(items) > 10
    for item in items:
        body = item["body"]
        failed = isinstance(body, dict) and (body.get("status") == "failed" or bool(body.get("error")))
        found = judge(json.dumps(body, indent=indent).encode())
        assert failed or found is None, item["id"]


@pytest.mark.parametrize("protocol", ASKED)
@given(text=st.text(st.sampled_from('"\\error:{}[]failed ,'), max_size=40))
def test_no_text_makes_an_answer_an_error(protocol, text):
    judge = judge_of(registry.get(protocol), b"application/json")
    assert judge is not None
    for document in (
        {
            "error": None,
            "status": "completed",
            "choices": [{"message": {"content": text}}],
            "a": {"error": {"m": text}},
        },
        {
            "content": [{"type": "text", "text": text}],
            "type": "message",
            "output": [{"error": text, "status": "failed"}],
        },
        {"candidates": [{"content": {"parts": [{"text": text}]}}], "message": {"content": text}, "done": True},
    ):
        assert judge(json.dumps(document).encode()) is None


def test_only_protocols_that_declare_it_have_a_judge(stage):
    assert judge_of(stage.protocol, b"application/json") is None
    assert judge_of(registry.get("openai-chat"), b"application/json; charset=utf-8") is not None
    assert judge_of(registry.get("openai-chat"), None) is None
