"""What is told of a gateway agrees with what its providers counted: numbers, spans and log of one long scenario.

Everything is on real sockets: a door, a failover over pools of two providers, a narrow pool, a pair that hedges, and a
provider that is not there. Prometheus' own parsers read the numbers, OpenTelemetry's in-memory exporters the spans.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from ds2api_asgi import (
    Access,
    ClientKey,
    Failover,
    KeyPool,
    Metrics,
    Price,
    Retry,
    Telemetry,
    Traced,
    Translator,
    Upstream,
    Watchers,
)
from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.gateway.commands.explain import traces_in
from ds2api_asgi.observe import JsonLines
from ds2api_asgi.observe import metrics as metrics_module
from ds2api_asgi.resilience import BreakerPolicy, Hedge
from ds2api_asgi.testing import serve
from watched import ANSWER, WORDS, chunk

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

ALICE = "sk-alice-canary-5f0c7a1be2d9"
KEYS = ["sk-pool-canary-one-81c2d3", "sk-pool-canary-two-90aa17"]
SAID = "an answer of theirs that nobody else may read"
REASON = "a reason of theirs with a secret"
CLOSED = "http://127.0.0.1:9"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Riga, mine"}'}}


class Provider:
    """Speaks Chat Completions; what it does, the model says. It counts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[tuple[str, int]] = []
        self.tokens = {"input": 0, "output": 0, "cached": 0, "reasoning": 0}
        self.gate = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        document = json.loads((await read_body(receive)).body)
        key = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        model = document["model"]
        if (model == "limited" and key == KEYS[0]) or model == "dry":
            await self.fail(send, model, 429, "rate_limit_exceeded")
        elif model == "broken" and self.name == "a":
            await self.fail(send, model, 503, "overloaded")
        elif model == "bad":
            await self.fail(send, model, 400, "invalid_request_error")
        elif document.get("stream"):
            await self.stream(send, model)
        else:
            if model == "narrow":
                while not self.gate.is_set():  # noqa: ASYNC110 - another thread opens it
                    await anyio.sleep(0.005)
            elif model == "hedged" and self.name == "a" and ("hedged", 200) in self.calls:
                await receive()  # says nothing the second time, until nobody waits any more
                return
            elif model == "late":
                await anyio.sleep(0.5)
            await self.whole(send, model)

    async def fail(self, send: Any, model: str, status: int, code: str) -> None:
        self.calls.append((model, status))
        body = json.dumps({"error": {"message": f"{REASON} {KEYS[0]}", "type": code, "code": code}}).encode()
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"30")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def whole(self, send: Any, model: str) -> None:
        self.calls.append((model, 200))
        message = {"role": "assistant", "content": SAID}
        if model == "tools":
            message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if model == "tools" else "stop"}
        body = json.dumps({**ANSWER, "choices": [choice]}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.count(1000, 10, 100, 4)

    async def stream(self, send: Any, model: str) -> None:
        self.calls.append((model, 200))
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
        events: list[Any] = [chunk(""), chunk(SAID), chunk(SAID)]
        if model != "cut":
            events += [chunk(finish="stop"), chunk(usage=usage)]
        for event in events:
            body = b"data: %s\n\n" % json.dumps(event).encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if model == "cut":
            raise RuntimeError("gone")  # the server drops the connection
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        self.count(5, 3, 0, 0)

    def count(self, *amounts: int) -> None:
        for kind, amount in zip(self.tokens, amounts, strict=True):
            self.tokens[kind] += amount


class Kit:
    """The gateway, and all that it tells."""

    def __init__(self, a: str, b: str, **telemetry: Any) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracer = TracerProvider()
        tracer.add_span_processor(SimpleSpanProcessor(self.spans))
        price = Price(input=Decimal(1), output=Decimal(2))
        prices = dict.fromkeys(("gpt-4o", "limited", "broken"), price)
        self.metrics = Metrics(cost=True, prices=prices, max_models=12)
        meters = MeterProvider([self.reader])
        self.telemetry = Telemetry(tracer_provider=tracer, meter_provider=meters, **telemetry)
        self.watchers = Watchers([self.metrics, self.telemetry])
        self.pools: list[KeyPool] = []
        pool_a, pool_b = self.pool("a", a, queue_timeout=0), self.pool("b", b)
        main = Failover(
            [Retry(pool_a, backoff=0.001), Retry(pool_b, backoff=0.001)],
            protocol="openai-chat",
            backoff=0.001,
            breaker=BreakerPolicy(consecutive=2, rest=60),
        )
        hedge = Hedge(least=0.02, samples=1, share=1.0, quantile=0.5)
        hedged = Failover(
            [self.pool("hedge-a", a), self.pool("hedge-b", b)], protocol="openai-chat", hedge=hedge, backoff=0.001
        )
        self.routes: dict[str, Any] = {
            "main": main,
            "narrow": self.pool("narrow", a, max_concurrency=1, max_queue=1, number=1),
            "hedged": hedged,
            "dead": Retry(self.pool("dead", CLOSED, queue_timeout=0), backoff=0.001, max_attempts=2),
            "dry": Retry(self.pool("dry", a, queue_timeout=0), backoff=0.001),
        }
        self.metrics.look_at(pools=self.pools, breakers={"main": main, "hedged": hedged})
        nest = Translator(self.route, speaks="openai-chat")
        self.nest = Traced(Access(nest, keys=[ClientKey(ALICE, name="alice")]), watchers=self.watchers, cost=True)

    def pool(self, name: str, url: str, *, number: int = 2, **options: Any) -> KeyPool:
        upstream = Upstream(url, protocol="openai-chat", connect_timeout=1.0)
        watched = self.watchers.calls(upstream, name=name, provider="openai", base_url=url)
        options = {"strategy": "fill-first", **options}
        pool = KeyPool(watched, protocol="openai-chat", keys=KEYS[:number], name=name, **options)
        self.pools.append(pool)
        return pool

    async def route(self, scope: Any, receive: Any, send: Any) -> None:
        chosen = dict(scope["headers"]).get(b"x-route", b"main").decode()
        await self.routes[chosen](scope, receive, send)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        inner = self.metrics.exposition if scope.get("path") == "/metrics" else self.nest
        await inner(scope, receive, send)

    def told(self) -> str:
        data = self.reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans.get_finished_spans()) + (data.to_json() if data else "")


class Client:
    """Asks the gateway."""

    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self.url = url
        self.http = http
        self.headers: list[str] = []

    async def ask(self, model: str, *, route: str = "main", key: str = ALICE, path: str = "", **document: Any) -> Any:
        body = {"model": model, "messages": [{"role": "user", "content": WORDS}], **document}
        headers = {"authorization": f"Bearer {key}", "x-route": route, "traceparent": PARENT}
        answer = await self.http.post(f"{self.url}{path or '/v1/chat/completions'}", json=body, headers=headers)
        self.headers.append(str(answer.headers))
        return answer

    async def scrape(self, *, new: bool = False) -> tuple[Any, str]:
        accept = "application/openmetrics-text; version=1.0.0" if new else "text/plain"
        answer = await self.http.get(f"{self.url}/metrics", headers={"accept": accept})
        parse = openmetrics if new else plain
        found = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in parse(answer.text)
            for sample in family.samples
        }
        return found, answer.text


def total(samples: Any, name: str, **labels: str) -> float:
    return sum(value for (found, own), value in samples.items() if found == name and own >= frozenset(labels.items()))


@asynccontextmanager
async def gateway(**telemetry: Any) -> AsyncIterator[tuple[Kit, Client, Provider, Provider]]:
    a, b = Provider("a"), Provider("b")
    async with serve(a) as url_a, serve(b) as url_b:
        kit = Kit(url_a, url_b, **telemetry)
        async with serve(kit) as url, httpx2.AsyncClient(timeout=20) as http:
            yield kit, Client(url, http), a, b


async def scenario(client: Client, a: Provider) -> dict[str, int]:
    """What happens; how many requests ended in which status."""
    seen: dict[str, int] = {}

    async def ask(model: str, expected: int, **options: Any) -> None:
        answer = await client.ask(model, **options)
        assert answer.status_code == expected, (model, answer.text)
        seen[f"{expected // 100}xx"] = seen.get(f"{expected // 100}xx", 0) + 1

    stream = {"stream": True, "stream_options": {"include_usage": True}}
    await ask("gpt-4o", 200)
    await ask("gpt-4o", 200, path="/v1/messages", max_tokens=9, top_k=5, metadata={"user_id": "u"})
    await ask("gpt-4o", 200, **stream)
    await ask("cut", 200, **stream)
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    await ask("tools", 200, tools=[tool])
    await ask("limited", 200)
    await ask("bad", 400)
    for _ in range(3):  # the breaker opens, and then nobody is asked in vain
        await ask("broken", 200)
    await ask("late", 200, route="narrow")
    await ask("hedged", 200, route="hedged")  # tells how long it takes
    await ask("hedged", 200, route="hedged")
    await ask("dead", 502, route="dead")
    await ask("dry", 429, route="dry")
    await ask("gpt-4o", 401, key="sk-stranger-canary-0b8e6d1f")
    async with anyio.create_task_group() as group:

        async def narrow() -> None:
            await ask("narrow", 200, route="narrow")

        for _ in range(2):
            group.start_soon(narrow)
        with anyio.fail_after(10):
            while total((await client.scrape())[0], "ds2api_queue_length", pool="narrow") != 1:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        a.gate.set()
    return seen


async def settled(client: Client) -> Any:
    """The numbers once nothing is in flight."""
    with anyio.fail_after(10):
        while True:
            samples, _ = await client.scrape()
            if not total(samples, "ds2api_requests_in_flight") and not total(samples, "ds2api_key_in_flight"):
                return samples
            await anyio.sleep(0.01)


def names_in_the_table() -> set[str]:
    rows = [line for line in (metrics_module.__doc__ or "").splitlines() if line.startswith("| `ds2api_")]
    found: set[str] = set()
    for row in rows:
        for name in re.findall(r"`([^`]+)`", row.split("|")[1]):
            found.add(name.replace("…", "ds2api_key"))
    return {name for name in found if "websocket" not in name}  # those have their own test


async def test_numbers_are_what_the_providers_counted_and_every_one_is_there() -> None:
    async with gateway() as (_, client, a, b):
        seen = await scenario(client, a)
        samples = await settled(client)
        new, text = await client.scrape(new=True)
    for status, number in seen.items():
        assert total(samples, "ds2api_requests_total", status=status) == number
    assert total(samples, "ds2api_requests_total") == sum(seen.values())
    calls = [*a.calls, *b.calls]
    for status in (2, 4, 5):
        counted = total(samples, "ds2api_upstream_calls_total", status=f"{status}xx")
        assert counted == len([one for one in calls if one[1] // 100 == status]), status
    # Of the hedged pair the loser was counted as called by both, but its answer is nobody's.
    lost = total(samples, "ds2api_hedges_lost_total")
    assert (total(samples, "ds2api_hedges_total"), lost) == (1, 1)
    assert total(samples, "ds2api_upstream_calls_total", end="cancelled") == 1
    assert total(samples, "ds2api_upstream_calls_total", end="cut") == 1
    assert total(samples, "ds2api_requests_total", end="cut", model="cut") == 0  # it never succeeded: no label
    assert total(samples, "ds2api_requests_total", end="cut") == 1
    both = {kind: a.tokens[kind] + b.tokens[kind] for kind in a.tokens}
    for kind, amount in both.items():
        assert total(samples, "ds2api_tokens_total", kind=kind) == amount, kind
        assert total(samples, "ds2api_caller_tokens_total", caller="alice", kind=kind) == amount, kind
    priced = 4 + 3  # gpt-4o twice and as a stream, limited, and broken thrice
    dollars = ((priced - 1) * (1000 + 2 * 10) + 5 + 2 * 3) / 1_000_000
    assert total(samples, "ds2api_cost_dollars_total") == pytest.approx(dollars)
    assert total(samples, "ds2api_unpriced_answers_total") == 6  # tools, late, hedged twice, narrow twice
    assert total(samples, "ds2api_queue_wait_seconds_count", pool="narrow") == 1
    assert total(samples, "ds2api_refusals_total") == 1
    assert total(samples, "ds2api_losses_total") >= 1
    assert total(samples, "ds2api_breaker_openings_total") == 1
    assert total(samples, "ds2api_breaker_state", part="main", target="0", model="broken", state="open") == 1
    assert total(samples, "ds2api_skips_total", reason="breaker") >= 1
    assert total(samples, "ds2api_pool_refusals_total", pool="dry") >= 1
    assert total(samples, "ds2api_upstream_unreachable_total", reason="connect") == total(
        samples, "ds2api_upstream_calls_total", upstream="dead"
    )
    assert total(samples, "ds2api_key_state", pool="a", state="cooling") == 1
    assert total(samples, "ds2api_keys", pool="dry", state="cooling") == 2
    unanswered = total(samples, "ds2api_upstream_calls_total", upstream="dead") + lost
    assert total(samples, "ds2api_key_leases_total") == len(calls) + unanswered
    assert total(samples, "ds2api_time_to_first_token_seconds_count") == 2
    assert total(samples, "ds2api_time_per_output_token_seconds_count") == 1
    told = {name for name, _ in samples}
    missing = [name for name in names_in_the_table() if not {name, f"{name}_count", f"{name}_sum"} & told]
    assert missing == []
    for name in (
        "ds2api_requests_total",
        "ds2api_tokens_total",
        "ds2api_key_leases_total",
        "ds2api_cost_dollars_total",
    ):
        assert total(new, name) == total(samples, name)
    assert not [word for word in (*KEYS, ALICE, "sk-stranger", WORDS, SAID, REASON) if word in text]


async def test_overhead_leaves_out_what_the_provider_took() -> None:
    async with gateway() as (_, client, _, _):
        await client.ask("late", route="narrow")
        samples = await settled(client)
    took = total(samples, "ds2api_request_duration_seconds_sum")
    assert total(samples, "ds2api_upstream_duration_seconds_sum") >= 0.5
    assert took >= 0.5
    assert 0 < total(samples, "ds2api_overhead_seconds_sum") <= took - 0.5


async def test_labels_are_bounded_whatever_clients_make_up() -> None:
    async with gateway() as (_, client, _, _):
        for number in range(40):
            await client.ask(f"made-up-{number}", key=ALICE if number % 2 else f"sk-stranger-{number}")
            await client.ask(f"other-{number}", path="/v1/messages", max_tokens=1)
        samples = await settled(client)
    for name in ("ds2api_requests_total", "ds2api_tokens_total", "ds2api_cost_dollars_total"):
        models = {dict(labels).get("model") for found, labels in samples if found == name}
        assert len(models) <= 12 + 2  # "other", and none
    callers = {dict(labels).get("caller") for _, labels in samples} - {None}
    assert callers <= {"alice", ""}
    assert total(samples, "ds2api_requests_total") == 80
    series = len({labels for found, labels in samples if found == "ds2api_requests_total"})
    assert series <= 60


async def test_spans_tell_the_same_story(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ds2api_asgi")
    async with gateway() as (kit, client, a, _):
        seen = await scenario(client, a)
        samples = await settled(client)
    spans = kit.spans.get_finished_spans()
    servers = [span for span in spans if span.kind is SpanKind.SERVER]
    calls = [span for span in spans if span.kind is SpanKind.CLIENT]
    assert len(servers) == sum(seen.values())
    assert len(calls) == total(samples, "ds2api_upstream_calls_total")
    ids = {span.context.span_id: span for span in servers}
    assert {span.context.trace_id for span in spans} == {0x0AF7651916CD43DD8448EB211C80319C}
    assert {span.parent.span_id for span in servers} == {0xB7AD6B7169203331}
    assert all(call.parent.span_id in ids for call in calls)

    def of(model: str) -> tuple[list[Any], list[Any]]:
        mine = [span for span in servers if span.attributes.get("gen_ai.request.model") == model]
        own = {span.context.span_id for span in mine}
        return mine, [call for call in calls if call.parent.span_id in own]

    (limited,), retried = of("limited")
    assert [call.attributes["http.response.status_code"] for call in retried] == [429, 200]
    assert [call.attributes["ds2api.call"] for call in retried] == [1, 2]
    assert retried[0].attributes["error.type"] == "429"
    assert retried[1].attributes["gen_ai.usage.input_tokens"] == 1000
    assert [event.name for event in limited.events].count("ds2api.KeyLeased") == 2
    _, failed_over = of("broken")
    assert {call.attributes["ds2api.upstream"] for call in failed_over} == {"a", "b"}
    assert len([call for call in failed_over if call.attributes["ds2api.upstream"] == "b"]) == 3
    _, hedged = of("hedged")
    assert sorted(call.attributes.get("error.type", "") for call in hedged) == ["", "", "cancelled"]
    _, (dead, *_) = of("dead")
    assert dead.attributes["error.type"] == "connect"
    assert dead.attributes["server.port"] == 9
    _, (tools,) = of("tools")
    assert tools.attributes["gen_ai.response.finish_reasons"] == ("tool_call",)
    (cut,), (broke,) = of("cut")
    assert (cut.attributes["error.type"], broke.attributes["error.type"]) == ("cut", "cut")
    streamed = [call for call in of("gpt-4o")[1] if call.attributes.get("gen_ai.request.stream")]
    assert streamed[0].attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert {call.name for call in calls if call.attributes["gen_ai.request.model"] == "limited"} == {"chat limited"}
    lines = [JsonLines().format(record) for record in caplog.records]
    assert len([line for line in lines if '"ds2api_asgi.trace"' in line]) == sum(seen.values())
    assert len(list(traces_in(lines))) == sum(seen.values())
    everything = kit.told() + "\n".join(lines) + caplog.text + "".join(client.headers)
    secrets = [*KEYS, ALICE, "sk-stranger-canary", WORDS, SAID, REASON, "Riga, mine"]
    assert [word for word in secrets if word in everything] == []


@pytest.mark.parametrize("wanted", [None, "true", "SPAN_ONLY", "span_and_event", "false", "no_content", "event_only"])
async def test_contents_are_told_only_when_the_environment_or_the_code_asks(
    wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    monkeypatch.delenv(name, raising=False)
    if wanted is not None:
        monkeypatch.setenv(name, wanted)
    asked = wanted in ("true", "SPAN_ONLY", "span_and_event")
    async with gateway() as (kit, client, _, _):
        await client.ask("gpt-4o")
        await settled(client)
        assert (WORDS in kit.told()) is asked
        assert (SAID in kit.told()) is asked
    monkeypatch.setenv(name, "true")
    async with gateway(contents=False) as (kit, client, _, _):
        await client.ask("gpt-4o")
        await settled(client)
        assert WORDS not in kit.told()
