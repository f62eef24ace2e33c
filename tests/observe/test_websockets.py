"""Websockets are requests as well: traces, numbers, spans and logs tell of them, and of what their responses cost."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from ds2api_asgi import (
    Access,
    ClientKey,
    ClientLimits,
    Key,
    KeyPool,
    Metrics,
    RateLimits,
    Secret,
    StatefulResponses,
    Telemetry,
    Traced,
    Translator,
    Upstream,
    Watchers,
)
from ds2api_asgi.asgi.facts import Used
from ds2api_asgi.asgi.trace import Trace
from ds2api_asgi.gateway.commands.explain import story
from ds2api_asgi.observe import JsonLines, Live, summary_of
from ds2api_asgi.observe.sockets import REALTIME, claim_of
from ds2api_asgi.observe.watching import RequestSeen, Watcher
from ds2api_asgi.pool.ask import Ask
from ds2api_asgi.protocols.openai_shared.sockets import usage_of_event
from ds2api_asgi.testing import Driver, ScriptedUpstream, event_script, serve
from socket_provider import conversation, dial, provider, response_done
from watched import WORDS, chunk

ALICE = "sk-alice-canary-5f0c7a1be2d9"
KEY = "sk-pool-canary-one-81c2d3"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The websocket client is asyncio's."""
    return "asyncio"


class Seen(Watcher):
    """Keeps the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.requests_seen: list[RequestSeen] = []

    def ended(self, request: RequestSeen) -> None:
        self.requests_seen.append(request)


class Kit:
    """The nest with everything that watches."""

    def __init__(self, url: str, **pool: Any) -> None:
        self.metrics, self.live, self.seen = Metrics(), Live(), Seen()
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracer = TracerProvider()
        tracer.add_span_processor(SimpleSpanProcessor(self.spans))
        self.telemetry = Telemetry(tracer_provider=tracer, meter_provider=MeterProvider([self.reader]), contents=True)
        self.traces: list[Trace] = []
        watchers = Watchers([self.metrics, self.telemetry, self.live, self.seen])
        upstream = watchers.calls(Upstream(url, protocol="openai-chat", websockets=True), name="up", provider="openai")
        self.pool = KeyPool(upstream, protocol="openai-chat", keys=[Key(secret=Secret(KEY), alias="k1", **pool)])
        self.metrics.look_at(pools=[self.pool])
        nest = Translator(self.pool, speaks="openai-chat")
        access = Access(nest, keys=[ClientKey(ALICE, name="alice")])
        self.app = Traced(access, watchers=watchers, sinks=[self.traces.append], header="x-ds2-trace")

    async def numbers(self) -> tuple[dict[tuple[str, frozenset[tuple[str, str]]], float], str]:
        answer = await Driver(self.metrics.exposition).request("GET", "/metrics")
        found = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        return found, answer.text

    async def ended(self, number: int = 1) -> Trace:
        with anyio.fail_after(20):
            while len(self.traces) < number:  # noqa: ASYNC110 - the server's task ends on its own
                await anyio.sleep(0.005)
        return self.traces[number - 1]


@asynccontextmanager
async def gateway(script: Any = conversation, refusals: Any = None, **pool: Any) -> AsyncIterator[tuple[Kit, str]]:
    async with provider(script, refusals) as made:
        kit = Kit(made.url, **pool)
        async with serve(kit.app, ws="websockets-sansio") as url:
            yield kit, url


def connect(url: str, path: str = "/v1/realtime?model=gpt-realtime") -> Any:
    return dial(url, path, additional_headers={"authorization": f"Bearer {ALICE}"})


def value(samples: Any, name: str, **labels: str) -> float:
    return sum(number for (found, own), number in samples.items() if found == name and own >= frozenset(labels.items()))


async def talk(client: Any, turns: int = 2) -> None:
    await client.recv()
    for _ in range(turns):
        await client.send(json.dumps({"type": "response.create"}))
        await client.recv()
        await client.recv()
    await client.send(json.dumps({"type": "input_audio_buffer.commit"}))
    await client.recv()


async def test_a_session_is_told_everywhere_with_what_it_cost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ds2api_asgi")
    async with gateway() as (kit, url):
        client = await connect(url)
        assert client.response.headers["x-ds2-request-id"]
        await talk(client)
        samples, _ = await kit.numbers()
        assert value(samples, "ds2api_requests_in_flight") == 1
        # While it lasts: two responses of 20 in and 10 out, and 4 in and 3 out to write down what was heard.
        assert value(samples, "ds2api_tokens_total", protocol=REALTIME, model="gpt-realtime", kind="input") == 44
        assert value(samples, "ds2api_tokens_total", kind="output") == 23
        assert value(samples, "ds2api_tokens_total", kind="cached") == 12
        assert value(samples, "ds2api_tokens_total", kind="audio_input") == 30
        assert value(samples, "ds2api_tokens_total", kind="audio_output") == 18
        assert value(samples, "ds2api_tokens_total", kind="audio_cached") == 8
        assert value(samples, "ds2api_caller_tokens_total", caller="alice", kind="input") == 44
        assert [running.model for running in kit.live.running()] == ["gpt-realtime"]
        await client.close(1000)
        trace = await kit.ended()
    assert (trace.protocol, trace.operation, trace.model, trace.caller) == (
        REALTIME,
        "generate",
        "gpt-realtime",
        "alice",
    )
    assert (trace.status, trace.end, trace.why) == (101, "complete", None)
    assert (trace.received, trace.sent) == (3, 6)
    summary = summary_of(trace)
    assert (summary.input, summary.output, summary.audio_input, summary.audio_output) == (44, 23, 30, 18)
    assert (summary.upstream, summary.upstream_model, summary.pool, summary.key) == (
        "up",
        "gpt-realtime",
        "pool",
        "k1",
    )
    assert (summary.code, summary.attempts, summary.upstream_status) == (1000, 1, 101)
    assert 0 <= (summary.overhead or 0) <= summary.took
    assert "closed the websocket with code 1000" in story(trace)
    samples, text = await kit.numbers()
    assert value(samples, "ds2api_requests_in_flight") == 0
    asked = {"protocol": REALTIME, "model": "gpt-realtime", "status": "1xx", "end": "complete"}
    assert value(samples, "ds2api_requests_total", **asked) == 1
    assert value(samples, "ds2api_tokens_total", kind="input") == 44
    assert value(samples, "ds2api_websocket_duration_seconds_count", protocol=REALTIME) == 1
    assert value(samples, "ds2api_websocket_messages_total", direction="received") == 3
    assert value(samples, "ds2api_websocket_messages_total", direction="sent") == 6
    assert value(samples, "ds2api_websockets_closed_total", code="1000") == 1
    assert value(samples, "ds2api_request_duration_seconds_count") == 0
    assert value(samples, "ds2api_upstream_calls_total", upstream="up", status="1xx", end="complete") == 1
    call, server = kit.spans.get_finished_spans()
    assert call.parent is not None
    assert call.parent.span_id == server.context.span_id
    attributes = dict(server.attributes or {})
    assert attributes["gen_ai.request.model"] == "gpt-realtime"
    assert attributes["ds2api.close_code"] == 1000
    assert (attributes["ds2api.messages.received"], attributes["ds2api.messages.sent"]) == (3, 6)
    assert dict(call.attributes or {})["gen_ai.provider.name"] == "openai"
    lines = [JsonLines().format(record) for record in caplog.records]
    told = next(json.loads(line) for line in lines if '"ds2api_asgi.trace"' in line)
    assert (told["received"], told["code"], told["audio_output"]) == (3, 1000, 18)
    everything = text + "\n".join(lines) + caplog.text + str([span.to_json() for span in (call, server)])
    everything += str(kit.reader.get_metrics_data())
    assert not [word for word in (KEY, ALICE, "words of mine") if word in everything]


@pytest.mark.parametrize(
    ("ending", "end", "by", "code"),
    [
        ("client closes oddly", "gone", "client", 4001),
        ("provider closes", "cut", "upstream", 1011),
        ("provider is done", "complete", "upstream", 1000),
        ("provider vanishes", "cut", "upstream", 1014),
    ],
)
async def test_how_it_ended_is_told_with_who_closed_it(ending: str, end: str, by: str, code: int) -> None:
    async def leave(connection: Any) -> None:
        await connection.send('{"type": "session.created"}')
        await connection.recv()
        if ending == "provider vanishes":
            connection.transport.abort()
        else:
            await connection.close(1011 if ending == "provider closes" else 1000, "")

    async with gateway(leave if ending.startswith("provider") else conversation) as (kit, url):
        client = await connect(url)
        await client.recv()
        if ending == "client closes oddly":
            await client.close(4001)
        else:
            await client.send("{}")
            with anyio.fail_after(20):
                await client.wait_closed()
        trace = await kit.ended()
    assert (trace.end, summary_of(trace).code) == (end, code)
    closed = next(step for step in trace.steps if step.what == "Closed")
    assert closed.members["by"] == by
    if end == "cut":
        assert trace.why == f"the upstream closed the websocket with code {code}"
    samples, _ = await kit.numbers()
    assert value(samples, "ds2api_websockets_closed_total", code=str(code)) == 1


async def test_a_handshake_that_is_denied_is_a_failed_request() -> None:
    refusal = (401, {"error": {"code": "invalid_api_key", "type": "x", "message": f"bad {KEY}"}}, {})
    async with gateway(refusals={KEY: refusal}) as (kit, url):
        with pytest.raises(InvalidStatus):
            await connect(url)
        trace = await kit.ended()
        with pytest.raises(InvalidStatus):
            await dial(url)
        stranger = await kit.ended(2)
    assert (trace.status, trace.end) == (401, "failed")
    assert summary_of(trace).upstream_status == 401
    assert (stranger.status, stranger.end) == (401, "failed")
    assert (stranger.why or "").startswith("turned away at the door")
    samples, text = await kit.numbers()
    assert value(samples, "ds2api_requests_total", protocol=REALTIME, status="4xx", end="failed") == 2
    assert KEY not in text


async def test_a_keys_limit_of_tokens_is_used_up_while_the_session_lasts() -> None:
    async with gateway(limits=RateLimits(tpm=60)) as (kit, url):
        async with connect(url) as client:
            await talk(client, turns=1)
            assert not hasattr(await kit.pool._store.acquire(Ask(model="m", tokens=60)), "key")  # 37 of 60 are used
            await talk_on(client)
            assert not hasattr(await kit.pool._store.acquire(Ask(model="m", tokens=1)), "key")
        await kit.ended()
        # And what was counted is counted once: not again when the session is over.
        used = sum(amount for gauge in kit.pool._store._roster._gauges.values() for amount in [gauge._tokens[0].used])
        assert used == 67


async def talk_on(client: Any) -> None:
    await client.send(json.dumps({"type": "response.create"}))
    await client.recv()
    await client.recv()


async def test_nobody_counts_where_nobody_asks() -> None:
    async with provider(conversation) as made:
        seen = Seen()
        upstream = Upstream(made.url, protocol="openai-chat", websockets=True)
        pool = KeyPool(upstream, protocol="openai-chat", keys=[KEY])
        async with serve(seen.requests(pool), ws="websockets-sansio") as url:
            async with connect(url) as client:
                await talk(client)
            with anyio.fail_after(20):
                while not seen.requests_seen:  # noqa: ASYNC110
                    await anyio.sleep(0.005)
    (request,) = seen.requests_seen
    assert list(request.exchange.all(Used)) == []
    assert (request.end, request.received) == ("complete", 3)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"response.done","response":{"usage":null}}',
        '{"type":"response.done","response":{"usage":{"input_tokens":"x"}}}',
        '{"type":"response.done","usage',
        '{"type":"session.updated","session":{"usage":{"input_tokens":5}}}',
        '{"type":"conversation.item.input_audio_transcription.completed","usage":{"type":"duration","seconds":3}}',
        '\ud800{"type":"response.done","usage":{}}',
        "",
    ],
)
def test_events_that_state_no_tokens_cost_none(text: str) -> None:
    assert usage_of_event(text) is None


def test_an_event_states_text_and_sound_apart() -> None:
    tokens = usage_of_event(response_done())
    assert tokens is not None
    assert (tokens.input, tokens.output, tokens.cached) == (20, 10, 6)
    assert (tokens.audio_input, tokens.audio_output, tokens.audio_cached) == (15, 9, 4)


@pytest.mark.parametrize(
    ("path", "query", "protocol", "model"),
    [
        ("/v1/realtime", b"model=gpt-realtime", REALTIME, "gpt-realtime"),
        ("/realtime", b"intent=transcription", REALTIME, None),
        ("/v1/responses", b"", "openai-responses", None),
        ("/v1/chat", b"", None, None),
    ],
)
def test_whose_a_websocket_is(path: str, query: bytes, protocol: str | None, model: str | None) -> None:
    claim = claim_of({"type": "websocket", "path": path, "query_string": query, "headers": []})
    assert (None if claim is None else claim.protocol) == protocol
    if model is not None:
        assert claim is not None
        assert claim.model == model


async def test_an_app_that_raises_and_one_that_ends_silently_are_told() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        await silent(scope, receive, send)
        raise ZeroDivisionError

    async def run(app: Any) -> Trace:
        traces: list[Trace] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            pass

        scope = {"type": "websocket", "path": "/v1/responses", "query_string": b"", "headers": []}
        with suppress(ZeroDivisionError):
            await Traced(app, sinks=[traces.append])(scope, receive, send)
        return traces[0]

    assert [(await run(app)).end for app in (silent, raises)] == ["complete", "cut"]


async def test_each_response_of_a_responses_websocket_is_a_call_of_one_request() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    script = event_script(chunk("hi"), chunk(finish="stop"), chunk(usage=usage), done=True)
    metrics, traces = Metrics(), list[Trace]()
    watchers = Watchers([metrics])
    upstream = watchers.calls(ScriptedUpstream([script], repeat=True), name="up", provider="openai")
    pool = KeyPool(upstream, protocol="openai-chat", keys=[KEY])
    app = Traced(
        StatefulResponses(Translator(pool, speaks="openai-chat")),
        watchers=watchers,
        sinks=[traces.append],
        usage=True,
    )
    async with serve(app, ws="websockets-sansio") as url:
        async with dial(url, "/v1/responses") as client:
            for _ in range(2):
                await client.send(json.dumps({"type": "response.create", "model": "gpt-4o", "input": WORDS}))
                while json.loads(await client.recv())["type"] != "response.completed":
                    pass
        with anyio.fail_after(20):
            while not traces:  # noqa: ASYNC110 - the server's task ends on its own
                await anyio.sleep(0.005)
    (trace,) = traces
    assert (trace.protocol, trace.model, trace.status, trace.end) == ("openai-responses", "gpt-4o", 101, "complete")
    summary = summary_of(trace)
    assert (summary.attempts, summary.input, summary.output, summary.received) == (2, 10, 6, 2)
    assert (summary.upstream, summary.upstream_model, summary.code) == ("up", "gpt-4o", 1000)
    answer = await Driver(metrics.exposition).request("GET", "/metrics")
    labels = 'kind="input",model="gpt-4o",protocol="openai-responses"'
    assert f"ds2api_tokens_total{{{labels}}} 10.0" in answer.text
    assert 'ds2api_upstream_calls_total{end="complete",status="2xx",upstream="up"} 2.0' in answer.text
    assert WORDS not in answer.text + str(trace)


async def test_a_client_pays_for_a_session_when_it_is_over() -> None:
    async with provider(conversation) as made:
        upstream = Upstream(made.url, protocol="openai-chat", websockets=True)
        pool = KeyPool(upstream, protocol="openai-chat", keys=[KEY])
        alice = ClientKey(ALICE, name="alice", limits=ClientLimits(tpd=60))
        async with serve(Access(pool, keys=[alice]), ws="websockets-sansio") as url:
            async with connect(url) as client:
                await talk(client)  # 67 tokens
            with anyio.fail_after(20):
                while made.open:  # noqa: ASYNC110 - the server's task ends on its own
                    await anyio.sleep(0.005)
            with anyio.fail_after(20):
                status = 101
                while status == 101:
                    try:
                        async with connect(url):
                            await anyio.sleep(0.01)
                    except InvalidStatus as denied:
                        status = denied.response.status_code
            assert status == 429
