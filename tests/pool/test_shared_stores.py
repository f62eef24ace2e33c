"""Stores of several processes over one ledger: together they are as one store, and alone they go on."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool import (
    Ask,
    Empty,
    EmptyReason,
    Key,
    KeyState,
    Lease,
    MemoryStore,
    Outcome,
    RateLimits,
    RoundRobin,
    Secret,
    Spent,
)
from ds2api_asgi.pool.book import MAX_MODELS
from ds2api_asgi.pool.health import Event, Lane
from ds2api_asgi.pool.keys import as_keys
from ds2api_asgi.pool.shared.ledger import Change, Seen, Status, Step
from ds2api_asgi.pool.shared.mirror import Mirror
from ds2api_asgi.pool.shared.records import lane_of, text_of
from ds2api_asgi.pool.shared.redis import RedisKeyStore
from ds2api_asgi.pool.shared.sqlite import SQLiteKeyStore
from ds2api_asgi.pool.shared.store import SharedStore

TTL = 64.0
SPENT = [Spent(), Spent(tokens=0, called=False), Spent(tokens=0), Spent(tokens=5), Spent(tokens=60)]
RATE, SERVED = Outcome(event=Event.RATE), Outcome(event=Event.SERVED)
_names = (f"shared-{os.getpid()}-{number}" for number in itertools.count())


def key(alias: str, **options: Any) -> Key:
    return Key(secret=Secret(f"sk-{alias}-secret"), alias=alias, **options)


KEYS = as_keys([key("a"), key("b", quota_scope="org"), key("c", quota_scope="org", weight=2.0)])
ORG = {"limits": RateLimits(rpm=6, tpd=100, concurrency=3), "model_limits": {"m1": RateLimits(rpd=9, concurrency=2)}}
LIMITED = as_keys(
    [
        key("a", limits=RateLimits(rpm=3, tpm=40)),
        key("b", quota_scope="org", **ORG),
        key("c", quota_scope="org", weight=2.0, **ORG),
    ]
)


class World:
    """Stores over one ledger, and the clock that they share."""

    def __init__(self, kind: str, place: str) -> None:
        self.kind = kind
        self.place = place
        self.name = next(_names)
        self.now = 1_764_000_000.0
        self.stores: list[Any] = []

    def store(self, keys: Any = KEYS, limit: int | None = None, total: int | None = None, **options: Any) -> Any:
        options = {
            "name": self.name,
            "lease_ttl": TTL,
            "timeout": 30.0,
            "clock": lambda: self.now,
            "rng": Random(1),
            **options,
        }
        make: Any = SQLiteKeyStore if self.kind == "sqlite" else RedisKeyStore
        store = make(self.place, **options)
        store.join(as_keys(keys), strategy=RoundRobin(), max_concurrency=limit, max_total=total)
        self.stores.append(store)
        return store

    async def close(self) -> None:
        for store in self.stores:
            if self.kind == "sqlite":
                store.close()
            else:
                await store.aclose()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "keys.db")
    return "redis", request.getfixturevalue("redis_url")


@asynccontextmanager
async def world_at(place: tuple[str, str]) -> AsyncIterator[World]:
    world = World(*place)
    try:
        yield world
    finally:
        await world.close()


on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def lease_of(store: Any, model: str | None = "m", *tried: str) -> Lease:
    lease = await store.acquire(Ask(model=model, tried=frozenset(tried)))
    assert isinstance(lease, Lease), lease
    return lease


async def refusal(store: Any, model: str | None = "m") -> tuple[EmptyReason, float | None]:
    empty = await store.acquire(Ask(model=model))
    assert isinstance(empty, Empty), empty
    return empty.reason, empty.retry_after


async def use(store: Any, outcome: Outcome, model: str | None = "m") -> str:
    lease = await lease_of(store, model)
    await store.report(lease, outcome)
    await store.release(lease)
    return lease.key


async def states(store: Any) -> dict[str, KeyState]:
    return {report.alias: report.state for report in await store.snapshot()}


@pytest.mark.anyio
@on_asyncio
async def test_a_keys_concurrency_holds_for_all_processes_together(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        one, two = (world.store([key("a")], limit=2) for _ in range(2))
        first, second = await lease_of(one), await lease_of(two)
        for store in (one, two):
            assert await refusal(store) == (EmptyReason.BUSY, 1.0)
        await one.release(first)
        await lease_of(two)
        assert isinstance(await one.acquire(Ask(model="m")), Empty)
        await two.release(second)
        await lease_of(one)


@pytest.mark.anyio
@on_asyncio
async def test_what_one_process_learns_of_a_key_the_others_know(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        one, two = (world.store([key("a")]) for _ in range(2))
        first, second = await lease_of(one), await lease_of(two)
        assert await one.report(first, Outcome(event=Event.RATE, seconds=10.0))
        assert not await two.report(second, RATE)  # the same news
        assert await refusal(two) == (EmptyReason.COOLING, 10.0)
        world.now += 10
        probe = await lease_of(two)
        assert await refusal(one) == (EmptyReason.BUSY, 1.0)
        await two.report(probe, SERVED)
        await lease_of(one)


@pytest.mark.anyio
@on_asyncio
async def test_a_restart_keeps_cooldowns_and_an_operators_word(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        before = world.store()
        assert await use(before, Outcome(event=Event.RATE, seconds=100.0)) == "a"
        await before.switch("c", on=False)
        world.now += 40
        after = world.store()
        assert await states(after) == {"a": KeyState.COOLING, "b": KeyState.ACTIVE, "c": KeyState.DISABLED}
        assert (await after.snapshot())[0].until == 60.0
        await after.switch("a", on=True)
        assert (await states(before))["a"] is KeyState.ACTIVE


@pytest.mark.anyio
@on_asyncio
async def test_keys_may_be_added_to_a_pool_with_a_name(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        await use(world.store([key("a")]), Outcome(event=Event.RATE, seconds=100.0))
        more = world.store([key("z"), key("a")])
        assert await states(more) == {"z": KeyState.ACTIVE, "a": KeyState.COOLING}


@pytest.mark.anyio
@on_asyncio
async def test_pools_without_a_name_do_not_mix(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        await use(world.store([key("a"), key(world.name)], name=None), Outcome(event=Event.RATE, seconds=100.0))
        other = world.store([key("a"), key(f"{world.name}-other")], name=None)
        assert set((await states(other)).values()) == {KeyState.ACTIVE}
        same = world.store([key("a"), key(world.name)], name=None)
        assert (await states(same))["a"] is KeyState.COOLING


@pytest.mark.anyio
@on_asyncio
async def test_a_process_that_dies_gives_its_leases_and_its_probes_back(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        dying, other = (world.store([key("a")], limit=1) for _ in range(2))
        await use(dying, Outcome(event=Event.RATE, seconds=5.0))
        world.now += 5
        await lease_of(dying)  # a probe, and nobody hears of it again
        world.now += TTL - 1
        assert await refusal(other) == (EmptyReason.BUSY, 1.0)
        world.now += 1
        probe = await lease_of(other)
        await other.report(probe, SERVED)
        assert await states(other) == {"a": KeyState.ACTIVE}


@pytest.mark.anyio
@on_asyncio
async def test_a_lease_that_is_renewed_lasts(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        one, two = (world.store([key("a")], limit=1) for _ in range(2))
        lease = await lease_of(one)
        for _ in range(5):
            world.now += TTL - 1
            await one.renew(lease)
        assert isinstance(await two.acquire(Ask(model="m")), Empty)
        assert await one.report(lease, RATE)
        world.now += TTL
        assert not await one.report(lease, Outcome(event=Event.QUOTA))  # it is no more
        await one.renew(lease)
        assert [report.in_flight for report in await two.snapshot()] == [0]


@pytest.mark.anyio
@on_asyncio
async def test_what_clients_name_does_not_fill_the_ledger(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        one, two = (world.store([key("a"), key("b")]) for _ in range(2))
        for number in range(6 * MAX_MODELS):
            await use((one, two)[number % 2], Outcome(event=Event.FORBIDDEN), f"model-{number}")
        await use(one, Outcome(event=Event.FORBIDDEN), "x" * 1_000_000)
        await use(one, Outcome(event=Event.FORBIDDEN), "\ud800")
        late = world.store([key("a"), key("b")])
        stores = [store for store in (one, two, late) if await store.snapshot()]
        books = [set(store._link.mirror.roster._books.remembered) for store in stores]
        assert all(len(models) <= MAX_MODELS for models in books)
        assert books[0] == books[1] == books[2]
        assert max(map(len, books[0])) < 100


@pytest.mark.anyio
@on_asyncio
async def test_a_probe_that_serves_and_then_fails_in_its_stream_sends_the_key_back_to_rest(
    place: tuple[str, str],
) -> None:
    async with world_at(place) as world:
        one, two = (world.store([key("a")]) for _ in range(2))
        await use(one, Outcome(event=Event.RATE, seconds=5.0))
        world.now += 5
        probe = await lease_of(one)
        await one.report(probe, SERVED)
        assert await one.report(probe, Outcome(event=Event.RATE, seconds=9.0))
        assert await refusal(two) == (EmptyReason.COOLING, 9.0)


class Before:
    """A ledger in front of which something else happens first."""

    def __init__(self, store: SharedStore) -> None:
        self._ledger = store._link._ledger
        store._link._ledger = self
        self.clock = self._ledger.clock
        self.calls: list[Callable[[], Any]] = []

    def at_once(self, step: Step) -> Seen | None:
        return None

    async def step(self, step: Step) -> Seen:
        if self.calls:
            await self.calls.pop(0)()
        return self._ledger.at_once(step) or await self._ledger.step(step)

    def open(self, pool: str) -> None:
        raise AssertionError("it is open")


@pytest.mark.anyio
@on_asyncio
async def test_of_two_who_act_at_once_one_sees_what_the_other_did(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        one, two = (world.store([key("a"), key("b")]) for _ in range(2))
        before = Before(one)
        first, second = await lease_of(one), await lease_of(two)
        assert first.key == second.key == "a"
        # Both failures are the same news, whoever comes second.
        before.calls.append(lambda: two.report(second, Outcome(event=Event.RATE, seconds=30.0)))
        assert not await one.report(first, RATE)
        lane = one._link.mirror.roster.lane(one._link.mirror.roster.scope_of(0), "m")
        assert (lane.strikes, lane.until) == (1, world.now + 30)
        # A key that is switched off while it is chosen is not leased.
        before.calls.append(lambda: two.switch("b", on=False))
        assert await refusal(one) == (EmptyReason.COOLING, 30.0)
        # Of two who would probe, one does.
        world.now += 30
        probes: list[Lease] = []

        async def probe() -> None:
            probes.append(await lease_of(two))

        before.calls.append(probe)
        assert await refusal(one) == (EmptyReason.BUSY, 1.0)
        await two.report(probes[0], SERVED)
        assert await lease_of(one)


@pytest.mark.anyio
@on_asyncio
async def test_a_lease_that_ends_while_a_step_is_made_is_counted_once(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        store = world.store([key("a")])
        await lease_of(store)
        before = Before(store)

        async def pass_time() -> None:
            world.now += TTL

        before.calls.append(pass_time)
        kept = await lease_of(store)
        store._link.start()
        assert store._link.mirror.roster.seats[0].in_flight == 1
        await store.release(kept)
        assert [report.in_flight for report in await store.snapshot()] == [0]


def test_an_older_answer_never_replaces_what_a_newer_one_said() -> None:
    mirror = Mirror(KEYS, strategy=RoundRobin(), rng=Random(1), max_concurrency=None, max_total=None)

    def tell(sequence: int, version: int, state: KeyState, *, whole: bool = False) -> None:
        lane = text_of(Lane(state=state, until=1e9, changed=version, strikes=version))
        mirror.absorb(
            Seen(
                status=Status.DONE, epoch="one", sequence=sequence, now=0.0, whole=whole,
                changes=[Change(name="k:a", text=lane, version=version)], all_counts=False, counts=[], sums=[],
                windows=[], parts=[],
            )
        )  # fmt: skip

    tell(3, 3, KeyState.COOLING, whole=True)
    tell(9, 9, KeyState.DISABLED)
    tell(5, 5, KeyState.COOLING)
    found = mirror.roster.lane(0, None)
    assert found is not None
    assert (found.state, found.strikes, mirror.cursor) == (KeyState.DISABLED, 9, 9)


class Follow:
    """Chooses whom it is told to, if that key can be chosen, or else anyone."""

    def __init__(self) -> None:
        self.wanted: int | None = None

    def lineup(self, rng: Random) -> Any:
        return _Followers(self, {})


class _Followers:
    def __init__(self, leader: Follow, seats: dict[int, Any]) -> None:
        self.leader = leader
        self.seats = seats

    def add(self, seat: Any) -> None:
        self.seats[seat.index] = seat

    def discard(self, seat: Any) -> None:
        self.seats.pop(seat.index, None)

    def pick(self, tried: Any, ask: Ask = Ask()) -> Any:  # noqa: B008 - frozen
        if self.leader.wanted is not None:
            return self.seats.get(self.leader.wanted)
        return next((seat for seat in self.seats.values() if seat.index not in tried), None)

    def copy(self) -> Any:
        return _Followers(self.leader, self.seats.copy())


class Together(RuleBasedStateMachine):
    """Two stores in any order: each answer is one that a single store could have given at that moment."""

    portal: Any
    place: Callable[[], tuple[str, str]]
    limit: int | None
    keys: tuple[Key, ...]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*self.place())
        self.both = [self.store() for _ in range(2)]
        self.leader = Follow()
        self.single = MemoryStore(clock=lambda: self.world.now)
        self.single.join(self.keys, strategy=self.leader, max_concurrency=self.limit, max_total=4)
        self.open: list[tuple[int, Lease, Lease, float]] = []  # whose, the lease, the single store's, its end

    def store(self) -> Any:
        return self.world.store(self.keys, limit=self.limit, total=4, timeout=5.0)

    def call(self, store: Any, name: str, *arguments: Any, **options: Any) -> Any:
        async def call() -> Any:
            return await getattr(store, name)(*arguments, **options)

        return self.portal.call(call)

    @rule(seconds=st.sampled_from([0.0, 1.0, 30.0, TTL, 601.0, 3_601.0, 86_401.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds
        for entry in list(self.open):
            if entry[3] <= self.world.now:
                self.open.remove(entry)
                self.call(self.single, "release", entry[2])

    @rule(
        who=st.integers(0, 1),
        model=st.sampled_from(["m1", "m2", None]),
        tried=st.sets(st.sampled_from("abc"), max_size=2),
        tokens=st.sampled_from([0, 7, 30]),
    )
    def acquire(self, who: int, model: str | None, tried: set[str], tokens: int) -> None:
        ask = Ask(model=model, tried=frozenset(tried), tokens=tokens)
        lease = self.call(self.both[who], "acquire", ask)
        self.leader.wanted = None if isinstance(lease, Empty) else "abc".index(lease.key)
        single = self.call(self.single, "acquire", ask)
        if isinstance(lease, Empty):
            assert lease == single
        else:
            assert isinstance(single, Lease), "no key could be leased"
            assert lease.key == single.key
            self.open.append((who, lease, single, self.world.now + TTL))

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        event=st.sampled_from([Event.RATE, Event.QUOTA, Event.REFUSED, Event.FORBIDDEN, Event.SERVED]),
        seconds=st.none() | st.sampled_from([2.0, 90.0]),
    )
    def report(self, data: st.DataObject, event: Event, seconds: float | None) -> None:
        who, lease, single, _ = data.draw(st.sampled_from(self.open))
        outcome = Outcome(event=event, seconds=seconds, soft=seconds if event is Event.SERVED else None)
        assert self.call(self.both[who], "report", lease, outcome) == self.call(self.single, "report", single, outcome)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), spent=st.sampled_from(SPENT))
    def release(self, data: st.DataObject, spent: Spent) -> None:
        entry = data.draw(st.sampled_from(self.open))
        self.open.remove(entry)
        self.call(self.both[entry[0]], "release", entry[1], spent)
        self.call(self.single, "release", entry[2], spent)

    @rule(who=st.integers(0, 1), alias=st.sampled_from("abc"), on=st.booleans())
    def operator(self, who: int, alias: str, on: bool) -> None:
        for store in (self.both[who], self.single):
            self.call(store, "switch", alias, on=on)

    @rule(who=st.integers(0, 1))
    def restart(self, who: int) -> None:
        if all(entry[0] != who for entry in self.open):
            self.both[who] = self.store()

    @invariant()
    def both_know_the_same(self) -> None:
        reports = [self.call(store, "snapshot") for store in (*self.both, self.single)]
        told = [[(r.alias, r.state, r.until, r.models, r.in_flight) for r in report] for report in reports]
        assert told[0] == told[1] == told[2]

    def teardown(self) -> None:
        self.portal.call(self.world.close)


@pytest.mark.parametrize(("keys", "limit"), [(KEYS, None), (KEYS, 1), (KEYS, 2), (LIMITED, None), (LIMITED, 2)])
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_two_stores_are_together_as_one(
    kind: str, keys: Any, limit: int | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""
    files = (str(tmp_path / f"{number}.db") for number in itertools.count())
    place = staticmethod(lambda: (kind, url or next(files)))
    with start_blocking_portal() as portal:
        machine = type("Machine", (Together,), {"portal": portal, "place": place, "keys": keys, "limit": limit})
        run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=30, deadline=None))


@pytest.mark.anyio
@on_asyncio
async def test_in_a_crowd_no_key_is_used_beyond_its_limit_and_all_get_through(place: tuple[str, str]) -> None:
    async with world_at(place) as world:
        # Whoever finds no key moves the clock on: no lease may grow old by that.
        keys = [key("a"), key("b"), key("c")]
        stores = [world.store(keys, limit=2, timeout=10.0, lease_ttl=1e6) for _ in range(3)]
        flying: Counter[str] = Counter()
        most: Counter[str] = Counter()
        done = 0

        async def work(store: Any, number: int) -> None:
            nonlocal done
            while True:
                lease = await store.acquire(Ask(model=f"m{number % 2}"))
                if isinstance(lease, Lease):
                    break
                world.now += 0.25
                await anyio.sleep(0.001)
            flying[lease.key] += 1
            most[lease.key] = max(most[lease.key], flying[lease.key])
            await anyio.sleep(0.001)
            await store.report(lease, Outcome(event=Event.RATE, seconds=1.0) if number % 7 == 0 else SERVED)
            flying[lease.key] -= 1
            await store.release(lease)
            done += 1

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for number in range(90):
                    group.start_soon(work, stores[number % 3], number)
        assert done == 90
        assert max(most.values()) <= 2
        assert [report.in_flight for report in await stores[0].snapshot()] == [0, 0, 0]


@pytest.mark.anyio
@on_asyncio
@pytest.mark.parametrize("pause", [0.0, 0.0005, 0.002])
async def test_who_is_cancelled_while_a_key_is_leased_holds_none(place: tuple[str, str], pause: float) -> None:
    async with world_at(place) as world:
        store = world.store(limit=50, lease_ttl=1e6)  # Redis lets keys expire by a clock of its own
        await store.snapshot()
        held: list[Lease] = []

        async def work() -> None:
            held.append(await lease_of(store))

        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(work)
            await anyio.sleep(pause)
            group.cancel_scope.cancel()
        assert sum(report.in_flight for report in await store.snapshot()) == len(held)


@pytest.mark.anyio
@on_asyncio
async def test_a_native_cancellation_leaves_nothing_either(redis_url: str) -> None:
    import asyncio

    async with world_at(("redis", redis_url)) as world:
        store, other = world.store(limit=5), world.store(limit=5)
        await store.snapshot()
        cancelled = 0
        for turns in range(6):
            task = asyncio.ensure_future(store.acquire(Ask(model="m")))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await store.release(await task)
            except asyncio.CancelledError:
                cancelled += 1
        assert cancelled
        await store.snapshot()
        await anyio.sleep(0.05)
        assert sum(report.in_flight for report in await other.snapshot()) == 0


@pytest.mark.anyio
async def test_sqlite_runs_on_trio_and_redis_says_that_it_cannot(anyio_backend: str, tmp_path: Path) -> None:
    async with world_at(("sqlite", str(tmp_path / "keys.db"))) as world:
        assert await use(world.store(), SERVED) == "a"
    if anyio_backend == "trio":
        pytest.importorskip("redis")
        store = World("redis", "redis://127.0.0.1:1/0").store()
        with pytest.raises(ConfigurationError, match="trio"):
            await store.acquire(Ask())


def test_a_store_serves_one_loop_after_another(place: tuple[str, str]) -> None:
    world = World(*place)
    store = world.store()

    async def work() -> str:
        return await use(store, SERVED)

    assert [anyio.run(work) for _ in range(3)] == ["a", "b", "c"]
    anyio.run(world.close)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_is_one_of_its_own(place: tuple[str, str]) -> None:
    world = World(*place)
    store = world.store([key("a")], limit=1)
    held: list[Lease] = []

    async def lease() -> None:
        held.append(await lease_of(store))

    anyio.run(lease)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - in the child
        try:

            async def look() -> bytes:
                found = await store.acquire(Ask(model="m"))
                await store.release(held[0])  # another process's
                again = await store.acquire(Ask(model="m"))
                return f"{found.reason.value} {again.reason.value}".encode()

            os.write(writer, anyio.run(look))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"busy busy"
    os.waitpid(child, 0)

    async def release() -> None:
        await store.release(held[0])
        await lease_of(store)
        await world.close()

    anyio.run(release)


lanes = st.builds(
    Lane,
    state=st.sampled_from(KeyState),
    until=st.floats(allow_nan=False),
    soft_until=st.floats(allow_nan=False),
    changed=st.integers(0, 2**53),
    probe=st.none() | st.integers(1, 2**62),
    strikes=st.integers(0, 100),
    cause=st.none() | st.sampled_from(Event),
    doubted=st.floats(allow_nan=False),
)


@given(lanes)
def test_a_lane_comes_back_from_its_text_as_it_was(lane: Lane) -> None:
    assert lane_of(text_of(lane), "" if lane.probe is None else str(lane.probe)) == lane
