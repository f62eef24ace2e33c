"""What other pools get wrong, one line each: here it must not happen.

The projects are named where their source shows it: ds2api, gpt-load, CLIProxyAPI, LLM-API-Key-Proxy, uni-api, LiteLLM.
"""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ds2api_asgi.asgi.exchange import KEY
from ds2api_asgi.asgi.facts import Caller, Unreachable
from ds2api_asgi.pool import (
    Affinity,
    Ask,
    Empty,
    Key,
    KeyPool,
    KeyState,
    Lease,
    LeastUsed,
    MemoryStore,
    RateLimits,
    Secret,
)
from ds2api_asgi.pool.gauge import NOTHING_SENT
from ds2api_asgi.pool.health import Event, Outcome
from ds2api_asgi.pool.keys import as_keys
from ds2api_asgi.pool.queue import Queue, Round, Waiter
from ds2api_asgi.pool.strategies import RoundRobin, Strategy
from ds2api_asgi.pool.survey import EmptyReason
from ds2api_asgi.resilience import Retry
from pools import OK, ByKey, Clock, Tiny, answers, ask, scope_of

SERVED = Outcome(event=Event.SERVED)


class Shop:
    """A store with a clock, asked at once."""

    def __init__(self, *keys: Key | str, strategy: Strategy | None = None, **options: Any) -> None:
        self.now = 100.0
        self.store = MemoryStore(clock=lambda: self.now, rng=Random(2))
        self.store.join(as_keys(keys), strategy=strategy or RoundRobin(), **{"max_concurrency": None, **options})

    def ask(self, model: str = "m", *tried: str, tokens: int = 0) -> Lease | Empty:
        return self.store.acquire_now(Ask(model=model, tried=frozenset(tried), tokens=tokens))

    def lease(self, model: str = "m", *tried: str) -> Lease:
        lease = self.ask(model, *tried)
        assert isinstance(lease, Lease), lease
        return lease

    def empty(self, model: str = "m") -> Empty:
        empty = self.ask(model)
        assert isinstance(empty, Empty), empty
        return empty

    async def fails(self, event: Event = Event.RATE, seconds: float | None = None, model: str = "m") -> str:
        lease = self.lease(model)
        await self.store.report(lease, Outcome(event=event, seconds=seconds))
        self.store.release_now(lease)
        return lease.key

    async def state(self, at: int = 0) -> KeyState:
        return (await self.store.snapshot())[at].state


def named(alias: str, **options: Any) -> Key:
    return Key(secret=Secret(f"sk-{alias}"), alias=alias, **options)


def pool_of(app: Any, *keys: Any, **options: Any) -> KeyPool:
    return KeyPool(app, protocol=Tiny(), keys=keys, **{"strategy": "round-robin", "queue_timeout": 0, **options})


# --- ds2api


def test_a_wake_up_is_never_lost_to_a_waiter_that_cannot_use_the_slot() -> None:
    queue = Queue()
    pinned, free = Waiter((Ask(model="pinned"),)), Waiter((Ask(model="any"),))
    queue.join(pinned)
    queue.join(free)
    offers = Round(queue, 0.0)
    assert offers.next() is pinned
    offers.passed_over(pinned, Empty(reason=EmptyReason.BUSY))
    assert offers.next() is free


@pytest.mark.anyio
async def test_a_wake_up_is_a_reservation_and_newcomers_do_not_barge() -> None:
    pool = pool_of(OK, "k", max_concurrency=1, queue_timeout=5)
    lease = await pool._room.enter((Ask(model="m"),))
    assert isinstance(lease, Lease)
    async with anyio.create_task_group() as group:
        group.start_soon(ask, pool)
        while len(pool._room) == 0:
            await anyio.lowlevel.checkpoint()
        await pool._room.release(lease, held=0.0)
        assert isinstance(await pool._room.enter((Ask(model="m"),)), Empty)


def test_a_second_release_frees_nothing_of_other_requests() -> None:
    shop = Shop("a", max_concurrency=1)
    old = shop.lease()
    shop.store.release_now(old)
    shop.lease()
    shop.store.release_now(old)
    assert shop.empty().reason is EmptyReason.BUSY


@pytest.mark.anyio
async def test_enabling_a_key_does_not_forget_its_requests_in_flight() -> None:
    shop = Shop(named("a"), max_concurrency=1)
    lease = shop.lease()
    await shop.store.switch("a", on=False)
    await shop.store.switch("a", on=True)
    assert shop.empty().reason is EmptyReason.BUSY
    shop.store.release_now(lease)
    shop.lease()


def test_no_caller_gets_all_turns_because_he_asks_more_often() -> None:
    queue = Queue()
    for _ in range(500):
        queue.join(Waiter((Ask(caller="loud"),)))
    quiet = Waiter((Ask(caller="quiet"),))
    queue.join(quiet)
    offers, order = Round(queue, 0.0), []
    for number in range(3):
        waiter = offers.next()
        assert waiter is not None
        order.append(waiter)
        offers.served(waiter, Lease(id=number, key="k"))
    assert quiet in order


@pytest.mark.anyio
async def test_a_full_pool_says_when_to_come_again() -> None:
    pool = pool_of(OK, "k", max_concurrency=1)
    await pool._store.acquire(Ask(model="m"))
    answer = await ask(pool)
    assert (answer.status, b"retry-after" in answer.headers) == (429, True)


# --- gpt-load


class Chat:
    """An upstream of OpenAI Chat that gives each key a status, and remembers who asked."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        key = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        self.asked.append(key)
        status = self.statuses[key]
        code = {400: "invalid_request_error", 401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(status)
        error = {"message": "no", "type": "x", "code": code, "param": None}
        body = json.dumps({"error": error} if code else {"id": "1", "choices": []}).encode()
        await answers(status, body, content_type="application/json")(scope, receive, send)

    def pool(self, **options: Any) -> KeyPool:
        keys = list(self.statuses)
        return KeyPool(self, protocol="openai-chat", keys=keys, **{"strategy": "round-robin", **options})


@pytest.mark.anyio
async def test_one_bad_request_costs_one_upstream_call_and_no_key_anything() -> None:
    upstream = Chat(**{f"k{number}": 400 for number in range(50)})
    pool = upstream.pool()
    for calls in range(1, 20):
        assert (await ask(Retry(pool), scope_of(path="/v1/chat/completions"), stays=True)).status == 400
        assert len(upstream.asked) == calls
    assert {report.state for report in await pool.snapshot()} == {KeyState.ACTIVE}
    assert {report.failed for report in await pool.snapshot()} == {0}


@pytest.mark.anyio
async def test_a_small_pool_does_not_try_the_same_key_again() -> None:
    upstream = Chat(k1=401, k2=429, k3=200)
    assert (await ask(Retry(upstream.pool()), scope_of(path="/v1/chat/completions"), stays=True)).status == 200
    assert upstream.asked == ["k1", "k2", "k3"]


@pytest.mark.anyio
async def test_failures_do_not_add_up_over_successes() -> None:
    shop = Shop("a")
    for _ in range(20):
        await shop.fails(Event.RATE, 1.0)
        shop.now += 1.0
        lease = shop.lease()
        await shop.store.report(lease, SERVED)
        shop.store.release_now(lease)
        assert await shop.state() is KeyState.ACTIVE


@pytest.mark.anyio
async def test_a_dead_host_blames_no_key_and_costs_nothing_of_its_limits() -> None:
    async def dead(scope: Any, receive: Any, send: Any) -> None:
        scope[KEY].note(Unreachable(reason="refused", processed=False))
        await answers(502)(scope, receive, send)

    pool = pool_of(dead, named("a", limits=RateLimits(rpm=1, tpm=2_000)))
    assert [(await ask(pool)).status for _ in range(20)] == [502] * 20
    assert [(report.state, report.failed) for report in await pool.snapshot()] == [(KeyState.ACTIVE, 0)]


# --- CLIProxyAPI


@pytest.mark.anyio
async def test_a_hint_of_days_keeps_no_key_away_for_days() -> None:
    shop = Shop("a")
    await shop.fails(Event.RATE, 2.3e9)
    shop.now += 3_600
    shop.lease()


@pytest.mark.anyio
async def test_a_key_comes_back_by_one_probe_and_not_by_a_restart() -> None:
    shop = Shop("a")
    await shop.fails(Event.QUOTA)
    shop.now += 3_600
    probe = shop.lease()
    assert shop.empty().reason is EmptyReason.BUSY
    await shop.store.report(probe, SERVED)
    shop.lease()


@pytest.mark.anyio
async def test_a_missing_model_keeps_the_key_for_all_other_models() -> None:
    shop = Shop("a")
    await shop.fails(Event.FORBIDDEN, None, "ghost")
    shop.lease("real")
    assert (shop.empty("ghost").retry_after or 0) <= 600


ORGANISATIONS = [named(f"{org}{number}", quota_scope=org) for org in ("red", "blue") for number in range(3)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "leaves"), [(429, True), (401, False)], ids=["a rate of the organisation", "a refused key"]
)
async def test_a_conversation_yields_on_a_rest_and_stays_in_its_organisation_where_it_can(
    status: int, leaves: bool
) -> None:
    for number in range(8):
        clock = Clock()
        upstream = ByKey({key.secret.reveal(): OK for key in ORGANISATIONS})
        pool = pool_of(upstream, *ORGANISATIONS, strategy="affinity", clock=clock, conversation_header="x-session")
        talk = [(b"x-session", b"%d" % number)]
        used = []
        for script in (OK, answers(status), OK, OK):
            if upstream.asked:
                upstream.scripts[upstream.asked[0]] = script
            await ask(pool, scope_of(headers=talk))
            used.append(upstream.asked[-1])
        home, _, after, again = used
        assert used[1] == home
        assert after == again != home
        assert (after[:5] != home[:5]) is leaves
        clock.now += 86_401
        upstream.scripts[home] = OK
        for _ in range(4):  # each key that rested is probed once
            await ask(pool, scope_of(headers=talk))
        assert upstream.asked[-1] == home


@pytest.mark.anyio
async def test_a_busy_conversation_starves_nobody_and_waits_for_no_key_of_its_own() -> None:
    shop = Shop(*ORGANISATIONS, strategy=Affinity(), max_concurrency=4)
    leases = [shop.store.acquire_now(Ask(model="m", conversation="one")) for _ in range(24)]
    assert {lease.key for lease in leases if isinstance(lease, Lease)} == {key.alias for key in ORGANISATIONS}
    assert all(isinstance(lease, Lease) for lease in leases)


@pytest.mark.anyio
async def test_keys_of_one_pool_that_come_back_together_are_probed_by_one_request_each() -> None:
    shop = Shop("a", "b", "c")
    for _ in range(3):
        await shop.fails(Event.RATE, 10.0)
    shop.now += 10
    assert sorted(shop.lease().key for _ in range(3)) == sorted(report.alias for report in await shop.store.snapshot())
    assert shop.empty().reason is EmptyReason.BUSY


# --- LLM-API-Key-Proxy


@pytest.mark.anyio
async def test_a_rate_limit_without_a_hint_still_cools_and_longer_each_time() -> None:
    shop, rests = Shop("a"), []
    for _ in range(4):
        await shop.fails()
        rests.append(shop.empty().retry_after)
        shop.now += rests[-1] or 0
    assert rests == [1.0, 2.0, 4.0, 8.0]


def test_fresh_keys_are_not_hammered() -> None:
    shop = Shop(*(f"k{number}" for number in range(10)), strategy=LeastUsed())
    for _ in range(300):
        shop.lease()
    assert max(seat.in_flight for seat in shop.store._roster.seats) <= 45


# --- uni-api


@pytest.mark.anyio
async def test_a_limit_of_two_seconds_costs_two_seconds() -> None:
    shop = Shop("a")
    await shop.fails(Event.RATE, 2.0)
    assert shop.empty().retry_after == 2.0


def test_uncounting_takes_back_a_requests_own_record() -> None:
    shop = Shop(named("a", limits=RateLimits(rpm=2)))
    first = shop.lease()
    shop.now += 30
    second = shop.lease()
    shop.store.release_now(second)

    shop.store.release_now(first, NOTHING_SENT)
    shop.lease()  # the first one's place
    empty = shop.empty()
    assert 59 <= (empty.retry_after or 0) <= 61  # the second's record still counts, for a minute from its own time


# --- LiteLLM


@pytest.mark.anyio
async def test_a_longer_rest_is_not_cut_short_by_a_second_shorter_one_nor_the_other_way_round() -> None:
    for hints in ((5.0, 50.0), (50.0, 5.0)):
        shop = Shop("a")
        for lease, seconds in zip([shop.lease(), shop.lease()], hints, strict=True):
            await shop.store.report(lease, Outcome(event=Event.RATE, seconds=seconds))
        assert shop.empty().retry_after == 50.0


@pytest.mark.anyio
async def test_a_used_up_quota_is_not_asked_again_every_five_seconds() -> None:
    shop = Shop("a")
    await shop.fails(Event.QUOTA)
    shop.now += 3_000
    assert shop.empty().reason is EmptyReason.EXHAUSTED


# --- what their users ask for


@pytest.mark.anyio
async def test_a_bill_takes_a_key_out_for_an_hour_and_not_for_a_second() -> None:
    upstream, clock = Chat(k1=402, k2=200), Clock()
    pool = upstream.pool(clock=clock)
    for _ in range(4):
        assert (await ask(Retry(pool), scope_of(path="/v1/chat/completions"), stays=True)).status == 200
        clock.now += 600
    assert upstream.asked.count("k1") == 1
    assert [report.state for report in await pool.snapshot()] == [KeyState.EXHAUSTED, KeyState.ACTIVE]


@pytest.mark.anyio
async def test_an_operator_ends_the_rest_of_an_organisation_without_a_restart() -> None:
    shop = Shop(named("a", quota_scope="org"), named("b", quota_scope="org"))
    await shop.fails(Event.RATE, 3_600.0)
    await shop.fails(Event.QUOTA, 80_000.0, "other")
    assert shop.empty().reason is EmptyReason.EXHAUSTED
    await shop.store.switch("b", on=True)
    assert {shop.lease().key for _ in range(2)} == {"a", "b"}


@pytest.mark.anyio
async def test_an_answer_without_a_word_is_no_rate_limit() -> None:
    upstream = Chat(k1=200)
    pool = upstream.pool()
    answer = await ask(Retry(pool), scope_of(path="/v1/chat/completions"), stays=True)
    assert (answer.status, upstream.asked) == (200, ["k1"])
    assert [(report.state, report.failed) for report in await pool.snapshot()] == [(KeyState.ACTIVE, 0)]


# --- all of them


@pytest.mark.anyio
async def test_a_success_ends_no_rest_that_began_after_it_did() -> None:
    shop = Shop("a")
    early, failed = shop.lease(), shop.lease()
    await shop.store.report(failed, Outcome(event=Event.RATE, seconds=20.0))
    await shop.store.report(early, SERVED)
    assert await shop.state() is KeyState.COOLING


@pytest.mark.anyio
async def test_many_failures_at_once_are_one_step_of_the_ladder() -> None:
    shop = Shop("a")
    for lease in [shop.lease() for _ in range(100)]:
        await shop.store.report(lease, Outcome(event=Event.RATE))
    assert shop.empty().retry_after == 1.0


@pytest.mark.anyio
async def test_a_configured_limit_is_kept_before_the_provider_has_to_say_so() -> None:
    upstream = ByKey({"k1": OK, "k2": OK})
    limits = RateLimits(rpm=3)
    clock = Clock()
    keys = [Key(secret=Secret(secret), limits=limits) for secret in ("k1", "k2")]
    pool = pool_of(upstream, *keys, clock=clock)
    assert [(await ask(pool)).status for _ in range(8)] == [200] * 6 + [429] * 2
    assert sorted(upstream.asked) == ["k1"] * 3 + ["k2"] * 3
    clock.now += math.ceil(61)
    assert (await ask(pool)).status == 200


@pytest.mark.anyio
async def test_tokens_are_reserved_by_a_guess_and_corrected_by_the_answer() -> None:
    spent = b'{"usage": {"prompt_tokens": 10, "completion_tokens": 5}}'
    limits = RateLimits(tpm=2_000)
    pool = pool_of(answers(200, spent, content_type="application/json"), Key(secret=Secret("k1"), limits=limits))
    scope = scope_of()
    scope[KEY].note(Caller(name="c"))
    for _ in range(30):  # each reserves a thousand or so
        assert (await ask(pool, scope)).status == 200
    refused = pool_of(answers(400), Key(secret=Secret("k1"), limits=limits))
    for _ in range(50):
        assert (await ask(refused)).status == 400
    unknown = pool_of(OK, Key(secret=Secret("k1"), limits=limits))
    assert [(await ask(unknown)).status for _ in range(2)] == [200, 429]
