"""Succession: a pool of other keys goes on with what is known of those that both have, and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ds2api_asgi.pool import Ask, FillFirst, Key, KeyPool, KeyReport, KeyState, Lease, MemoryStore, RateLimits, Secret
from ds2api_asgi.pool.gauge import Spent
from ds2api_asgi.pool.health import Event, Outcome
from ds2api_asgi.pool.keys import as_keys
from pools import ByKey, Clock, Tiny, answers, ask

MODELS = [None, "m1", "m2", "m3"]
SPENT = [Spent(), Spent(tokens=0, called=False), Spent(tokens=5), Spent(tokens=60)]
FAILURES = [Event.RATE, Event.QUOTA, Event.REFUSED, Event.FORBIDDEN]
ORG: dict[str, Any] = {
    "quota_scope": "org",
    "limits": RateLimits(rpm=6, tpd=200, concurrency=4),
    "model_limits": {"m2": RateLimits(rpd=9, concurrency=2)},
}


def key(name: str, **options: Any) -> Key:
    return Key(secret=Secret(f"sk-{name}"), alias=options.pop("alias", name), **options)


KEYS = as_keys(
    [
        key("a", limits=RateLimits(rpm=3, tpm=90)),
        key("b", **ORG),
        key("c", **ORG),
        key("d", models=frozenset({"m1"}), limits=RateLimits(concurrency=1)),
        key("e", priority=1),
    ]
)


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives that never waits."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


def joined(keys: Sequence[Key], clock: Any, *, limit: int | None = None, total: int | None = None) -> MemoryStore:
    store = MemoryStore(clock=clock, rng=Random(1))
    store.join(as_keys(keys), strategy=FillFirst(), max_concurrency=limit, max_total=total)
    return store


def succeed(store: MemoryStore, old: Sequence[Key], new: Sequence[Key], clock: Any, **options: Any) -> None:
    """Let a store go on with other keys, told apart by their secrets."""
    names = {one.secret: one.alias for one in new}
    same = {one.alias: names[one.secret] for one in old if one.secret in names}
    store.rejoin(joined(new, clock, **options), same)


class World:
    """A store, its clock, and the leases that are out."""

    def __init__(self, **options: Any) -> None:
        self.now = 1_000.0
        self.options = options
        self.store = joined(KEYS, self.clock, **options)
        self.out: list[Lease] = []

    def clock(self) -> float:
        return self.now

    def do(self, step: tuple[Any, ...]) -> Any:
        match step:
            case ("pass", seconds):
                self.now += seconds
                return None
            case ("acquire", model, tokens):
                found = self.store.acquire_now(Ask(model=model, tokens=tokens))
                if isinstance(found, Lease):
                    self.out.append(found)
                return found
            case ("report", number, outcome) if self.out:
                return self.store.report_now(self.out[number % len(self.out)], outcome)
            case ("release", number, spent) if self.out:
                return self.store.release_now(self.out.pop(number % len(self.out)), spent)
            case ("switch", name, on):
                return done(self.store.switch(name, on=on))
            case _:
                return None

    def reports(self) -> list[KeyReport]:
        return done(self.store.snapshot())


OUTCOMES = st.one_of(
    st.builds(Outcome, event=st.sampled_from(FAILURES), seconds=st.sampled_from([None, 5.0, 700.0])),
    st.builds(Outcome, event=st.just(Event.SERVED), soft=st.sampled_from([None, 9.0])),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0, 31.0, 90.0, 3_700.0, 90_000.0])),
        st.tuples(st.just("acquire"), st.sampled_from(MODELS), st.sampled_from([0, 10, 40])),
        st.tuples(st.just("acquire"), st.sampled_from(MODELS), st.sampled_from([0, 10, 40])),
        st.tuples(st.just("report"), st.integers(0, 9), OUTCOMES),
        st.tuples(st.just("release"), st.integers(0, 9), st.sampled_from(SPENT)),
        st.tuples(st.just("switch"), st.sampled_from([one.alias for one in KEYS]), st.booleans()),
    ),
    max_size=40,
)
BOUNDS = st.fixed_dictionaries({}, optional={"limit": st.sampled_from([1, 2, 5]), "total": st.sampled_from([2, 4])})


@given(before=STEPS, after=STEPS, bounds=BOUNDS)
def test_going_on_with_the_same_keys_changes_nothing(
    before: list[Any], after: list[Any], bounds: dict[str, Any]
) -> None:
    plain, moved = World(**bounds), World(**bounds)
    for step in before:
        assert plain.do(step) == moved.do(step)
    succeed(moved.store, KEYS, KEYS, moved.clock, **bounds)
    assert plain.reports() == moved.reports()
    for step in after:
        assert plain.do(step) == moved.do(step)
    assert plain.reports() == moved.reports()


@given(before=STEPS, after=STEPS, order=st.permutations(KEYS), gone=st.integers(0, 3), fresh=st.integers(0, 2))
def test_what_both_have_goes_over_what_is_new_is_fresh_and_what_is_gone_is_gone(
    before: list[Any], after: list[Any], order: list[Key], gone: int, fresh: int
) -> None:
    world = World()
    for step in before:
        world.do(step)
    old = {report.alias: report for report in world.reports()}
    kept = [replace(one, alias=f"{one.alias}-2") for one in order[gone:]]
    new = as_keys([*kept, *(key(f"new-{number}") for number in range(fresh))])
    succeed(world.store, KEYS, new, world.clock)
    reports = {report.alias: report for report in world.reports()}
    assert list(reports) == [one.alias for one in new]
    for one in kept:
        name = one.alias.removesuffix("-2")
        assert reports[one.alias] == replace(old[name], alias=one.alias)
    for number in range(fresh):
        report = reports[f"new-{number}"]
        assert (report.state, report.in_flight, report.leased) == (KeyState.ACTIVE, 0, 0)
    renamed = [(*step[:1], f"{step[1]}-2", *step[2:]) if step[0] == "switch" else step for step in after]
    for step in renamed:
        if step[0] != "switch" or step[1] in reports:
            world.do(step)
    # Whatever is out, it comes back, and then nothing is in flight any more.
    assert world.store._roster.traffic.in_flight == len(world.out)
    while world.out:
        world.do(("release", 0, Spent()))
    assert world.store._roster.traffic.in_flight == 0
    assert all(gauge.in_flight == 0 for gauge in world.store._roster.gauges().values())
    assert all(report.in_flight == 0 for report in world.reports())
    assert all(lane.probe is None for _, _, lane in world.store._roster.lanes())


@given(before=STEPS)
def test_there_and_back_again_is_as_if_one_had_stayed(before: list[Any]) -> None:
    plain, moved = World(), World()
    for step in before:
        plain.do(step)
        moved.do(step)
    turned = as_keys([replace(one, alias=f"{one.alias}-2") for one in reversed(KEYS)])
    succeed(moved.store, KEYS, turned, moved.clock)
    succeed(moved.store, turned, KEYS, moved.clock)
    assert plain.reports() == moved.reports()
    assert _standings(plain) == _standings(moved)


def _standings(world: World) -> dict[Any, Any]:
    return {place: gauge.standing(world.now) for place, gauge in world.store._roster.gauges().items()}


def test_limits_that_are_new_know_of_what_is_in_flight() -> None:
    clock = Clock()
    old, new = as_keys([key("a")]), as_keys([key("a", limits=RateLimits(concurrency=1, rpm=2))])
    store = joined(old, clock)
    lease = store.acquire_now(Ask())
    assert isinstance(lease, Lease)
    store.release_now(store.acquire_now(Ask()))  # type: ignore[arg-type]
    succeed(store, old, new, clock)
    assert not isinstance(store.acquire_now(Ask()), Lease)
    store.release_now(lease)
    assert isinstance(store.acquire_now(Ask()), Lease)
    assert not isinstance(store.acquire_now(Ask()), Lease)


def test_keys_that_are_put_into_one_account_rest_and_count_together() -> None:
    clock = Clock()
    limits = RateLimits(rpm=10)
    old = as_keys([key("a", limits=limits), key("b", limits=limits)])
    new = as_keys([key("a", limits=limits, quota_scope="org"), key("b", limits=limits, quota_scope="org")])
    store = joined(old, clock)
    leases = [store.acquire_now(Ask(tried=frozenset(tried))) for tried in ((), (), ("a",))]
    assert [lease.key for lease in leases if isinstance(lease, Lease)] == ["a", "a", "b"]
    store.report_now(leases[2], Outcome(event=Event.QUOTA, seconds=500.0))  # type: ignore[arg-type]
    succeed(store, old, new, clock)
    reports = done(store.snapshot())
    assert [report.state for report in reports] == [KeyState.EXHAUSTED, KeyState.EXHAUSTED]
    assert [room.left for report in reports for room in report.headroom] == [7.0, 7.0]
    assert math.isclose(reports[0].until, 500.0)


@pytest.mark.anyio
async def test_who_waits_at_the_old_pool_gets_a_key_of_the_new_one() -> None:

    app = ByKey({"sk-a": answers(200), "sk-b": answers(200)})
    old = KeyPool(app, protocol=Tiny(), keys=["sk-a"], max_concurrency=1)
    lease = await old._store.acquire(Ask())
    assert isinstance(lease, Lease)
    found: list[int] = []

    async def wait() -> None:
        found.append((await ask(old, stays=True)).status)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        with anyio.fail_after(20):
            while not old.waiting:  # noqa: ASYNC110 - a pool has no event for it
                await anyio.sleep(0.001)
        new = KeyPool(app, protocol=Tiny(), keys=["sk-a", "sk-b"], max_concurrency=1)
        await new.inherit(old)
    assert found == [200]
    assert [report.in_flight for report in await new.snapshot()] == [1, 0]
    await old._store.release(lease)
    assert [report.in_flight for report in await new.snapshot()] == [0, 0]
    assert (await ask(new)).status == 200
