"""Retry around the real key pool."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest

from ds2api_asgi.asgi.facts import Attempted, Hedged, Judged, PoolEmpty, Queued
from ds2api_asgi.asgi.headers import find
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.resilience import BreakerPolicy, BreakerState, Hedge

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


async def test_a_key_that_is_back_soon_is_waited_for_and_asked_again(stage):
    async def scene(scope, receive, send):
        await (limited(stage, b"0.05") if app.calls == 1 else stage.answer(b"{}"))(scope, receive, send)

    app, pool = pooled(stage, {b"key-one": scene})
    answer = await stage.ask(stage.retry(pool))
    assert (answer.status, app.calls) == (200, 2)
    assert app.facts(Queued)  # the pool waited by itself, and we did not wait once more
    assert app.facts(PoolEmpty) == []


async def test_failover_leaves_an_empty_pool_at_once(stage):
    app, pool = pooled(stage, {b"key-one": limited(stage, b"5")})
    other = stage.Actor(stage.answer(b"{}"))
    assert (await stage.ask(stage.failover([stage.retry(pool), other]))).status == 200
    assert (app.calls, other.calls) == (1, 1)
    assert [fact.after for fact in other.facts(Attempted)] == [0.0] * len(other.facts(Attempted))


async def test_the_wait_for_a_key_is_not_taken_from_the_wait_for_the_content(stage):
    begun = anyio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await anyio.sleep(1.0)
        await stage.stream(WHOLE)(scope, receive, send)

    app = stage.Actor(slow)
    pool = KeyPool(app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1))
    retry = stage.retry(pool, first_content_timeout=1.9, max_attempts=1)
    answers = []

    async def ask():
        answers.append(await stage.ask(retry, body=STREAM))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await begun.wait()
        group.start_soon(ask)  # has its key after 1 second and its content after 2
    assert [answer.status for answer in answers] == [200, 200]


async def test_content_must_come_in_time_after_the_lease(stage):
    begun = anyio.Event()

    async def dead_after_the_first(scope, receive, send):
        first = not begun.is_set()
        begun.set()
        await anyio.sleep(0.1 if first else 30)
        await stage.stream(WHOLE)(scope, receive, send)

    app = stage.Actor(dead_after_the_first)
    pool = KeyPool(app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1))
    retry = stage.retry(pool, first_content_timeout=0.3, max_attempts=1)
    answers = []

    async def ask():
        answers.append(await stage.ask(retry, body=STREAM))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await begun.wait()
            group.start_soon(ask)
    assert [answer.status for answer in answers] == [200, 504]
    assert [fact.verdict.row for fact in app.facts(Judged)] == ["late.first-content"]


async def test_a_deadline_that_passes_in_the_queue_costs_no_call_and_no_breaker(stage):
    begun = anyio.Event()

    async def never(scope, receive, send):
        begun.set()
        await anyio.sleep(30)

    app = stage.Actor(never)
    pool = KeyPool(app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1))
    retry = stage.retry(pool, deadline=0.1, breaker=BreakerPolicy(consecutive=1))
    async with anyio.create_task_group() as group:
        group.start_soon(stage.ask, pool)
        await begun.wait()
        answer = await stage.ask(retry)
        group.cancel_scope.cancel()
    assert (answer.status, app.calls) == (504, 1)
    assert [report.failures for report in retry.breakers()] == [0]


@pytest.mark.parametrize(("held", "counts"), [(0.25, False), (0.05, True)])
async def test_a_deadline_is_held_against_an_app_only_for_the_time_that_it_had(stage, held, counts):
    begun = anyio.Event()

    async def slow(scope, receive, send):
        first = not begun.is_set()
        begun.set()
        await anyio.sleep(held if first else 30)
        await stage.answer(b"{}")(scope, receive, send)

    app = stage.Actor(slow)
    pool = KeyPool(app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1))
    retry = stage.retry(pool, deadline=0.4, breaker=BreakerPolicy(consecutive=1))
    async with anyio.create_task_group() as group:
        group.start_soon(stage.ask, pool)
        await begun.wait()
        assert (await stage.ask(retry)).status == 504
    assert app.calls == 2
    opened = [report for report in retry.breakers() if report.state is BreakerState.OPEN]
    assert bool(opened) == counts


async def test_an_attempt_that_waits_for_its_key_is_not_slow(stage):
    held = 0.0

    async def slow(scope, receive, send):
        await anyio.sleep(held)
        await stage.answer(b"{}")(scope, receive, send)

    app = stage.Actor(slow)
    pool = KeyPool(app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1))
    retry = stage.retry(pool, hedge=Hedge(least=0.05, samples=1, share=1.0))
    await stage.ask(retry)
    held = 0.2
    async with anyio.create_task_group() as group:
        group.start_soon(stage.ask, pool)
        await anyio.wait_all_tasks_blocked()
        assert app.running
        assert (await stage.ask(retry)).status == 200
    assert app.calls == 3
    assert app.facts(Queued)
    assert app.facts(Hedged) == []  # another one would only wait behind it
