"""Configured limits: reserved when a key is leased, corrected when it comes back, never exceeded in between."""

from __future__ import annotations

from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ds2api_asgi.pool.ask import Ask
from ds2api_asgi.pool.gauge import NOTHING_SENT, RESERVED, Spent
from ds2api_asgi.pool.health import Event, KeyState, Outcome
from ds2api_asgi.pool.keys import Key, Secret, as_keys
from ds2api_asgi.pool.limits import NO_LIMITS, RateLimits
from ds2api_asgi.pool.store import Lease, MemoryStore
from ds2api_asgi.pool.strategies import LeastUsed, RoundRobin, Strategy
from ds2api_asgi.pool.survey import Empty, EmptyReason
from work import work_of

T = TypeVar("T")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class Rig:
    def __init__(
        self,
        keys: list[Key],
        strategy: Strategy | None = None,
        *,
        max_concurrency: int | None = None,
        max_total: int | None = None,
    ) -> None:
        self.now = 1_000.0
        self.store = MemoryStore(clock=lambda: self.now, rng=Random(1))
        self.store.join(
            as_keys(keys), strategy=strategy or RoundRobin(), max_concurrency=max_concurrency, max_total=max_total
        )

    def acquire(self, model: str | None = "m", tokens: int = 0, *tried: str) -> Lease | Empty:
        return at_once(self.store.acquire(Ask(model=model, tokens=tokens, tried=frozenset(tried))))

    def lease(self, model: str | None = "m", tokens: int = 0, *tried: str) -> Lease:
        lease = self.acquire(model, tokens, *tried)
        assert isinstance(lease, Lease), lease
        return lease

    def empty(self, model: str | None = "m", tokens: int = 0, *tried: str) -> Empty:
        empty = self.acquire(model, tokens, *tried)
        assert isinstance(empty, Empty), empty
        return empty

    def release(self, lease: Lease, spent: Spent = RESERVED) -> None:
        at_once(self.store.release(lease, spent))

    def in_flight(self) -> int:
        return sum(report.in_flight for report in at_once(self.store.snapshot()))


def key(alias: str, **options: Any) -> Key:
    return Key(secret=Secret(f"sk-{alias}"), alias=alias, **options)


SCOPE = RateLimits(rpm=6, tpm=100, concurrency=3)
ALONE = RateLimits(rpm=4, tpd=200)
SMALL = {"small": RateLimits(rpm=3, concurrency=1)}
KEYS = [
    key("a", limits=ALONE),
    key("b", quota_scope="org", limits=SCOPE, model_limits=SMALL),
    key("c", quota_scope="org", limits=SCOPE, model_limits=SMALL, weight=2.0),
    key("d", models=frozenset({"small"}), limits=RateLimits(tpm=60)),
]
WINDOWS = {"rpm": 60.0, "tpm": 60.0, "rpd": 86_400.0, "tpd": 86_400.0}


class LimitsMachine(RuleBasedStateMachine):
    """A model that remembers every lease for ever, and counts each limit anew each time."""

    strategy: Strategy

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(KEYS, self.strategy, max_concurrency=2, max_total=5)
        self.log: list[dict[str, Any]] = []  # every lease: when, scope, model, requests, tokens, open

    def limits_of(self, alias: str, model: str | None) -> list[tuple[str | None, RateLimits]]:
        known = next(key for key in KEYS if key.alias == alias)
        own = known.model_limits.get(model, NO_LIMITS) if model is not None else NO_LIMITS
        return [(None, known.limits), (model, own)]

    def scope_of(self, alias: str) -> str:
        return "org" if alias in "bc" else alias

    def used(self, scope: str, model: str | None, name: str, since: float) -> float:
        what = "requests" if name.startswith("r") else "tokens"
        entries = [e for e in self.log if e["scope"] == scope and e["when"] > since]
        return sum(e[what] for e in entries if model is None or e["model"] == model)

    def running(self, alias: str | None = None, scope: str | None = None, model: str | None = None) -> int:
        found = [e for e in self.log if e["lease"] is not None]
        found = [e for e in found if (alias is None or e["alias"] == alias) and (scope is None or e["scope"] == scope)]
        return sum(model is None or e["model"] == model for e in found)

    def surely_has_room(self, alias: str, model: str | None, tokens: int) -> bool:
        """Room even by windows that are longer by one part, as sliding windows of parts may be."""
        known = next(key for key in KEYS if key.alias == alias)
        if model is not None and known.models is not None and model not in known.models:
            return False
        if self.running() >= 5 or self.running(alias) >= 2:
            return False
        scope = self.scope_of(alias)
        for name, limits in self.limits_of(alias, model):
            if limits.concurrency is not None and self.running(scope=scope, model=name) >= limits.concurrency:
                return False
            for window, seconds in WINDOWS.items():
                most = getattr(limits, window)
                if most is not None:
                    need = 1 if window.startswith("r") else max(tokens, 1)
                    if self.used(scope, name, window, self.rig.now - seconds * 61 / 60) + min(need, most) > most:
                        return False
        return True

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 20.0, 59.0, 61.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.rig.now += seconds

    @rule(
        model=st.sampled_from(["small", "big", None]),
        tokens=st.sampled_from([0, 10, 45, 60]),
        tried=st.sets(st.sampled_from("abcd"), max_size=1),
    )
    def acquire(self, model: str | None, tokens: int, tried: set[str]) -> None:
        usable = {alias for alias in "abcd" if alias not in tried and self.surely_has_room(alias, model, tokens)}
        lease = self.rig.acquire(model, tokens, *tried)
        if isinstance(lease, Empty):
            assert not usable, (usable, lease)
            assert lease.reason in (EmptyReason.BUSY, EmptyReason.LIMITED, EmptyReason.TRIED)
            if lease.opens_in is not None and lease.reason is EmptyReason.LIMITED:
                assert 0 < lease.opens_in <= 86_400 * 61 / 60
            return
        self.log.append(
            {
                "when": self.rig.now,
                "alias": lease.key,
                "scope": self.scope_of(lease.key),
                "model": model,
                "requests": 1,
                "tokens": tokens,
                "lease": lease,
            }
        )
        for name, limits in self.limits_of(lease.key, model):
            scope = self.scope_of(lease.key)
            assert limits.concurrency is None or self.running(scope=scope, model=name) <= limits.concurrency
            for window, seconds in WINDOWS.items():
                most = getattr(limits, window)
                if most is not None and (tokens or window.startswith("r")):
                    # Sums of what was spent beyond its reservation may stand over a limit; then nothing is let in.
                    assert self.used(scope, name, window, self.rig.now - seconds) <= most

    @precondition(lambda self: self.running())
    @rule(
        data=st.data(),
        spent=st.sampled_from([RESERVED, NOTHING_SENT, Spent(tokens=0), Spent(tokens=7), Spent(tokens=90)]),
        again=st.booleans(),
    )
    def release(self, data: st.DataObject, spent: Spent, again: bool) -> None:
        entry = data.draw(st.sampled_from([e for e in self.log if e["lease"] is not None]))
        self.rig.release(entry["lease"], spent)
        if again:
            self.rig.release(entry["lease"], NOTHING_SENT)
        entry["lease"] = None
        entry["requests"] = int(spent.called)
        if spent.tokens is not None:
            entry["tokens"] = spent.tokens

    @invariant()
    def no_cap_is_exceeded(self) -> None:
        assert self.running() <= 5
        assert all(self.running(alias) <= 2 for alias in "abcd")
        assert self.rig.in_flight() == self.running()

    def teardown(self) -> None:
        for entry in self.log:
            if entry["lease"] is not None:
                self.rig.release(entry["lease"])
        assert self.rig.in_flight() == 0
        assert all(gauge.in_flight == 0 for gauge in self.rig.store._roster._gauges.values())


@pytest.mark.parametrize("strategy", [RoundRobin(), LeastUsed()])
def test_no_limit_is_exceeded_and_no_key_with_room_is_missed_in_any_order(strategy: Strategy) -> None:
    machine = type("Machine", (LimitsMachine,), {"strategy": strategy})
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=50, deadline=None))


def test_a_full_window_says_when_it_has_room_and_has_it_then() -> None:
    rig = Rig([key("a", limits=RateLimits(rpm=2))])
    rig.release(rig.lease())
    rig.now += 10
    rig.release(rig.lease())
    empty = rig.empty()
    assert empty.reason is EmptyReason.LIMITED
    assert empty.opens_in == empty.retry_after
    assert 50 <= (empty.retry_after or 0) <= 51
    rig.now += empty.retry_after or 0
    assert rig.lease().key == "a"


def test_what_is_too_big_for_one_scope_goes_to_another_that_has_room() -> None:
    rig = Rig([key("a", limits=RateLimits(tpm=100)), key("b", limits=RateLimits(tpm=1_000))])
    assert [rig.lease("m", 90).key for _ in range(4)].count("a") == 1
    assert rig.lease("m", 10).key == "a"
    assert rig.lease("m", 500).key == "b"
    assert rig.empty("m", 500).reason is EmptyReason.LIMITED


def test_tokens_that_were_not_used_come_back_at_once_and_more_than_reserved_counts() -> None:
    rig = Rig([key("a", limits=RateLimits(tpm=100))])
    for spent, room in ((Spent(tokens=10), 90), (Spent(tokens=0), 90), (NOTHING_SENT, 90), (Spent(tokens=70), 20)):
        rig.release(rig.lease("m", 50), spent)
        assert rig.empty("m", room + 1).reason is EmptyReason.LIMITED
        rig.release(rig.lease("m", room), NOTHING_SENT)


def test_a_request_that_an_upstream_refused_stays_counted_and_one_that_reached_none_does_not() -> None:
    rig = Rig([key("a", limits=RateLimits(rpm=1))])
    rig.release(rig.lease(), NOTHING_SENT)
    rig.release(rig.lease(), Spent(tokens=0))
    assert rig.empty().reason is EmptyReason.LIMITED


def test_limits_of_a_scope_hold_for_all_its_keys_and_those_of_a_model_for_it_alone() -> None:
    limits: dict[str, Any] = {
        "quota_scope": "org",
        "limits": RateLimits(concurrency=3),
        "model_limits": {"small": RateLimits(concurrency=1)},
    }
    rig = Rig([key("a", **limits), key("b", **limits)])
    small = rig.lease("small")
    assert rig.empty("small").reason is EmptyReason.BUSY
    others = [rig.lease("big"), rig.lease(None)]
    assert rig.empty("big").reason is EmptyReason.BUSY
    rig.release(small)
    assert rig.lease("small")
    assert others


def test_the_whole_pool_has_its_own_cap() -> None:
    rig = Rig([key("a"), key("b")], max_total=1)
    lease = rig.lease()
    assert (rig.empty().reason, rig.empty().in_flight) == (EmptyReason.BUSY, 1)
    rig.release(lease)
    assert rig.lease()


def test_models_beyond_the_configured_ones_fill_no_memory() -> None:
    rig = Rig([key("a", limits=RateLimits(rpm=10_000, tpm=1_000_000), model_limits={"m": RateLimits(rpm=5_000)})])
    for number in range(2_000):
        rig.release(rig.lease(f"model-{number}", 10))
    assert len(rig.store._roster._gauges) == 2
    assert len(rig.store._roster._books.remembered) == 0


def test_a_scope_with_fewer_requests_left_than_are_on_their_way_is_spared_until_its_reset() -> None:
    rig = Rig([key("a"), key("b")])
    first, _, third = rig.lease(), rig.lease(), rig.lease()
    assert [first.key, third.key] == ["a", "a"]
    at_once(rig.store.report(first, Outcome(event=Event.SERVED, left=(1, 20.0))))
    assert [rig.lease().key for _ in range(3)] == ["b"] * 3
    assert rig.lease("m", 0, "b").key == "a"  # preferred is not blocked
    assert rig.lease("other").key in "ab"
    rig.now += 20
    assert {rig.lease().key for _ in range(4)} == {"a", "b"}
    assert {report.state for report in at_once(rig.store.snapshot())} == {KeyState.ACTIVE}


@pytest.mark.parametrize("strategy", [RoundRobin(), LeastUsed()])
def test_a_pick_does_not_look_at_keys_whose_windows_are_full(strategy: Strategy) -> None:
    work = []
    for size in (100, 3_000):
        rig = Rig([key(f"k{number}", limits=RateLimits(rpm=1, tpm=100)) for number in range(size)], strategy)
        for _ in range(size - 5):
            rig.release(rig.lease("m", 10))
        work.append(work_of(lambda rig=rig: rig.lease("m", 10)))
        while isinstance(rig.acquire("m", 10), Lease):
            pass
        work.append(work_of(lambda rig=rig: rig.empty("m", 10)))
    assert max(work) < 600, work


def test_a_queue_of_made_up_models_costs_one_look_at_the_keys() -> None:
    rig = Rig([key(f"k{number}") for number in range(1_000)], max_concurrency=1)
    for _ in range(1_000):
        rig.lease()
    rig.empty("made-up")
    assert work_of(lambda: [rig.empty(f"made-up-{number}") for number in range(500)]) < 500 * 150
