"""The memory store: what holds in every order of leases, answers, time and operators."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool.ask import Ask
from ds2api_asgi.pool.book import MAX_MODELS
from ds2api_asgi.pool.health import Event, KeyState, Outcome
from ds2api_asgi.pool.keys import Key, Secret, as_keys
from ds2api_asgi.pool.store import Lease, MemoryStore
from ds2api_asgi.pool.strategies import LeastUsed, RoundRobin, Strategy
from ds2api_asgi.pool.survey import Empty, EmptyReason
from work import work_of

T = TypeVar("T")
RATE, QUOTA, REFUSED, FORBIDDEN = Event.RATE, Event.QUOTA, Event.REFUSED, Event.FORBIDDEN
SERVED = Outcome(event=Event.SERVED)


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what must never wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class Rig:
    """A store with a clock."""

    def __init__(
        self, keys: list[Key | str], strategy: Strategy | None = None, max_concurrency: int | None = None
    ) -> None:
        self.now = 50.0
        self.keys = as_keys(keys)
        self.store = MemoryStore(clock=lambda: self.now, rng=Random(1))
        self.store.join(self.keys, strategy=strategy or RoundRobin(), max_concurrency=max_concurrency)

    def acquire(self, model: str | None = "m", *tried: str) -> Lease | Empty:
        found = at_once(self.store.acquire(Ask(model=model, tried=frozenset(tried))))
        return Empty(reason=found.reason, retry_after=found.retry_after) if isinstance(found, Empty) else found

    def lease(self, model: str | None = "m", *tried: str) -> Lease:
        lease = self.acquire(model, *tried)
        assert isinstance(lease, Lease)
        return lease

    def report(self, lease: Lease, event: Event, seconds: float | None = None, soft: float | None = None) -> bool:
        return at_once(self.store.report(lease, Outcome(event=event, seconds=seconds, soft=soft)))

    def release(self, lease: Lease) -> None:
        at_once(self.store.release(lease))

    def use(self, event: Event, seconds: float | None = None, model: str | None = "m", *tried: str) -> str:
        lease = self.lease(model, *tried)
        self.report(lease, event, seconds)
        self.release(lease)
        return lease.key

    def states(self) -> dict[str, KeyState]:
        return {report.alias: report.state for report in at_once(self.store.snapshot())}


def key(alias: str, **options: Any) -> Key:
    return Key(secret=Secret(f"sk-{alias}"), alias=alias, **options)


MODELS = ["m1", "m2", "m3"]
FAILURES = st.sampled_from([RATE, QUOTA, REFUSED, FORBIDDEN])


class StoreMachine(RuleBasedStateMachine):
    """Any order of everything that can happen to a store, checked against what was promised when."""

    strategy: Strategy
    limit: int | None = None

    def __init__(self) -> None:
        super().__init__()
        keys: list[Key | str] = [
            key("a"),
            key("b", quota_scope="org"),
            key("c", quota_scope="org", weight=2.0),
            key("d", models=frozenset({"m1"})),
        ]
        self.rig = Rig(keys, self.strategy, self.limit)
        self.scope = {"a": "a", "b": "org", "c": "org", "d": "d"}
        self.open: list[Lease] = []
        self.promised: dict[tuple[str, str | None], float] = {}  # (key or scope, model) -> not before

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.0, 29.0, 31.0, 601.0, 3_601.0, 86_401.0]))
    def time_passes(self, seconds: float) -> None:
        self.rig.now += seconds

    @rule(model=st.sampled_from([*MODELS, None]), tried=st.sets(st.sampled_from("abcd"), max_size=2))
    def acquire(self, model: str | None, tried: set[str]) -> None:
        usable = {alias for alias in "abcd" if alias not in tried and self.is_usable(alias, model)}
        lease = self.rig.acquire(model, *tried)
        if isinstance(lease, Empty):
            assert not usable
            return
        assert lease.key in usable
        for owner in (lease.key, self.scope[lease.key]):
            for name in (model, None):
                assert self.rig.now >= self.promised.get((owner, name), -math.inf)
        self.open.append(lease)

    def is_usable(self, alias: str, model: str | None) -> bool:
        """By looking at everything, as the store must not."""
        at_once(self.rig.store.snapshot())  # lets time pass
        roster = self.rig.store._roster
        index = "abcd".index(alias)
        allowed = alias != "d" or model in (None, "m1")
        full = self.limit is not None and sum(lease.key == alias for lease in self.open) >= self.limit
        lanes = list(roster.lanes_of(index, model))
        return allowed and not full and all(not lane.state.resting and lane.probe is None for lane in lanes)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), event=FAILURES, seconds=st.none() | st.sampled_from([0.0, 2.0, 90.0, 7_200.0]))
    def fail(self, data: st.DataObject, event: Event, seconds: float | None) -> None:
        lease = data.draw(st.sampled_from(self.open))
        if not self.rig.report(lease, event, seconds):
            return
        scope, model = self.scope[lease.key], lease.model
        lane, least = {
            RATE: ((scope, model), 1.0 if seconds is None else min(seconds, 3_600.0)),
            QUOTA: ((scope, None), seconds or 3_600.0),
            REFUSED: ((lease.key, None), 30.0),
            FORBIDDEN: ((lease.key, model), 600.0),
        }[event]
        self.promised[lane] = max(self.promised.get(lane, -math.inf), self.rig.now + least)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), soft=st.none() | st.sampled_from([0.5, 20.0]))
    def serve(self, data: st.DataObject, soft: float | None) -> None:
        before = self.resting()
        self.rig.report(data.draw(st.sampled_from(self.open)), Event.SERVED, soft=soft)
        assert self.resting() == before  # a success ends a probe, never a rest

    def resting(self) -> dict[str, KeyState]:
        return {alias: state for alias, state in self.rig.states().items() if state.resting}

    @precondition(lambda self: self.open)
    @rule(data=st.data(), again=st.booleans())
    def release(self, data: st.DataObject, again: bool) -> None:
        lease = data.draw(st.sampled_from(self.open))
        self.open.remove(lease)
        self.rig.release(lease)
        if again:
            self.rig.release(lease)

    @rule(alias=st.sampled_from("abcd"), on=st.booleans())
    def operator(self, alias: str, on: bool) -> None:
        at_once(self.rig.store.switch(alias, on=on))
        if on:
            for lane in list(self.promised):
                if lane[0] in (alias, self.scope[alias]):
                    del self.promised[lane]
        else:
            assert self.rig.states()[alias] is KeyState.DISABLED

    @invariant()
    def requests_in_flight_are_counted(self) -> None:
        held = Counter(lease.key for lease in self.open)
        assert {r.alias: r.in_flight for r in at_once(self.rig.store.snapshot()) if r.in_flight} == dict(held)

    @invariant()
    def nothing_has_more_than_one_probe_and_probes_are_held(self) -> None:
        roster = self.rig.store._roster
        held = {lease.id for lease in self.open}
        for book in roster._books.every():
            for lane in book.lanes.values():
                assert lane.probe is None or (lane.state is KeyState.HALF_OPEN and lane.probe in held)

    def teardown(self) -> None:
        for lease in self.open:
            self.rig.release(lease)
        assert all(report.in_flight == 0 for report in at_once(self.rig.store.snapshot()))


@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("strategy", [RoundRobin(), LeastUsed()])
def test_whatever_happens_a_resting_key_is_not_given_out_and_a_usable_one_is_found(
    strategy: Strategy, limit: int | None
) -> None:
    machine = type("Machine", (StoreMachine,), {"strategy": strategy, "limit": limit})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=40, deadline=None))


@pytest.mark.parametrize("strategy", [RoundRobin(), LeastUsed()])
def test_a_rate_limit_is_the_models_and_the_scopes_and_a_quota_the_scopes_alone(strategy: Strategy) -> None:
    rig = Rig([key("a", quota_scope="org"), key("b", quota_scope="org")], strategy)
    rig.use(RATE, 10.0, "m1")
    empty = rig.acquire("m1")
    assert empty == Empty(reason=EmptyReason.COOLING, retry_after=10.0)
    rig.use(QUOTA, None, "m2")
    assert rig.acquire("m2") == Empty(reason=EmptyReason.EXHAUSTED, retry_after=3_600.0)
    assert rig.acquire(None) == Empty(reason=EmptyReason.EXHAUSTED, retry_after=3_600.0)


def test_a_rate_limit_without_a_model_is_the_whole_scopes() -> None:
    rig = Rig(["sk-1"])
    rig.use(RATE, 10.0, None)
    assert rig.acquire("m1") == Empty(reason=EmptyReason.COOLING, retry_after=10.0)


def test_a_forbidden_model_blocks_the_key_for_that_model_only() -> None:
    rig = Rig([key("a", quota_scope="org"), key("b", quota_scope="org")])
    assert rig.use(FORBIDDEN, None, "big") == "a"
    assert {rig.use(Event.SERVED, None, "big") for _ in range(4)} == {"b"}
    assert {rig.use(Event.SERVED, None, "small") for _ in range(4)} == {"a", "b"}


def test_a_key_forbidden_for_no_model_in_particular_is_left_alone() -> None:
    rig = Rig(["sk-1"])
    rig.use(FORBIDDEN, None, None)
    assert isinstance(rig.acquire("m"), Lease)


def test_allow_lists_are_kept_and_requests_without_a_model_may_use_any_key() -> None:
    rig = Rig([key("a", models=frozenset({"x"})), key("b", models=frozenset({"y"})), key("c")])
    assert {rig.use(Event.SERVED, None, "x") for _ in range(9)} == {"a", "c"}
    assert {rig.use(Event.SERVED, None, "other") for _ in range(9)} == {"c"}
    assert {rig.use(Event.SERVED, None, None) for _ in range(9)} == {"a", "b", "c"}
    lonely = Rig([key("a", models=frozenset({"x"}))])
    assert lonely.acquire("y") == Empty(reason=EmptyReason.BLOCKED)


def test_one_request_probes_while_others_are_told_to_come_back() -> None:
    rig = Rig(["sk-1"])
    rig.use(RATE, 5.0)
    rig.now += 5
    probe = rig.lease()
    assert rig.acquire() == Empty(reason=EmptyReason.BUSY, retry_after=1.0)
    rig.release(probe)  # without an answer: cancelled, or a fault that was not the key's
    probe = rig.lease()
    rig.report(probe, Event.SERVED)
    assert isinstance(rig.acquire(), Lease)


def test_a_probe_that_serves_and_then_fails_in_its_stream_sends_the_key_back_to_rest() -> None:
    rig = Rig(["sk-1"])
    rig.use(RATE, 5.0)
    rig.now += 5
    probe = rig.lease()
    rig.report(probe, Event.SERVED)
    assert rig.report(probe, RATE, 9.0)
    assert rig.acquire() == Empty(reason=EmptyReason.COOLING, retry_after=9.0)


def test_a_first_attempt_probes_and_later_ones_prefer_keys_that_are_known_to_work() -> None:
    rig = Rig([key("a"), key("b"), key("c")])
    assert rig.use(RATE, 5.0) == "a"
    rig.now += 5
    assert rig.lease("m", "c").key == "b"
    assert rig.lease("m", "b", "c").key == "a"
    rig = Rig([key("a"), key("b"), key("c")])
    rig.use(RATE, 5.0)
    rig.now += 5
    assert rig.lease().key == "a"


def test_a_key_with_nothing_left_is_used_last_until_its_reset() -> None:
    rig = Rig([key("a"), key("b")])
    lease = rig.lease()
    rig.report(lease, Event.SERVED, soft=30.0)
    rig.release(lease)
    assert {rig.use(Event.SERVED) for _ in range(5)} == {"b"}
    assert rig.use(Event.SERVED, None, "m", "b") == "a"
    assert {rig.use(Event.SERVED, None, "other") for _ in range(4)} == {"a", "b"}
    rig.now += 30
    assert {rig.use(Event.SERVED) for _ in range(4)} == {"a", "b"}


def test_max_concurrency_holds_and_a_release_makes_room() -> None:
    rig = Rig([key("a"), key("b")], LeastUsed(), max_concurrency=2)
    leases = [rig.lease() for _ in range(4)]
    assert Counter(lease.key for lease in leases) == {"a": 2, "b": 2}
    assert rig.acquire() == Empty(reason=EmptyReason.BUSY, retry_after=1.0)
    rig.release(leases[0])
    assert rig.lease().key == leases[0].key


def test_the_soonest_and_least_bad_of_all_keys_is_what_an_empty_pool_tells() -> None:
    rig = Rig([key("a"), key("b"), key("c")])
    for event, seconds in ((QUOTA, None), (RATE, 40.0), (REFUSED, None)):
        rig.use(event, seconds)
    assert rig.acquire() == Empty(reason=EmptyReason.COOLING, retry_after=40.0)
    rig.now += 15
    assert rig.acquire() == Empty(reason=EmptyReason.COOLING, retry_after=25.0)


def test_an_empty_pools_answer_follows_a_deadline_that_moves_out() -> None:
    rig = Rig(["sk-1"])
    first, second = rig.lease(), rig.lease()
    rig.report(first, RATE, 5.0)
    assert rig.acquire() == Empty(reason=EmptyReason.COOLING, retry_after=5.0)
    rig.report(second, RATE, 50.0)
    assert rig.acquire() == Empty(reason=EmptyReason.COOLING, retry_after=50.0)


def test_keys_that_only_failed_for_this_request_are_not_given_to_it_again() -> None:
    rig = Rig([key("a"), key("b")])
    assert rig.acquire("m", "a", "b") == Empty(reason=EmptyReason.TRIED)
    assert rig.lease("m", "a", "unknown").key == "b"


def test_keys_that_failed_for_this_request_and_rest_are_worth_waiting_for() -> None:
    rig = Rig([key("a"), key("b")])
    tried = [rig.use(RATE, 9.0), rig.use(RATE, 5.0)]
    assert rig.acquire("m", *tried) == Empty(reason=EmptyReason.COOLING, retry_after=5.0)


def test_disabled_keys_are_nothing_to_wait_for() -> None:
    rig = Rig([key("a"), key("b")])
    rig.use(REFUSED)
    at_once(rig.store.switch("b", on=False))
    assert rig.acquire() == Empty(reason=EmptyReason.DISABLED)
    assert rig.states() == {"a": KeyState.DISABLED, "b": KeyState.DISABLED}
    at_once(rig.store.switch("a", on=True))
    assert rig.lease().key == "a"
    with pytest.raises(ConfigurationError, match="'z'"):
        at_once(rig.store.switch("z", on=True))


def test_what_clients_name_does_not_fill_the_memory() -> None:
    rig = Rig(["sk-1", "sk-2"])
    for number in range(3 * MAX_MODELS):
        rig.use(FORBIDDEN, None, f"model-{number}")
    rig.use(FORBIDDEN, None, "x" * 1_000_000)
    assert len(rig.store._roster._books.remembered) == MAX_MODELS
    assert max(map(len, rig.store._roster._books.remembered)) < 100
    assert isinstance(rig.acquire("model-0"), Lease)


def test_deadlines_that_move_out_again_and_again_do_not_fill_the_memory() -> None:
    rig = Rig(["sk-1"])
    leases = [rig.lease() for _ in range(1_000)]
    for number, lease in enumerate(leases):
        rig.report(lease, RATE, 10.0 + number)
        rig.now += 0.001
    assert len(rig.store._roster._wakes) == 1


def test_a_snapshot_tells_each_keys_worst_state_and_its_models() -> None:
    rig = Rig([key("a"), key("b")])
    rig.use(Event.SERVED)
    rig.use(RATE, 10.0)
    first, second = at_once(rig.store.snapshot())
    assert (first.alias, first.state, first.until, first.models) == ("a", KeyState.ACTIVE, None, {})
    assert (second.state, second.until, second.models) == (KeyState.COOLING, 10.0, {"m": (KeyState.COOLING, 10.0)})
    assert (first.leased, first.served, first.failed) == (1, 1, 0)
    assert (second.leased, second.served, second.failed) == (1, 0, 1)


def test_a_store_serves_one_pool() -> None:
    rig = Rig(["sk-1"])
    with pytest.raises(ConfigurationError):
        rig.store.join(rig.keys, strategy=RoundRobin(), max_concurrency=None)


def work_in_a_pool_of(size: int, strategy: Strategy) -> list[int]:
    rig = Rig([f"sk-{number}" for number in range(size)], strategy)
    for _ in range(size - 1):
        rig.use(RATE, 3_600.0)
    last = rig.use(Event.SERVED)
    found = work_of(lambda: rig.use(Event.SERVED))
    tried = work_of(lambda: rig.acquire("m", last))
    rig.use(RATE, 3_600.0)
    rig.acquire()
    empty = work_of(rig.acquire)
    return [found, tried, empty]


@pytest.mark.parametrize("strategy", [RoundRobin(), LeastUsed()])
def test_a_pick_does_not_look_at_resting_keys(strategy: Strategy) -> None:
    few, many = (work_in_a_pool_of(size, strategy) for size in (100, 10_000))
    assert all(much <= less + 50 for less, much in zip(few, many, strict=True)), (few, many)
    assert max(few + many) < 400


def test_threads_never_lease_a_key_beyond_its_limit() -> None:
    rig = Rig([f"sk-{number}" for number in range(3)], LeastUsed(), max_concurrency=2)
    seen: list[int] = []

    def work() -> None:
        for _ in range(300):
            lease = rig.acquire()
            if isinstance(lease, Lease):
                seen.append(max(report.in_flight for report in at_once(rig.store.snapshot())))
                rig.report(lease, Event.SERVED)
                rig.release(lease)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) <= 2
    assert all(report.in_flight == 0 for report in at_once(rig.store.snapshot()))
