"""`Live`: what is told of running and ended requests, and laws of the series."""

from __future__ import annotations

import gc
import itertools
import json
import math
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.exchange import Exchange
from ds2api_asgi.asgi.facts import KeyLeased
from ds2api_asgi.observe import Journal, Live, Price, Traced
from ds2api_asgi.observe.cost import Pricing
from ds2api_asgi.observe.live import Ended, Running, _Entry, text_bytes
from ds2api_asgi.observe.seen import RequestSeen
from ds2api_asgi.observe.series import Series
from ds2api_asgi.pool import Secret
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Operation
from ds2api_asgi.testing import Driver, Set, Wait, event_script, json_script
from watched import ANSWER, CANARY, QUESTION, SLOW, SPARE, WORDS, ask, chunk, nest

STREAMED = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
USAGE = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}


async def test_a_stream_is_told_while_it_runs_and_when_it_is_over() -> None:
    more = anyio.Event()
    script = event_script(chunk("Hello"), chunk(" wide world, that is"), then=[Wait(more)])
    script += event_script(chunk(finish="stop"), chunk(usage=USAGE), done=True)[1:]
    live, journal = Live(), Journal()
    app, _ = nest(live, [script])
    app = Traced(app, sinks=[journal], log=False, ids=lambda: "request-1")
    cursor = live.cursor
    async with Driver(app).open("POST", "/v1/chat/completions", json=STREAMED) as response:
        await anext(response)
        await anext(response)
        (running,) = live.running()
        assert isinstance(running, Running)
        assert (running.id, running.phase, running.model, running.pool) == ("request-1", "streaming", "gpt-4o", "pool")
        assert running.key in {Secret(CANARY).alias(), Secret(SPARE).alias()}
        assert running.first is not None
        assert running.estimated
        assert running.output == math.ceil(len("Hello wide world, that is") / 4)
        cursor, (changed,) = live.since(cursor)
        assert changed.id == running.id
        assert live.since(cursor) == (cursor, [])
        more.set()
        await response.read()
    assert live.running() == []
    assert live.in_flight == 0
    (ended,) = live.recent()
    assert (ended.id, ended.status, ended.end, ended.why) == ("request-1", 200, "complete", None)
    assert (ended.input, ended.output) == (5, 9)
    _, (changed,) = live.since(cursor)
    assert changed == ended
    assert journal.get("request-1") is not None


async def test_a_request_that_waits_for_a_key_is_told_with_its_model() -> None:
    live = Live()
    go, asked = anyio.Event(), anyio.Event()
    app, _ = nest(live, [[Set(asked), Wait(go), *json_script(ANSWER)]])
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: Driver(app).request("POST", "/v1/chat/completions", json=QUESTION))
        await asked.wait()
        (running,) = live.running()
        assert (running.phase, running.model, running.first, running.output) == ("waiting", "gpt-4o", None, None)
        assert live.in_flight == 1
        go.set()
    (ended,) = live.recent()
    assert (ended.input, ended.output, ended.first) == (1000, 10, None)


async def test_a_failure_says_why() -> None:
    live = Live()
    app, _ = nest(live, [json_script(SLOW, status=400)])
    await Driver(app).request("POST", "/v1/chat/completions", json=QUESTION)
    (ended,) = live.recent()
    assert (ended.status, ended.end) == (400, "failed")
    assert ended.why is not None
    assert sum(point.failed for point in live.points()) == 1
    assert CANARY not in repr(ended)
    assert WORDS not in repr(ended)


async def test_costs_are_told_by_the_model_that_answered() -> None:
    price = Price(input=Decimal(1_000), output=Decimal(10_000), cached=Decimal(1_000))
    live = Live(cost=True, prices={"gpt-4o": price})
    app, _ = nest(live, [json_script(ANSWER)])
    await Driver(app).request("POST", "/v1/chat/completions", json=QUESTION)
    assert live.recent()[0].cost == pytest.approx(1.1)


async def test_only_answers_tell_how_long_answers_take() -> None:
    live = Live()
    models = {"object": "list", "data": [{"id": "m", "object": "model"}]}
    app, _ = nest(live, [json_script(models), json_script(ANSWER)])
    await Driver(app).request("GET", "/v1/models")
    assert [(point.requests, point.p50) for point in live.points() if point.requests] == [(1, None)]
    await Driver(app).request("POST", "/v1/chat/completions", json=QUESTION)
    assert any(point.p50 for point in live.points())


async def test_memory_is_bounded_by_what_is_remembered() -> None:
    live = Live(recent=3)
    app, _ = nest(live, [json_script(ANSWER)] * 8)
    for number in range(8):
        await Driver(app).request("POST", "/v1/chat/completions", json={**QUESTION, "model": f"m{number}"})
    assert [ended.model for ended in live.recent()] == ["m7", "m6", "m5"]
    assert sum(point.requests for point in live.points()) == 8
    assert live._running == {}


async def test_who_leaves_is_over() -> None:
    live = Live()
    go = anyio.Event()
    app, _ = nest(live, [event_script(chunk("Hello"), then=[Wait(go)])])
    async with Driver(app).open("POST", "/v1/chat/completions", json=STREAMED) as response:
        await anext(response)
        assert live.in_flight == 1
    assert live.in_flight == 0
    assert live.recent()[0].end == "gone"


pytestmark = pytest.mark.anyio

SAYS = 'Gr\u00fc\u00dfe, "Welt"\n'
STREAMS: dict[str, Any] = {
    "openai-chat": {"choices": [{"index": 0, "delta": {"content": SAYS}}]},
    "openai-responses": {"type": "response.output_text.delta", "delta": SAYS, "logprobs": []},
    "anthropic": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SAYS}},
    "gemini": {"candidates": [{"content": {"role": "model", "parts": [{"text": SAYS}]}}]},
    "ollama": {"model": "m", "message": {"role": "assistant", "content": SAYS}, "done": False},
}


@pytest.mark.parametrize("protocol", sorted(STREAMS))
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_text_of_a_delta_is_found_in_every_protocol(protocol: str, separators: tuple[str, str]) -> None:
    data = json.dumps(STREAMS[protocol], ensure_ascii=False, separators=separators).encode()
    spelled = len(json.dumps(SAYS, ensure_ascii=False).encode()) - 2
    assert text_bytes(protocol, b"data: " + data + b"\n\n") == spelled


def test_the_text_of_what_is_not_translated_is_found() -> None:
    completed = {"choices": [{"index": 0, "text": SAYS, "finish_reason": None}]}
    for document in (completed, {"type": "transcript.text.delta", "delta": SAYS}):
        data = json.dumps(document, ensure_ascii=False).encode()
        spelled = len(json.dumps(SAYS, ensure_ascii=False).encode()) - 2
        assert text_bytes("openai-chat", data, Operation.INFER) == spelled


def test_a_whole_text_after_its_deltas_is_not_counted_again() -> None:
    done = {"type": "response.output_text.done", "text": SAYS}
    assert text_bytes("openai-responses", json.dumps(done).encode()) == 0


@given(st.binary(max_size=200), st.sampled_from([*STREAMS, "unknown"]))
def test_counting_is_total_and_never_more_than_there_is(data: bytes, protocol: str) -> None:
    assert 0 <= text_bytes(protocol, data) <= len(data)


def test_counting_is_linear() -> None:
    import time

    hostile = b'"content":"' + b"\\" * 2_000_000
    began = time.thread_time()
    text_bytes("openai-chat", hostile)
    text_bytes("openai-chat", b'"content":' * 200_000)
    assert time.thread_time() - began < 10


ends = st.lists(
    st.tuples(
        st.floats(0, 20),  # seconds since the last one
        st.floats(0, 5000),  # how long it took
        st.booleans(),
        st.none() | st.floats(0, 100),
        st.integers(0, 1000),
    ),
    max_size=60,
)


@given(ends, st.integers(1, 30))
def test_a_series_counts_what_ended_within_it_and_keeps_no_more(ended: Any, steps: int) -> None:
    series, now = Series(step=5.0, steps=steps), 1_000_000.0
    told: list[tuple[float, Any]] = []
    for later, took, failed, first, output in ended:
        now += later
        series.add(now, took=took, failed=failed, first=first, output=output)
        told.append((now, (took, failed, first, output)))
    points = series.points(now)
    assert len(points) == steps
    assert all(after.at - before.at == 5.0 for before, after in itertools.pairwise(points))
    within = [one for at, one in told if math.floor(at / 5) > math.floor(now / 5) - steps]
    assert sum(point.requests for point in points) == len(within)
    assert sum(point.failed for point in points) == sum(failed for _, failed, _, _ in within)
    assert sum(point.output for point in points) == sum(output for *_, output in within)
    assert len(series._kept) <= steps


@given(st.lists(st.floats(0.001, 3000), min_size=1, max_size=50))
def test_percentiles_are_told_within_four_percent(times: list[float]) -> None:
    series = Series()
    for took in times:
        series.add(1000.0, took=took)
    point = series.points(1000.0)[-1]
    ordered = sorted(times)
    for share, told in ((0.5, point.p50), (0.95, point.p95)):
        true = ordered[math.ceil(share * len(ordered)) - 1]
        assert told == pytest.approx(true, rel=0.0401)


def test_a_clock_that_goes_back_loses_nothing() -> None:
    series = Series(steps=3)
    series.add(1000.0, took=1)
    series.add(10.0, took=1)
    assert sum(point.requests for point in series.points(10.0)) == 2


steps = st.lists(
    st.tuples(st.sampled_from(["begin", "pass", "lease", "end", "late", "look"]), st.integers(0, 5)), max_size=60
)


@given(steps, st.integers(1, 5))
def test_whatever_happens_in_whatever_order_is_told_once_and_kept_in_bounds(steps: Any, recent: int) -> None:
    live = Live(recent=recent, wall=lambda: 1000.0)
    claim = registry.claim("POST", "/v1/chat/completions", {})
    assert claim is not None
    open_ones: list[RequestSeen] = []
    closed: list[RequestSeen] = []
    cursor, seen_running, seen_ended, since_look = live.cursor, {}, [], 0
    for what, place in steps:
        if what == "begin":
            request = RequestSeen(Exchange(started=0.0, clock=lambda: 5.0), claim, {"type": "http"})
            live.began(request)
            open_ones.append(request)
        elif what == "look":
            cursor, changed = live.since(cursor)
            assert live.since(cursor) == (cursor, [])
            assert len({one.id for one in changed}) == len(changed)
            for one in changed:
                if isinstance(one, Ended):
                    seen_ended.append(one.id)
                    seen_running.pop(one.id, None)
                else:
                    seen_running[one.id] = one
            since_look = 0
        elif what == "late" and closed:
            live.noted(closed[place % len(closed)], KeyLeased(pool="p", key="late"))
        elif open_ones and what != "late":
            request = open_ones[place % len(open_ones)]
            if what == "pass":
                live.passed(request, b'{"content":"abcdefgh"}')
            elif what == "lease":
                live.noted(request, KeyLeased(pool="p", key=str(place)))
            else:
                open_ones.remove(request)
                closed.append(request)
                request.ended = 6.0
                live.ended(request)
                since_look += 1
        assert live.in_flight == len(open_ones) == len(live.running())
        assert len(live.recent()) == min(recent, len(closed))
        assert sum(point.requests for point in live.points()) == len(closed)
        assert len(live._stirred) <= len(open_ones)
    _, changed = live.since(cursor)
    for one in changed:
        if isinstance(one, Ended):
            seen_running.pop(one.id, None)
            seen_ended.append(one.id)
        else:
            seen_running[one.id] = one
    # Who looked now and then knows all that run as they are, and each that ended once, or as many as are remembered.
    if since_look <= recent:
        assert {one.id: one for one in live.running()} == seen_running
    assert len(set(seen_ended)) == len(seen_ended) <= len(closed)
    if since_look <= recent:
        assert {one.id for one in live.recent()} <= set(seen_ended)


async def test_what_is_kept_of_a_request_is_no_garbage_in_cycles() -> None:
    live = Live()
    app, _ = nest(live, [json_script(ANSWER)])
    gc.collect()
    gc.disable()
    try:
        await Driver(app).request("POST", "/v1/chat/completions", json=QUESTION)
        assert not [one for one in gc.get_objects() if isinstance(one, _Entry)]
    finally:
        gc.enable()


async def test_a_request_whose_costs_cannot_be_told_is_over_nevertheless(caplog: pytest.LogCaptureFixture) -> None:
    class Unsure(Pricing):
        def of_request(self, request: RequestSeen) -> float | None:
            raise ArithmeticError("a price of another kind")

    live = Live()
    live.price(Unsure({"m": Price(input=Decimal(1), output=Decimal(1))}))
    app, _ = nest(live, [json_script(ANSWER)])
    assert (await ask(app)).status == 200
    assert live.in_flight == 0
    assert [record.getMessage() for record in caplog.records] == ["Live could not take note"]
