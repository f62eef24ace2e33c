"""Targets that are left alone, repeats that are saved, and requests that stay where they are: what a client sees."""

from __future__ import annotations

import json
from random import Random

import anyio
import pytest

from ds2api_asgi.asgi.facts import (
    Attempted,
    BreakerClosed,
    BreakerOpened,
    KeyLeased,
    PoolEmpty,
    Skipped,
    Stopped,
    Unreachable,
)
from ds2api_asgi.asgi.headers import find
from ds2api_asgi.errors import BrokenStream, ConfigurationError, TransportError
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.resilience import BreakerPolicy, BreakerState, BudgetPolicy, Failover, Retry
from ds2api_asgi.testing.driver import Driver
from leaving import leave_waiting

pytestmark = pytest.mark.anyio

C1, END = b"data: c1\n\n", b"data: end\n\n"
STEADY = BreakerPolicy(jitter=0.0)


class Clock:
    """Stands, until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(stage) -> Clock:
    stage.clock = Clock()
    return stage.clock


def states(part) -> dict:
    return {(report.target, report.model): report.state for report in part.breakers()}


async def ask_model(stage, app, model: str = "m", **more):
    return await stage.ask(app, body=json.dumps({"model": model, **more}).encode())


async def test_an_app_that_keeps_failing_is_passed_over_then_probed_then_back(stage, clock):
    poor, good = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([poor, good], breaker=STEADY)
    for _ in range(5):
        assert (await ask_model(stage, app)).status == 200
    assert poor.calls == 5
    assert good.facts(BreakerOpened) == [BreakerOpened(target=0, model="m", seconds=5.0)]
    for _ in range(10):
        assert (await ask_model(stage, app)).status == 200
    assert poor.calls == 5
    assert good.facts(Skipped) == [Skipped(target=0, reason="breaker", retry_after=5.0)]
    assert [fact.target for fact in good.facts(Attempted)] == [1]
    assert (await ask_model(stage, app, "other")).status == 200  # another model of it is asked
    assert poor.calls == 6
    clock.now += 5
    assert (await ask_model(stage, app)).status == 200  # the probe fails and costs the client nothing
    assert poor.calls == 7
    clock.now += 5
    await ask_model(stage, app)
    assert poor.calls == 7
    clock.now += 5
    poor.scenes = (stage.answer(b"[]"),)
    assert [(await ask_model(stage, app)).body for _ in range(3)] == [b"[]"] * 3
    assert states(app)[0, "m"] is BreakerState.CLOSED
    assert poor.calls == 10


async def test_the_request_that_closes_a_breaker_says_so(stage, clock):
    poor, good = stage.Actor(stage.error(502)), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([poor, good], breaker=STEADY, max_attempts=1)
    for _ in range(5):
        await ask_model(stage, app)
    assert states(app)[0, None] is BreakerState.OPEN  # a bad gateway is the provider's, with all its models
    poor.scenes = (stage.answer(b"[]"),)
    clock.now += 5
    for _ in range(2):
        await ask_model(stage, app)
    assert poor.facts(BreakerClosed) == [BreakerClosed(target=0, model=None)]


async def test_only_one_request_at_a_time_probes(stage, clock):
    poor, good = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([poor, good], breaker=STEADY)
    for _ in range(5):
        await ask_model(stage, app)
    clock.now += 5
    seen = anyio.Event()

    async def slow(scope, receive, send):
        await seen.wait()
        await stage.answer(b"[]")(scope, receive, send)

    poor.scenes = (slow,)
    async with anyio.create_task_group() as group:
        group.start_soon(ask_model, stage, app)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            assert (await ask_model(stage, app)).body == b"{}"
        seen.set()
    assert poor.calls == 6


async def test_when_all_are_open_one_a_second_is_tried_and_the_others_hear_when_to_come_back(stage, clock):
    first, second = stage.Actor(stage.error(503)), stage.Actor(stage.error(503))
    app = stage.failover([first, second], breaker=STEADY, max_attempts=1)
    for _ in range(5):
        await ask_model(stage, app)
    assert (first.calls, second.calls) == (5, 5)
    clock.now += 1
    answers = [await ask_model(stage, app) for _ in range(10)]
    assert first.calls + second.calls == 11
    assert [answer.status for answer in answers] == [503] + [529] * 9  # the one that was tried has its own answer
    assert answers[-1].header("retry-after") == "4"
    assert answers[-1].header("retry-after-ms") == "4000"
    assert answers[-1].header("x-should-retry") is None  # nobody was asked, and the wait is known
    clock.now += 1
    await ask_model(stage, app)
    assert first.calls + second.calls == 12
    first.scenes = second.scenes = (stage.answer(b"{}"),)
    clock.now += 1
    assert (await ask_model(stage, app)).status == 200
    assert (await ask_model(stage, app)).status == 200


async def test_a_lone_app_has_a_breaker_only_where_one_is_asked_for(stage, clock):
    app = stage.Actor(stage.error(503))
    plain, guarded = stage.retry(app, max_attempts=1), stage.retry(app, max_attempts=1, breaker=STEADY)
    for _ in range(50):
        await ask_model(stage, plain)
    assert (app.calls, plain.breakers(), stage.failover([app]).breakers()) == (50, [], [])
    for _ in range(50):
        answer = await ask_model(stage, guarded)
    assert app.calls == 50 + 5 + 1  # the last is the panic's
    assert answer.header("retry-after") == "5"


async def test_breakers_are_the_engines_own(stage, clock):
    poor, good = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    one, other = (stage.failover([poor, good], breaker=STEADY) for _ in range(2))
    for _ in range(5):
        await ask_model(stage, one)
    await ask_model(stage, other)
    assert poor.calls == 6


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 429])
async def test_keys_rates_and_requests_open_no_breaker(stage, clock, status):
    """gpt-load and new-api shut a whole pool for one client's bad payload."""
    app = stage.failover([stage.Actor(stage.error(status)), stage.Actor(stage.answer(b"{}"))])
    for _ in range(60):
        await ask_model(stage, app)
    assert set(states(app).values()) == {BreakerState.CLOSED}


async def test_an_empty_pool_opens_no_breaker(stage, clock):
    empty = PoolEmpty(pool="p", reason="disabled")
    app = stage.failover([stage.Actor(stage.noting(empty, then=stage.error(503))), stage.Actor(stage.answer(b"{}"))])
    for _ in range(30):
        await ask_model(stage, app)
    assert set(states(app).values()) == {BreakerState.CLOSED}


async def test_an_inner_engine_that_asked_nobody_opens_no_outer_breaker(stage, clock):
    poor, good = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    inner = stage.retry(poor, breaker=STEADY, max_attempts=1)
    app = stage.failover([inner, good], breaker=BreakerPolicy(consecutive=7, jitter=0.0))
    for _ in range(40):
        assert (await ask_model(stage, app)).status == 200
    assert poor.calls == 5
    assert states(inner)[0, "m"] is BreakerState.OPEN
    assert states(app)[0, "m"] is BreakerState.CLOSED


async def test_answers_that_break_after_their_start_open_a_breaker(stage, clock):
    """#34836 of LiteLLM: 25 failures in a row, and still in rotation."""
    for broken in (stage.stream(C1, then=BrokenStream("reset", "gone")), stage.stream(C1, b"data: error:server\n\n")):
        poor, good = stage.Actor(broken), stage.Actor(stage.stream(C1, END))
        app = stage.failover([poor, good], breaker=STEADY)
        answers = [await ask_model(stage, app) for _ in range(8)]
        assert poor.calls == 5
        assert [b"error" in answer.body for answer in answers] == [True] * 5 + [False] * 3


async def test_answers_aborted_without_an_error_event_open_a_breaker_too(stage, clock):
    poor, good = stage.Actor(stage.answer(b"x" * 1024 * 1024, b"y", cut=True)), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([poor, good], breaker=STEADY)
    assert [(await ask_model(stage, app)).complete for _ in range(6)] == [False] * 5 + [True]


async def test_clients_that_leave_open_no_breaker_and_free_the_probe(stage, clock):
    poor, good = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([poor, good], breaker=STEADY)
    for _ in range(5):
        await ask_model(stage, app)
    clock.now += 5
    poor.scenes = (stage.hangs,)
    for _ in range(8):
        await leave_waiting(ask_model, stage, app)
    assert poor.calls == 5 + 8
    assert states(app)[0, "m"] is BreakerState.HALF_OPEN


async def test_no_client_opens_a_breaker_by_having_no_time(stage):
    app = stage.failover([stage.Actor(stage.hangs)] * 2, timeout_header="x-request-timeout-ms", breaker=STEADY)
    for stream in (True, False):
        for _ in range(6):
            headers = {"x-request-timeout-ms": "20"}
            answer = await Driver(app).request("POST", "/ask", headers=headers, json={"model": "m", "stream": stream})
            assert answer.status == 504
    assert BreakerState.OPEN not in states(app).values()


# The budget of repeats


async def test_a_storm_of_repeats_ends_with_the_budget(stage):
    app = stage.Actor(stage.error(500))
    retry = stage.retry(app, budget=BudgetPolicy(capacity=10))
    for _ in range(50):
        assert (await stage.ask(retry)).status == 500
    assert app.calls == 50 + 10
    assert app.facts(Stopped) == [Stopped(by="retry", reason="budget", attempts=1)]


async def test_other_keys_are_paid_for_too_but_another_app_is_not(stage):
    refused = stage.noting(KeyLeased(pool="p", key="a"), then=stage.error(429))
    first, second = stage.Actor(refused), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([first, second], budget=BudgetPolicy(capacity=6))
    for _ in range(30):
        assert (await stage.ask(app)).status == 200
    assert first.calls == 30 + 6


async def test_successes_earn_repeats(stage):
    app = stage.Actor(stage.error(500), *[stage.answer(b"{}")] * 11, stage.error(500), stage.answer(b"{}"))
    retry = stage.retry(app, budget=BudgetPolicy(capacity=1))
    for _ in range(12):
        assert (await stage.ask(retry)).status == 200


# What a client says of its time


@pytest.mark.parametrize("name", ["x-server-timeout", "x-stainless-read-timeout", "x-stainless-timeout"])
@pytest.mark.parametrize("stream", [True, False])
async def test_the_answer_comes_before_the_client_gives_up(stage, name, stream):
    app = stage.Actor(stage.hangs)
    with anyio.fail_after(20):
        answer = await Driver(stage.retry(app)).request("POST", "/ask", headers={name: "0.3"}, json={"stream": stream})
    assert (answer.status, app.calls) == (504, 1)
    assert [fact.reason for fact in app.facts(Stopped)] == ["deadline" if stream else "final"]


async def test_a_stream_that_has_begun_is_not_cut_by_it(stage):
    async def slow(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": C1, "more_body": True})
        await anyio.sleep(0.8)
        await send({"type": "http.response.body", "body": END, "more_body": False})

    headers = {"x-stainless-read-timeout": "0.6"}
    answer = await Driver(stage.retry(stage.Actor(slow))).request(
        "POST", "/ask", headers=headers, json={"stream": True}
    )
    assert answer.body == C1 + END


@pytest.mark.parametrize("value", ["NOT_GIVEN", "nan", "inf", "-1", "0", "", "1e-400", "9" * 400])
async def test_times_that_make_no_sense_are_no_times(stage, value):
    app = stage.Actor(stage.error(500), stage.answer(b"{}"))
    headers = {"x-stainless-timeout": value}
    assert (await Driver(stage.retry(app)).request("POST", "/ask", headers=headers, json={})).status == 200


async def test_a_header_of_ones_own_only_lowers_and_is_only_read_where_it_is_named(stage):
    headers = {"x-request-timeout-ms": "50"}
    app = stage.Actor(stage.hangs)
    with anyio.fail_after(20):
        own = stage.retry(app, timeout_header="X-Request-Timeout-Ms", client_timeouts=False)
        assert (await Driver(own).request("POST", "/ask", headers=headers, json={})).status == 504
        short = stage.retry(app, deadline=0.05, timeout_header="x-request-timeout-ms")
        assert (
            await Driver(short).request("POST", "/ask", headers={"x-request-timeout-ms": "9999999"}, json={})
        ).status == 504
    answer = await Driver(stage.retry(stage.Actor(stage.answer(b"{}")))).request("POST", "/ask", headers=headers)
    assert answer.status == 200


@pytest.mark.parametrize("name", ["", "x timeout", "x\r\ny"])
def test_a_header_that_is_none_is_refused(stage, name):
    with pytest.raises(ConfigurationError):
        Retry(stage.hangs, timeout_header=name)


# Pinned requests


UNREACHED = Unreachable(reason="connect", processed=False)


async def test_a_request_that_names_state_stays_with_its_app(stage):
    first, second = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    answer = await ask_model(stage, stage.failover([first, second]), input=[{"file_id": "f"}])
    assert (answer.status, first.calls, second.calls) == (503, 3, 0)


@pytest.mark.parametrize("member", [{"previous_response_id": "resp_1"}, {"background": True}])
async def test_a_request_that_makes_state_is_not_repeated_once_it_may_have_been_done(stage, member):
    for scene in (stage.error(500), stage.fails(TransportError("reset", "x", processed=True)), stage.error(429)):
        first, second = stage.Actor(scene), stage.Actor(stage.answer(b"{}"))
        await ask_model(stage, stage.failover([first, second]), **member)
        assert (first.calls, second.calls) == (1, 0)
        assert [fact.reason for fact in first.facts(Stopped)] == ["pinned"]


@pytest.mark.parametrize("how", ["noted", "raised"])
async def test_a_request_that_makes_state_is_repeated_when_nobody_saw_it(stage, how):
    fails = stage.fails(TransportError("connect", "x", processed=False))
    unseen = stage.noting(UNREACHED, then=stage.error(502)) if how == "noted" else fails
    first, second = stage.Actor(unseen, unseen, stage.answer(b"{}")), stage.Actor(stage.answer(b"[]"))
    answer = await ask_model(stage, stage.failover([first, second]), previous_response_id="resp_1")
    assert (answer.body, first.calls, second.calls) == (b"{}", 3, 0)


async def test_a_pinned_request_does_not_go_past_an_open_breaker(stage, clock):
    first, second = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([first, second], breaker=STEADY)
    for _ in range(5):
        await ask_model(stage, app)
    assert (await ask_model(stage, app, previous_response_id="r")).status == 503  # its panic
    answer = await ask_model(stage, app, previous_response_id="r")
    assert (answer.status, answer.header("retry-after")) == (529, "5")
    assert first.calls == 6


# Uploads and the like


class Upload:
    """An app that reads all of a body and reaches nobody, the first times."""

    def __init__(self, stage, *, failing: int, processed: bool = False, raises: bool = False) -> None:
        self.bodies: list[bytes] = []
        self._stage, self._failing, self._processed, self._raises = stage, failing, processed, raises

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        if len(self.bodies) > self._failing:
            await self._stage.answer(b"stored")(scope, receive, send)
        elif self._raises:
            raise TransportError("connect", "x", processed=self._processed)
        else:
            scope["ds2api_asgi.exchange"].note(Unreachable(reason="connect", processed=self._processed))
            await self._stage.error(502)(scope, receive, send)


@pytest.mark.parametrize("raises", [True, False])
async def test_an_upload_that_nobody_saw_is_sent_again(stage, raises):
    app, other = Upload(stage, failing=2, raises=raises), stage.Actor(stage.answer(b"other"))
    answer = await Driver(stage.failover([app, other])).request("POST", "/files", body=[b"one", b"two"])
    assert (answer.body, app.bodies, other.calls) == (b"stored", [b"onetwo"] * 3, 0)


async def test_an_upload_that_may_have_been_seen_is_not(stage):
    app = Upload(stage, failing=1, processed=True)
    assert (await Driver(stage.retry(app)).request("POST", "/files", body=b"one")).status == 502
    assert len(app.bodies) == 1


async def test_an_upload_that_is_too_large_to_keep_passes_all_the_same(stage):
    app = Upload(stage, failing=1)
    answer = await Driver(stage.retry(app, max_body=5)).request("POST", "/files", body=[b"one", b"two"])
    assert (answer.status, app.bodies) == (502, [b"onetwo"])


async def test_uploads_through_a_nest_share_their_attempts(stage):
    app = Upload(stage, failing=99)
    answer = await Driver(stage.retry(stage.retry(stage.retry(app)))).request("POST", "/files", body=b"one")
    assert (answer.status, len(app.bodies)) == (502, 3)


# The rest


async def test_falling_back_is_chosen_by_kind(stage):
    with pytest.raises(ConfigurationError, match="content-policy"):
        Failover([stage.hangs], fallback_on=["everything"])
    with pytest.raises(ConfigurationError):
        Failover([stage.hangs], breaker=BreakerPolicy(consecutive=0))
    with pytest.raises(ConfigurationError):
        Retry(stage.hangs, budget=BudgetPolicy(capacity=-1))


CHAT_TOO_LONG = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
CHAT_REFUSED = {"error": {"message": "no", "type": "invalid_request_error", "code": "content_policy_violation"}}


@pytest.mark.parametrize(
    ("error", "kinds", "calls"),
    [
        (CHAT_TOO_LONG, (), 0),
        (CHAT_TOO_LONG, ("context-window",), 1),
        (CHAT_TOO_LONG, ("content-policy",), 0),
        (CHAT_REFUSED, ("content-policy",), 1),
        (CHAT_REFUSED, {"content-policy", "context-window"}, 1),
    ],
)
async def test_a_longer_context_is_looked_for_elsewhere_where_that_was_chosen(stage, error, kinds, calls):
    body = json.dumps(error).encode()
    first, second = stage.Actor(stage.answer(body, status=400)), stage.Actor(stage.error(503))
    app = Failover([first, second], protocol="openai-chat", fallback_on=kinds, max_attempts=1, rng=Random(1))
    answer = await stage.ask(app, path="/v1/chat/completions")
    assert (second.calls, answer.status, json.loads(answer.body)) == (
        calls,
        400,
        error,
    )  # the first fault is the answer


async def test_a_request_too_large_for_a_keys_tier_goes_to_another_route_at_once(stage):
    message = "Request too large for gpt-x on tokens per min (TPM): Limit 10000, Requested 20000."
    body = json.dumps({"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}).encode()
    first = stage.Actor(stage.answer(body, status=429, headers=[(b"retry-after", b"1")]))
    second = stage.Actor(stage.answer(b"{}"))
    for apps, status in (([first, second], 200), ([first], 429)):
        app = Failover(apps, protocol="openai-chat", rng=Random(1))
        assert (await stage.ask(app, path="/v1/chat/completions")).status == status
    assert first.calls == 2


@pytest.mark.parametrize("fits", [True, False])
async def test_a_request_too_large_for_a_keys_tier_is_served_by_a_key_of_a_bigger_one(stage, fits):
    message = "Request too large for gpt-x on tokens per min (TPM): Limit 10000, Requested 20000."
    body = json.dumps({"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}).encode()
    asked = []

    async def tiers(scope, receive, send):
        asked.append(find(scope["headers"], b"authorization"))
        small = asked[-1] == b"Bearer small" or not fits
        await (stage.answer(body, status=429) if small else stage.answer(b"{}"))(scope, receive, send)

    pool = KeyPool(tiers, protocol="openai-chat", keys=["small", "big"], strategy="fill-first", queue_timeout=0)
    answer = await stage.ask(Retry(pool, protocol="openai-chat", rng=Random(1)), path="/v1/chat/completions")
    assert asked == [b"Bearer small", b"Bearer big"]  # never the same again
    assert (answer.status, answer.body) == ((200, b"{}") if fits else (429, body))
    assert [key.state.name for key in await pool.snapshot()] == ["ACTIVE", "ACTIVE"]  # both are fine for smaller ones


async def test_while_draining_nothing_is_repeated(stage):
    app = stage.Actor(stage.error(500))
    retry = stage.retry(app)
    retry.drain()
    assert (await stage.ask(retry)).status == 500
    assert app.facts(Stopped) == [Stopped(by="retry", reason="drain", attempts=1)]


@pytest.mark.parametrize(
    ("terms", "scenes", "reason"),
    [
        ({}, [("error", 400)], "request"),
        ({"max_attempts": 2}, [("error", 500)], "attempts"),
        ({"max_calls": 2}, [("error", 500)], "calls"),
        ({"wait_cap": 0.0}, [("limited", 429)], "wait"),
        ({"deadline": 0.05, "backoff": 20.0, "backoff_cap": 20.0}, [("error", 500)], "deadline"),
    ],
)
async def test_a_request_that_ends_in_failure_says_why_it_stopped(stage, terms, scenes, reason):
    kind, status = scenes[0]
    headers = [(b"retry-after", b"3")] if kind == "limited" else []
    app = stage.Actor(stage.error(status, headers=headers))
    assert (await stage.ask(stage.retry(app, **terms))).status == status
    assert [fact.reason for fact in app.facts(Stopped)] == [reason]


async def test_a_request_that_is_answered_says_nothing_of_stopping(stage):
    app = stage.Actor(stage.error(500), stage.answer(b"{}"))
    await stage.ask(stage.retry(app))
    assert app.facts(Stopped) == []


# What rivals get wrong


async def test_a_limit_told_inside_a_stream_is_failed_over_as_well(stage):
    """LiteLLM leaves 429 out of its fallbacks once a stream has started (#22296)."""
    first = stage.Actor(stage.stream(b"data: open\n\n", b"data: error:rate\n\n"))
    second = stage.Actor(stage.stream(C1, END))
    assert (await stage.ask(stage.failover([first, second]))).body == C1 + END


async def test_nothing_of_a_failed_fallback_leaks_either(stage):
    """LiteLLM passes the fallback's first frames on, then fails (#38610)."""
    failing = stage.stream(b"data: open\n\n", b"data: error:overloaded\n\n")
    answer = await stage.ask(stage.failover([stage.Actor(failing), stage.Actor(failing)]))
    assert (answer.status, json.loads(answer.body)) == (529, {"error": "overloaded"})


async def test_what_one_app_does_to_its_scope_the_next_does_not_see(stage):
    """axonhub's first channel maps the model, and the next one sees the mapped name."""

    async def mutating(scope, receive, send):
        scope["path"] = "/mapped"
        scope["model"] = "mapped"
        await stage.error(503)(scope, receive, send)

    second = stage.Actor(stage.answer(b"{}"))
    await ask_model(stage, stage.failover([stage.Actor(mutating), second]), "asked")
    assert (second.scopes[0]["path"], second.scopes[0].get("model")) == ("/ask", None)
    assert json.loads(second.bodies[0]) == {"model": "asked"}


async def test_one_failure_shuts_nobody_out(stage, clock):
    """uni-api leaves a provider out for 300 seconds after any single failure."""
    first, second = stage.Actor(stage.error(503), stage.answer(b"[]")), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([first, second])
    assert [(await ask_model(stage, app)).body for _ in range(3)] == [b"{}", b"[]", b"[]"]


@pytest.mark.parametrize("after", [b"2300000000", b"Thu, 01 Jan 2099 00:00:00 GMT", b"1e300"])
async def test_no_upstream_keeps_a_request_or_a_target_for_years(stage, clock, after):
    """One hostile Retry-After takes a deployment out for 2.3e9 seconds in LiteLLM's router."""
    limited = stage.answer(b'{"error": {}}', status=429, headers=[(b"retry-after", after)])
    first, second = stage.Actor(limited), stage.Actor(stage.answer(b"{}"))
    app = Failover([first, second], protocol="openai-chat", rng=Random(1))
    with anyio.fail_after(20):
        for _ in range(3):
            assert (await stage.ask(app, path="/v1/chat/completions")).status == 200
    assert first.calls == 3


async def test_a_hanging_app_is_not_waited_for_again_and_again(stage):
    """Retries times timeouts: half a minute before a fallback is even asked."""
    first, second = stage.Actor(stage.hangs), stage.Actor(stage.answer(b"{}"))
    app = stage.failover([first, second], first_content_timeout=0.05, breaker=STEADY)
    for _ in range(12):
        assert (await ask_model(stage, app, stream=True)).status == 200
    assert first.calls == 5  # once per request, and none once it is known


async def test_a_repeat_that_would_come_too_late_is_not_begun(stage):
    app = stage.Actor()

    async def after(seconds, then, scope, receive, send):
        await anyio.sleep(seconds)
        await then(scope, receive, send)

    async def quick(*args):
        await after(0.3, stage.answer(b"{}"), *args)

    async def failing(*args):
        await after(0.75, stage.error(500), *args)

    app.scenes = (quick,)
    retry = stage.retry(app, deadline=1.0)
    async with anyio.create_task_group() as group:
        for _ in range(9):
            group.start_soon(stage.ask, retry)
    app.scenes = (failing,)
    assert (await stage.ask(retry)).status == 500
    assert app.facts(Stopped) == [Stopped(by="retry", reason="pace", attempts=1)]
    assert app.calls == 10
