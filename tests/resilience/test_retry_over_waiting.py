"""Retry around a pool whose only key rests or is in use, on trio's virtual clock."""

from __future__ import annotations

from random import Random

import anyio
import pytest
import trio.testing

from ds2api_asgi.asgi.facts import Hedged, Judged, PoolEmpty, Queued
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.resilience import BreakerPolicy, BreakerState, Hedge

pytestmark = pytest.mark.anyio

STREAM = b'{"stream": true}'
WHOLE = b"data: c1\n\ndata: end\n\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def stage(stage):
    stage.clock = trio.current_time
    return stage


def pool_of_one(stage, app):
    return KeyPool(
        app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1), clock=trio.current_time
    )


async def test_a_key_that_is_back_soon_is_waited_for_and_asked_again(stage):
    async def scene(scope, receive, send):
        rests = stage.error(429, "rate", headers=[(b"retry-after", b"0.05")])
        await (rests if app.calls == 1 else stage.answer(b"{}"))(scope, receive, send)

    app = stage.Actor(scene)
    answer = await stage.ask(stage.retry(pool_of_one(stage, app)))
    assert (answer.status, app.calls) == (200, 2)
    assert app.facts(Queued)  # the pool waited by itself, and we did not wait once more
    assert app.facts(PoolEmpty) == []


async def test_the_wait_for_a_key_is_not_taken_from_the_wait_for_the_content(stage):
    begun = anyio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await anyio.sleep(0.3)
        await stage.stream(WHOLE)(scope, receive, send)

    app = stage.Actor(slow)
    pool = KeyPool(
        app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1), clock=trio.current_time
    )
    retry = stage.retry(pool, first_content_timeout=0.45, max_attempts=1)
    answers = []

    async def ask():
        answers.append(await stage.ask(retry, body=STREAM))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await begun.wait()
        group.start_soon(ask)  # has its key after 0.3 seconds and its content after 0.6
    assert [answer.status for answer in answers] == [200, 200]


async def test_content_must_come_in_time_after_the_lease(stage):
    begun = anyio.Event()

    async def dead_after_the_first(scope, receive, send):
        first = not begun.is_set()
        begun.set()
        await anyio.sleep(0.1 if first else 30)
        await stage.stream(WHOLE)(scope, receive, send)

    app = stage.Actor(dead_after_the_first)
    pool = KeyPool(
        app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1), clock=trio.current_time
    )
    retry = stage.retry(pool, first_content_timeout=0.3, max_attempts=1)
    answers = []

    async def ask():
        answers.append(await stage.ask(retry, body=STREAM))

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
    pool = KeyPool(
        app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1), clock=trio.current_time
    )
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
    pool = KeyPool(
        app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1), clock=trio.current_time
    )
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
    pool = KeyPool(
        app, protocol=stage.protocol, keys=["key-one"], max_concurrency=1, rng=Random(1), clock=trio.current_time
    )
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
