"""Strategies share work out as they promise, and never miss a key that can be used."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool.strategies import LeastUsed, Lineup, RoundRobin, Seat, Strategy, strategy_named

STRATEGIES = [RoundRobin(), LeastUsed()]


def lineup_of(strategy: Strategy, seats: list[Seat], seed: int = 0) -> Lineup:
    lineup = strategy.lineup(Random(seed))
    for seat in seats:
        lineup.add(seat)
    return lineup


def seats_of(*weights: float) -> list[Seat]:
    return [Seat(index=index, weight=weight) for index, weight in enumerate(weights)]


@given(st.integers(1, 40), st.integers(1, 5))
def test_round_robin_gives_each_key_its_turn_in_order(size: int, rounds: int) -> None:
    lineup = lineup_of(RoundRobin(), seats_of(*[1.0] * size))
    assert [lineup.pick(()).index for _ in range(size * rounds)] == list(range(size)) * rounds


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 300))
def test_round_robin_keeps_weights_to_within_a_turn_of_each_key(weights: list[int], picks: int) -> None:
    lineup = lineup_of(RoundRobin(), seats_of(*map(float, weights)))
    counts = Counter(lineup.pick(()).index for _ in range(picks))
    turns = [counts[index] / weight for index, weight in enumerate(weights)]
    assert max(turns) - min(turns) <= 1 / min(weights) + 1e-9


@given(st.integers(2, 30), st.integers(0, 2**32))
def test_least_used_stays_even_when_nothing_is_in_flight(size: int, seed: int) -> None:
    lineup = lineup_of(LeastUsed(), seats_of(*[1.0] * size), seed)
    counts = Counter(lineup.pick(()).index for _ in range(size * 20))
    assert max(counts.values()) - min(counts[index] for index in range(size)) <= 12  # two choices: log log n; one: 40


@given(st.integers(2, 50), st.integers(0, 2**32))
def test_least_used_spreads_requests_in_flight(size: int, seed: int) -> None:
    seats = seats_of(*[1.0] * size)
    lineup = lineup_of(LeastUsed(), seats, seed)
    for _ in range(size * 5):
        lineup.pick(()).in_flight += 1
    assert max(seat.in_flight for seat in seats) <= 5 + 4


@given(st.integers(0, 2**32))
def test_least_used_gives_two_keys_work_by_weight(seed: int) -> None:
    seats = seats_of(1.0, 3.0)
    lineup = lineup_of(LeastUsed(), seats, seed)
    for _ in range(40):
        lineup.pick(()).in_flight += 1
    assert [seat.in_flight for seat in seats] == [10, 30]


def test_least_used_prefers_the_idle_of_two() -> None:
    busy, idle = seats_of(1.0, 1.0)
    busy.in_flight = 3
    lineup = lineup_of(LeastUsed(), [busy, idle])
    assert {lineup.pick(()).index for _ in range(10)} == {idle.index}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_makes_the_same_choices(strategy: Strategy) -> None:
    runs = [
        [lineup.pick(()).index for _ in range(50)]
        for lineup in (lineup_of(strategy, seats_of(1, 2, 3), 7) for _ in "ab")
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_key_that_was_away_does_not_get_everything_until_it_has_caught_up(strategy: Strategy) -> None:
    seats = seats_of(1, 1)
    lineup = lineup_of(strategy, seats)
    lineup.discard(seats[1])
    for _ in range(1_000):
        lineup.pick(())
    lineup.add(seats[1])
    counts = Counter(lineup.pick(()).index for _ in range(20))
    assert abs(counts[0] - counts[1]) <= 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_key_that_leaves_for_each_request_does_not_starve_the_others(strategy: Strategy) -> None:
    seats = seats_of(1, 1, 1)
    lineup = lineup_of(strategy, seats)
    counts: Counter[int] = Counter()
    for _ in range(300):
        seat = lineup.pick(())
        counts[seat.index] += 1
        lineup.discard(seat)
        lineup.add(seat)
    assert min(counts.values()) >= 80


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(data=st.data())
def test_a_lineup_picks_a_member_that_was_not_tried_whenever_there_is_one(
    strategy: Strategy, data: st.DataObject
) -> None:
    seats = seats_of(*[1.0] * 12)
    lineup = strategy.lineup(Random(data.draw(st.integers(0, 9))))
    members: set[int] = set()
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["add", "discard", "pick", "copy"])):
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
                picked = lineup.pick(tried)
                if members - tried:
                    assert picked is not None
                    assert picked.index in members - tried
                else:
                    assert picked is None


def test_a_key_that_comes_and_goes_has_no_more_turns_than_the_others() -> None:
    seats = seats_of(1, 1, 1)
    lineup = lineup_of(RoundRobin(), seats)
    for _ in range(9):
        lineup.discard(seats[0])
        lineup.add(seats[0])
    assert [lineup.pick(()).index for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_round_robin_forgets_what_keys_that_came_and_went_left_behind() -> None:
    seat = Seat(index=0)
    lineup = lineup_of(RoundRobin(), [seat])
    for _ in range(10_000):
        lineup.discard(seat)
        lineup.add(seat)
    assert len(lineup._heap) < 100


def test_strategies_have_the_names_of_configuration() -> None:
    assert isinstance(strategy_named("round-robin"), RoundRobin)
    assert isinstance(strategy_named("least-used"), LeastUsed)
    with pytest.raises(ConfigurationError, match="affinity, fill-first, latency, least-used, round-robin"):
        strategy_named("fastest")
