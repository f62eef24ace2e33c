"""The circuit breaker: properties, and a stateful test against a model that is written without buckets and eras."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.resilience.breaker import (
    TRANSITIONS,
    Breaker,
    BreakerEvent,
    BreakerPolicy,
    BreakerState,
    Mark,
    Pass,
)

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
STEADY = BreakerPolicy(jitter=0.0)


def entered(breaker: Breaker, now: float) -> Pass:
    found = breaker.enter(now)
    assert found is not None
    return found


def feed(breaker: Breaker, marks: str, *, at: float = 0.0) -> None:
    """``+`` served, ``-`` failed, ``.`` neither; one after the other."""
    for mark in marks:
        found = entered(breaker, at)
        breaker.leave(found, {"+": Mark.SERVED, "-": Mark.FAILED, ".": Mark.NEITHER}[mark], at)


def opened(policy: BreakerPolicy = STEADY, *, at: float = 0.0) -> Breaker:
    breaker = Breaker(policy, Random(1))
    feed(breaker, "-----", at=at)
    assert breaker.state is OPEN
    return breaker


def test_every_state_is_left_and_every_event_moves_exactly_one_state():
    assert set(TRANSITIONS) == set(BreakerState)
    events = [event for moves in TRANSITIONS.values() for event in moves]
    assert sorted(events, key=lambda e: e.value) == list(BreakerEvent)


@given(st.text("+.", max_size=60))
def test_what_is_no_failure_never_opens_it(marks):
    breaker = Breaker(STEADY, Random(1))
    feed(breaker, marks)
    assert breaker.state is CLOSED


def test_five_failures_in_a_row_open_it_and_a_success_between_starts_anew():
    breaker = Breaker(STEADY, Random(1))
    feed(breaker, "----+----")
    assert breaker.state is CLOSED
    feed(breaker, ".-")  # what says nothing is no success
    assert breaker.state is OPEN


def test_more_than_half_of_twenty_open_it_and_half_does_not():
    breaker = Breaker(STEADY, Random(1))
    feed(breaker, "-+" * 10)
    assert breaker.state is CLOSED
    feed(breaker, "-")
    assert breaker.state is OPEN


def test_a_share_of_fewer_than_twenty_says_nothing():
    breaker = Breaker(STEADY, Random(1))
    feed(breaker, "--+" * 6 + "-")
    assert breaker.state is CLOSED
    feed(breaker, "-")
    assert breaker.state is OPEN


def test_successes_before_the_first_failure_count_for_the_share():
    breaker = Breaker(STEADY, Random(1))
    feed(breaker, "+" * 100 + "-+" * 15)
    assert breaker.state is CLOSED


def test_the_window_slides():
    breaker = Breaker(STEADY, Random(1))
    feed(breaker, "--+" * 6 + "-", at=0.0)  # 13 failures of 19
    feed(breaker, "+-", at=31.0)
    assert breaker.state is CLOSED
    feed(breaker, "--+" * 6, at=59.0)  # the two of a moment ago still count
    assert breaker.state is CLOSED
    feed(breaker, "-", at=59.0)
    assert breaker.state is OPEN


@given(st.integers(0, 2**32), st.integers(0, 12))
def test_rests_double_up_to_a_cap_with_a_fifth_of_jitter(seed, reopenings):
    breaker = Breaker(BreakerPolicy(), Random(seed))
    feed(breaker, "-----")
    now = 0.0
    for _ in range(reopenings):
        now += breaker.reopens_in(now)
        breaker.leave(entered(breaker, now), Mark.FAILED, now)
    rest = min(300.0, 5.0 * 2**reopenings)
    assert 0.8 * rest - 1e-6 <= breaker.reopens_in(now) <= 1.2 * rest + 1e-6


def test_jitter_spreads_the_rests():
    rests = {round(_fed(Breaker(BreakerPolicy(), Random(seed))).reopens_in(0.0), 6) for seed in range(50)}
    assert len(rests) > 40


def _fed(breaker: Breaker) -> Breaker:
    feed(breaker, "-----")
    return breaker


def test_nothing_passes_while_it_rests_and_then_one_at_a_time():
    breaker = opened()
    assert breaker.enter(4.99) is None
    assert breaker.reopens_in(4.0) == 1.0
    probe = entered(breaker, 5.0)
    assert probe.probe
    assert breaker.enter(5.0) is None
    assert breaker.reopens_in(5.0) > 0
    breaker.leave(probe, Mark.SERVED, 5.1)
    assert breaker.state is HALF_OPEN
    assert breaker.reopens_in(5.1) == 0
    assert breaker.leave(entered(breaker, 5.1), Mark.SERVED, 5.2)
    assert breaker.state is CLOSED


def test_a_probe_that_found_nothing_out_leaves_its_place_to_another():
    breaker = opened()
    breaker.leave(entered(breaker, 5.0), Mark.NEITHER, 5.1)
    assert breaker.state is HALF_OPEN
    assert entered(breaker, 5.2).probe


def test_the_successes_of_probes_must_be_in_a_row():
    breaker = opened()
    breaker.leave(entered(breaker, 5.0), Mark.SERVED, 5.0)
    breaker.leave(entered(breaker, 5.0), Mark.FAILED, 5.0)
    assert breaker.state is OPEN
    assert breaker.reopens_in(5.0) == 10.0
    breaker.leave(entered(breaker, 15.0), Mark.SERVED, 15.0)
    assert breaker.state is HALF_OPEN


def test_a_success_that_began_before_it_opened_proves_nothing():
    breaker = Breaker(STEADY, Random(1))
    early = entered(breaker, 0.0)
    feed(breaker, "-----")
    breaker.leave(early, Mark.SERVED, 1.0)
    assert breaker.state is OPEN
    breaker.enter(5.0)
    breaker.leave(early, Mark.SERVED, 6.0)
    assert breaker.state is HALF_OPEN
    assert breaker.enter(6.0) is None  # nor does it free the probe's place


def test_failures_that_began_before_it_recovered_do_not_trip_it_again():
    breaker = Breaker(STEADY, Random(1))
    early = [entered(breaker, 0.0) for _ in range(30)]
    feed(breaker, "-----")
    feed(breaker, "++", at=5.0)
    assert breaker.state is CLOSED
    for one in early:
        breaker.leave(one, Mark.FAILED, 6.0)
    assert breaker.state is CLOSED


def test_many_failures_at_once_are_one_opening():
    breaker = Breaker(STEADY, Random(1))
    changed = [breaker.leave(one, Mark.FAILED, 0.0) for one in [entered(breaker, 0.0) for _ in range(50)]]
    assert sum(changed) == 1
    assert breaker.reopens_in(0.0) == 5.0


def test_flapping_goes_on_doubling_and_a_quiet_time_forgives():
    breaker = opened()
    feed(breaker, "++", at=5.0)
    feed(breaker, "-----", at=6.0)
    assert breaker.reopens_in(6.0) == 10.0
    feed(breaker, "++", at=16.0)
    feed(breaker, "-----", at=50.0)
    assert breaker.reopens_in(50.0) == 5.0


def test_in_a_panic_one_a_second_passes():
    breaker = opened()
    passes = [breaker.panic(0.1 * tick) for tick in range(40)]
    assert sum(one is not None for one in passes) == 1  # the first is still under way
    breaker.leave(next(one for one in passes if one), Mark.FAILED, 4.0)
    assert breaker.state is OPEN
    assert breaker.reopens_in(4.0) == 1.0  # a panic is before its time and costs no longer rest
    tried = 0
    breaker = opened(BreakerPolicy(jitter=0.0, rest=100.0))
    for tick in range(100):
        one = breaker.panic(0.1 * tick)
        if one is not None:
            tried += 1
            breaker.leave(one, Mark.FAILED, 0.1 * tick)
    assert tried == 10


def test_who_is_served_in_a_panic_shows_that_the_upstream_is_back():
    breaker = opened()
    found = breaker.panic(1.0)
    assert found is not None
    breaker.leave(found, Mark.SERVED, 1.1)
    assert breaker.state is HALF_OPEN
    breaker.leave(entered(breaker, 1.2), Mark.SERVED, 1.2)
    assert breaker.state is CLOSED


def test_a_panic_passes_a_closed_breaker_like_anybody():
    breaker = Breaker(STEADY, Random(1))
    assert breaker.panic(0.0) == breaker.enter(0.0)


@pytest.mark.parametrize(
    "terms",
    [
        {"consecutive": 0},
        {"least": True},
        {"share": 1.0},
        {"share": math.nan},
        {"window": 0.0},
        {"rest": math.inf},
        {"longest_rest": -1.0},
        {"jitter": 1.0},
        {"probes": 0},
        {"models": 0},
        {"panic_interval": -1.0},
        {"panic_interval": math.nan},
    ],
)
def test_a_policy_that_cannot_work_is_refused(terms):
    with pytest.raises(ConfigurationError):
        BreakerPolicy(**terms).check()


def test_the_default_policy_is_the_designs():
    policy = BreakerPolicy()
    policy.check()
    assert (policy.consecutive, policy.share, policy.least, policy.window) == (5, 0.5, 20, 30.0)
    assert (policy.rest, policy.longest_rest, policy.jitter, policy.probes) == (5.0, 300.0, 0.2, 2)


class BreakerMachine(RuleBasedStateMachine):
    """A breaker beside a model that keeps whole lists, and looks through them each time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(STEADY, Random(1))
        self.now = 0.0
        self.running: list[tuple[Pass, int, bool]] = []  # the pass, the model's era, whether it is a probe
        self.era = 0
        self.state = CLOSED
        self.history: list[tuple[int, bool]] = []  # the bucket's number, and whether it served
        self.row = 0
        self.until = 0.0
        self.reopenings = 0
        self.closed_at = -math.inf
        self.served = 0
        self.panicked_at = -math.inf

    def _move(self, state: BreakerState) -> None:
        self.state = state
        self.era += 1
        self.row = self.served = 0

    def _open(self) -> None:
        self.until = self.now + min(300.0, 5.0 * 2**self.reopenings)
        self._move(OPEN)

    def _probing(self) -> bool:
        return any(probe and era == self.era for _, era, probe in self.running)

    def _may_enter(self) -> bool:
        if self.state is OPEN and self.now >= self.until:
            self._move(HALF_OPEN)
        return self.state is CLOSED or (self.state is HALF_OPEN and not self._probing())

    @rule(seconds=st.sampled_from([0.5, 3.0, 7.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 6))
    def enter(self, times: int) -> None:
        for _ in range(times):
            may = self._may_enter()
            found = self.breaker.enter(self.now)
            assert (found is not None) == may
            if found is not None:
                assert found.probe == (self.state is HALF_OPEN)
                self.running.append((found, self.era, found.probe))

    @rule()
    def panic(self) -> None:
        may = self._may_enter()
        in_panic = not may and not self._probing() and self.now - self.panicked_at >= 1.0
        found = self.breaker.panic(self.now)
        assert (found is not None) == (may or in_panic)
        if found is not None:
            if in_panic:
                self.panicked_at = self.now
            self.running.append((found, self.era, found.probe))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 1000), mark=st.sampled_from(Mark), all_of_them=st.booleans())
    def leave(self, which: int, mark: Mark, all_of_them: bool) -> None:
        count = len(self.running) if all_of_them else 1
        for _ in range(count):
            found, era, probe = self.running.pop(which % len(self.running))
            before = self.era
            if era == self.era and mark in (Mark.SERVED, Mark.FAILED):
                self._learn(probe, mark is Mark.SERVED)
            elif era == self.era and mark is Mark.UNUSED and probe:
                self.panicked_at = -math.inf
            assert self.breaker.leave(found, mark, self.now) == (self.era != before and self.state is not HALF_OPEN)

    def _learn(self, probe: bool, served: bool) -> None:
        if self.state is CLOSED:
            bucket = int(self.now // 3.0)
            self.history.append((bucket, served))
            self.row = 0 if served else self.row + 1
            recent = [good for number, good in self.history if number > bucket - 10]
            bad = recent.count(False)
            if not served and (self.row >= 5 or (len(recent) >= 20 and 2 * bad > len(recent))):
                self.reopenings = self.reopenings + 1 if self.now - self.closed_at < 30.0 else 0
                self._open()
        elif probe and not served:
            if self.state is HALF_OPEN:
                self.reopenings += 1
                self._open()
        elif probe:
            if self.state is OPEN:
                self._move(HALF_OPEN)
            self.served += 1
            if self.served == 2:
                self._move(CLOSED)
                self.history.clear()
                self.closed_at = self.now

    @invariant()
    def agrees(self) -> None:
        assert self.breaker.state is self.state
        if self.state is OPEN:
            assert self.breaker.reopens_in(self.now) == max(0.0, self.until - self.now)
        elif self.state is CLOSED:
            assert self.breaker.reopens_in(self.now) == 0
            assert self.breaker.failures == self.row


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
