"""Every strategy keeps the same promises, and each its own: affinity keeps conversations where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool import Key, KeyPool, MemoryStore, Outcome, RateLimits, Secret
from ds2api_asgi.pool.ask import ANYTHING, Ask
from ds2api_asgi.pool.health import Event
from ds2api_asgi.pool.strategies import (
    Affinity,
    FillFirst,
    Latency,
    LeastUsed,
    Lineup,
    RoundRobin,
    Seat,
    Strategy,
    Traffic,
)
from ds2api_asgi.pool.strategies.tiers import Tiers
from pools import OK, Tiny, ask


class Rested:
    """The strategy of the docstring of `Strategy`: the key that was used longest ago."""

    def lineup(self, rng: Random) -> Lineup:
        return RestedLineup()


class RestedLineup:
    def __init__(self, seats: Any = ()) -> None:
        self.seats: dict[int, Seat] = dict(seats)

    def add(self, seat: Seat) -> None:
        self.seats[seat.index] = seat

    def discard(self, seat: Seat) -> None:
        self.seats.pop(seat.index, None)

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:
        for index, seat in self.seats.items():
            if index not in tried:
                self.seats[index] = self.seats.pop(index)
                return seat
        return None

    def copy(self) -> Lineup:
        return RestedLineup(self.seats)


class Tiered:
    def lineup(self, rng: Random) -> Lineup:
        return Tiers(RoundRobin(), rng)


STRATEGIES = [RoundRobin(), LeastUsed(), FillFirst(), Latency(), Affinity(), Affinity(Rested()), Rested(), Tiered()]


def seats_of(size: int, scopes: int = 0) -> list[Seat]:
    traffic = Traffic()
    return [
        Seat(
            index=index,
            weight=1.0 + index % 3,
            alias=f"a{index}",
            scope=f"s{index % scopes}" if scopes else "",
            priority=index % 2,
            traffic=traffic,
        )
        for index in range(size)
    ]


def full(strategy: Strategy, seats: list[Seat], seed: int = 0) -> Lineup:
    lineup = strategy.lineup(Random(seed))
    for seat in seats:
        lineup.add(seat)
    return lineup


def asks(count: int) -> list[Ask]:
    return [Ask(conversation=f"c{number}") for number in range(count)]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_a_usable_key_is_always_found_and_no_other_ever(strategy: Strategy, data: st.DataObject) -> None:
    seats = seats_of(12, data.draw(st.sampled_from([0, 3])))
    rng = Random(data.draw(st.integers(0, 99)))
    lineup, members = strategy.lineup(rng), set[int]()
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["add", "discard", "pick", "pick", "copy"])):
            case "add" if absent := sorted(set(range(12)) - members):
                members.add(index := data.draw(st.sampled_from(absent)))
                lineup.add(seats[index])
            case "discard":
                members.discard(index := data.draw(st.integers(0, 11)))
                lineup.discard(seats[index])
            case "copy":
                original, lineup = lineup, lineup.copy()
                for seat in seats:
                    original.discard(seat)
            case _:
                tried = data.draw(st.sets(st.integers(0, 11)))
                conversation = data.draw(st.none() | st.sampled_from("abc"))
                picked = lineup.pick(tried, Ask(conversation=conversation))
                assert (picked.index in members - tried) if picked else not members - tried
                if picked:
                    picked.take()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
def test_the_same_seed_makes_the_same_choices(strategy: Strategy) -> None:
    runs = []
    for _ in "ab":
        lineup = full(strategy, seats_of(9, 3), 5)
        runs.append([lineup.pick((), ask).index for ask in [*asks(20), *[ANYTHING] * 20]])
    assert runs[0] == runs[1]


@settings(max_examples=20)
@given(st.integers(2, 60), st.sampled_from([0, 1, 4]), st.data())
def test_a_key_that_goes_moves_only_its_own_conversations_and_has_them_again(
    size: int, scopes: int, data: st.DataObject
) -> None:
    seats = seats_of(size, scopes)
    lineup = full(Affinity(), seats)
    before = [lineup.pick((), ask).index for ask in asks(200)]
    gone = data.draw(st.integers(0, size - 1))
    lineup.discard(seats[gone])
    during = [lineup.pick((), ask).index for ask in asks(200)]
    lineup.add(seats[gone])
    assert [lineup.pick((), ask).index for ask in asks(200)] == before
    moved = [(was, now) for was, now in zip(before, during, strict=True) if was != now]
    assert all(was == gone for was, _ in moved)
    if scopes and any(seat.scope == seats[gone].scope for seat in seats if seat is not seats[gone]):
        assert all(seats[now].scope == seats[gone].scope for _, now in moved)


@pytest.mark.parametrize("scopes", [0, 4])
def test_conversations_are_shared_out_by_weight(scopes: int) -> None:
    seats = seats_of(12, scopes)
    lineup = full(Affinity(), seats)
    counts = Counter(lineup.pick((), ask).index for ask in asks(12_000))
    for seat in seats:
        assert counts[seat.index] == pytest.approx(500 * seat.weight, rel=0.2)


@settings(max_examples=20)
@given(st.integers(3, 40), st.sampled_from([0, 3]), st.integers(1, 8))
def test_no_key_is_much_busier_than_the_average(size: int, scopes: int, conversations: int) -> None:
    seats = seats_of(size, scopes)
    lineup = full(Affinity(balance=1.25, floor=1), seats)
    for number in range(size * 6):
        lineup.pick((), Ask(conversation=str(number % conversations))).take()
    total = sum(seat.weight for seat in seats)
    for seat in seats:
        assert seat.in_flight <= 1.25 * 6 * size * seat.weight / total + 2


def test_a_busy_conversation_stays_in_its_scope_while_that_has_room() -> None:
    seats = seats_of(12, 3)
    lineup = full(Affinity(), seats)
    home = lineup.pick((), Ask(conversation="x"))
    home.take()
    home.take()
    other = lineup.pick((), Ask(conversation="x"))
    assert other is not home
    assert other.scope == home.scope


def test_fill_first_keeps_the_first_key() -> None:
    seats = seats_of(4)
    lineup = full(FillFirst(), seats[::-1])
    assert {lineup.pick(()).index for _ in range(9)} == {0}
    lineup.discard(seats[0])
    assert lineup.pick({1}).index == 2
    lineup.add(seats[0])
    assert lineup.pick(()).index == 0


def test_latency_prefers_the_quick_tries_the_unknown_and_forgets() -> None:
    traffic = Traffic()
    slow, quick = (Seat(index=index, traffic=traffic) for index in range(2))
    lineup = full(Latency(), [slow, quick])
    slow.time(5.0)
    assert lineup.pick(()) is quick  # not known yet
    quick.time(0.5)
    assert {lineup.pick(()).index for _ in range(9)} == {1}
    traffic.now = 100.0
    quick.time(0.4)
    assert lineup.pick(()) is slow
    slow.time(9.0)
    slow.time(1.0)
    assert slow.latency == 9.0  # better news does not count at once


def key(alias: str, **more: Any) -> Key:
    return Key(secret=Secret(f"secret-{alias}"), alias=alias, **more)


@pytest.mark.anyio
async def test_a_lower_tier_serves_only_while_no_key_of_a_higher_one_can() -> None:
    now = 0.0
    store = MemoryStore(clock=lambda: now, rng=Random(1))
    store.join([key("spare"), key("main", priority=5)], strategy=LeastUsed(), max_concurrency=None)
    for _ in range(5):
        lease = await store.acquire(ANYTHING)
        assert lease.key == "main"
    await store.report(lease, Outcome(event=Event.RATE, seconds=10.0))
    assert (await store.acquire(ANYTHING)).key == "spare"
    now = 30.0
    assert (await store.acquire(ANYTHING)).key == "main"  # its probe


@pytest.mark.anyio
async def test_a_lower_tier_is_not_probed_before_a_better_key_where_tokens_are_counted_either() -> None:
    now = 0.0
    store = MemoryStore(clock=lambda: now, rng=Random(1))
    limits = RateLimits(tpm=1_000_000)
    keys = [key("spare", limits=limits), key("main", priority=5, limits=limits)]
    store.join(keys, strategy=LeastUsed(), max_concurrency=None)
    asked = Ask(model="m", tokens=10)
    lease = await store.acquire(structs.replace(asked, tried=frozenset(["main"])))
    await store.report(lease, Outcome(event=Event.RATE, seconds=10.0))
    now = 30.0
    assert {(await store.acquire(asked)).key for _ in range(5)} == {"main"}


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", [Latency(), Affinity(Latency())])
async def test_a_strategy_that_wants_latencies_gets_them_also_within_another(strategy: Strategy) -> None:
    now = 0.0

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal now
        now += 3.0
        await OK(scope, receive, send)

    pool = KeyPool(slow, protocol=Tiny(), keys=["k1"], strategy=strategy, clock=lambda: now)
    assert (await ask(pool)).status == 200
    assert pool._store._roster.seats[0].latency == 3.0


@pytest.mark.parametrize("wrong", [{"balance": 1.0}, {"balance": float("nan")}, {"floor": 0}])
def test_an_affinity_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        Affinity(**wrong)
