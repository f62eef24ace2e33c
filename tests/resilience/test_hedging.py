"""A second attempt beside a slow first one: the policy alone, then the race on trio's virtual clock."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.facts import Hedged, HedgeLost, Judged
from ds2api_asgi.errors import BrokenStream, ConfigurationError
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.protocols.base import Limits
from ds2api_asgi.resilience import BreakerPolicy, BreakerState, BudgetPolicy, Failover, Hedge, Retry
from ds2api_asgi.resilience.hedge import Hedging, is_stateless
from ds2api_asgi.resilience.pace import Pace
from ds2api_asgi.testing.driver import Driver

pytestmark = pytest.mark.anyio

READY = Hedge(samples=4, share=1.0)
SSE = [(b"content-type", b"text/event-stream")]
C1, C2, END = b"data: c1\n\n", b"data: c2\n\n", b"data: end\n\n"
STREAM, WHOLE = b'{"stream": true}', b"{}"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


# the policy


def settled(hedge: Hedge, *, asked: int = 100) -> Hedging:
    hedging = Hedging(hedge)
    for _ in range(asked):
        hedging.asked()
    return hedging


def paced(times: list[float], samples: int = 512) -> Pace:
    pace = Pace(samples)
    for seconds in times:
        pace.learn(seconds)
    return pace


def test_too_few_observations_make_no_hedge():
    assert settled(Hedge()).due(paced([2.0] * 49)) is None
    assert settled(Hedge()).due(paced([2.0] * 50)) == 2.0
    assert settled(Hedge(), asked=0).due(paced([2.0] * 50)) is None


@given(st.lists(st.floats(0, 500), min_size=50, max_size=50))
def test_a_slow_one_is_slower_than_95_of_100_and_never_faster_than_a_second(times):
    due = settled(Hedge()).due(paced(times))
    assert due is not None
    assert due >= 1.0
    assert sum(seconds > due for seconds in times) <= 0.05 * len(times)
    assert due == 1.0 or sum(seconds >= due for seconds in times) > 0.05 * len(times)


def test_old_observations_are_forgotten():
    hedging, pace = settled(Hedge(window=64)), paced([100.0] * 64, samples=64)
    assert hedging.due(pace) == 100.0
    for _ in range(64 + 16):
        pace.learn(2.0)
    assert hedging.due(pace) == 2.0


@given(share=st.floats(0.01, 1.0), steps=st.lists(st.booleans(), max_size=300))
def test_no_more_than_the_share_is_spent(share, steps):
    hedging = settled(Hedge(share=share), asked=0)
    asked = spent = 0
    for takes in steps:
        if takes and hedging.may(0.0):
            hedging.spend()
            spent += 1
        elif not takes:
            hedging.asked()
            asked += 1
        assert spent <= share * asked + 1e-9


def test_none_begins_while_a_rate_limit_is_near():
    hedging = settled(Hedge())
    hedging.stated([Limits(dimension="tokens", limit=100.0, remaining=11.0, reset_after=30.0)], now=0.0)
    assert hedging.may(1.0)
    hedging.stated([Limits(dimension="tokens", limit=100.0, remaining=10.0, reset_after=30.0)], now=0.0)
    assert not hedging.may(29.0)
    assert hedging.may(30.0)
    hedging.limited(30.0)
    assert not hedging.may(39.0)
    assert hedging.may(40.0)


@pytest.mark.parametrize(
    ("protocol", "body", "stateless"),
    [
        ("openai-chat", {}, True),
        ("openai-chat", {"store": True}, False),
        ("openai-responses", {}, False),
        ("openai-responses", {"store": False}, True),
        ("openai-responses", {"store": False, "background": True}, False),
        ("openai-responses", {"store": False, "previous_response_id": "r"}, False),
        ("anthropic", {"thread": {"type": "create"}}, False),
        ("anthropic", {"container": "c"}, False),
        ("gemini", {"contents": []}, True),
    ],
)
def test_what_leaves_something_behind_is_never_asked_twice(protocol, body, stateless):
    assert is_stateless(protocol, json.dumps(body).encode()) is stateless
    assert not is_stateless(protocol, b"no JSON")


@pytest.mark.parametrize("bad", [{"quantile": 0}, {"share": 1.1}, {"least": -1}, {"samples": 0}, {"window": 10}])
def test_settings_that_cannot_work_are_refused(stage, bad):
    with pytest.raises(ConfigurationError, match="hedge"):
        Retry(stage.Actor(), hedge=Hedge(**bad))


# the race


class Slow:
    """Answers after so many seconds per call, the last one again and again; knows which calls were cut off."""

    def __init__(self, *plays: tuple[float | bytes | Exception, ...]) -> None:
        self.plays = plays
        self.calls = 0
        self.cut: list[int] = []
        self.running = 0
        self.exchange: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.exchange is None or len(scope["ds2api_asgi.exchange"]) < len(self.exchange):
            self.exchange = scope["ds2api_asgi.exchange"]
        number = self.calls
        self.calls += 1
        self.running += 1
        await receive()
        try:
            begun = False
            for step in self.plays[min(number, len(self.plays) - 1)]:
                if isinstance(step, bytes):
                    if not begun:
                        await send({"type": "http.response.start", "status": 200, "headers": SSE})
                        begun = True
                    await send({"type": "http.response.body", "body": step, "more_body": True})
                elif isinstance(step, Exception):
                    raise step
                else:
                    await anyio.sleep(step)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except BaseException as error:
            if not isinstance(error, Exception):
                self.cut.append(number)
            raise
        finally:
            self.running -= 1


async def warm(app: Any, *, body: bytes = STREAM) -> None:
    for _ in range(4):
        await Driver(app).request("POST", "/ask", body=body)


def retry(stage: Any, app: Any, **terms: Any) -> Any:
    return stage.retry(app, hedge=READY, **terms)


FAST = (0.5, C1, END)


async def timed(app: Any, body: bytes = STREAM) -> tuple[Any, float]:
    start = anyio.current_time()
    return await Driver(app).request("POST", "/ask", body=body), anyio.current_time() - start


@pytest.fixture
def stage(stage):
    stage.clock = trio.current_time
    return stage


async def test_the_second_answers_where_the_first_is_stuck(stage):
    app = Slow(*[FAST] * 4, (30.0, C2, END), (0.25, C1, END))
    part = retry(stage, app)
    await warm(part)
    app.exchange = None
    answer, seconds = await timed(part)
    assert (answer.status, answer.body, answer.complete) == (200, C1 + END, True)
    assert seconds == pytest.approx(1.25)
    assert (app.calls, app.cut, app.running) == (6, [4], 0)
    assert [(fact.target, fact.after) for fact in app.exchange.all(Hedged)] == [(0, 1.0)]
    assert [fact.second for fact in app.exchange.all(HedgeLost)] == [False]
    assert list(app.exchange.all(Judged)) == []


async def test_the_first_may_still_win_and_the_second_is_cut_off(stage):
    app = Slow(*[FAST] * 4, (1.5, C1, 5.0, END), (30.0, C2, END))
    part = retry(stage, app)
    await warm(part)
    app.exchange = None
    answer, seconds = await timed(part)
    assert answer.body == C1 + END
    assert seconds == pytest.approx(6.5)
    assert app.cut == [5]
    assert [fact.second for fact in app.exchange.all(HedgeLost)] == [True]


async def test_no_second_begins_where_the_first_is_in_time(stage):
    app = Slow(*[FAST] * 4, (0.9, C1, 50.0, END))
    part = retry(stage, app)
    await warm(part)
    app.exchange = None
    answer, _ = await timed(part)
    assert (answer.body, app.calls) == (C1 + END, 5)
    assert list(app.exchange.all(Hedged)) == []


async def test_lifecycle_frames_and_comments_win_nothing(stage):
    app = Slow(*[FAST] * 4, (0.1, b"data: open\n\n", 30.0, C2, END), (0.1, b": ping\n\n", 1.0, C1, END))
    part = retry(stage, app)
    await warm(part)
    assert (await timed(part))[0].body == b": ping\n\n" + C1 + END


@pytest.mark.parametrize("first", [(30.0, C2, END), (1.5, OSError("down")), (1.5, b"data: error:server\n\n")])
async def test_a_first_that_fails_leaves_it_to_the_second(stage, first):
    app = Slow(*[FAST] * 4, first, (2.0, C1, END))
    part = retry(stage, app)
    await warm(part)
    answer, seconds = await timed(part)
    assert (answer.body, app.calls) == (C1 + END, 6)
    assert seconds == pytest.approx(3.0)


async def test_a_second_that_fails_leaves_it_to_the_first(stage):
    app = Slow(*[FAST] * 4, (3.0, C1, END), (0.1, b"data: error:rate\n\n"))
    part = retry(stage, app)
    await warm(part)
    answer, _ = await timed(part)
    assert (answer.body, app.calls) == (C1 + END, 6)


async def test_two_that_fail_are_two_calls_and_trying_goes_on(stage):
    app = Slow(*[FAST] * 4, (3.0, b"data: error:server\n\n"), (0.1, b"data: error:server\n\n"), (0.1, C1, END))
    part = retry(stage, app)
    await warm(part)
    answer, _ = await timed(part)
    assert (answer.body, app.calls) == (C1 + END, 7)


async def test_nested_parts_hedge_once_among_them(stage):
    # Seed 80318 of a hundred thousand simulations: both began a second attempt at the same moment, which made four.
    app = Slow(*[FAST] * 4, (30.0, C2, END), (0.25, C1, END))
    part = retry(stage, retry(stage, app), max_calls=2)
    await warm(part)
    answer, _ = await timed(part)
    assert (answer.body, app.calls, app.running) == (C1 + END, 6, 0)


async def test_a_hedge_spends_the_call_budget(stage):
    app = Slow(*[FAST] * 4, (3.0, b"data: error:server\n\n"), (0.1, b"data: error:server\n\n"))
    part = retry(stage, app, max_calls=2)
    await warm(part)
    answer, _ = await timed(part)
    assert (answer.status, app.calls) == (500, 6)
    lone = Slow(*[FAST] * 4, (3.0, b"data: error:server\n\n"))
    part = retry(stage, lone, max_calls=1)
    await warm(part)
    assert ((await timed(part))[0].status, lone.calls) == (500, 5)


async def test_a_fault_of_the_request_ends_both(stage):
    app = Slow(*[FAST] * 4, (1.5, b"data: error:invalid\n\n"), (300.0, C1, END))
    part = retry(stage, app)
    await warm(part)
    answer, seconds = await timed(part)
    assert (answer.status, app.calls, app.running) == (400, 6, 0)
    assert seconds == pytest.approx(1.5)


async def test_a_break_after_the_win_is_an_error_and_never_the_others_words(stage):
    app = Slow(*[FAST] * 4, (30.0, C2, END), (0.1, C1, 1.0, BrokenStream("reset", "gone")))
    part = retry(stage, app)
    await warm(part)
    answer, _ = await timed(part)
    assert answer.body == C1 + b"data: error:truncated\n\n"


@pytest.mark.parametrize("gap", [0.0, 1e-9, 0.001])
async def test_two_answers_at_one_moment_are_never_mixed(stage, gap):
    events = [b"data: c%d\n\n" % number for number in range(5)]
    one = (2.0, *[step for event in events for step in (event, 0.001)], END)
    two = (1.0 + gap, *[step for event in events for step in (event.replace(b"c", b"cx"), 0.001)], END)
    app = Slow(*[FAST] * 4, one, two)
    part = retry(stage, app)
    await warm(part)
    answer, _ = await timed(part)
    mine = b"".join(events) + END
    assert answer.body in (mine, mine.replace(b"data: c", b"data: cx"))
    assert app.running == 0


async def test_documents_are_hedged_by_the_first_whole_one(stage):
    calls: list[float] = [0.5] * 4 + [30.0, 0.5]
    seen = []

    async def app(scope, receive, send):
        number = len(seen)
        seen.append(number)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"n":', "more_body": True})
        await anyio.sleep(calls[number])
        await send({"type": "http.response.body", "body": b"%d}" % number})

    part = retry(stage, app)
    await warm(part, body=WHOLE)
    answer, seconds = await timed(part, WHOLE)
    assert (answer.json(), seconds) == ({"n": 5}, pytest.approx(1.5))


async def test_failover_asks_the_next_app(stage):
    first, second = Slow(*[FAST] * 4, (30.0, C2, END)), Slow((0.1, C1, END))
    part = stage.failover([first, second], hedge=READY)
    await warm(part)
    first.exchange = None
    answer, _ = await timed(part)
    assert (answer.body, second.calls, first.cut) == (C1 + END, 1, [4])
    assert [fact.target for fact in first.exchange.all(Hedged)] == [1]


async def test_the_pools_verdict_about_one_is_not_taken_for_the_others(stage):
    app = Slow(*[FAST] * 4, (3.0, C1, END), (0.1, b"data: error:auth\n\n"))
    pool = KeyPool(app, protocol=stage.protocol, keys=["sk-1", "sk-2"], rng=Random(1), clock=trio.current_time)
    part = retry(stage, pool)
    await warm(part)
    app.exchange = None
    answer, _ = await timed(part)
    assert answer.body == C1 + END
    assert list(app.exchange.all(Judged)) == []
    assert sum(report.in_flight for report in await pool.snapshot()) == 0


async def test_the_second_has_another_key(stage):
    app = Slow(*[FAST] * 4, (30.0, C2, END), (0.1, C1, END))
    keys = []

    async def noting(scope, receive, send):
        keys.append(dict(scope["headers"])[b"x-api-key"])
        await app(scope, receive, send)

    pool = KeyPool(noting, protocol=stage.protocol, keys=["sk-1", "sk-2"], rng=Random(1), clock=trio.current_time)
    part = retry(stage, pool)
    await warm(part)
    assert (await timed(part))[0].body == C1 + END
    assert keys[-1] != keys[-2]


async def test_a_client_that_leaves_ends_both(stage):
    app = Slow(*[FAST] * 4, (500.0, C1, END), (500.0, C1, END))
    part = retry(stage, app, first_content_timeout=None, deadline=1000.0)
    await warm(part)
    left = anyio.Event()
    reading = 0

    async def receive():
        nonlocal reading
        if not body:
            reading += 1
            assert reading == 1
            try:
                await left.wait()
            finally:
                reading -= 1
            return {"type": "http.disconnect"}
        return body.pop()

    async def send(message):
        raise AssertionError(message)

    async def listening(scope, receive, send):
        async with anyio.create_task_group() as group:

            async def listen():
                await body_read.wait()
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            body_read = anyio.Event()

            async def read():
                message = await receive()
                body_read.set()
                return message

            group.start_soon(listen)
            await app(scope, read, send)
            group.cancel_scope.cancel()

    body: list[Any] = [{"type": "http.request", "body": STREAM, "more_body": False}]
    part._app = listening
    part._engine._apps = (listening,)
    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(
            part,
            {"type": "http", "method": "POST", "path": "/ask", "headers": [], "query_string": b""},
            receive,
            send,
        )
        await anyio.sleep(5.0)
        assert app.running == 2
        left.set()
    assert anyio.current_time() - start < 5.11
    assert app.running == 0


@given(
    one=st.lists(st.sampled_from([0.0, 0.4, 1.0, 1.1, 2.0, C1, C2, b"data: open\n\n"]), max_size=6),
    two=st.lists(st.sampled_from([0.0, 0.1, 0.4, 1.0, C1, C2, b"data: error:server\n\n"]), max_size=6),
)
def test_whatever_both_do_the_client_gets_one_answer_and_nothing_stays(one, two):
    from .conftest import Stage

    def mark(steps: list[Any], name: bytes) -> tuple[Any, ...]:
        marked = [step.replace(b"data: c", b"data: c" + name) if isinstance(step, bytes) else step for step in steps]
        return (*marked, b"data: c%s\n\n" % name, END)

    async def run() -> None:
        stage = Stage()
        stage.clock = trio.current_time
        app = Slow(*[FAST] * 4, mark(one, b"A"), mark(two, b"B"), (C1, END))
        part = retry(stage, app)
        await warm(part)
        answer, _ = await timed(part)
        assert (answer.status, answer.complete, app.running) == (200, True, 0)
        assert not (b"cA" in answer.body and b"cB" in answer.body)
        assert answer.body.endswith((END, b"data: error:server\n\n"))

    anyio.run(run, backend="trio", backend_options={"clock": trio.testing.MockClock(autojump_threshold=0)})


async def test_a_failover_without_history_never_hedges(stage):
    first, second = Slow((30.0, C1, END)), Slow(FAST)
    part = Failover([first, second], protocol=stage.protocol, clock=trio.current_time, hedge=Hedge())
    answer, _ = await timed(part)
    assert (answer.body, second.calls) == (C1 + END, 0)


# what a hedge has in common with all attempts


SLOW = (30.0, C2, END)
OTHER = (0.1, C1, END)
DOWN = (0.1, OSError("down"))


async def test_a_hedge_is_paid_from_the_budget_of_repeats(stage):
    app = Slow(*[FAST] * 4, SLOW, OTHER, SLOW)
    part = retry(stage, app, budget=BudgetPolicy(capacity=1.0, per_success=0.0))
    await warm(part)
    assert (await timed(part))[1] == pytest.approx(1.1)
    answer, seconds = await timed(part)
    assert (answer.body, seconds, app.calls) == (C2 + END, pytest.approx(30.0), 7)


async def test_a_hedge_that_fails_counts_for_the_breaker_and_none_asks_who_is_left_alone(stage):
    first, second = Slow(*[FAST] * 4, (3.0, C1, END)), Slow(DOWN)
    part = stage.failover([first, second], hedge=READY, breaker=BreakerPolicy(consecutive=2, rest=100.0))
    await warm(part)
    for _ in range(3):
        assert (await timed(part))[0].body == C1 + END
    assert second.calls == 2
    assert [(one.target, one.state) for one in part.breakers() if one.model is None] == [
        (0, BreakerState.CLOSED),
        (1, BreakerState.OPEN),
    ]


async def test_the_next_app_that_is_not_left_alone_is_asked(stage):
    first, second, third = Slow(*[FAST] * 4, SLOW), Slow(DOWN), Slow(OTHER)
    part = stage.failover([first, second, third], hedge=READY, breaker=BreakerPolicy(consecutive=1, rest=100.0))
    await warm(part)
    assert (await timed(part))[0].body == C2 + END
    assert (await timed(part))[0].body == C1 + END
    assert (second.calls, third.calls) == (1, 1)


async def test_losing_to_a_hedge_counts_for_no_breaker(stage):
    first, second = Slow(*[FAST] * 4, SLOW), Slow(OTHER)
    part = stage.failover([first, second], hedge=READY, breaker=BreakerPolicy(consecutive=1))
    await warm(part)
    for _ in range(5):
        assert (await timed(part))[0].body == C1 + END
    assert {one.state for one in part.breakers()} == {BreakerState.CLOSED}
    assert (first.calls, second.calls) == (9, 5)


async def test_a_slow_attempt_that_was_beaten_is_remembered_as_slow(stage):
    app = Slow(*[FAST] * 4, *[SLOW, OTHER] * 17)
    part = retry(stage, app)
    await warm(part)
    for _ in range(17):
        app.exchange = None
        await timed(part)
    assert [fact.after for fact in app.exchange.all(Hedged)] == [pytest.approx(1.1)]


@pytest.mark.parametrize(("keeps", "calls"), [(True, 9), (False, 10)])
async def test_what_a_hedge_knows_keeps_repeats_from_beginning_only_where_they_keep_pace(stage, keeps, calls):
    app = Slow(*[(5.0, C1, END)] * 8, (2.0, OSError("down")), FAST)
    part = stage.retry(app, hedge=Hedge(), deadline=6.0, keep_pace=keeps)
    for _ in range(8):
        await timed(part)
    answer, _ = await timed(part)
    assert (answer.status, app.calls) == (502 if keeps else 200, calls)


@pytest.mark.parametrize("state", ['"input": [{"file_id": "f"}]', '"input": [{"type": "item_reference", "id": "i"}]'])
async def test_a_request_that_only_one_app_understands_asks_no_other(stage, state):
    first, second = Slow(*[FAST] * 4, SLOW), Slow(OTHER)
    part = stage.failover([first, second], hedge=READY)
    await warm(part)
    answer, _ = await timed(part, f'{{"stream": true, {state}}}'.encode())
    assert (answer.body, second.calls) == (C2 + END, 0)


async def test_a_server_that_ends_soon_begins_no_hedge(stage):
    app = Slow(*[FAST] * 4, SLOW, OTHER)
    part = retry(stage, app)
    await warm(part)
    part.drain()
    assert (await timed(part))[0].body == C2 + END
