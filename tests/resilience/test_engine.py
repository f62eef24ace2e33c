"""What a client sees through Retry and Failover."""

from __future__ import annotations

import json

import anyio
import anyio.lowlevel
import pytest

from ds2api_asgi.asgi.exchange import KEY
from ds2api_asgi.asgi.facts import Attempted, Broke, Committed, Judged, KeyLeased, PoolEmpty, Unreachable
from ds2api_asgi.errors import BrokenStream, ConfigurationError, TransportError
from ds2api_asgi.resilience import Answered, Engine, Failover, Retry, RetryPolicy, Terms, Timeouts, Try
from ds2api_asgi.testing.driver import Driver
from ds2api_asgi.universal.failure import Fault, RetryScope, Verdict

pytestmark = pytest.mark.anyio

OPEN, C1, C2, END = b"data: open\n\n", b"data: c1\n\n", b"data: c2\n\n", b"data: end\n\n"
WHOLE = OPEN + C1 + C2 + END


def error_of(answer) -> str:
    return json.loads(answer.body)["error"]


async def test_a_good_answer_passes_with_its_headers(stage):
    app = stage.Actor(stage.answer(b'{"a":', b"1}", headers=[(b"x-request-id", b"7")]))
    answer = await stage.ask(stage.retry(app))
    assert (answer.status, answer.body, answer.header("x-request-id")) == (200, b'{"a":1}', "7")
    assert answer.complete
    assert [fact.number for fact in app.facts(Attempted)] == [1]
    assert [fact.status for fact in app.facts(Committed)] == [200]


async def test_a_good_stream_passes_byte_for_byte(stage):
    app = stage.Actor(stage.stream(OPEN, C1[:3], C1[3:] + C2, END))
    answer = await stage.ask(stage.retry(app))
    assert (answer.status, answer.body, answer.complete) == (200, WHOLE, True)


async def test_a_failed_attempt_is_invisible_once_another_succeeds(stage):
    app = stage.Actor(stage.error(500), stage.stream(OPEN, b"data: error:overloaded\n\n"), stage.stream(WHOLE))
    answer = await stage.ask(stage.retry(app))
    assert (answer.status, answer.body) == (200, WHOLE)
    assert app.calls == 3
    assert [fact.status for fact in app.facts(Judged)] == [500, 0]


async def test_every_attempt_gets_the_same_body_and_its_own_scope(stage):
    app = stage.Actor(stage.error(500), stage.error(503), stage.answer(b"{}"))
    body = b'{"model": "m", "text": "' + b"x" * 100_000 + b'"}'
    answer = await Driver(stage.retry(app)).request("POST", "/ask", body=[body[:10], b"", body[10:]])
    assert answer.status == 200
    assert app.bodies == [body] * 3
    assert len({id(scope) for scope in app.scopes}) == 3


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid"), (413, "too_large"), (422, "invalid")])
async def test_a_fault_of_the_request_gives_one_call_and_its_own_answer(stage, status, kind):
    app = stage.Actor(stage.error(status, kind, headers=[(b"x-request-id", b"9")]))
    answer = await stage.ask(stage.retry(app))
    assert (answer.status, error_of(answer), answer.header("x-request-id")) == (status, kind, "9")
    assert answer.header("x-should-retry") is None
    assert app.calls == 1


@pytest.mark.parametrize(
    ("kind", "status"), [("rate", 429), ("overloaded", 529), ("server", 500), ("invalid", 400), ("auth", 401)]
)
async def test_an_error_as_the_first_event_has_its_real_status(stage, kind, status):
    app = stage.Actor(stage.stream(OPEN, b": ping\n\n", b"data: error:%s\n\n" % kind.encode()))
    answer = await stage.ask(stage.retry(app, max_attempts=1))
    assert (answer.status, error_of(answer)) == (status, kind)
    assert answer.header("content-type") == "application/json"


async def test_an_error_behind_content_in_the_same_read_is_retried_too(stage):
    app = stage.Actor(stage.stream(OPEN + C1 + b"data: error:server\n\n"), stage.stream(WHOLE))
    assert (await stage.ask(stage.retry(app))).body == WHOLE


@pytest.mark.parametrize("cut", range(len(WHOLE)))
@pytest.mark.parametrize("how", ["raises", "ends", "returns"])
async def test_a_stream_cut_at_any_byte_never_looks_whole(stage, cut, how):
    parts = [WHOLE[at : at + 1] for at in range(cut)]
    then = BrokenStream("reset", "gone") if how == "raises" else None
    app = stage.Actor(stage.stream(*parts, then=then, final=how == "ends"), stage.stream(b"data: c-again\n\n", END))
    answer = await stage.ask(stage.retry(app))
    assert answer.status == 200
    assert answer.complete
    if cut < len(OPEN + C1):  # nothing was committed: the second attempt's answer
        assert answer.body == b"data: c-again\n\n" + END
        assert app.calls == 2
    else:
        *events, last = answer.body.split(b"\n\n")[:-1]
        assert last == b"data: error:truncated"
        assert b"\n\n".join(events) + b"\n\n" == WHOLE[: WHOLE.rfind(b"\n\n", 0, cut) + 2]
        assert b"data: end" not in answer.body
        assert app.calls == 1
        assert [fact.reason for fact in app.facts(Broke)] == ["reset" if how == "raises" else "truncated"]


@pytest.mark.parametrize("how", ["raises", "returns"])
async def test_a_stream_that_breaks_after_its_end_is_whole(stage, how):
    then = BrokenStream("reset", "gone") if how == "raises" else None
    app = stage.Actor(stage.stream(WHOLE, then=then, final=False))
    answer = await stage.ask(stage.retry(app))
    assert (answer.body, answer.complete) == (WHOLE, True)


async def test_an_error_that_the_upstream_said_in_the_stream_is_not_said_twice(stage):
    said = C1 + b"data: error:overloaded\n\n"
    app = stage.Actor(stage.stream(C1, b"data: error:overloaded\n\n"))
    answer = await stage.ask(stage.retry(app))
    assert (answer.body, answer.complete) == (said, True)


async def test_a_stream_that_states_a_length_can_still_end_as_an_error(stage):
    async def scene(scope, receive, send):
        headers = [(b"Content-Type", b"text/event-stream"), (b"Content-Length", b"999")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": C1, "more_body": True})

    answer = await stage.ask(stage.retry(stage.Actor(scene)))
    assert answer.header("content-length") is None
    assert answer.body == C1 + b"data: error:truncated\n\n"


async def test_an_upstream_that_was_reached_but_late_is_left_for_another(stage):
    late = stage.noting(Unreachable(reason="timeout", processed=True), then=stage.error(504))
    first, second = stage.Actor(late), stage.Actor(stage.answer(b"{}"))
    assert (await stage.ask(stage.failover([first, second]))).status == 200
    assert first.calls == 1


async def test_an_unfinished_rest_of_a_whole_stream_passes(stage):
    app = stage.Actor(stage.stream(WHOLE, b": bye"))
    assert (await stage.ask(stage.retry(app))).body == WHOLE + b": bye"


@pytest.mark.parametrize("how", ["raises", "returns"])
async def test_a_document_cut_before_its_end_is_retried(stage, how):
    broken = stage.answer(b'{"a', cut=True)

    async def raising(scope, receive, send):
        await broken(scope, receive, send)
        raise BrokenStream("reset", "gone")

    app = stage.Actor(raising if how == "raises" else broken, stage.answer(b"{}"))
    answer = await stage.ask(stage.retry(app))
    assert (answer.status, answer.body, app.calls) == (200, b"{}", 2)


async def test_a_large_document_passes_unheld_and_is_aborted_when_cut(stage):
    app = stage.Actor(stage.answer(b"x" * 1024 * 1024, b"y" * 1024, cut=True))
    answer = await stage.ask(stage.retry(app))
    assert not answer.complete
    assert answer.body.endswith(b"y")
    assert app.calls == 1
    assert [fact.reason for fact in app.facts(Broke)] == ["truncated"]


async def test_a_document_in_very_many_messages_is_let_through_in_order(stage):
    parts = [b"%d," % number for number in range(10_000)]
    answer = await stage.ask(stage.retry(stage.Actor(stage.answer(*parts))))
    assert (answer.body, answer.complete) == (b"".join(parts), True)


async def test_an_endless_prelude_is_let_through(stage):
    app = stage.Actor(stage.stream(*[b": ping\n\n"] * 300, then=TransportError("reset", "x", processed=True)))
    answer = await stage.ask(stage.retry(app))
    assert answer.body == b": ping\n\n" * 300 + b"data: error:bad_gateway\n\n"
    assert app.calls == 1


async def test_a_long_prelude_is_let_through_whatever_its_events(stage):
    comment = b": " + b"p" * 100_000 + b"\n\n"
    app = stage.Actor(stage.stream(comment, comment, comment, then=BrokenStream("reset", "gone")))
    answer = await stage.ask(stage.retry(app))
    assert (answer.body, app.calls) == (comment * 3 + b"data: error:truncated\n\n", 1)


async def test_content_in_a_last_message_that_is_not_the_end_is_retried(stage):
    async def scene(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": OPEN + C1})

    app = stage.Actor(scene, stage.stream(WHOLE))
    answer = await stage.ask(stage.retry(app))
    assert (answer.body, app.calls) == (WHOLE, 2)


async def test_a_stream_cut_within_an_event_too_long_to_hold_is_aborted(stage):
    app = stage.Actor(stage.stream(C1, b"data: " + b"x" * (4 * 1024 * 1024), final=False))
    answer = await stage.ask(stage.retry(app))
    assert not answer.complete
    assert b"error" not in answer.body


async def test_an_endless_error_is_not_read_to_its_end(stage):
    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 503, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await anyio.lowlevel.checkpoint()

    answer = await stage.ask(stage.retry(stage.Actor(endless), max_attempts=1))
    assert (answer.status, error_of(answer)) == (529, "overloaded")


async def test_encoded_answers_pass_at_once(stage):
    encoded = stage.Actor(stage.answer(b"\x1f\x8b", headers=[(b"content-encoding", b"gzip")], cut=True))
    assert not (await stage.ask(stage.retry(encoded))).complete
    assert encoded.calls == 1


async def test_a_redirect_is_no_answer(stage):
    moved = stage.Actor(stage.answer(status=307, headers=[(b"location", b"/else")]))
    answer = await stage.ask(stage.retry(moved, max_attempts=2, backoff=0.0))
    assert (answer.status, answer.header("location"), moved.calls) == (502, None, 2)


@pytest.mark.parametrize("body", [b"", b"<html>Log in first</html>", b'{"a": [1, 2', b" \n", b"\xff\xfe"])
async def test_what_is_no_document_is_no_answer(stage, body):
    garbled, good = stage.answer(body), stage.answer(b'\xef\xbb\xbf {"good": 1}\r\n')
    app = stage.Actor(garbled, good)
    answer = await stage.ask(stage.retry(app, backoff=0.0))
    assert (answer.status, answer.body, app.calls) == (200, b'\xef\xbb\xbf {"good": 1}\r\n', 2)
    assert (await stage.ask(stage.retry(stage.Actor(garbled), max_attempts=1))).status == 502


async def test_a_page_with_an_error_status_becomes_an_error_of_the_protocol(stage):
    page = stage.Actor(stage.answer(b"<html>502</html>", status=502, headers=[(b"content-type", b"text/html")]))
    answer = await stage.ask(stage.retry(page, max_attempts=1))
    assert (answer.status, "error" in answer.json()) == (502, True)


async def test_an_answer_to_head_has_no_body_and_is_one(stage):
    app = stage.Actor(stage.answer(b""))
    assert ((await stage.ask(stage.retry(app), method="HEAD")).status, app.calls) == (200, 1)


async def test_chunk_n_arrives_before_the_next_is_made(stage):
    made = []

    async def scene(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(20):
            made.append(number)
            await send({"type": "http.response.body", "body": b"data: c%d\n\n" % number, "more_body": True})
        await send({"type": "http.response.body", "body": END, "more_body": False})

    app = stage.retry(stage.Actor(scene))
    async with Driver(app).open("POST", "/ask", body=b"{}") as response:
        number = 0
        async for chunk in response:
            if chunk != END:
                assert chunk == b"data: c%d\n\n" % number
                assert len(made) <= number + 2
                number += 1
    assert number == 20


async def test_when_all_fails_the_answer_says_what_is_known_about_trying_again(stage):
    app = stage.Actor(stage.error(500), stage.error(429, "rate", headers=[(b"retry-after", b"0.0015")]))
    answer = await stage.ask(stage.retry(app))
    assert answer.status == 429
    assert answer.header("x-should-retry") == "false"
    assert answer.header("retry-after") == "0.0015"
    assert answer.header("retry-after-ms") == "2"
    assert app.calls == 3


async def test_a_wait_that_is_too_long_for_us_is_left_to_the_client(stage):
    app = stage.Actor(stage.error(429, "rate", headers=[(b"retry-after", b"30.5")]))
    answer = await stage.ask(stage.retry(app))
    assert answer.header("retry-after-ms") == "30500"
    assert answer.header("x-should-retry") is None
    assert app.calls == 1


async def test_a_fault_of_the_request_is_never_said_to_be_retryable(stage):
    app = stage.Actor(stage.error(500), stage.error(400, "invalid", headers=[(b"retry-after", b"1")]))
    answer = await stage.ask(stage.retry(app))
    assert answer.status == 400
    assert answer.header("x-should-retry") is None
    assert answer.header("retry-after-ms") is None


async def test_a_used_up_quota_is_not_to_be_retried_by_the_client(stage):
    answer = await stage.ask(stage.retry(stage.Actor(stage.error(429, "billing"))))
    assert answer.header("x-should-retry") == "false"


@pytest.mark.parametrize(
    ("error", "status", "calls"),
    [
        (TransportError("connect", "refused", processed=False), 502, 3),
        (TransportError("timeout", "late", processed=True), 504, 3),
        (RuntimeError("bug"), 502, 3),
        (ExceptionGroup("group", [TransportError("timeout", "late", processed=True)]), 504, 3),
        (TransportError("pool", "all in use", processed=False), 529, 1),
    ],
)
async def test_what_an_app_raises_before_its_answer_becomes_one(stage, error, status, calls):
    app = stage.Actor(stage.fails(error))
    answer = await stage.ask(stage.retry(app))
    assert (answer.status, app.calls) == (status, calls)
    assert "refused" not in answer.text


async def test_an_app_that_says_nothing_is_a_failure(stage):
    app = stage.Actor(stage.noting(then=stage.answer()), stage.answer(b"{}"))

    async def silent(scope, receive, send):
        return

    app.scenes = (silent, stage.answer(b"{}"))
    assert (await stage.ask(stage.retry(app))).body == b"{}"


async def test_an_exception_after_the_answer_is_the_hosts(stage):
    answer = stage.answer(b"{}")

    async def scene(scope, receive, send):
        await answer(scope, receive, send)
        raise LookupError("background")

    with pytest.raises(LookupError):
        await stage.ask(stage.retry(stage.Actor(scene)))


async def test_an_app_that_raises_after_its_error_answer_is_retried_all_the_same(stage):
    async def scene(scope, receive, send):  # as Starlette's ServerErrorMiddleware does
        await stage.error(500)(scope, receive, send)
        raise LookupError("bug")

    app = stage.Actor(scene, stage.answer(b"{}"))
    assert ((await stage.ask(stage.retry(app))).status, app.calls) == (200, 2)


async def test_any_exception_in_a_running_stream_becomes_an_error_event(stage):
    app = stage.Actor(stage.stream(C1, then=LookupError("secret")))
    answer = await stage.ask(stage.retry(app))
    assert (answer.body, answer.complete) == (C1 + b"data: error:bad_gateway\n\n", True)


@pytest.mark.parametrize("bad", [0, 1, 2])
async def test_what_the_server_raises_goes_through_untouched(stage, bad):
    class Private(Exception):
        pass

    messages = []

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        if len(messages) == bad:
            raise Private
        messages.append(message)

    app = stage.Actor(stage.stream(C1, C2, END))
    with pytest.raises(Private):
        await stage.retry(app)(SCOPE, receive, send)
    assert (app.calls, len(messages)) == (1, bad)


SCOPE = {"type": "http", "method": "POST", "path": "/ask", "root_path": "", "headers": [], "query_string": b""}


# Keys


def refused(status: int) -> Judged:
    fault = Fault.KEY if status == 401 else Fault.RATE
    return Judged(by="pool", status=status, verdict=Verdict(row="pool", fault=fault, retry=RetryScope.KEY))


async def test_three_keys_of_which_one_serves_give_200_after_three_calls(stage):
    app = stage.Actor(
        stage.noting(KeyLeased(pool="p", key="a"), refused(429), then=stage.error(429)),
        stage.noting(KeyLeased(pool="p", key="b"), refused(401), then=stage.error(401)),
        stage.noting(KeyLeased(pool="p", key="c"), then=stage.stream(WHOLE)),
    )
    answer = await stage.ask(stage.retry(app, max_attempts=1))
    assert (answer.status, answer.body, app.calls) == (200, WHOLE, 3)
    assert [fact.after for fact in app.facts(Attempted)] == [0.0] * 3
    assert [fact.by for fact in app.facts(Judged)] == ["pool", "pool"]  # what the pool judged is not judged again


async def test_what_a_pool_found_in_a_stream_is_not_judged_again(stage):
    app = stage.Actor(
        stage.noting(KeyLeased(pool="p", key="a"), refused(0), then=stage.stream(b"data: error:server\n\n")),
        stage.stream(WHOLE),
    )
    assert (await stage.ask(stage.retry(app, max_attempts=1))).body == WHOLE
    assert len(app.facts(Judged)) == 1


async def test_a_pool_that_was_empty_and_then_served_is_not_empty(stage):
    empty = PoolEmpty(pool="p", reason="cooling", retry_after=None)
    app = stage.Actor(stage.noting(empty, KeyLeased(pool="q", key="a"), then=stage.error(500)))
    await stage.ask(stage.retry(app))
    assert app.calls == 3


async def test_a_pool_that_was_empty_in_an_earlier_attempt_of_a_nested_retry_is_not_empty(stage):
    empty = PoolEmpty(pool="p", reason="cooling", retry_after=0.0)
    app = stage.Actor(stage.noting(empty, then=stage.error(429, "rate")), stage.error(500))
    await stage.ask(stage.retry(stage.retry(app)))
    assert app.calls == 4


async def test_a_pool_whose_first_key_is_back_soon_is_waited_for(stage):
    empty = PoolEmpty(pool="p", reason="cooling", retry_after=0.01)
    app = stage.Actor(stage.noting(empty, then=stage.error(429, "rate")), stage.answer(b"{}"))
    assert (await stage.ask(stage.retry(app, max_calls=1))).status == 200  # an empty pool has cost no call


async def test_a_pool_that_stays_empty_answers_with_the_time_of_its_first_key(stage):
    empty = PoolEmpty(pool="p", reason="cooling", retry_after=20.0)
    app = stage.Actor(
        stage.noting(KeyLeased(pool="p", key="a"), refused(429), then=stage.error(429)),
        stage.noting(empty, then=stage.error(503)),
    )
    answer = await stage.ask(stage.retry(app))
    assert (answer.status, answer.header("retry-after")) == (503, "20")
    assert app.calls == 2


async def test_an_unreachable_upstream_is_the_networks_fault(stage):
    app = stage.Actor(stage.noting(Unreachable(reason="connect", processed=False), then=stage.error(502)))
    await stage.ask(stage.retry(app, max_attempts=1))
    assert [fact.verdict.fault for fact in app.facts(Judged)] == [Fault.NETWORK]


# Nesting


async def test_nested_retries_do_not_multiply(stage):
    app = stage.Actor(stage.error(500))
    answer = await stage.ask(stage.retry(stage.retry(stage.retry(app))))
    assert (answer.status, app.calls) == (500, 3)
    assert app.exchange.calls_left == 3


async def test_no_request_makes_more_calls_than_its_budget(stage):
    app = stage.Actor(stage.error(500))
    await stage.ask(stage.retry(stage.retry(app, max_attempts=2), max_attempts=50, max_calls=5))
    assert app.calls == 5


async def test_a_nested_retry_keeps_to_its_own_bound(stage):
    app = stage.Actor(stage.error(500))
    await stage.ask(stage.retry(stage.retry(app, max_calls=1), max_attempts=1))
    assert app.calls == 1


async def test_a_nested_bound_does_not_lower_its_neighbours(stage):
    first, second = stage.Actor(stage.error(500)), stage.Actor(stage.error(500))
    await stage.ask(stage.failover([stage.retry(first, max_calls=1, deadline=0.5), stage.retry(second)], max_calls=9))
    assert (first.calls, second.calls) == (2, 3)


async def test_an_error_event_is_said_once_however_deep_the_nest(stage):
    app = stage.Actor(stage.stream(C1, then=BrokenStream("reset", "gone")))
    answer = await stage.ask(stage.retry(stage.retry(app)))
    assert answer.body == C1 + b"data: error:truncated\n\n"


async def test_a_nested_retry_gives_up_sooner_when_another_app_follows(stage):
    first, second = stage.Actor(stage.error(503)), stage.Actor(stage.answer(b"{}"))
    assert (await stage.ask(stage.failover([stage.retry(first), second]))).status == 200
    assert first.calls == 1


async def test_failover_falls_through_to_the_app_that_serves(stage):
    apps = [stage.Actor(stage.error(status)) for status in (401, 503, 429)]
    last = stage.Actor(stage.stream(WHOLE))
    answer = await stage.ask(stage.failover([*apps, last]))
    assert answer.body == WHOLE
    assert [app.calls for app in apps] == [1, 1, 1]
    assert [fact.target for fact in last.facts(Attempted)] == [0, 1, 2, 3]


async def test_failover_does_not_spread_a_bad_request(stage):
    first, second = stage.Actor(stage.error(400, "invalid")), stage.Actor(stage.answer(b"{}"))
    assert (await stage.ask(stage.failover([first, second]))).status == 400
    assert second.calls == 0


async def test_a_plan_of_ones_own_may_try_the_last_app_first(stage):
    def backwards(elsewhere):
        for target in (1, 0):
            if isinstance((yield Try(target)), Answered):
                return

    first, last = stage.Actor(stage.answer(b"{}")), stage.Actor(stage.error(500))
    terms = Terms(policy=RetryPolicy(), timeouts=Timeouts())
    assert (await stage.ask(Engine([first, last], backwards, protocol=stage.protocol, terms=terms))).status == 200
    assert [fact.target for fact in first.facts(Attempted)] == [1, 0]


# What is not ours


@pytest.mark.parametrize(("method", "path"), [("POST", "/files"), ("PUT", "/ask"), ("POST", "/")])
async def test_unclaimed_requests_pass_message_by_message_to_the_first_app(stage, method, path):
    asked = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b"}]
    said = [{"type": "http.response.start", "status": 500, "headers": []}, {"type": "http.response.zerocopysend"}]
    seen, sent = [], []

    async def app(scope, receive, send):
        assert {**scope, KEY: None} == {**SCOPE, "method": method, "path": path, KEY: None}
        for message in asked:
            seen.append(await receive())
            assert seen[-1] is message
        for message in said:
            await send(message)
            assert sent[-1] is message

    for part in (stage.retry(app), stage.failover([app, stage.hangs])):
        messages = iter(asked)

        async def receive(messages=messages):
            return next(messages)

        async def send(message):
            sent.append(message)

        await part({**SCOPE, "method": method, "path": path}, receive, send)
    assert (len(seen), len(sent)) == (4, 4)


async def test_websockets_pass_untouched(stage):
    seen = []

    async def app(*arguments):
        seen.append(arguments)

    scope = {"type": "websocket", "path": "/ask"}
    await stage.retry(app)(scope, None, None)
    await stage.failover([app])(scope, None, None)
    assert [arguments[0] is scope for arguments in seen] == [True, True]


async def test_a_body_over_the_bound_is_413_in_the_protocols_shape(stage):
    app = stage.Actor(stage.answer(b"{}"))
    answer = await stage.ask(stage.retry(app, max_body=3), body=b"1234")
    assert (answer.status, error_of(answer), app.calls) == (413, "too_large", 0)


async def test_a_get_is_answered_without_reading_its_body(stage):
    async def receive():
        await anyio.sleep_forever()

    sent = []

    async def send(message):
        sent.append(message)

    app = stage.Actor(stage.error(500), stage.answer(b"[]"))
    with anyio.fail_after(20):
        await stage.retry(app)({**SCOPE, "method": "GET", "path": "/models"}, receive, send)
    assert sent[0]["status"] == 200


async def test_extensions_that_would_slip_past_us_are_not_offered(stage):
    app = stage.Actor(stage.answer(b"{}"))
    scope = {"extensions": {"http.response.pathsend": {}}}
    await Driver(stage.retry(app), scope=scope).request("POST", "/ask", body=b"{}")
    assert app.scopes[0]["extensions"] == {}


@pytest.mark.parametrize(
    "terms",
    [
        {"first_content_timeout": 0},
        {"idle_timeout": -1.0},
        {"content_timeout": 0.0},
        {"max_body": -1},
        {"max_attempts": 0},
        {"protocol": "no-such-protocol"},
    ],
)
def test_terms_that_cannot_work_are_refused(stage, terms):
    for part in (lambda: Retry(stage.hangs, **terms), lambda: Failover([stage.hangs], **terms)):
        with pytest.raises(ConfigurationError):
            part()


def test_a_failover_whose_last_app_could_never_be_asked_is_refused(stage):
    with pytest.raises(ConfigurationError, match="at least one"):
        Failover([])
    with pytest.raises(ConfigurationError, match="never be asked"):
        Failover([stage.hangs] * 3, max_calls=2)
