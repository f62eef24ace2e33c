"""What takes too long, on trio's virtual clock."""

from __future__ import annotations

import json
import math

import anyio
import pytest
import trio.testing

from ds2api_asgi.asgi.facts import Attempted, Broke, Judged
from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.resilience import BreakerPolicy, BreakerState
from ds2api_asgi.resilience.timeouts import RequestClock, Timeouts, Watchdog
from ds2api_asgi.testing.driver import Driver

pytestmark = pytest.mark.anyio

C1, END = b"data: c1\n\n", b"data: end\n\n"
ASKS_STREAM = b'{"stream": true}'


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def stage(stage):
    stage.clock = trio.current_time
    return stage


def paced(*steps: float | bytes):
    """A stream: numbers are pauses in seconds."""

    async def scene(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for step in steps:
            if isinstance(step, bytes):
                await send({"type": "http.response.body", "body": step, "more_body": True})
            else:
                await anyio.sleep(step)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return scene


async def test_a_stream_without_content_in_time_is_retried(stage):
    app = stage.Actor(paced(b"data: open\n\n", *[30.0, b": ping\n\n"] * 4, C1, END), paced(C1, END))
    answer = await stage.ask(stage.retry(app), body=ASKS_STREAM)
    assert (answer.body, app.calls) == (C1 + END, 2)
    assert [fact.verdict.row for fact in app.facts(Judged)] == ["late.first-content"]
    assert app.running == 0


async def test_a_model_that_thinks_may_have_its_own_time(stage):
    def allowed(model: str) -> float | None:
        return {"thinker": 300.0, "": 10.0}.get(model)

    app = stage.Actor(paced(250.0, C1, END))
    part = stage.retry(app, first_content_timeout=allowed, max_attempts=1)
    assert (await stage.ask(part, body=b'{"stream": true, "model": "thinker"}')).status == 200
    assert (await stage.ask(part, body=b'{"stream": true, "model": "unbounded"}')).status == 200
    start = anyio.current_time()
    assert (await stage.ask(part, body=ASKS_STREAM)).status == 504
    assert anyio.current_time() - start == pytest.approx(10)


PICTURE = b'data: {"type":"image_generation.completed"}\n\n'
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
PAINTS, CHATS = "/v1/images/generations", "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "said", "pause", "terms", "calls"),
    [
        (PAINTS, PICTURE, 250.0, {}, 1),
        (PAINTS, PICTURE, 250.0, {"first_content_timeout": None}, 1),
        (PAINTS, PICTURE, 500.0, {"content_timeout": None}, 1),
        (PAINTS, PICTURE, 90.0, {"content_timeout": 50.0}, 3),
        (PAINTS, PICTURE, 90.0, {"content_timeout": 50.0, "first_content_timeout": 100.0}, 1),
        (PAINTS, PICTURE, 250.0, {"deadline": 200.0}, 1),
        (CHATS, TEXT, 90.0, {}, 3),
    ],
)
async def test_a_picture_that_is_made_is_not_made_again(stage, path, said, pause, terms, calls):
    stage.protocol = "openai-chat"
    app = stage.Actor(paced(pause, said))
    answer = await stage.ask(stage.retry(app, **terms), path=path, body=ASKS_STREAM)
    arrives = calls == 1 and "deadline" not in terms
    assert (answer.body == said, app.calls) == (arrives, calls)
    assert answer.status == (200 if arrives else 504)


async def test_a_picture_whose_making_does_not_begin_in_time_is_asked_for_again(stage):
    async def slow(scope, receive, send):
        await anyio.sleep(61)
        await paced(PICTURE)(scope, receive, send)

    stage.protocol = "openai-chat"
    app = stage.Actor(slow, paced(250.0, PICTURE))
    assert (await stage.ask(stage.retry(app), path=PAINTS, body=ASKS_STREAM)).body == PICTURE
    assert app.calls == 2
    assert [fact.verdict.row for fact in app.facts(Judged)] == ["late.first-content"]


async def test_who_waits_for_a_picture_is_answered_before_giving_up(stage):
    stage.protocol = "openai-chat"
    part = stage.retry(stage.Actor(paced(250.0, PICTURE)), timeout_header="x-timeout-ms")
    start = anyio.current_time()
    answer = await Driver(part).request("POST", PAINTS, headers={"x-timeout-ms": "100000"}, body=ASKS_STREAM)
    assert answer.status == 504
    assert anyio.current_time() - start <= 100


async def test_an_app_that_never_answers_gives_504(stage):
    app = stage.Actor(stage.deaf)
    answer = await stage.ask(stage.retry(app), body=ASKS_STREAM)
    assert (answer.status, json.loads(answer.body)["error"], app.calls) == (504, "timeout", 3)


async def test_content_may_take_as_long_as_it_likes_without_that_bound(stage):
    app = stage.Actor(paced(500.0, C1, END))
    answer = await stage.ask(stage.retry(app, first_content_timeout=None), body=ASKS_STREAM)
    assert answer.body == C1 + END


async def test_what_is_no_stream_has_the_whole_deadline(stage):
    async def slow(scope, receive, send):
        await anyio.sleep(500)
        await stage.answer(b"{}")(scope, receive, send)

    assert (await stage.ask(stage.retry(stage.Actor(slow)))).status == 200


async def test_a_document_in_answer_to_a_stream_request_has_the_whole_deadline(stage):
    async def slow(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep(500)
        await send({"type": "http.response.body", "body": b"{}", "more_body": False})

    assert (await stage.ask(stage.retry(stage.Actor(slow)), body=ASKS_STREAM)).body == b"{}"


async def test_the_deadline_is_one_for_all_attempts(stage):
    app = stage.Actor(stage.deaf)
    start = anyio.current_time()
    answer = await stage.ask(stage.retry(app, deadline=100.0), body=ASKS_STREAM)
    assert answer.status == 504
    assert anyio.current_time() - start == pytest.approx(100)
    assert app.calls == 2


async def test_no_attempt_begins_that_could_only_begin_after_the_deadline(stage):
    app = stage.Actor(stage.error(429, "rate", headers=[(b"retry-after", b"5")]))
    answer = await stage.ask(stage.retry(app, deadline=4.0))
    assert (answer.status, app.calls) == (429, 1)


async def test_waits_between_attempts_are_noted(stage):
    app = stage.Actor(stage.error(429, "rate", headers=[(b"retry-after", b"5")]), stage.answer(b"{}"))
    assert (await stage.ask(stage.retry(app))).status == 200
    first, second = app.facts(Attempted)
    assert first.after == 0
    assert 5 <= second.after <= 5.5


async def test_a_stream_that_falls_silent_ends_as_an_error(stage):
    app = stage.Actor(paced(C1, 100.0, END))
    answer = await stage.ask(stage.retry(app))
    assert (answer.body, answer.complete) == (C1 + b"data: error:timeout\n\n", True)
    assert [fact.reason for fact in app.facts(Broke)] == ["idle"]


async def test_pings_keep_a_stream_alive_for_a_while_only(stage):
    patient = stage.Actor(paced(C1, *[20.0, b": ping\n\n"] * 12, C1, *[20.0, b": ping\n\n"] * 12, END))
    assert (await stage.ask(stage.retry(patient))).body.endswith(END)
    pinging = stage.Actor(paced(C1, *[20.0, b": ping\n\n"] * 25, END))
    body = (await stage.ask(stage.retry(pinging))).body
    assert body.endswith(b": ping\n\ndata: error:timeout\n\n")


async def test_steady_content_outlives_every_bound_but_the_deadline(stage):
    words = [step for number in range(500) for step in (1.0, b"data: c%d\n\n" % number)]
    app = stage.Actor(paced(*words, END))
    assert (await stage.ask(stage.retry(app, idle_timeout=2.0, content_timeout=4.0))).body.endswith(END)
    late = stage.Actor(paced(*words, END))
    answer = await stage.ask(stage.retry(late, deadline=100.0))
    assert answer.body.endswith(b"data: error:timeout\n\n")
    assert [fact.reason for fact in late.facts(Broke)] == ["total"]


async def test_a_large_document_that_falls_silent_is_aborted(stage):
    async def silent(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 2_000_000, "more_body": True})
        await anyio.sleep_forever()

    app = stage.Actor(silent)
    assert not (await stage.ask(stage.retry(app))).complete
    assert [fact.reason for fact in app.facts(Broke)] == ["idle"]


@pytest.mark.parametrize("kind", ["document", "stream"])
async def test_an_app_may_work_on_after_its_answer(stage, kind):
    done = []

    async def scene(scope, receive, send):
        await (stage.answer(b"{}") if kind == "document" else stage.stream(C1, END))(scope, receive, send)
        await anyio.sleep(5000)
        done.append(True)

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        pass

    await stage.retry(stage.Actor(scene))({**SCOPE}, receive, send)
    assert done == [True]


async def test_an_app_that_lingers_after_an_error_does_not_delay_the_next_attempt(stage):
    async def scene(scope, receive, send):
        await stage.error(500)(scope, receive, send)
        await anyio.sleep(5000)

    start = anyio.current_time()
    app = stage.Actor(scene, stage.answer(b"{}"))
    assert (await stage.ask(stage.retry(app))).status == 200
    assert anyio.current_time() - start < 10
    assert app.running == 0


async def test_an_app_that_lingers_after_a_stream_without_its_end_does_not_delay_the_error(stage):
    async def scene(scope, receive, send):
        await stage.stream(C1)(scope, receive, send)
        await anyio.sleep(5000)

    start = anyio.current_time()
    answer = await stage.ask(stage.retry(stage.Actor(scene)))
    assert answer.body == C1 + b"data: error:truncated\n\n"
    assert anyio.current_time() - start < 10


async def test_a_client_that_does_not_take_the_error_event_cannot_keep_us(stage):
    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        if b"error" in message.get("body", b""):
            await anyio.sleep_forever()

    with anyio.fail_after(100), pytest.raises(BrokenStream):
        await stage.retry(stage.Actor(stage.stream(C1)))({**SCOPE}, receive, send)


async def test_a_client_that_takes_nothing_cannot_keep_us(stage):
    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    start = anyio.current_time()
    app = stage.Actor(paced(b"data: open\n\n", C1, C1, END))
    with pytest.raises(Exception, match="silent"):
        await stage.retry(app)({**SCOPE}, receive, send)
    assert anyio.current_time() - start < 100


SCOPE = {"type": "http", "method": "POST", "path": "/ask", "root_path": "", "headers": [], "query_string": b""}


class Never:
    content = terminal = ended = False
    failure = None

    def feed(self, data: bytes) -> None:
        pass


async def test_an_answer_that_is_stuck_on_its_way_is_aborted_even_when_all_of_it_had_come(stage):
    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    sent = []

    async def send(message):
        if message["type"] == "http.response.body" and message["body"]:
            await anyio.sleep_forever()
        sent.append(message)

    for scene in (paced(C1 + END), stage.answer(b"{}")):
        with pytest.raises(BrokenStream):
            await stage.retry(stage.Actor(scene))({**SCOPE}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"] * 2


async def test_the_wait_for_content_is_the_innermost_retrys(stage):
    async def slow_error(scope, receive, send):
        await anyio.sleep(50)
        await stage.error(500)(scope, receive, send)

    app = stage.Actor(slow_error, paced(50.0, C1, END))
    answer = await stage.ask(stage.retry(stage.retry(stage.retry(app))), body=ASKS_STREAM)
    assert (answer.body, app.calls) == (C1 + END, 2)


@pytest.mark.parametrize("idle", [8.0, None])
@pytest.mark.parametrize("content", [32.0, None])
async def test_a_watchdog_without_progress_is_late_by_a_sixteenth_at_most(idle, content):
    dog = Watchdog(RequestClock(trio.current_time), math.inf)
    dog.guard(Timeouts(idle=idle, content=content), Never)
    due = min(idle or math.inf, content or math.inf)
    assert due <= dog.scope.deadline - anyio.current_time() <= due * 17 / 16


async def test_a_watchdog_never_allows_more_than_the_total():
    dog = Watchdog(RequestClock(trio.current_time), anyio.current_time() + 5)
    dog.allow("first-content", 60.0)
    assert dog.cause == "total"
    dog.guard(Timeouts(), Never)
    assert dog.scope.deadline == anyio.current_time() + 5


@pytest.mark.parametrize(("wait", "opened"), [(0.0, True), (80.0, False)])
async def test_a_deadline_counts_only_when_the_upstream_used_most_of_it(stage, wait, opened):
    async def slow(scope, receive, send):
        await anyio.sleep(wait)
        await stage.error(503)(scope, receive, send)

    apps = [stage.Actor(slow), stage.Actor(stage.deaf)]
    app = stage.failover(apps, deadline=120.0, breaker=BreakerPolicy(consecutive=1), max_attempts=1)
    assert (await stage.ask(app, body=b'{"model": "m"}')).status == 503
    assert (BreakerState.OPEN in [report.state for report in app.breakers() if report.target == 1]) == opened
