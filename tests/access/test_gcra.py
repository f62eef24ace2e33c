"""Laws of one limit: what may be taken in any stretch of time, and what a refund gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.access.budget import Budget
from ds2api_asgi.access.gcra import Allowed, Denied, Gcra

SLACK = 1e-3
RATES = st.floats(0.01, 1_000)
BURSTS = st.floats(1, 10_000)
STEPS = st.lists(st.tuples(st.floats(0, 50), st.floats(0, 200)), max_size=40)  # (seconds passed, cost)
STRANGE = [math.nan, math.inf, -math.inf, -1.0, -1e-9]


def run(limit: Gcra | Budget, steps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What was taken, and when."""
    now, taken = 0.0, []
    for passed, cost in steps:
        now += passed
        if isinstance(limit.take(cost, now), Allowed):
            taken.append((now, cost))
    return taken


@given(RATES, BURSTS, STEPS)
def test_no_stretch_of_time_sees_more_than_the_burst_and_what_it_earned(
    rate: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    taken = run(Gcra(rate=rate, burst=burst), steps)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            seconds = taken[last][0] - taken[first][0]
            assert sum(cost for _, cost in taken[first : last + 1]) <= (burst + rate * seconds) * (1 + 1e-6) + SLACK


@given(st.floats(1, 1_000), st.floats(1, 500), STEPS)
def test_no_period_sees_more_than_its_budget(amount: float, period: float, steps: list[tuple[float, float]]) -> None:
    spent: dict[int, float] = {}
    for now, cost in run(Budget(amount=amount, period=period), steps):
        number = math.floor(now / period)
        spent[number] = spent.get(number, 0.0) + cost
    assert all(total <= amount * (1 + 1e-9) for total in spent.values())


@given(RATES, BURSTS, STEPS, st.floats(0, 1))
def test_a_refund_at_once_is_as_if_nothing_had_been_taken(
    rate: float, burst: float, steps: list[tuple[float, float]], part: float
) -> None:
    limit = Gcra(rate=rate, burst=burst)
    run(limit, steps)
    now = sum(passed for passed, _ in steps)
    before = limit.take(0, now)
    if isinstance(limit.take(burst * part, now), Allowed):
        limit.refund(burst * part, now)
    after = limit.take(0, now)
    assert after.remaining == pytest.approx(before.remaining, abs=SLACK)


@given(RATES, BURSTS, STEPS, st.lists(st.floats(0, 1e6), max_size=5))
def test_no_refund_gives_more_than_a_burst(
    rate: float, burst: float, steps: list[tuple[float, float]], refunds: list[float]
) -> None:
    limit = Gcra(rate=rate, burst=burst)
    run(limit, steps)
    now = sum(passed for passed, _ in steps)
    for refund in refunds:
        limit.refund(refund, now)
    assert limit.take(0, now).remaining <= burst
    assert isinstance(limit.take(burst * 1.01, now), Denied)


@given(RATES, BURSTS, STEPS, st.floats(0, 1))
def test_who_waits_as_long_as_it_was_told_gets_it_and_not_much_earlier(
    rate: float, burst: float, steps: list[tuple[float, float]], part: float
) -> None:
    limit = Gcra(rate=rate, burst=burst)
    run(limit, steps)
    now = sum(passed for passed, _ in steps)
    cost = burst * part
    denied = limit.take(cost, now)
    if isinstance(denied, Allowed):
        return
    assert isinstance(limit.take(cost, now + denied.retry_after * 0.99 - 2e-6), Denied)
    assert isinstance(limit.take(cost, now + denied.retry_after), Allowed)


@given(RATES, BURSTS, STEPS)
def test_what_is_denied_changes_nothing(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    limit = Gcra(rate=rate, burst=burst)
    now = 0.0
    for passed, cost in steps:
        now += passed
        limit.take(0, now)
        before = limit.tat
        if isinstance(limit.take(cost, now), Denied):
            assert limit.tat == before


@given(RATES, BURSTS, STEPS)
def test_remaining_never_grows_by_taking_and_never_shrinks_by_waiting(
    rate: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    limit = Gcra(rate=rate, burst=burst)
    now = 0.0
    left = limit.take(0, now).remaining
    for passed, cost in steps:
        now += passed
        waited = limit.take(0, now).remaining
        assert waited >= left - SLACK
        left = limit.take(cost, now).remaining
        assert left <= waited + SLACK


def test_more_than_a_burst_is_never_allowed_and_says_so() -> None:
    assert Gcra(rate=1, burst=10).take(11, 0) == Denied(math.inf, 10.0, 0.0)
    denied = Budget(amount=10, period=60).take(11, 0)
    assert isinstance(denied, Denied)
    assert denied.retry_after == math.inf


def test_a_charge_without_room_is_earned_before_anything_else_is_allowed() -> None:
    limit = Gcra(rate=1, burst=10)
    limit.charge(25, 0)
    denied = limit.take(1, 0)
    assert isinstance(denied, Denied)
    assert denied.retry_after == pytest.approx(16)
    assert denied.remaining == 0


def test_a_clock_that_goes_back_gives_nothing_back() -> None:
    for limit in (Gcra(rate=1, burst=10, now=100), Budget(amount=10, period=60, now=100)):
        limit.take(10, 100)
        assert isinstance(limit.take(1, 0), Denied)
        assert isinstance(limit.take(1, 100), Denied)


def test_what_was_taken_in_another_period_is_not_given_back_to_this_one() -> None:
    budget = Budget(amount=10, period=60)
    budget.take(10, 59)
    budget.take(10, 61)
    budget.refund(10, 61, taken=59)
    assert isinstance(budget.take(1, 62), Denied)
    budget.refund(4, 62, taken=61)
    assert isinstance(budget.take(4, 62), Allowed)


@pytest.mark.parametrize("number", STRANGE)
@pytest.mark.parametrize(
    "ask",
    [
        lambda number: Gcra(rate=number, burst=1),
        lambda number: Gcra(rate=1, burst=number),
        lambda number: Gcra(rate=1, burst=1).take(number, 0),
        lambda number: Gcra(rate=1, burst=1).refund(number, 0),
        lambda number: Gcra(rate=1, burst=1).charge(number, 0),
        lambda number: Budget(amount=number, period=1),
        lambda number: Budget(amount=1, period=number),
        lambda number: Budget(amount=1, period=1).take(number, 0),
        lambda number: Budget(amount=1, period=1).refund(number, 0),
        lambda number: Budget(amount=1, period=1).charge(number, 0),
    ],
)
def test_numbers_that_are_none_are_refused(ask: Callable[[float], Any], number: float) -> None:
    with pytest.raises(ValueError):
        ask(number)


@pytest.mark.parametrize("now", [math.nan, math.inf])
def test_times_that_are_none_are_refused(now: float) -> None:
    with pytest.raises(ValueError):
        Gcra(rate=1, burst=1).take(1, now)
    with pytest.raises(ValueError):
        Budget(amount=1, period=1).take(1, now)
