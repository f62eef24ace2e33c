"""Plans, without a loop: they are generators."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.facts import PoolEmpty, Skipped
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.resilience.answer import preference
from ds2api_asgi.resilience.plan import Answered, Ended, Failed, Outcome, Reason, RetryPolicy, Try
from ds2api_asgi.resilience.plans import failover_plan, retry_plan
from ds2api_asgi.universal.failure import Fault, KeyAction, RequestFault, RetryScope, Verdict

POLICY = RetryPolicy()


def failed(
    fault: Fault = Fault.MODEL,
    retry: RetryScope = RetryScope.SAME,
    *,
    status: int = 500,
    hint: float | None = None,
    keyed: bool = False,
    empty: PoolEmpty | None = None,
    calls: int = 1,
    same_key: bool = True,
    key: KeyAction = KeyAction.NONE,
    reason: RequestFault | None = None,
) -> Failed:
    verdict = Verdict(row="test", fault=fault, retry=retry, hint=hint, same_key=same_key, key=key, reason=reason)
    return Failed(verdict=verdict, status=status, keyed=keyed, empty=empty, calls=calls)


def play(plan: Generator[Try, Outcome, object], outcome: Callable[[int], Outcome], *, most: int = 100) -> list[Try]:
    """Run a plan against outcomes by the attempt's number (from 0)."""
    tries = [next(plan)]
    try:
        while len(tries) < most:
            tries.append(plan.send(outcome(len(tries) - 1)))
    except StopIteration:
        pass
    return tries


def ending(plan: Generator[Try, Outcome, Ended], outcome: Callable[[int], Outcome]) -> Ended:
    """How a plan ends."""
    next(plan)
    for number in range(1000):
        try:
            plan.send(outcome(number))
        except StopIteration as end:
            return end.value
    raise AssertionError("the plan does not end")


def retried(outcome: Outcome, *, policy: RetryPolicy = POLICY, elsewhere: bool = False) -> list[Try]:
    return play(retry_plan(policy, Random(3), elsewhere=elsewhere), lambda _: outcome)


verdicts = st.builds(
    Verdict,
    row=st.just("any"),
    fault=st.sampled_from(Fault),
    retry=st.sampled_from(RetryScope),
    key=st.sampled_from(KeyAction),
    hint=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    same_key=st.booleans(),
)
empties = st.builds(
    PoolEmpty,
    pool=st.just("pool"),
    reason=st.sampled_from(["cooling", "tried"]),
    retry_after=st.none() | st.floats(allow_nan=True, allow_infinity=True),
)
failures = st.builds(
    Failed,
    verdict=verdicts,
    status=st.integers(400, 599),
    keyed=st.booleans(),
    empty=st.none() | empties,
    calls=st.integers(0, 6),
)
skips = st.builds(
    Skipped,
    target=st.integers(0, 4),
    reason=st.sampled_from(["breaker", "budget", "pace"]),
    retry_after=st.none() | st.floats(0, 300),
)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 5),
    max_keys_tried=st.integers(1, 7),
    wait_cap=st.floats(0, 60),
    backoff=st.floats(0, 60),
    backoff_cap=st.floats(0, 60),
)


@given(st.lists(failures | skips, min_size=1), policies, st.booleans(), st.integers(0, 2**32))
def test_every_retry_plan_ends_within_its_attempts_and_keys(outcomes, policy, elsewhere, seed):
    plan = retry_plan(policy, Random(seed), elsewhere=elsewhere)
    tries = play(plan, lambda n: outcomes[n % len(outcomes)])
    # One of the two, and one wait for a key; or a skip and a panic.
    assert len(tries) <= max(2, policy.max_attempts + policy.max_keys_tried)


@given(st.lists(failures | skips, min_size=1), policies, st.integers(1, 5), st.integers(0, 2**32))
def test_a_failover_goes_on_to_later_targets_only(outcomes, policy, targets, seed):
    tries = play(failover_plan(targets, policy, Random(seed)), lambda n: outcomes[n % len(outcomes)], most=1000)
    order = [step.target for step in tries if not step.panic]
    assert order == sorted(order)
    assert all(step.elsewhere == (step.target < targets - 1) for step in tries if not step.panic)
    panics = [number for number, step in enumerate(tries) if step.panic]
    assert panics == list(range(len(tries) - len(panics), len(tries)))  # a panic is the last thing to do,
    assert len({tries[number].target for number in panics}) <= 1  # and done once:
    assert len(panics) <= policy.max_keys_tried
    for number in panics[:-1]:  # what a bad key was met with says nothing of the target
        met = outcomes[number % len(outcomes)]
        assert isinstance(met, Failed)
        assert met.keyed
        assert met.verdict.retry in (RetryScope.KEY, RetryScope.ROUTE)


@given(st.lists(failures | skips, min_size=1, max_size=30), policies, st.integers(1, 4), st.integers(0, 2**32))
def test_laws_of_every_sequence_of_outcomes(outcomes, policy, targets, seed):
    said: list[Outcome] = []

    def outcome(number: int) -> Outcome:
        said.append(outcomes[number % len(outcomes)])
        return said[-1]

    tries = play(failover_plan(targets, policy, Random(seed), fallback_on=("context-window",)), outcome, most=1000)
    repeats: dict[int, int] = {}
    for before, told, step in zip(tries, said, tries[1:], strict=False):
        if step.panic:
            continue
        same = step.target == before.target
        assert not (same and isinstance(told, Skipped)), "a skipped target is asked again"
        if isinstance(told, Failed):
            assert not (same and told.empty is None and told.verdict.retry is RetryScope.NONE), "asked again after none"
            assert not (told.verdict.retry is RetryScope.KEY and told.keyed and not told.empty and step.after), "slept"
            assert same or not step.after, "slept before another target"
            if same:
                repeats[step.target] = repeats.get(step.target, 0) + 1
    most = policy.max_attempts + policy.max_keys_tried
    assert all(count < most for count in repeats.values())


@given(st.lists(failures | skips, min_size=1), policies, st.integers(1, 4), st.integers(0, 2**32))
def test_a_plan_that_ends_without_an_answer_says_why(outcomes, policy, targets, seed):
    ended = ending(failover_plan(targets, policy, Random(seed)), lambda n: outcomes[n % len(outcomes)])
    assert isinstance(ended.reason, Reason)
    assert ended.reason is not Reason.PLAN
    assert ending(failover_plan(targets, policy, Random(seed)), lambda _: Answered()) == Ended(Answered(), None)


@given(failures, policies, st.integers(0, 2**32))
def test_a_wait_is_never_below_a_hint_nor_above_its_cap(outcome, policy, seed):
    hint = outcome.verdict.hint if outcome.empty is None else outcome.empty.retry_after
    for step in play(retry_plan(policy, Random(seed)), lambda _: outcome)[1:]:
        assert 0 <= step.after < math.inf
        if hint is None:
            assert step.after <= policy.backoff_cap
        elif step.after:
            assert hint <= step.after <= policy.wait_cap * 1.1 + 1


@given(st.integers(0, 2**32))
def test_pauses_without_a_hint_are_full_jitter_under_a_doubling_bound(seed):
    policy = RetryPolicy(max_attempts=8)
    pauses = [step.after for step in play(retry_plan(policy, Random(seed)), lambda _: failed())[1:]]
    assert len(pauses) == 7
    assert all(pause <= min(8.0, 0.5 * 2**n) for n, pause in enumerate(pauses))


def test_jitter_uses_the_whole_range_from_zero():
    firsts = [play(retry_plan(POLICY, Random(seed)), lambda _: failed())[1].after for seed in range(200)]
    assert min(firsts) < 0.05
    assert max(firsts) > 0.45


def test_the_doubling_of_many_pauses_does_not_overflow():
    policy = RetryPolicy(max_attempts=5000)
    assert len(play(retry_plan(policy, Random(1)), lambda _: failed(), most=6000)) == 5000


def test_an_answer_ends_the_plan():
    assert len(retried(Answered())) == 1


@pytest.mark.parametrize("fault", list(Fault))
def test_what_no_retry_helps_is_asked_once(fault):
    assert len(retried(failed(fault, RetryScope.NONE))) == 1


def test_a_conflict_is_repeated_once():
    assert len(retried(failed(Fault.REQUEST, RetryScope.SAME))) == 2


def test_a_refused_key_is_followed_by_another_at_once_up_to_the_cap():
    tries = retried(failed(Fault.KEY, RetryScope.KEY, keyed=True, hint=30.0, same_key=False))
    assert [step.after for step in tries] == [0.0] * 5


def test_keys_do_not_count_as_attempts():
    outcomes = [failed(Fault.RATE, RetryScope.KEY, keyed=True)] * 3 + [failed()] * 9
    assert len(play(retry_plan(POLICY, Random(1)), lambda n: outcomes[n])) == 6


def test_without_a_pool_a_refused_key_is_not_asked_again():
    assert len(retried(failed(Fault.KEY, RetryScope.KEY))) == 1
    assert len(retried(failed(Fault.QUOTA, RetryScope.KEY))) == 1


def test_without_a_pool_a_rate_is_waited_for():
    tries = retried(failed(Fault.RATE, RetryScope.KEY, hint=2.0))
    assert len(tries) == 3
    assert all(2.0 <= step.after <= 2.2 for step in tries[1:])


def test_a_hint_over_the_cap_ends_the_plan():
    assert len(retried(failed(hint=10.1))) == 1
    assert len(retried(failed(hint=math.inf))) == 1
    assert len(retried(failed(hint=math.nan))) == 1


def test_an_upstream_that_forbids_it_is_not_asked_again_with_the_same_key():
    assert len(retried(failed(same_key=False))) == 1


@pytest.mark.parametrize(
    ("retry", "elsewhere", "tries"),
    [
        (RetryScope.SAME, False, 3),
        (RetryScope.SAME, True, 2),
        (RetryScope.ROUTE, False, 3),
        (RetryScope.ROUTE, True, 1),
    ],
)
def test_what_follows_elsewhere_is_gone_to_sooner(retry, elsewhere, tries):
    assert len(retried(failed(retry=retry), elsewhere=elsewhere)) == tries


def test_an_attempt_that_was_a_retry_itself_counts_as_its_calls():
    assert len(retried(failed(calls=3))) == 1
    assert len(retried(failed(calls=2))) == 2


def test_an_empty_pool_is_waited_for_once():
    tries = retried(failed(Fault.RATE, RetryScope.KEY, empty=PoolEmpty(pool="p", reason="cooling", retry_after=4.0)))
    assert len(tries) == 2
    assert 4.0 <= tries[1].after <= 4.4


@pytest.mark.parametrize("retry_after", [None, 11.0, math.inf, math.nan])
def test_an_empty_pool_that_comes_back_too_late_ends_the_plan(retry_after):
    empty = PoolEmpty(pool="p", reason="cooling", retry_after=retry_after)
    assert len(retried(failed(Fault.RATE, RetryScope.KEY, empty=empty))) == 1


def test_an_empty_pool_is_not_waited_for_when_another_app_follows():
    empty = PoolEmpty(pool="p", reason="cooling", retry_after=0.0)
    assert len(retried(failed(Fault.RATE, RetryScope.KEY, empty=empty), elsewhere=True)) == 1


def targets_of(outcome: Outcome, *, targets: int = 3) -> list[int]:
    return [step.target for step in play(failover_plan(targets, POLICY, Random(5)), lambda _: outcome)]


def test_failover_leaves_an_overloaded_target_at_once():
    assert targets_of(failed(retry=RetryScope.ROUTE)) == [0, 1, 2, 2, 2]


def test_failover_repeats_a_failed_target_once_before_it_leaves():
    assert targets_of(failed()) == [0, 0, 1, 1, 2, 2, 2]


def test_failover_stops_at_a_fault_of_the_request():
    assert targets_of(failed(Fault.REQUEST, RetryScope.NONE)) == [0]


def test_failover_goes_on_when_our_own_bounds_ended_a_target():
    assert targets_of(failed(Fault.SELF, RetryScope.NONE)) == [0, 1, 2]


def test_failover_goes_on_from_an_empty_pool_and_a_long_hint():
    assert targets_of(failed(empty=PoolEmpty(pool="p", reason="cooling", retry_after=1.0)))[:3] == [0, 1, 2]
    assert targets_of(failed(hint=60.0)) == [0, 1, 2]


RESTING = Skipped(target=0, reason="breaker", retry_after=4.0)


def skipping(*seconds: float) -> Callable[[int], Outcome]:
    """Each target is resting, for so many seconds; who is tried in a panic answers."""
    return lambda n: Skipped(target=n, reason="breaker", retry_after=seconds[n]) if n < len(seconds) else Answered()


def test_an_open_breaker_is_gone_past_at_once():
    tries = play(failover_plan(2, POLICY, Random(1)), lambda n: RESTING if n == 0 else Answered())
    assert [(step.target, step.after, step.panic) for step in tries] == [(0, 0.0, False), (1, 0.0, False)]


def test_when_all_are_open_the_one_that_reopens_soonest_is_tried():
    tries = play(failover_plan(3, POLICY, Random(1)), skipping(9.0, 2.0, 5.0))
    assert [(step.target, step.panic) for step in tries] == [(0, False), (1, False), (2, False), (1, True)]
    assert [step.panic for step in play(retry_plan(POLICY, Random(1)), skipping(9.0))] == [False, True]


def test_the_last_candidate_is_not_shut_out_when_the_others_failed():
    outcomes = [Skipped(target=0, reason="breaker", retry_after=9.0), failed(retry=RetryScope.NONE), Answered()]
    tries = play(failover_plan(2, POLICY, Random(1)), lambda n: outcomes[n])
    assert [(step.target, step.panic) for step in tries] == [(0, False), (1, False), (0, True)]


def test_who_was_asked_already_is_not_asked_in_a_panic():
    outcomes = [failed(), RESTING, RESTING]
    assert [step.panic for step in play(retry_plan(POLICY, Random(1)), lambda n: outcomes[n])] == [False, False]


def test_a_panic_that_is_refused_too_is_the_end():
    ended = ending(retry_plan(POLICY, Random(1)), lambda _: RESTING)
    assert ended.reason is Reason.BREAKER


@pytest.mark.parametrize("fault", [Fault.KEY, Fault.RATE, Fault.QUOTA])
def test_a_panic_that_meets_a_bad_key_goes_on_with_others(fault):
    bad = failed(fault, RetryScope.KEY, keyed=True)
    for then, reason in ((Answered(), None), (failed(), Reason.BREAKER), (bad, Reason.KEYS)):
        outcomes = [RESTING, bad, bad, then, then, then, then]
        tries = play(retry_plan(POLICY, Random(1)), lambda n, outcomes=outcomes: outcomes[n])
        assert [step.panic for step in tries] == [False, *[True] * (5 if reason is Reason.KEYS else 3)]
        assert not any(step.after for step in tries)
        assert ending(retry_plan(POLICY, Random(1)), lambda n, outcomes=outcomes: outcomes[n]).reason is reason


def test_there_is_no_panic_while_another_app_follows():
    assert [step.panic for step in play(retry_plan(POLICY, Random(1), elsewhere=True), lambda _: RESTING)] == [False]


def test_a_request_too_large_for_a_keys_rate_goes_elsewhere_and_never_waits():
    large = failed(Fault.RATE, RetryScope.ROUTE, status=429, hint=1.0)
    assert len(retried(large)) == 1
    assert targets_of(large) == [0, 1, 2]


def test_a_request_too_large_for_a_keys_tier_tries_the_others_at_once():
    large = failed(Fault.RATE, RetryScope.ROUTE, status=429, hint=1.0, keyed=True)
    assert [step.after for step in retried(large)] == [0.0] * 5
    none_left = failed(empty=PoolEmpty(pool="p", reason="tried"))
    outcomes = [large, large, none_left, Answered()]
    tries = play(failover_plan(2, POLICY, Random(1)), lambda n: outcomes[n])
    assert [(step.target, step.after) for step in tries] == [(0, 0.0), (0, 0.0), (0, 0.0), (1, 0.0)]


@pytest.mark.parametrize(("chosen", "order"), [((), [0]), (("context-window",), [0, 1, 2]), (("content-policy",), [0])])
def test_a_context_window_falls_back_only_where_that_was_chosen(chosen, order):
    too_long = failed(Fault.REQUEST, RetryScope.NONE, status=400, reason="context-window")
    plan = failover_plan(3, POLICY, Random(1), fallback_on=chosen)
    assert [step.target for step in play(plan, lambda _: too_long)] == order


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (failed(Fault.REQUEST, RetryScope.NONE), Reason.REQUEST),
        (failed(Fault.SELF, RetryScope.NONE), Reason.FINAL),
        (failed(Fault.KEY, RetryScope.KEY), Reason.FINAL),
        (failed(same_key=False), Reason.FINAL),
        (failed(Fault.KEY, RetryScope.KEY, keyed=True), Reason.KEYS),
        (failed(), Reason.ATTEMPTS),
        (failed(hint=11.0), Reason.WAIT),
        (failed(empty=PoolEmpty(pool="p", reason="tried")), Reason.EMPTY),
        (failed(empty=PoolEmpty(pool="p", reason="cooling", retry_after=11.0)), Reason.WAIT),
        (Skipped(target=0, reason="budget"), Reason.BUDGET),
    ],
)
def test_why_a_plan_stopped(outcome, reason):
    assert ending(retry_plan(POLICY, Random(1)), lambda _: outcome).reason is reason


def best(*outcomes: Failed) -> int:
    """The number (from 1) of the outcome that the client sees."""
    return min(range(1, len(outcomes) + 1), key=lambda n: preference(outcomes[n - 1], number=n))


REQUEST = failed(Fault.REQUEST, RetryScope.NONE, status=400)
RATE = failed(Fault.RATE, RetryScope.KEY, status=429)
OVERLOAD = failed(Fault.MODEL, RetryScope.ROUTE, status=529)
UNKNOWN = failed(Fault.KEY, RetryScope.KEY, status=404, key=KeyAction.BLOCK_MODEL)
REFUSED = failed(Fault.KEY, RetryScope.KEY, status=401)
NETWORK = failed(Fault.NETWORK, status=502)
DEADLINE = failed(Fault.SELF, RetryScope.NONE, status=504)
TRIED = failed(Fault.RATE, RetryScope.KEY, status=429, empty=PoolEmpty(pool="p", reason="tried"))
COOLING = failed(Fault.MODEL, RetryScope.KEY, status=503, empty=PoolEmpty(pool="p", reason="cooling"))


@given(st.permutations([REQUEST, RATE, OVERLOAD, UNKNOWN, TRIED, REFUSED, NETWORK, DEADLINE]))
def test_the_client_sees_the_failure_that_says_most(outcomes):
    order = [REQUEST, RATE, OVERLOAD, UNKNOWN, TRIED, REFUSED, NETWORK, DEADLINE]
    ranked = sorted(range(1, 9), key=lambda n: preference(outcomes[n - 1], number=n))
    assert [outcomes[n - 1] for n in ranked] == order


def test_of_the_requests_faults_the_first_is_seen_and_of_others_the_newest():
    assert best(NETWORK, REQUEST, REQUEST) == 2
    assert best(RATE, NETWORK, RATE) == 3
    assert best(RATE, COOLING) == 2


@pytest.mark.parametrize(
    "terms",
    [
        {"max_attempts": 0},
        {"max_keys_tried": 0},
        {"max_calls": -1},
        {"max_attempts": True},
        {"deadline": 0.0},
        {"deadline": math.nan},
        {"wait_cap": -1.0},
        {"backoff": math.nan},
        {"backoff_cap": -0.1},
    ],
)
def test_a_policy_that_cannot_work_is_refused(terms):
    with pytest.raises(ConfigurationError):
        RetryPolicy(**terms).check()
