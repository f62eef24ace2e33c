"""The health machine: what each event does, and what old news does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.pool.health import TRANSITIONS, Event, KeyState, Lane, Outcome
from ds2api_asgi.pool.outcome import outcome_of, served_of
from ds2api_asgi.protocols.base import Limits
from ds2api_asgi.universal.failure import Fault, KeyAction, RetryScope, Verdict

HOUR, DAY = 3_600.0, 86_400.0


class Driver:
    """One lane with a clock and stamps of its own."""

    def __init__(self) -> None:
        self.lane = Lane()
        self.now = 1_000.0
        self.stamp = 0

    def begin(self) -> int:
        return self.stamp

    def fail(self, event: Event, seconds: float | None = None, *, born: int | None = None, proven: bool = True) -> bool:
        changed = self.lane.fail(
            Outcome(event=event, seconds=seconds),
            proven=proven,
            born=self.stamp if born is None else born,
            stamp=self.stamp + 1,
            now=self.now,
        )
        self.stamp += changed
        return changed

    def serve(self, born: int | None = None) -> bool:
        changed = self.lane.serve(born=self.stamp if born is None else born, stamp=self.stamp + 1)
        self.stamp += changed
        return changed

    def wait(self, seconds: float) -> KeyState:
        self.now += seconds
        self.lane.elapse(self.now)
        return self.lane.state

    @property
    def rest(self) -> float:
        return self.lane.until - self.now


@pytest.fixture
def driver() -> Driver:
    return Driver()


def test_no_event_leads_out_of_disabled_but_time_and_an_operator() -> None:
    out = {event for (state, event), after in TRANSITIONS.items() if state is KeyState.DISABLED and after is not state}
    assert out == {Event.ELAPSED, Event.ENABLE}


def test_a_resting_lane_is_only_probed_after_its_time(driver: Driver) -> None:
    driver.fail(Event.RATE, 7.0)
    assert driver.lane.state is KeyState.COOLING
    assert driver.rest == 7.0
    assert driver.wait(6.9) is KeyState.COOLING
    assert driver.wait(0.2) is KeyState.HALF_OPEN


def test_rate_limits_without_a_hint_rest_1_s_doubling_to_60_s(driver: Driver) -> None:
    rests = []
    for _ in range(9):
        driver.fail(Event.RATE)
        rests.append(driver.rest)
        assert driver.wait(driver.rest) is KeyState.HALF_OPEN
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    driver.serve()
    driver.fail(Event.RATE)
    assert driver.rest == 1


def test_a_hint_that_a_probe_proved_wrong_is_not_believed_below_the_ladder(driver: Driver) -> None:
    driver.fail(Event.RATE, 0.0)
    assert driver.rest == 0
    for expected in (2, 4, 8):
        assert driver.wait(driver.rest) is KeyState.HALF_OPEN
        driver.fail(Event.RATE, 0.0)
        assert driver.rest == expected


@pytest.mark.parametrize("hint", [HOUR, HOUR + 1, 2.3e9, 1e300])
def test_no_hint_keeps_a_key_away_for_more_than_an_hour(driver: Driver, hint: float) -> None:
    driver.fail(Event.RATE, hint)
    assert driver.rest == HOUR


def test_quotas_rest_1_h_doubling_to_24_h(driver: Driver) -> None:
    rests = []
    for _ in range(7):
        driver.fail(Event.QUOTA)
        rests.append(driver.rest / HOUR)
        assert driver.wait(driver.rest) is KeyState.HALF_OPEN
    assert rests == [1, 2, 4, 8, 16, 24, 24]


@pytest.mark.parametrize(("told", "rest"), [(600.0, 600.0), (5 * HOUR, 5 * HOUR), (30 * DAY, DAY), (None, HOUR)])
def test_a_quota_rests_until_the_date_that_was_told_but_a_day_at_most(
    driver: Driver, told: float | None, rest: float
) -> None:
    driver.fail(Event.QUOTA, told)
    assert driver.lane.state is KeyState.EXHAUSTED
    assert driver.rest == rest


def test_requests_that_fail_together_count_once_and_the_longest_hint_counts(driver: Driver) -> None:
    born = driver.begin()
    for hint in (None, 5.0, None, 20.0, 3.0, None):
        driver.fail(Event.RATE, hint, born=born)
    assert driver.lane.strikes == 1
    assert driver.rest == 20.0


def test_a_used_up_quota_counts_for_more_than_a_rate_limit_that_came_first(driver: Driver) -> None:
    born = driver.begin()
    driver.fail(Event.RATE, 5.0, born=born)
    driver.fail(Event.QUOTA, born=born)
    assert driver.lane.state is KeyState.EXHAUSTED
    assert driver.rest == HOUR
    driver.fail(Event.RATE, 2.0, born=born)
    assert driver.lane.state is KeyState.EXHAUSTED


def test_a_success_that_began_before_the_rest_does_not_end_it(driver: Driver) -> None:
    born = driver.begin()
    driver.fail(Event.RATE, 5.0)
    assert not driver.serve(born)
    driver.wait(5.0)
    assert not driver.serve(born)
    assert driver.lane.state is KeyState.HALF_OPEN
    assert driver.serve()
    assert driver.lane.state is KeyState.ACTIVE


def test_a_failure_that_began_before_the_recovery_does_not_trip_it_again(driver: Driver) -> None:
    born = driver.begin()
    driver.fail(Event.RATE, 5.0)
    driver.wait(5.0)
    assert not driver.fail(Event.RATE, 60.0, born=born)
    driver.serve()
    for event in (Event.RATE, Event.QUOTA, Event.REFUSED, Event.FORBIDDEN):
        assert not driver.fail(event, 60.0, born=born)
    assert driver.lane.state is KeyState.ACTIVE


def test_the_first_401_disables_a_key_that_never_served(driver: Driver) -> None:
    driver.fail(Event.REFUSED, proven=False)
    assert driver.lane.state is KeyState.DISABLED
    assert driver.rest == DAY


def test_the_first_401_of_a_key_that_served_cools_it_and_the_second_within_10_min_disables_it(driver: Driver) -> None:
    driver.fail(Event.REFUSED)
    assert driver.lane.state is KeyState.COOLING
    assert driver.rest == 30
    assert driver.wait(30) is KeyState.HALF_OPEN
    driver.fail(Event.REFUSED)
    assert driver.lane.state is KeyState.DISABLED
    assert driver.wait(DAY) is KeyState.HALF_OPEN
    driver.fail(Event.REFUSED)
    assert driver.lane.state is KeyState.DISABLED


def test_several_401_of_requests_that_ran_together_are_one(driver: Driver) -> None:
    born = driver.begin()
    for _ in range(10):
        driver.fail(Event.REFUSED, born=born)
    assert driver.lane.state is KeyState.COOLING


def test_a_success_takes_the_doubt_away_and_so_do_ten_minutes(driver: Driver) -> None:
    driver.fail(Event.REFUSED)
    driver.wait(30)
    driver.serve()
    driver.fail(Event.REFUSED)
    assert driver.lane.state is KeyState.COOLING
    driver.wait(601)
    driver.fail(Event.REFUSED)
    assert driver.lane.state is KeyState.COOLING


def test_a_forbidden_model_is_blocked_for_10_min(driver: Driver) -> None:
    driver.fail(Event.FORBIDDEN)
    assert driver.lane.state is KeyState.BLOCKED
    assert driver.rest == 600


def test_an_operator_overrules_everything(driver: Driver) -> None:
    born = driver.begin()
    driver.lane.disable(1)
    assert driver.wait(10 * DAY) is KeyState.DISABLED
    driver.stamp = 2
    driver.lane.enable(2)
    assert driver.lane.state is KeyState.ACTIVE
    assert not driver.fail(Event.REFUSED, born=born)


@given(st.lists(st.tuples(st.sampled_from([Event.RATE, Event.QUOTA]), st.none() | st.floats(0, 1e6)), max_size=20))
def test_a_deadline_never_moves_in(failures: list[tuple[Event, float | None]]) -> None:
    driver = Driver()
    for event, seconds in failures:
        before = driver.lane.until
        driver.fail(event, seconds, born=0)
        assert driver.lane.until >= before
        driver.now += 0.1


def verdict(fault: Fault, key: KeyAction, *, hint: float | None = None, until: float | None = None) -> Verdict:
    return Verdict(row="test", fault=fault, retry=RetryScope.KEY, key=key, hint=hint, until=until)


@pytest.mark.parametrize("action", list(KeyAction))
@pytest.mark.parametrize("fault", [Fault.REQUEST, Fault.MODEL, Fault.PROVIDER, Fault.NETWORK, Fault.CLIENT, Fault.SELF])
def test_faults_that_are_not_the_keys_mean_nothing_for_it(fault: Fault, action: KeyAction) -> None:
    assert outcome_of(verdict(fault, action, hint=60.0), wall=0.0) is None


@pytest.mark.parametrize("hint", [math.nan, math.inf, -math.inf, -1.0])
def test_hints_that_are_no_durations_are_none(hint: float) -> None:
    outcome = outcome_of(verdict(Fault.RATE, KeyAction.COOL, hint=hint), wall=0.0)
    assert outcome == Outcome(event=Event.RATE)


def test_dates_become_durations_and_past_ones_nothing() -> None:
    quota = verdict(Fault.QUOTA, KeyAction.EXHAUST, hint=3.0, until=5_000.0)
    assert outcome_of(quota, wall=4_000.0) == Outcome(event=Event.QUOTA, seconds=1_000.0)
    assert outcome_of(quota, wall=6_000.0) == Outcome(event=Event.QUOTA)


def test_only_limits_of_which_nothing_is_left_make_a_key_soft_until_the_last_of_them_is_whole() -> None:
    spent = [
        Limits(dimension="requests", remaining=0, reset_after=3.0),
        Limits(dimension="tokens", remaining=0, reset_after=9.0),
    ]
    left = [Limits(dimension="output-tokens", remaining=1, reset_after=60.0), Limits(dimension="x", reset_after=60.0)]
    soft = [served_of(limits, tokens=0).soft for limits in ([*spent, *left], left)]
    assert soft == [9.0, None]
    for reset, told in ((math.nan, None), (1e9, HOUR)):
        assert served_of([Limits(dimension="requests", remaining=0, reset_after=reset)], tokens=0).soft == told


def test_a_limit_of_tokens_without_room_for_one_request_more_makes_a_key_soft() -> None:
    limits = [Limits(dimension="input-tokens", remaining=500, reset_after=7.0)]
    assert [served_of(limits, tokens=tokens).soft for tokens in (499, 500, 501)] == [None, 7.0, 7.0]


def test_as_many_requests_left_as_others_are_on_their_way_make_a_key_soft() -> None:
    outcome = served_of([Limits(dimension="requests", remaining=2, reset_after=7.0)], tokens=0)
    assert [outcome.soft_for(others) for others in (0, 1, 2, 3)] == [None, None, 7.0, 7.0]
