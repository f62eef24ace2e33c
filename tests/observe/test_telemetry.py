"""`Telemetry`: spans by OpenTelemetry's in-memory exporter; what they are called, what they tell, and what never."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from access_kit import ALICE, guarded
from ds2api_asgi import ConfigurationError, Failover, KeyPool, Metrics, Telemetry, Traced, Upstream
from ds2api_asgi.observe import semconv
from ds2api_asgi.resilience import Hedge
from ds2api_asgi.testing import Break, Driver, Pause, ScriptedUpstream, Start, event_script, json_script
from watched import ANSWER, CANARY, QUESTION, SLOW, SPARE, WORDS, ask, chunk, nest

pytestmark = pytest.mark.anyio

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kit:
    """A telemetry, and what came out of it."""

    def __init__(self, *, sampler: Any = None, **options: Any) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        provider = TracerProvider() if sampler is None else TracerProvider(sampler=sampler)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider(metric_readers=[self._metrics])
        self.tracers = provider
        self.telemetry = Telemetry(tracer_provider=provider, meter_provider=meters, **options)

    def spans(self, kind: trace.SpanKind) -> list[Any]:
        found = [span for span in self._spans.get_finished_spans() if span.kind is kind]
        return sorted(found, key=lambda span: span.start_time)

    def server(self) -> Any:
        (span,) = self.spans(trace.SpanKind.SERVER)
        return span

    def clients(self) -> list[Any]:
        return self.spans(trace.SpanKind.CLIENT)

    def points(self, name: str) -> list[Any]:
        data = self._metrics.get_metrics_data()
        return [
            point
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        data = self._metrics.get_metrics_data()
        return "".join(span.to_json() for span in self._spans.get_finished_spans()) + (
            "" if data is None else data.to_json()
        )


async def test_each_call_is_a_child_of_its_requests_span_which_is_one_of_the_clients() -> None:
    kit = Kit()
    app, _ = nest(kit.telemetry, [json_script(SLOW, status=429), json_script(ANSWER)])
    assert (await ask(app, traceparent=PARENT)).status == 200
    server = kit.server()
    assert f"{server.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{server.parent.span_id:016x}" == PARENT.split("-")[2]
    assert server.parent.is_remote
    assert server.name == "chat gpt-4o"
    assert (
        dict(server.attributes).items()
        >= {
            "http.request.method": "POST",
            "url.path": "/v1/chat/completions",
            "http.response.status_code": 200,
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o",
            "ds2api.protocol": "openai-chat",
            "ds2api.end": "complete",
            "ds2api.calls": 2,
        }.items()
    )
    failed, served = kit.clients()
    for client in (failed, served):
        assert client.parent.span_id == server.context.span_id
        assert client.context.trace_id == server.context.trace_id
        assert client.name == "chat gpt-4o"
        assert server.start_time <= client.start_time <= client.end_time <= server.end_time
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.attributes["error.type"] == "429"
    assert served.status.status_code is trace.StatusCode.UNSET
    assert "error.type" not in served.attributes
    assert [client.attributes["ds2api.call"] for client in (failed, served)] == [1, 2]


async def test_a_call_tells_what_the_conventions_ask_for() -> None:
    kit = Kit()
    app, _ = nest(kit.telemetry, [json_script(ANSWER)])
    await ask(app)
    (client,) = kit.clients()
    assert dict(client.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 77,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "http.response.status_code": 200,
        "ds2api.upstream": "up",
        "ds2api.call": 1,
    }


async def test_a_stream_tells_its_end_its_usage_and_its_first_chunk() -> None:
    kit = Kit()
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    script = [
        *event_script(chunk("a"), then=[Pause(0.05)]),
        *event_script(chunk("b"), chunk(finish="length"), chunk(usage=usage), done=True)[1:],
    ]
    app, _ = nest(kit.telemetry, [script])
    await ask(app, {**QUESTION, "stream": True, "stream_options": {"include_usage": True}})
    (client,) = kit.clients()
    assert client.attributes["gen_ai.request.stream"] is True
    assert client.attributes["gen_ai.response.finish_reasons"] == ("length",)
    assert client.attributes["gen_ai.usage.output_tokens"] == 3
    assert client.attributes["gen_ai.response.model"] == "gpt-4o-2024-08-06"
    assert 0 <= client.attributes["gen_ai.response.time_to_first_chunk"] < 5
    assert [point.count for point in kit.points("gen_ai.client.operation.time_to_first_chunk")] == [1]
    assert [point.count for point in kit.points("gen_ai.server.time_to_first_token")] == [1]
    (per_token,) = kit.points("gen_ai.server.time_per_output_token")
    assert 0.025 <= per_token.sum < 5


async def test_metrics_have_the_names_the_bounds_and_the_attributes_of_the_conventions() -> None:
    kit = Kit()
    app, _ = nest(kit.telemetry, [json_script(SLOW, status=429), json_script(ANSWER)])
    await ask(app)
    tokens = {point.attributes["gen_ai.token.type"]: point for point in kit.points("gen_ai.client.token.usage")}
    assert {kind: point.sum for kind, point in tokens.items()} == {"input": 1000, "output": 10}
    assert tokens["input"].explicit_bounds == tuple(4**step for step in range(14))
    assert tokens["input"].attributes["gen_ai.provider.name"] == "openai"
    calls = {point.attributes.get("error.type"): point for point in kit.points("gen_ai.client.operation.duration")}
    assert {error: point.count for error, point in calls.items()} == {"429": 1, None: 1}
    assert calls[None].explicit_bounds == pytest.approx([0.01 * 2**step for step in range(14)])
    assert calls[None].attributes["gen_ai.request.model"] == "gpt-4o"
    (whole,) = kit.points("gen_ai.server.request.duration")
    assert (whole.count, whole.attributes["gen_ai.operation.name"]) == (1, "chat")


async def test_contents_and_keys_are_in_no_span_and_no_metric_by_default() -> None:
    kit = Kit()
    scripts = [json_script(SLOW, status=429), json_script(ANSWER), json_script(SLOW, status=401), json_script(ANSWER)]
    app, _ = nest(kit.telemetry, scripts)
    question = {**QUESTION, "stop": [WORDS], "tools": [{"type": "function", "function": {"name": "secret_tool"}}]}
    await ask(app, question, path=f"/v1/chat/completions?key={CANARY}")
    await ask(app, question)
    text = kit.everything()
    assert "gen_ai.client.token.usage" in text
    for secret in (CANARY, SPARE, WORDS, "hi there", "slow down", "secret_tool"):
        assert secret not in text


async def test_contents_are_told_when_asked_for_and_are_cut_and_keys_still_are_not() -> None:
    kit = Kit(contents=True, max_text=20)
    app, _ = nest(kit.telemetry, [json_script(ANSWER)])
    question = {
        **QUESTION,
        "stop": ["END"],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": WORDS}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a tree"},
        ],
    }
    assert (await ask(app, question)).status == 200
    (client,) = kit.clients()
    assert json.loads(client.attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": "be brief"}]
    assert json.loads(client.attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": WORDS[:19] + "…"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "name": "look", "arguments": '{"at": 1}', "id": "c1"}]},
        {
            "role": "tool",
            "parts": [
                {"type": "tool_call_response", "response": [{"type": "text", "content": "a tree"}], "id": "c1"},
            ],
        },
    ]
    assert json.loads(client.attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "hi there"}], "finish_reason": "stop"}
    ]
    assert json.loads(client.attributes["gen_ai.tool.definitions"]) == [{"type": "function", "name": "look"}]
    assert client.attributes["gen_ai.request.stop_sequences"] == ("END",)
    assert CANARY not in kit.everything()
    assert SPARE not in kit.everything()


async def test_the_answer_of_a_stream_is_told_as_one_message() -> None:
    kit = Kit(contents=True)
    script = event_script(chunk("hi "), chunk("there"), chunk(finish="stop"), done=True)
    app, _ = nest(kit.telemetry, [script])
    await ask(app, {**QUESTION, "stream": True})
    (client,) = kit.clients()
    assert json.loads(client.attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "hi there"}], "finish_reason": "stop"}
    ]


async def test_what_was_decided_are_the_events_of_the_requests_span() -> None:
    kit = Kit()
    app, _ = nest(kit.telemetry, [json_script(SLOW, status=429), json_script(ANSWER)])
    await ask(app)
    server = kit.server()
    assert [event.name for event in server.events if event.name != "ds2api.Used"] == [
        "ds2api.Attempted", "ds2api.KeyLeased", "ds2api.Judged", "ds2api.Called",
        "ds2api.Attempted", "ds2api.KeyLeased", "ds2api.Committed", "ds2api.Called",
    ]  # fmt: skip
    judged = next(event for event in server.events if event.name == "ds2api.Judged")
    assert judged.attributes["verdict.row"] == "openai-chat.429"
    times = [event.timestamp for event in server.events]
    assert times == sorted(times)
    assert server.start_time - 500_000_000 <= times[0]
    assert times[-1] <= server.end_time + 500_000_000


async def test_a_span_around_us_in_the_process_is_the_parent() -> None:
    kit = Kit()
    app, _ = nest(kit.telemetry, [json_script(ANSWER)])
    with kit.tracers.get_tracer("host").start_as_current_span("host") as host:
        await ask(app, traceparent=PARENT)
    assert kit.server().parent.span_id == host.get_span_context().span_id


async def test_strangers_traces_can_be_refused_and_odd_ones_are_no_trouble() -> None:
    kit = Kit(parents=False)
    app, _ = nest(kit.telemetry, [json_script(ANSWER)])
    await ask(app, traceparent=PARENT)
    assert kit.server().parent is None
    for odd in ("", "00-zz", "\x00", "é" * 50):
        other = Kit()
        app, _ = nest(other.telemetry, [json_script(ANSWER)])
        await ask(app, traceparent=odd)
        assert other.server().parent is None


async def test_what_is_within_a_call_finds_the_calls_span_and_nothing_is_left_behind() -> None:
    kit = Kit()
    seen: list[int] = []

    async def upstream(scope: Any, receive: Any, send: Any) -> None:
        assert baggage.get_all() == {}  # a stranger's, which would go on to the provider
        seen.append(trace.get_current_span().get_span_context().span_id)
        await ScriptedUpstream([json_script(ANSWER)])(scope, receive, send)

    await ask(kit.telemetry.requests(kit.telemetry.calls(upstream, name="up")), baggage="user=me", traceparent=PARENT)
    (client,) = kit.clients()
    assert seen == [client.context.span_id]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_call_is_its_requests_child_even_where_the_context_was_lost() -> None:
    kit = Kit()
    call = kit.telemetry.calls(ScriptedUpstream([json_script(ANSWER)]), name="up")
    after: list[int] = []

    async def losing(scope: Any, receive: Any, send: Any) -> None:
        token = context.attach(context.Context())
        await call(scope, receive, send)
        after.append(trace.get_current_span().get_span_context().span_id)
        context.detach(token)

    await ask(kit.telemetry.requests(losing))
    (client,) = kit.clients()
    assert client.parent.span_id == kit.server().context.span_id
    assert after == [0]


async def test_a_hedge_and_its_loser_are_two_calls_of_one_request() -> None:
    kit = Kit()
    slow = kit.telemetry.calls(
        ScriptedUpstream([event_script(chunk("a"), chunk(finish="stop"), done=True), [Start(), Pause(30)]]), name="slow"
    )
    fast = kit.telemetry.calls(
        ScriptedUpstream([event_script(chunk("b"), chunk(finish="stop"), done=True)], repeat=True), name="fast"
    )
    hedge = Hedge(quantile=0.5, least=0.02, samples=1, share=0.99)
    app = kit.telemetry.requests(Failover([slow, fast], protocol="openai-chat", hedge=hedge, budget=None))
    question = {**QUESTION, "stream": True}
    assert (await ask(app, question)).status == 200
    with anyio.fail_after(10):
        assert (await ask(app, question)).status == 200
    _, second = kit.spans(trace.SpanKind.SERVER)
    calls = [client for client in kit.clients() if client.parent.span_id == second.context.span_id]
    assert {client.attributes["ds2api.upstream"] for client in calls} == {"slow", "fast"}
    assert second.attributes["ds2api.end"] == "complete"
    assert "ds2api.Hedged" in [event.name for event in second.events]


async def test_failures_are_told_by_few_words() -> None:
    kit = Kit()
    dead = kit.telemetry.calls(
        Upstream("http://127.0.0.1:9", protocol="openai-chat", connect_timeout=0.5),
        name="dead",
        provider="openai",
        base_url="http://user:pass@127.0.0.1:9/v1?key=x",
    )
    await ask(kit.telemetry.requests(KeyPool(dead, protocol="openai-chat", keys=[CANARY], queue_timeout=0)))
    (client,) = kit.clients()
    assert client.attributes["error.type"] == "connect"
    assert (client.attributes["server.address"], client.attributes["server.port"]) == ("127.0.0.1", 9)
    assert "http.response.status_code" not in client.attributes
    assert kit.server().status.status_code is trace.StatusCode.ERROR
    assert "pass" not in kit.everything()

    other = Kit()
    app, _ = nest(other.telemetry, [event_script(chunk("a"), then=[Break()])])
    await ask(app, {**QUESTION, "stream": True})
    (client,) = other.clients()
    assert client.attributes["error.type"] == "cut"
    assert other.server().attributes["ds2api.end"] == "cut"


async def test_a_client_that_leaves_is_no_error_of_the_server() -> None:
    kit = Kit()
    app, _ = nest(kit.telemetry, [event_script(chunk("a"), then=[Pause(60)])])
    async with Driver(app).open("POST", "/v1/chat/completions", json={**QUESTION, "stream": True}) as response:
        await anext(response)
        await response.disconnect()
    server = kit.server()
    assert server.attributes["ds2api.end"] == "gone"
    assert server.status.status_code is trace.StatusCode.UNSET


async def test_a_request_that_is_not_sampled_is_not_read_but_is_measured() -> None:
    kit = Kit(sampler=ALWAYS_OFF)
    app, _ = nest(kit.telemetry, [json_script(ANSWER)])
    assert (await ask(app)).status == 200
    assert kit.spans(trace.SpanKind.SERVER) == []
    assert [point.count for point in kit.points("gen_ai.server.request.duration")] == [1]


async def test_callers_and_costs_are_told() -> None:
    kit = Kit(cost=True)
    inner, _ = nest(kit.telemetry, [json_script(ANSWER)])
    access, _ = guarded(inner)
    # The inner nest has a server span of its own: this watcher sees the same request twice.
    await ask(kit.telemetry.requests(access), authorization=f"Bearer {ALICE}")
    outer = kit.spans(trace.SpanKind.SERVER)[0]
    assert outer.attributes["ds2api.caller"] == "alice"
    assert outer.attributes["ds2api.cost"] == pytest.approx(0.002475)
    assert ALICE not in kit.everything()


async def test_gemini_and_anthropic_upstreams_are_called_what_the_conventions_call_them() -> None:
    kit = Kit()
    gemini = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1},
        "modelVersion": "gemini-2.5-pro",
    }
    upstream = kit.telemetry.calls(ScriptedUpstream([json_script(gemini)]), name="g")
    document = {"contents": [{"role": "user", "parts": [{"text": WORDS}]}], "generationConfig": {"topK": 4}}
    await ask(kit.telemetry.requests(upstream), document, path="/v1beta/models/gemini-2.5-pro:generateContent")
    (client,) = kit.clients()
    assert client.name == "generate_content gemini-2.5-pro"
    assert client.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert client.attributes["gen_ai.response.finish_reasons"] == ("stop",)


async def test_traces_metrics_and_spans_go_together() -> None:
    kit, metrics = Kit(), Metrics()
    upstream = kit.telemetry.calls(metrics.calls(ScriptedUpstream([json_script(ANSWER)]), name="up"), name="up")
    pool = KeyPool(upstream, protocol="openai-chat", keys=[CANARY])
    app = Traced(metrics.requests(kit.telemetry.requests(pool)), log=False)
    assert (await ask(app)).status == 200
    assert len(kit.clients()) == 1
    answer = await Driver(metrics.exposition).request("GET", "/metrics")
    assert 'ds2api_upstream_calls_total{end="complete",status="2xx",upstream="up"} 1.0' in answer.text


def test_our_names_are_those_of_the_conventions() -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as known
    from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
    from opentelemetry.semconv.attributes import error_attributes, server_attributes

    theirs = {
        value
        for module in (known, gen_ai_metrics, error_attributes, server_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    ours = {name: value for name, value in vars(semconv).items() if name.isupper() and not name.startswith("_")}
    del ours["CAPTURE"]  # a variable of the environment
    assert len(ours) > 30
    assert {name: value for name, value in ours.items() if value not in theirs} == {}
    operations = {value.value for value in known.GenAiOperationNameValues}
    assert {semconv.operation_name(protocol, semconv.Operation.GENERATE) for protocol in ("gemini", "anthropic")} | {
        semconv.operation_name("openai-chat", semconv.Operation.EMBED)
    } <= operations
    providers = {value.value for value in known.GenAiProviderNameValues}
    for protocol in ("openai-chat", "openai-responses", "anthropic", "gemini"):
        assert semconv.provider_name(protocol) in providers
    assert {value.value for value in known.GenAiTokenTypeValues} == {"input", "output"}


def test_bounds_are_checked_and_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError):
        Telemetry(max_text=0)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ConfigurationError, match=r"ds2api-asgi\[otel\]"):
        Telemetry()
