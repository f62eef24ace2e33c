"""Meters: what providers let through in a minute, each in its own way."""

from __future__ import annotations

from random import Random

import pytest

from ds2api_asgi.simulation.quota import MINUTE, meter

WINDOWS = ("fixed", "sliding", "bucket")


def admitted(window: str, limit: int, seed: int, *, seconds: float = 300.0) -> list[float]:
    """When requests of an eager client got in."""
    rng, counted, now, times = Random(seed), meter(window, limit), 0.0, []
    while now < seconds:
        if counted.wait(1, now) == 0:
            counted.take(1, now)
            times.append(now)
        now += rng.expovariate(limit / 10)
    return times


def most_in_any_minute(times: list[float]) -> int:
    return max(sum(start <= time < start + MINUTE for time in times) for start in times)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("window", "most"), [("fixed", 2.0), ("sliding", 1.0), ("bucket", 1.1)])
def test_no_minute_has_more_than_the_window_lets_through(window: str, most: float, seed: int) -> None:
    assert most_in_any_minute(admitted(window, 30, seed)) <= 30 * most


@pytest.mark.parametrize("window", WINDOWS)
def test_an_eager_client_gets_all_of_the_limit(window: str) -> None:
    assert len(admitted(window, 30, 1)) == pytest.approx(150, rel=0.1)


def test_a_fixed_window_lets_two_minutes_through_around_its_turn() -> None:
    counted = meter("fixed", 30)
    for now in (59.0, 60.0):
        for _ in range(30):
            assert counted.wait(1, now) == 0
            counted.take(1, now)
        assert counted.wait(1, now) > 0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("window", WINDOWS)
def test_there_is_room_after_the_wait_that_was_told_and_not_before(window: str, seed: int) -> None:
    rng, counted, now = Random(seed), meter(window, 20), 0.0
    for _ in range(200):
        amount = rng.randint(1, 2)
        wait = counted.wait(amount, now)
        if wait:
            assert counted.wait(amount, now + wait * 0.999) > 0
            now += wait + 1e-9
            assert counted.wait(amount, now) == 0
        counted.take(amount, now)
        now += rng.expovariate(1.0)


@pytest.mark.parametrize("window", WINDOWS)
def test_everything_is_left_again_after_the_reset(window: str) -> None:
    counted = meter(window, 20)
    whole = counted.left(0.0)
    counted.take(2, 1.0)
    assert counted.left(1.0) < whole
    assert counted.left(1.0 + counted.reset(1.0) + 1e-9) == pytest.approx(whole)
