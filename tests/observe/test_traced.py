"""`Traced` and the journal: what is told of a request, and what never is."""

from __future__ import annotations

import json
import logging
from typing import Any

import anyio
import msgspec
import pytest

from ds2api_asgi import Access, ConfigurationError, Journal, KeyPool, Retry, Traced, Translator, resilience, rule
from ds2api_asgi.asgi.exchange import Exchange
from ds2api_asgi.asgi.facts import Broke, Stopped
from ds2api_asgi.asgi.trace import MAX_STEPS, MAX_TEXT, Trace, decode_trace, encode_trace, trace_of
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from leaving import leave_waiting

pytestmark = pytest.mark.anyio

ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
SLOW = {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}}
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a word of mine"}]}


def nest(*scripts: Any, rules: Any = (), **options: Any) -> tuple[Traced, Journal]:
    journal = Journal()
    pool = KeyPool(ScriptedUpstream(scripts), protocol="openai-chat", keys=["sk-1", "sk-2"], rules=rules)
    app = Translator(Retry(pool, backoff=0.001), speaks="openai-chat")
    return Traced(app, sinks=[journal], **options), journal


async def ask(app: Any) -> Any:
    return await Driver(app).request("POST", "/v1/chat/completions", json=QUESTION)


async def test_the_story_of_a_request_that_took_two_keys(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app, journal = nest(json_script(SLOW, status=429), json_script(ANSWER))
    assert (await ask(app)).status == 200
    (trace,) = journal
    assert [step.what for step in trace.steps] == [
        "Attempted", "KeyLeased", "Judged", "Attempted", "KeyLeased", "Committed",
    ]  # fmt: skip
    assert (trace.protocol, trace.operation, trace.model) == ("openai-chat", "generate", "gpt-4o")
    assert (trace.status, trace.end, trace.why) == (200, "complete", None)
    assert trace.steps[2].members["verdict"]["row"] == "openai-chat.429"
    times = [step.at for step in trace.steps]
    assert times == sorted(times)
    (record,) = [record for record in caplog.records if record.name == "ds2api_asgi.trace"]
    assert vars(record)["ds2_id"] == trace.id
    assert decode_trace(vars(record)["ds2_trace"]) == trace
    assert "a word of mine" not in repr(vars(record))


async def test_why_it_stopped_is_told_of_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app, journal = nest(json_script({"error": {"message": "no", "code": "unknown_parameter"}}, status=400))
    assert (await ask(app)).status == 400
    (trace,) = journal.query(failed=True)
    assert (trace.end, trace.why) == ("failed", "openai-chat.400: trying again makes no sense")
    assert journal.query(failed=False) == []
    assert [record.levelname for record in caplog.records if record.name == "ds2api_asgi.trace"] == ["WARNING"]


async def test_a_rule_of_the_user_is_named_in_the_trace() -> None:
    app, journal = nest(
        json_script({"error": {"message": "come back", "code": "odd"}}, status=400),
        json_script(ANSWER),
        rules=[rule("odd", "cool-key", code="odd")],
    )
    assert (await ask(app)).status == 200
    (trace,) = journal
    assert [step.members["verdict"]["row"] for step in trace.steps if step.what == "Judged"] == ["rule.odd"]


async def test_a_retry_may_have_rules_that_its_pool_has_not() -> None:
    pool = KeyPool(ScriptedUpstream([json_script(SLOW, status=429)]), protocol="openai-chat", keys=["sk-1", "sk-2"])
    journal = Journal()
    app = Traced(Retry(pool, rules=[rule("no", "stop", status=429)]), sinks=[journal])
    assert (await ask(app)).status == 429
    (trace,) = journal
    assert [step.members["verdict"]["row"] for step in trace.steps if step.what == "Judged"] == [
        "openai-chat.429", "rule.no",
    ]  # fmt: skip


async def test_a_header_is_opt_in_bounded_and_safe() -> None:
    app, _ = nest(json_script(ANSWER))
    assert not [name for name, _ in (await ask(app)).headers if name.startswith(b"x-ds2")]
    app, journal = nest(json_script(SLOW, status=429), json_script(ANSWER), header="X-DS2-Trace")
    headers = dict((await ask(app)).headers)
    (trace,) = journal
    assert headers[b"x-ds2-request-id"].decode() == trace.id
    assert b"row=openai-chat.429" in headers[b"x-ds2-trace"]
    assert len(headers[b"x-ds2-trace"]) <= 400
    with pytest.raises(ConfigurationError):
        Traced(app, header="x: y\r\n")


async def test_a_sink_in_the_place_of_a_list_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="list"):
        Traced(Translator(ScriptedUpstream([]), speaks="openai-chat"), sinks=Journal())


async def test_a_stream_that_is_cut_and_an_app_that_raises_are_told() -> None:
    async def cut(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'data: {"error": {"message": "x"}}\n\n', "more_body": False})

    async def raising(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("boom")

    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        raise OSError("gone")

    journal = Journal()
    await ask(Traced(cut, sinks=[journal]))
    with pytest.raises(RuntimeError):
        await ask(Traced(raising, sinks=[journal]))
    assert [(trace.status, trace.end) for trace in journal] == [(0, "raised"), (200, "cut")]


async def test_a_sink_that_raises_does_not_touch_the_request(caplog: pytest.LogCaptureFixture) -> None:
    def broken(trace: Trace) -> None:
        raise ValueError("no disk")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    journal = Journal()
    journal.subscribe(broken)
    assert (await ask(Traced(app, sinks=[broken, journal]))).status == 200
    assert len(journal) == 1
    assert sum("raised" in record.message for record in caplog.records) == 2


def test_a_journal_is_bounded_and_can_be_asked_and_followed() -> None:
    journal = Journal(2)
    seen: list[str] = []
    end = journal.subscribe(lambda trace: seen.append(trace.id))
    for number in range(3):
        journal(Trace(id=str(number), when=0, took=0, end="failed" if number == 1 else "complete"))
    end()
    end()
    journal(Trace(id="3", when=0, took=0))
    assert [trace.id for trace in journal] == ["3", "2"]
    assert seen == ["0", "1", "2"]
    assert journal.get("2") is not None
    assert journal.get("0") is None
    assert len(journal.query(limit=1)) == 1
    with pytest.raises(ConfigurationError):
        Journal(0)


class Hedged(msgspec.Struct, frozen=True):
    """A fact that no part of ours knows."""

    target: int
    reason: str
    odd: Any = None


def test_facts_that_are_unknown_are_written_down_and_all_is_bounded() -> None:
    now = [5.0]
    exchange = Exchange(started=5.0, clock=lambda: now[0])
    now[0] = 6.5
    exchange.note(Hedged(target=2, reason="x" * 999 + "\n", odd={"a": [float("nan"), b"bytes", object()]}))
    exchange.note(object())
    trace = trace_of(exchange, id="i")
    assert (trace.steps[0].at, trace.steps[0].what, trace.took) == (1.5, "Hedged", 1.5)
    assert trace.steps[0].members["target"] == 2
    assert len(trace.steps[0].members["reason"]) == MAX_TEXT
    line = encode_trace(trace)
    assert "\n" not in line
    assert decode_trace(line) == trace
    assert json.loads(line)["id"] == "i"
    for _ in range(2 * MAX_STEPS):
        exchange.note(Broke(reason="reset"))
    long = trace_of(exchange)
    assert len(long.steps) == MAX_STEPS
    assert long.omitted == len(exchange) - MAX_STEPS


def test_what_is_not_a_trace_is_none() -> None:
    assert decode_trace("{}") is None
    assert decode_trace(b"\xff") is None


async def test_who_is_cancelled_from_outside_is_said_to_be() -> None:
    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    async def streaming(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep_forever()

    for app, status in ((waiting, 0), (streaming, 200)):
        journal = Journal()
        await leave_waiting(ask, Traced(app, sinks=[journal]))
        (trace,) = journal
        assert (trace.status, trace.end) == (status, "cancelled")
        assert trace.why is not None
        assert trace.failed
        assert "cancelled from outside" in trace.why


async def test_what_was_turned_away_at_the_door_is_told_with_its_reason() -> None:
    journal = Journal()
    app = Traced(Access(ScriptedUpstream([]), keys=["sk-0123456789abcdef"]), sinks=[journal])
    assert (await ask(app)).status == 401
    (trace,) = journal
    assert (trace.end, trace.why) == ("failed", "turned away at the door: 401")
    assert "sk-0123456789abcdef" not in encode_trace(trace)


async def test_why_a_retry_gave_up_is_told() -> None:
    down = json_script({"error": {"message": "down", "type": "server_error"}}, status=500)
    app, journal = nest(down, down, down)
    assert (await ask(app)).status == 500
    (trace,) = journal
    (stopped,) = [step.members for step in trace.steps if step.what == "Stopped"]
    assert stopped["reason"] == "attempts"
    assert trace.why == "openai-chat.500, and all attempts were made"


def test_every_reason_of_a_part_that_gave_up_has_words() -> None:
    for reason in resilience.Reason:
        exchange = Exchange(started=0.0)
        exchange.note(Stopped(by="retry", reason=reason.value, attempts=1))
        why = trace_of(exchange, end="failed").why
        assert why is not None
        assert " " in why


async def test_tokens_are_told_where_that_is_asked_for() -> None:
    for usage, told in ((False, []), (True, [{"input": 1, "output": 1}])):
        app, journal = nest(json_script(ANSWER), usage=usage)
        await ask(app)
        (trace,) = journal
        assert [step.members for step in trace.steps if step.what == "Used"] == told
