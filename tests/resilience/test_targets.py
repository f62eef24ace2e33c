"""What an engine learns of its targets, and which steps it allows."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.exchange import Exchange
from ds2api_asgi.asgi.facts import Skipped
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.resilience.breaker import BreakerPolicy, BreakerState
from ds2api_asgi.resilience.budget import BudgetPolicy, RetryBudget
from ds2api_asgi.resilience.pinned import Pin, pin_of
from ds2api_asgi.resilience.plan import Failed, RetryPolicy, Try
from ds2api_asgi.resilience.plans import failover_plan, retry_plan
from ds2api_asgi.resilience.steps import Bounds, Steps
from ds2api_asgi.resilience.targets import Targets
from ds2api_asgi.universal.failure import Fault, RetryScope, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def targets_of(count: int = 2, **terms: Any) -> tuple[Targets, Clock]:
    clock = Clock()
    terms.setdefault("breaker", BreakerPolicy(jitter=0.0))
    terms.setdefault("budget", None)
    return Targets(count, clock=clock, rng=Random(1), **terms), clock


def verdict(fault: Fault, retry: RetryScope = RetryScope.SAME, **members: Any) -> Verdict:
    return Verdict(row="test", fault=fault, retry=retry, **members)


def fail(targets: Targets, fault: Fault, *, target: int = 0, model: str | None = "m", times: int = 5) -> None:
    for _ in range(times):
        turn = targets.enter(target, model)
        assert turn is not None
        targets.leave(turn, verdict(fault))


def test_a_models_faults_leave_its_neighbours_and_the_other_targets_alone():
    targets, _ = targets_of()
    fail(targets, Fault.MODEL)
    assert targets.enter(0, "m") is None
    assert targets.enter(0, "n") is not None
    assert targets.enter(1, "m") is not None


@pytest.mark.parametrize("fault", [Fault.PROVIDER, Fault.NETWORK])
def test_a_providers_faults_are_those_of_all_its_models(fault):
    targets, _ = targets_of()
    fail(targets, fault)
    assert targets.enter(0, "n") is None
    assert targets.blocked(0, "n") == 5.0
    assert targets.enter(1, "m") is not None


@pytest.mark.parametrize("fault", [Fault.REQUEST, Fault.KEY, Fault.RATE, Fault.QUOTA, Fault.CLIENT, Fault.SELF])
def test_the_faults_of_keys_requests_clients_and_ourselves_never_open_a_breaker(fault):
    targets, _ = targets_of()
    fail(targets, fault, times=200)
    assert {report.state for report in targets.report()} == {BreakerState.CLOSED}


def test_a_rate_limit_shows_that_a_target_is_reached_again():
    targets, clock = targets_of()
    fail(targets, Fault.NETWORK)
    clock.now += 5
    fail(targets, Fault.RATE, times=2)
    assert targets.blocked(0, "m") == 0
    assert targets.report()[0].state is BreakerState.CLOSED


def test_a_turn_that_the_models_breaker_refuses_gives_the_targets_probe_back():
    targets, clock = targets_of(breaker=BreakerPolicy(jitter=0.0, rest=5.0))
    fail(targets, Fault.MODEL)
    clock.now += 1
    fail(targets, Fault.NETWORK, model="n")
    clock.now += 4.5  # the model's breaker has rested, the target's has not
    assert targets.enter(0, "m") is None
    clock.now += 1
    probe = targets.enter(0, "m")
    assert probe is not None
    assert targets.enter(0, "n") is None  # the target's probe is under way
    targets.leave(probe, None)
    assert targets.enter(0, "n") is not None


def test_client_chosen_models_are_bounded_and_failing_ones_are_kept_while_asked_for():
    targets, _ = targets_of(breaker=BreakerPolicy(models=50))
    fail(targets, Fault.MODEL, model="poor")
    for number in range(500):
        turn = targets.enter(0, f"model-{number}")
        assert turn is not None
        targets.leave(turn, None, served=True)
        assert targets.enter(0, "poor") is None
    assert len(targets.report()) <= 2 + 50


def test_made_up_models_get_no_breaker():
    targets, _ = targets_of()
    for number in range(100):
        fail(targets, Fault.KEY, model=f"made-up-{number}", times=1)
    fail(targets, Fault.MODEL, model="x" * 10_000, times=1)
    assert [(report.target, report.model) for report in targets.report()] == [(0, None), (1, None), (0, "")]


def test_without_a_policy_everybody_may_always_try():
    targets, _ = targets_of(breaker=None)
    fail(targets, Fault.NETWORK, times=100)
    assert targets.blocked(0, "m") == 0
    assert targets.report() == []


@given(st.lists(st.booleans(), max_size=400))
def test_a_budget_is_never_below_zero_nor_above_its_capacity(steps):
    budget = RetryBudget(BudgetPolicy(capacity=10))
    taken = 0
    for succeeds in steps:
        if succeeds:
            budget.succeed()
        else:
            taken += budget.take()
        assert -1e-9 <= budget.tokens <= 10
    assert taken <= 10 + 0.1 * steps.count(True) + 1e-6


def test_a_budget_starts_with_a_hundred_and_grows_by_a_tenth():
    budget = RetryBudget(BudgetPolicy())
    assert sum(budget.take() for _ in range(200)) == 100
    for _ in range(10):
        budget.succeed()
    assert budget.take() or budget.tokens == pytest.approx(1.0)


@pytest.mark.parametrize(
    "terms", [{"capacity": -1.0}, {"per_retry": math.nan}, {"per_success": math.inf}, {"capacity": 0.5}]
)
def test_a_budget_that_cannot_work_is_refused(terms):
    with pytest.raises(ConfigurationError):
        BudgetPolicy(**terms).check()


# Steps


def steps_of(
    targets: Targets,
    plan: Any,
    *,
    deadline: float = math.inf,
    patience: float = math.inf,
    body: bytes = b"{}",
    **terms: Any,
) -> tuple[Steps, Exchange, Bounds]:
    exchange = Exchange(started=0.0)
    exchange.limit(deadline=deadline, calls=terms.pop("calls", 6))
    bounds = Bounds(exchange, calls=6, deadline=deadline, patience=patience)
    terms.setdefault("pinned", None)
    return (
        Steps(lambda _: plan, False, bounds, targets, exchange, model="m", stream=False, body=body, **terms),
        exchange,
        bounds,
    )


FAILED = Failed(verdict=verdict(Fault.MODEL), status=500)
verdicts = st.builds(
    verdict,
    st.sampled_from(Fault),
    st.sampled_from(RetryScope),
    hint=st.none() | st.floats(0, 20),
    same_key=st.booleans(),
)
failures = st.builds(
    Failed, verdict=verdicts, status=st.just(500), keyed=st.booleans(), calls=st.integers(0, 2), processed=st.booleans()
)


@given(
    st.lists(st.tuples(failures, st.floats(0, 30)), min_size=1, max_size=60),
    st.integers(1, 4),
    st.floats(1, 60),
    st.sampled_from([b"{}", b'{"file_id": "f"}', b'{"previous_response_id": "r"}']),
    st.integers(0, 2**32),
)
def test_laws_of_every_course_of_steps(outcomes, count, deadline, body, seed):
    """Calls within the budget, nothing begun after the deadline, nobody asked whose breaker is open, pins kept."""
    clock = Clock()
    policy = BreakerPolicy(consecutive=2)
    targets = Targets(count, breaker=policy, budget=BudgetPolicy(capacity=3), clock=clock, rng=Random(seed))
    dice = Random(seed)
    for _ in range(4):
        end = clock.now + deadline
        plan = failover_plan(count, RetryPolicy(), dice)
        steps, exchange, _ = steps_of(
            targets, plan, deadline=end, body=body, pinned=lambda _: retry_plan(RetryPolicy(), dice)
        )
        asked: list[int] = []
        step: Try | None = steps.begin()
        told: Failed | None = None
        for outcome, took in outcomes * 10:
            if step is None:
                break
            clock.now += step.after
            turn = steps.enter(step)
            if turn is None:
                step = steps.skip(step, clock.now)
                continue
            if told is not None:
                assert clock.now < end
                assert not (body.startswith(b'{"prev') and told.processed)
            asked.append(step.target)
            assert body == b"{}" or set(asked) == {asked[0]}
            assert exchange.calls_left is not None
            assert exchange.calls_left > 0
            exchange.calls_left -= outcome.calls
            clock.now += took
            targets.leave(turn, outcome.verdict)
            told = outcome
            step = steps.after(outcome, clock.now)
        assert step is None
        if body != b"{}":
            assert set(asked) <= {0}
    assert all(report.reopens_in <= 360 for report in targets.report())


def test_an_open_target_is_skipped_before_any_pause():
    targets, clock = targets_of(breaker=BreakerPolicy(consecutive=1, jitter=0.0))
    steps, exchange, _ = steps_of(targets, failover_plan(2, RetryPolicy(), Random(1)))
    turn = steps.enter(steps.begin())
    assert turn is not None
    targets.leave(turn, FAILED.verdict)  # the plan would repeat it, after a pause
    step = steps.after(FAILED, clock.now)
    assert step == Try(1)
    assert list(exchange.all(Skipped)) == [Skipped(target=0, reason="breaker", retry_after=5.0)]


def test_a_spent_budget_ends_repeats_but_not_the_way_to_the_next_target():
    targets, clock = targets_of(breaker=None, budget=BudgetPolicy(capacity=1))
    assert targets.may_repeat(0)
    steps, _, _ = steps_of(targets, failover_plan(2, RetryPolicy(), Random(1)))
    assert steps.enter(steps.begin()) is not None
    step = steps.after(FAILED, clock.now)
    assert step == Try(1)
    assert step is not None
    assert steps.enter(step) is not None
    assert steps.after(FAILED, clock.now) is not None  # the second target has a budget of its own
    assert steps.after(FAILED, clock.now) is None
    assert steps.stopped == "budget"


def test_nothing_is_repeated_for_which_there_is_no_time():
    targets, clock = targets_of(breaker=None)
    for seconds in (9.0, 10.0, 11.0) * 3:
        targets.pace(0, stream=False).learn(seconds)
    assert targets.pace(0, stream=False).half() == 10.0
    assert targets.pace(0, stream=True).half() == 0.0
    for deadline, stopped in ((clock.now + 9.0, "pace"), (clock.now + 30.0, None)):
        steps, _, _ = steps_of(targets, retry_plan(RetryPolicy(), Random(1)), deadline=deadline)
        assert steps.enter(steps.begin()) is not None
        assert (steps.after(FAILED, clock.now) is None) == (stopped is not None)
        assert stopped is None or steps.stopped == stopped


def test_nothing_is_repeated_while_the_server_drains():
    targets, clock = targets_of()
    steps, _, bounds = steps_of(targets, retry_plan(RetryPolicy(), Random(1)))
    assert steps.enter(steps.begin()) is not None
    bounds.draining = True
    assert steps.after(FAILED, clock.now) is None
    assert steps.stopped == "drain"


def test_a_plan_that_insists_on_a_closed_door_is_ended():
    targets, clock = targets_of()
    fail(targets, Fault.MODEL)

    def stubborn() -> Any:
        while True:
            yield Try(0)

    steps, _, _ = steps_of(targets, stubborn())
    step = steps.begin()
    assert steps.enter(step) is None
    assert steps.skip(step, clock.now) is None


# Pins


@pytest.mark.parametrize(
    ("body", "pin"),
    [
        (b"", Pin.FREE),
        (b'"previous_response_id"', Pin.FREE),
        (b'{"previous_response_id": "resp_1"', Pin.FREE),
        (b'{"previous_response_id": null}', Pin.FREE),
        (b'{"x": {"file_id": null, "type": ["tool_use"], "input": {"file_id": "f"}}}', Pin.TARGET),
        (b'{"x": {"file_id": null, "type": "tool_use", "input": {"file_id": "f"}}}', Pin.FREE),
        (b'{"previous_response_id": "resp_1"}', Pin.ONCE),
        (b'{"conversation": {"id": "conv_1"}}', Pin.ONCE),
        (b'{"store": true, "background": true}', Pin.ONCE),
        (b'{"store": true, "background": false}', Pin.FREE),
        (b'{"store": true}', Pin.FREE),
        (b'{"input": [{"type": "item_reference", "id": "msg_1"}]}', Pin.ONCE),
        (b'{"thread": {"type": "continue", "previous_message_id": "m"}}', Pin.ONCE),
        (b'{"input": [{"content": [{"type": "input_file", "file_id": "f"}]}]}', Pin.TARGET),
        (b'{"messages": [{"content": [{"type": "file", "file": {"file_id": "f"}}]}]}', Pin.TARGET),
        (b'{"messages": [{"content": [{"source": {"type": "file", "file_id": "f"}}]}]}', Pin.TARGET),
        (b'{"contents": [{"parts": [{"fileData": {"fileUri": "https://x"}}]}]}', Pin.TARGET),
        (b'{"cachedContent": "cachedContents/1"}', Pin.TARGET),
        (b'{"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}', Pin.TARGET),
        (b'{"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}', Pin.TARGET),
        (b'{"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}', Pin.FREE),
        (b'{"container": "container_1"}', Pin.TARGET),
        (b'{"messages": [{"content": "a \\"file_id\\": \\"f\\""}]}', Pin.FREE),
        (b'{"messages": [{"content": [{"type": "tool_use", "input": {"file_id": "f"}}]}]}', Pin.FREE),
        (b'{"contents": [{"parts": [{"functionCall": {"args": {"file_id": "f"}}}]}]}', Pin.FREE),
        (b'{"tools": [{"input_schema": {"properties": {"file_id": {"type": "string"}}}}]}', Pin.FREE),
        (b'{"tools": [{"function": {"parameters": {"properties": {"background": true}}}}]}', Pin.FREE),
        (b'{"metadata": {"file_id": "f"}}', Pin.FREE),
        (b'[{"file_id": "f"}]', Pin.FREE),
        (b'{"a":' * 3000 + b'{"file_id": "f"}' + b"}" * 3000, Pin.FREE),
    ],
)
def test_what_binds_a_request(body, pin):
    assert pin_of(body) is pin


@given(st.binary())
def test_any_bytes_have_a_pin(body):
    assert pin_of(body + b'"file_id"') in Pin
