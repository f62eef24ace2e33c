"""A window never lets more than its limit through in any stretch of its length, and never locks for good."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.pool.windows import PARTS, Window

STEPS = st.lists(st.tuples(st.floats(0, 40), st.integers(1, 12)), max_size=60)


@given(STEPS, st.integers(1, 20))
def test_no_stretch_of_the_windows_length_holds_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    window, now, passed = Window(limit, 60.0), 0.0, []
    for pause, amount in steps:
        now += pause
        amount = min(amount, limit)
        if window.ready_at(amount, now) <= now:
            window.take(amount, now)
            passed.append((now, amount))
    for start, _ in passed:
        assert sum(amount for when, amount in passed if start <= when < start + 60.0) <= limit


@given(STEPS, st.integers(1, 20), st.integers(1, 30))
def test_there_is_room_at_the_moment_that_was_told_and_soon_after_the_window_has_passed(
    steps: list[tuple[float, int]], limit: int, amount: int
) -> None:
    window, now = Window(limit, 60.0), 0.0
    for pause, taken in steps:
        now += pause
        window.take(taken, now)
    ready = window.ready_at(amount, now)
    assert now <= ready <= now + 60.0 + 60.0 / PARTS + 1e-6
    assert window.ready_at(amount, ready) <= ready


@given(STEPS)
def test_what_is_corrected_away_is_as_if_it_had_never_been_taken(steps: list[tuple[float, int]]) -> None:
    window, now = Window(10, 60.0), 0.0
    for pause, amount in steps:
        now += pause
        window.correct(window.take(amount, now), -amount)
    assert window.ready_at(10, now) == now


def test_a_correction_of_what_is_forgotten_changes_nothing() -> None:
    window = Window(10, 60.0)
    part = window.take(10, 0.0)
    window.take(4, 70.0)
    window.correct(part, -10)
    assert (window.used, window.ready_at(7, 70.0) > 70.0) == (4, True)


def test_what_is_larger_than_the_limit_has_room_once_the_window_is_empty() -> None:
    window = Window(10, 60.0)
    window.take(1, 0.0)
    assert window.ready_at(50, 0.0) == 61.0
    assert window.ready_at(50, 61.0) == 61.0
