"""A file with telemetry, metrics, costs, a log and a console, all at once: what they tell, and never a secret."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics_module
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client.parser import text_string_to_metric_families

from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.observe import JsonLines
from ds2api_asgi.testing import Driver, serve
from gateways import config_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("contents", [False, True])]

SECRETS = {
    "DEAD": "sk-canary-dead-1a2b3c4d5e",
    "GOOD": "sk-canary-good-7a8b9c0d1e",
    "CLIENT": "sk-canary-client-9a8b7c6d",
    "PASSWORD": "canary-password-6b5a4f3e",
    "SCRAPER": "canary-scraper-1f2e3d4c5b",
    "HEADER": "canary-header-2b4d6f8a0c",
}
STRANGER = "sk-canary-stranger-0b8e6d1f"
WORDS = "words of a client that nobody else may read"
SAID = "an answer that nobody else may read"

FILE = """
[upstreams.demo]
protocol = "openai-chat"
base_url = "{url}"
keys = [{{ secret = "env:DEAD", alias = "dead" }}, {{ secret = "env:GOOD", alias = "good" }}]
strategy = "fill-first"
headers = {{ x-more = "env:HEADER" }}
[models.smart]
targets = ["demo/gpt-4o"]
[access]
keys = [{{ key = "env:CLIENT", name = "alice" }}]
[telemetry]
contents = {contents}
[metrics]
token = "env:SCRAPER"
[log]
format = "json"
level = "debug"
header = "x-trace"
[cost]
[cost.prices.gpt-4o]
input = 1
output = 2
[console]
password = "env:PASSWORD"
[responses]
"""


class Provider:
    """Speaks Chat Completions, refuses one key, and repeats in its errors what it was shown."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        document = json.loads((await read_body(receive)).body)
        headers = dict(scope["headers"])
        shown = headers[b"authorization"].decode()
        assert headers[b"x-more"].decode() == SECRETS["HEADER"]
        if SECRETS["DEAD"] in shown or document.get("temperature") == 2:
            status = 401 if SECRETS["DEAD"] in shown else 400
            words = f"Incorrect: {shown}, {headers[b'x-more'].decode()}"
            error = {"message": words, "type": "invalid_request_error", "code": None}
            await respond(send, status=status, document={"error": error})
            return
        usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
        base = {"id": "c", "created": 1, "model": "gpt-4o"}
        if not document.get("stream"):
            message = {"role": "assistant", "content": SAID}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
            await respond(send, status=200, document=whole)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        deltas: list[Any] = [({"role": "assistant", "content": SAID}, None), ({}, "stop")]
        events: list[Any] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": end}], "usage": None} for delta, end in deltas
        ]
        for event in (*events, {"choices": [], "usage": usage}):
            said = json.dumps({**base, "object": "chat.completion.chunk", **event}).encode()
            await send({"type": "http.response.body", "body": b"data: %s\n\n" % said, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def test_all_that_watches_tells_the_same_story_and_no_secret(
    contents: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader])
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)  # as an agent of the environment would set it
    monkeypatch.setattr(metrics_module, "get_meter_provider", lambda: meters)
    answers: list[Any] = []
    async with serve(Provider()) as url:
        text = FILE.format(url=url, contents=str(contents).lower())
        gateway = Gateway(config_of(text, environ=SECRETS))
        async with running(gateway):
            driver = Driver(gateway)

            async def ask(path: str, document: Any, key: str = SECRETS["CLIENT"]) -> Any:
                headers = {"authorization": f"Bearer {key}"}
                answers.append(await driver.request("POST", path, json=document, headers=headers))
                return answers[-1]

            messages = [{"role": "user", "content": WORDS}]
            for stream in (False, True):
                chat = {"model": "smart", "messages": messages, "stream": stream}
                assert (await ask("/v1/chat/completions", chat)).status == 200
                assert (await ask("/v1/messages", {**chat, "max_tokens": 50})).status == 200
                assert (await ask("/v1/responses", {"model": "smart", "input": WORDS, "stream": stream})).status == 200
                assert (await ask("/api/chat", chat)).status == 200
                method = "streamGenerateContent?alt=sse" if stream else "generateContent"
                gemini = {"contents": [{"role": "user", "parts": [{"text": WORDS}]}]}
                assert (await ask(f"/v1beta/models/smart:{method}", gemini)).status == 200
            assert (await ask("/v1/chat/completions", {**chat, "temperature": 2})).status == 400
            assert (await ask("/v1/chat/completions", chat, STRANGER)).status == 401

            async def look(path: str, secret: str) -> Any:
                answer = await driver.request("GET", path, headers={"authorization": f"Bearer {SECRETS[secret]}"})
                assert answer.status == 200
                return answer

            numbers = (await look("/metrics", "SCRAPER")).body.decode()
            state = (await look("/console/api/state", "PASSWORD")).json()
            traces = [(await look(f"/console/api/requests/{one['id']}", "PASSWORD")).json() for one in state["recent"]]

    samples = [sample for family in text_string_to_metric_families(numbers) for sample in family.samples]

    def total(name: str, **labels: str) -> float:
        return sum(one.value for one in samples if one.name == name and one.labels.items() >= labels.items())

    finished = spans.get_finished_spans()
    calls = [span for span in finished if span.kind is SpanKind.CLIENT]
    assert total("ds2api_requests_total") == len(state["recent"]) == len(traces) == 12
    assert len([span for span in finished if span.kind is SpanKind.SERVER]) == 12
    assert len(calls) == total("ds2api_upstream_calls_total") == 12  # a dead key the first time, no stranger
    assert total("ds2api_tokens_total", kind="input") == 10 * 1000
    assert total("ds2api_cost_dollars_total") == pytest.approx(10 * (1000 + 2 * 10) / 1_000_000)
    lines = [JsonLines().format(record) for record in caplog.records]
    assert len([line for line in lines if '"ds2api_asgi.trace"' in line]) == 12
    data = reader.get_metrics_data()
    told = {
        "spans": "".join(span.to_json() for span in finished) + (data.to_json() if data else ""),
        "metrics": numbers,
        "log": "\n".join(lines) + caplog.text,
        "console": json.dumps([state, traces]),
        "answers": "".join(f"{answer.headers} {answer.body!r}" for answer in answers),
    }
    for name, text in told.items():
        for secret in (*SECRETS.values(), STRANGER):
            assert secret not in text, name
        for words in (WORDS, SAID):
            wanted = (name == "spans" and contents) or (name == "answers" and words == SAID)
            assert (words in text) is wanted, (name, words)
