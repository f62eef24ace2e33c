"""Retry around the real key pool."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ds2api_asgi.asgi.facts import Attempted
from ds2api_asgi.asgi.headers import find
from ds2api_asgi.pool import KeyPool

pytestmark = pytest.mark.anyio

STREAM = b'{"stream": true}'
WHOLE = b"data: c1\n\ndata: end\n\n"


def pooled(stage: Any, scenes: dict[bytes, Any]) -> tuple[Any, Any]:
    """An app that acts by the key it is asked with, and a pool around it."""

    async def by_key(scope: Any, receive: Any, send: Any) -> None:
        await scenes[find(scope["headers"], b"x-api-key") or b""](scope, receive, send)

    app = stage.Actor(by_key)
    keys = [key.decode() for key in scenes]
    return app, KeyPool(app, protocol=stage.protocol, keys=keys, strategy="round-robin", rng=Random(1))


def limited(stage: Any, seconds: bytes) -> Any:
    return stage.error(429, "rate", headers=[(b"retry-after", seconds)])


async def test_a_limited_and_a_refused_key_are_passed_over_without_a_pause(stage):
    scenes = {
        b"key-one": limited(stage, b"30"),
        b"key-two": stage.error(401, "auth"),
        b"key-three": stage.stream(WHOLE),
    }
    app, pool = pooled(stage, scenes)
    answer = await stage.ask(stage.retry(pool))
    assert (answer.status, answer.body, app.calls) == (200, WHOLE, 3)
    assert [fact.after for fact in app.facts(Attempted)] == [0.0] * 3


async def test_when_every_key_is_limited_the_client_hears_how_long(stage):
    app, pool = pooled(stage, {b"key-one": limited(stage, b"30"), b"key-two": limited(stage, b"20")})
    answer = await stage.ask(stage.retry(pool))
    assert (answer.status, app.calls) == (429, 2)
    assert answer.header("x-should-retry") == "false"
    assert int(answer.header("retry-after")) <= 30


async def test_failover_leaves_an_empty_pool_at_once(stage):
    app, pool = pooled(stage, {b"key-one": limited(stage, b"5")})
    other = stage.Actor(stage.answer(b"{}"))
    assert (await stage.ask(stage.failover([stage.retry(pool), other]))).status == 200
    assert (app.calls, other.calls) == (1, 1)
    assert [fact.after for fact in other.facts(Attempted)] == [0.0] * len(other.facts(Attempted))
