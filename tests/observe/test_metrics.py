"""`Metrics`: what is counted, by a real parser of Prometheus' text; that labels are bounded and hold no secret."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from access_kit import ALICE, bearer, guarded
from ds2api_asgi import ConfigurationError, Failover, KeyPool, Metrics, Price, Retry, Upstream
from ds2api_asgi.observe import standing
from ds2api_asgi.observe.labels import MAX_LABEL, OTHER, Labels
from ds2api_asgi.observe.seen import OwnTime
from ds2api_asgi.pool.health import KeyState
from ds2api_asgi.resilience import BreakerPolicy, BreakerReport, BreakerState
from ds2api_asgi.testing import Break, Driver, Pause, ScriptedUpstream, Start, Wait, event_script, json_script
from leaving import leave_waiting
from watched import ANSWER, CANARY, QUESTION, SLOW, SPARE, WORDS, ask, chunk, nest

pytestmark = pytest.mark.anyio

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(metrics: Metrics, *, accept: str = "text/plain") -> tuple[Samples, str]:
    answer = await Driver(metrics.exposition).request("GET", "/anything", headers={"accept": accept})
    assert answer.status == 200
    parse = openmetrics if "openmetrics" in (answer.header("content-type") or "") else plain
    found: Samples = {}
    for family in parse(answer.text):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found, answer.text


def value(samples: Samples, name: str, **labels: str) -> float:
    return sum(number for (found, own), number in samples.items() if found == name and own >= frozenset(labels.items()))


async def test_a_request_that_took_two_keys_is_counted_at_both_ends() -> None:
    metrics = Metrics()
    app, pool = nest(metrics, [json_script(SLOW, status=429), json_script(ANSWER)])
    metrics.pool(pool)
    assert (await ask(app)).status == 200
    samples, _ = await scrape(metrics)
    asked = {"protocol": "openai-chat", "operation": "generate", "model": "gpt-4o"}
    assert value(samples, "ds2api_requests_total", **asked, status="2xx", end="complete") == 1
    assert value(samples, "ds2api_request_duration_seconds_count", **asked) == 1
    assert value(samples, "ds2api_overhead_seconds_count", protocol="openai-chat") == 1
    assert value(samples, "ds2api_requests_in_flight") == 0
    assert value(samples, "ds2api_upstream_calls_total", upstream="up", status="4xx", end="failed") == 1
    assert value(samples, "ds2api_upstream_calls_total", upstream="up", status="2xx", end="complete") == 1
    assert value(samples, "ds2api_upstream_first_byte_seconds_count", upstream="up") == 2
    assert value(samples, "ds2api_retries_total") == 1
    assert value(samples, "ds2api_failures_total", by="pool", fault="rate") == 1
    tokens = {
        kind: value(samples, "ds2api_tokens_total", model="gpt-4o", kind=kind)
        for kind in ("input", "output", "cached", "reasoning")
    }
    assert tokens == {"input": 1000, "output": 10, "cached": 100, "reasoning": 4}
    assert value(samples, "ds2api_key_leases_total", pool="pool") == 2
    assert value(samples, "ds2api_key_served_total", pool="pool") == 1
    assert value(samples, "ds2api_key_failed_total", pool="pool") == 1
    assert value(samples, "ds2api_key_in_flight", pool="pool") == 0
    assert value(samples, "ds2api_key_state", pool="pool", state="cooling") == 1
    assert value(samples, "ds2api_key_state", pool="pool", state="active") == 1
    assert value(samples, "ds2api_key_rest_seconds", pool="pool") > 0
    assert value(samples, "ds2api_queue_length", pool="pool") == 0
    assert value(samples, "ds2api_pool_up", pool="pool") == 1


async def test_both_formats_hold_the_same_numbers_and_can_be_parsed() -> None:
    metrics = Metrics()
    app, pool = nest(metrics, [json_script(ANSWER)])
    metrics.pool(pool)
    await ask(app)
    old, _ = await scrape(metrics)
    new, _ = await scrape(metrics, accept="application/openmetrics-text; version=1.0.0")
    for name in ("ds2api_requests_total", "ds2api_key_leases_total", "ds2api_tokens_total"):
        assert value(new, name) == value(old, name) > 0


async def test_neither_keys_nor_texts_are_in_the_numbers() -> None:
    metrics = Metrics()
    scripts = [json_script(SLOW, status=429), json_script(ANSWER), json_script(SLOW, status=401), [Break()]]
    app, pool = nest(metrics, scripts)
    metrics.pool(pool)
    await ask(app)
    await ask(app, {**QUESTION, "model": CANARY})  # a client that puts its key where the model belongs
    _, text = await scrape(metrics)
    for secret in (CANARY, SPARE, WORDS, "hi there", "slow down"):
        assert secret not in text
    assert 'model="other"' in text


async def test_a_stream_tells_the_time_to_its_first_token_and_per_token() -> None:
    metrics = Metrics()
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    script = [
        *event_script(chunk(""), then=[Pause(0.05)]),
        *event_script(chunk("a"), then=[Pause(0.05)])[1:],
        *event_script(chunk("b"), chunk(finish="stop"), chunk(usage=usage), done=True)[1:],
    ]
    app, _ = nest(metrics, [script])
    answer = await ask(app, {**QUESTION, "stream": True, "stream_options": {"include_usage": True}})
    assert answer.status == 200
    samples, _ = await scrape(metrics)
    first = value(samples, "ds2api_time_to_first_token_seconds_sum", model="gpt-4o")
    assert 0.05 <= first < 5
    assert value(samples, "ds2api_time_to_first_token_seconds_count", model="gpt-4o") == 1
    per_token = value(samples, "ds2api_time_per_output_token_seconds_sum", model="gpt-4o")
    assert 0.025 <= per_token < 5
    assert value(samples, "ds2api_tokens_total", kind="output") == 3


async def test_overhead_is_neither_the_providers_time_nor_a_wait_nor_the_clients() -> None:
    metrics = Metrics()
    retry_later = [(b"retry-after-ms", b"150")]
    script = [Start(200, ((b"content-type", b"application/json"),)), Pause(0.2)]
    app, _ = nest(
        metrics,
        [
            json_script(SLOW, status=429, headers=retry_later),
            json_script(SLOW, status=429, headers=retry_later),
            [*script, json_script(ANSWER)[1]],
        ],
    )

    async def slow_client(scope: Any, receive: Any, send: Any) -> None:
        async def slowly(message: Any) -> None:
            await anyio.sleep(0.1)
            await send(message)

        await app(scope, receive, slowly)

    assert (await ask(slow_client)).status == 200
    samples, _ = await scrape(metrics)
    took = value(samples, "ds2api_request_duration_seconds_sum")
    overhead = value(samples, "ds2api_overhead_seconds_sum")
    assert value(samples, "ds2api_upstream_calls_total") == 3
    assert took >= 0.2 + 0.2 + 0.15  # the provider, the client, the wait for a key that was told to rest
    assert overhead <= took - 0.55


async def test_a_wait_before_another_attempt_is_no_overhead() -> None:
    metrics = Metrics()
    busy = json_script({"error": {"message": "busy"}}, status=503, headers=[(b"retry-after-ms", b"200")])
    upstream = metrics.calls(ScriptedUpstream([busy, json_script(ANSWER)]), name="up")
    assert (await ask(metrics.requests(Retry(upstream, protocol="openai-chat", backoff=0.001)))).status == 200
    samples, _ = await scrape(metrics)
    took = value(samples, "ds2api_request_duration_seconds_sum")
    assert took >= 0.2
    assert value(samples, "ds2api_overhead_seconds_sum") <= took - 0.2


async def test_what_parts_do_with_an_answer_on_its_way_is_overhead() -> None:
    metrics = Metrics()
    upstream = metrics.calls(ScriptedUpstream([json_script(ANSWER)]), name="up")

    async def slow_part(scope: Any, receive: Any, send: Any) -> None:
        async def slowly(message: Any) -> None:
            await anyio.sleep(0.05)
            await send(message)

        await upstream(scope, receive, slowly)

    await ask(metrics.requests(slow_part))
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_overhead_seconds_sum") >= 0.1


async def test_the_first_token_is_content_and_not_what_only_begins_a_stream() -> None:
    metrics = Metrics()
    begins = {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
    script = [*event_script(begins, then=[Pause(0.1)]), *event_script(chunk("a"), chunk(finish="stop"), done=True)[1:]]
    await ask(metrics.requests(ScriptedUpstream([script])), {**QUESTION, "stream": True})
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_time_to_first_token_seconds_sum") >= 0.1


async def test_of_breakers_that_share_a_label_the_worst_is_told() -> None:
    class Part:
        def breakers(self) -> list[BreakerReport]:
            states = (BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN)
            return [
                BreakerReport(target=0, model=f"m{number}", state=state, failures=0, reopens_in=0.0)
                for number, state in enumerate(states)
            ]

    metrics = Metrics()
    metrics.breakers("front", Part())
    with pytest.raises(ConfigurationError):
        metrics.breakers("front", Part())
    samples, _ = await scrape(metrics)
    told = {
        dict(labels)["state"]: number for (name, labels), number in samples.items() if name == "ds2api_breaker_state"
    }
    assert told == {"closed": 0, "half_open": 0, "open": 1}


async def test_a_stream_that_breaks_is_cut_and_one_nobody_reads_is_gone() -> None:
    metrics = Metrics()
    broken = event_script(chunk("a"), then=[Break()])
    hanging = event_script(chunk("a"), then=[Pause(60)])
    app, _ = nest(metrics, [broken, hanging])
    question = {**QUESTION, "stream": True}
    await ask(app, question)
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_upstream_calls_total", end="cut") == 1
    async with Driver(app).open("POST", "/v1/chat/completions", json=question) as response:
        await anext(response)
        samples, _ = await scrape(metrics)
        assert value(samples, "ds2api_requests_in_flight") == 1
        await response.disconnect()
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_requests_total", end="cut", status="2xx") == 1
    assert value(samples, "ds2api_requests_total", end="gone") == 1
    assert value(samples, "ds2api_requests_in_flight") == 0


async def test_who_is_not_reached_is_told_apart_from_who_fails() -> None:
    metrics = Metrics()
    upstream = metrics.calls(Upstream("http://127.0.0.1:9", protocol="openai-chat", connect_timeout=0.5), name="dead")
    pool = KeyPool(upstream, protocol="openai-chat", keys=[CANARY], queue_timeout=0)
    app = metrics.requests(pool)
    assert (await ask(app)).status in (502, 504)
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_upstream_calls_total", upstream="dead", status="none") == 1
    assert value(samples, "ds2api_upstream_unreachable_total", reason="connect") == 1
    assert value(samples, "ds2api_upstream_first_byte_seconds_count", upstream="dead") == 0


async def test_waits_and_refusals_of_a_pool_are_counted() -> None:
    metrics = Metrics()
    go, refused = anyio.Event(), anyio.Event()
    slow = [Start(200, ((b"content-type", b"application/json"),)), Wait(go), Pause(0.05), json_script(ANSWER)[1]]
    upstream = metrics.calls(ScriptedUpstream([slow], repeat=True), name="up")
    pool = KeyPool(upstream, protocol="openai-chat", keys=[CANARY], max_concurrency=1, max_queue=1, name="narrow")
    metrics.pool(pool)
    app = metrics.requests(pool)
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await ask(app)).status)
        refused.set()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
        with anyio.fail_after(20):
            await refused.wait()
        samples, _ = await scrape(metrics)
        assert value(samples, "ds2api_queue_length", pool="narrow") == 1
        go.set()
    assert sorted(statuses)[:2] == [200, 200]
    assert sorted(statuses)[2] >= 429
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_queue_wait_seconds_count", pool="narrow") == 1
    assert 0.05 <= value(samples, "ds2api_queue_wait_seconds_sum", pool="narrow") < 5
    assert value(samples, "ds2api_pool_refusals_total", pool="narrow", reason="busy") == 1


async def test_callers_and_refusals_are_told_by_alias() -> None:
    metrics = Metrics()
    inner, _ = nest(metrics, [json_script(ANSWER)], speaks="openai-chat")
    access, _ = guarded(inner)
    app = metrics.requests(access)
    assert (await ask(app, authorization=f"Bearer {ALICE}")).status == 200
    assert (await ask(app)).status == 401
    samples, text = await scrape(metrics)
    assert value(samples, "ds2api_caller_requests_total", caller="alice", status="2xx") >= 1
    assert value(samples, "ds2api_caller_tokens_total", caller="alice", kind="input") >= 1000
    assert value(samples, "ds2api_refusals_total", caller="") == 1
    assert ALICE not in text
    assert CANARY not in text
    assert bearer(ALICE)["authorization"] not in text


async def test_breakers_are_told_at_each_scrape() -> None:
    metrics = Metrics()
    dead = metrics.calls(ScriptedUpstream([json_script({"error": {}}, status=500)], repeat=True), name="dead")
    good = metrics.calls(ScriptedUpstream([json_script(ANSWER)], repeat=True), name="good")
    failover = Failover([dead, good], protocol="openai-chat", breaker=BreakerPolicy(consecutive=2), backoff=0.001)
    metrics.breakers("front", failover)
    app = metrics.requests(failover)
    for _ in range(3):
        assert (await ask(app)).status == 200
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_breaker_state", part="front", target="0", model="gpt-4o", state="open") == 1
    assert value(samples, "ds2api_breaker_state", part="front", target="0", model="", state="closed") == 1
    assert value(samples, "ds2api_breaker_state", part="front", target="1", state="open") == 0
    assert value(samples, "ds2api_breaker_openings_total") == 1
    assert value(samples, "ds2api_upstream_calls_total", upstream="good", status="2xx") == 3
    assert value(samples, "ds2api_skips_total", reason="breaker") >= 1


async def test_a_pool_that_cannot_tell_is_down_and_the_rest_is_told() -> None:
    class Mute:
        name = "mute"
        waiting = 0

        async def snapshot(self) -> Any:
            raise RuntimeError("no store")

    metrics = Metrics()
    metrics.pool(Mute())
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_pool_up", pool="mute") == 0
    assert ("ds2api_pool_up", frozenset({("pool", "mute")})) in samples
    with pytest.raises(ConfigurationError):
        metrics.pool(Mute())


async def test_of_a_large_pool_only_the_states_are_told() -> None:
    for most, told in ((3, 0), (4, 4)):
        metrics = Metrics(max_keys=most)
        pool = KeyPool(ScriptedUpstream([]), protocol="openai-chat", keys=[f"sk-{number:016d}" for number in range(4)])
        metrics.pool(pool)
        samples, _ = await scrape(metrics)
        assert value(samples, "ds2api_keys", pool="pool", state="active") == 4
        assert len([name for name, _ in samples if name == "ds2api_key_in_flight"]) == told


def test_every_state_of_a_key_and_of_a_breaker_has_its_label() -> None:
    assert tuple(state.value for state in KeyState) == standing.KEY_STATES
    assert {state.name.lower() for state in BreakerState} == set(standing.BREAKER_STATES)


async def test_models_that_clients_make_up_get_one_label() -> None:
    metrics = Metrics(models=["known"], max_models=3)
    app, _ = nest(metrics, [json_script(ANSWER)] * 6)
    for model in ("a", "b", "c", "d", "known", "a"):
        await ask(app, {**QUESTION, "model": model})
    samples, _ = await scrape(metrics)
    counted = {
        dict(labels)["model"]: number for (name, labels), number in samples.items() if name == "ds2api_requests_total"
    }
    assert counted == {"a": 2, "b": 1, OTHER: 2, "known": 1}


async def test_costs_are_counted_when_asked_for_and_unknown_prices_are_no_zero() -> None:
    metrics = Metrics(cost=True, prices={"house": Price(input=Decimal(10), output=Decimal(100), cached=Decimal(0))})
    app, _ = nest(metrics, [json_script(ANSWER)] * 3)
    for model in ("gpt-4o", "house", "nobody-knows"):
        await ask(app, {**QUESTION, "model": model})
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_cost_dollars_total", model="house") == pytest.approx(0.01)
    # 900 x 2.50 + 100 x 1.25 + 10 x 10.00 dollars per million
    assert value(samples, "ds2api_cost_dollars_total", model="gpt-4o") == pytest.approx(0.002475)
    assert value(samples, "ds2api_unpriced_answers_total", model="nobody-knows") == 1
    assert "ds2api_cost_dollars" not in (await scrape(Metrics()))[1]


async def test_a_watcher_that_stumbles_does_not_touch_the_request(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Metrics):
        def ended(self, request: Any) -> None:
            raise RuntimeError("stumbled")

        def noted(self, request: Any, fact: object) -> None:
            raise RuntimeError("stumbled")

    app, _ = nest(Clumsy(), [json_script(ANSWER)])
    assert (await ask(app)).status == 200
    assert any("could not take note" in record.message for record in caplog.records)


async def test_what_is_no_protocols_passes_and_is_not_counted() -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    metrics = Metrics()
    assert (await Driver(metrics.requests(host)).request("GET", "/")).status == 204
    assert (await Driver(metrics.calls(host, name="x")).request("GET", "/")).status == 204
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_requests_total") == 0
    assert value(samples, "ds2api_upstream_calls_total") == 0


async def test_what_waited_in_vain_for_a_client_that_left_is_no_overhead() -> None:
    metrics = Metrics()
    go = anyio.Event()
    slow = [Start(200, ((b"content-type", b"application/json"),)), Wait(go), json_script(ANSWER)[1]]
    pool = KeyPool(ScriptedUpstream([slow]), protocol="openai-chat", keys=[CANARY], max_concurrency=1)
    app = metrics.requests(pool)
    async with anyio.create_task_group() as group:
        group.start_soon(ask, app)
        await anyio.wait_all_tasks_blocked()
        await leave_waiting(ask, app)
        go.set()
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_requests_total") == 2
    assert value(samples, "ds2api_overhead_seconds_count") == 1


async def test_only_reading_is_answered() -> None:
    metrics = Metrics()
    assert (await Driver(metrics.exposition).request("POST", "/metrics", json={})).status == 405
    head = await Driver(metrics.exposition).request("HEAD", "/metrics")
    assert (head.status, head.body) == (200, b"")
    assert head.header("cache-control") == "no-store"


async def test_translated_requests_are_counted_by_the_clients_protocol() -> None:
    metrics = Metrics()
    app, _ = nest(metrics, [json_script(ANSWER)], speaks="openai-chat")
    document = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    assert (await ask(app, document, path="/v1/messages")).status == 200
    samples, _ = await scrape(metrics)
    assert value(samples, "ds2api_requests_total", protocol="anthropic", model="gpt-4o", status="2xx") == 1
    assert value(samples, "ds2api_tokens_total", protocol="anthropic", kind="output") == 10


def test_bounds_and_registries_are_checked() -> None:
    with pytest.raises(ConfigurationError):
        Metrics(max_models=0)
    with pytest.raises(ConfigurationError):
        Metrics(cost=True, prices={"m": Price(input=Decimal(-1), output=Decimal(0))})
    registry = CollectorRegistry()
    Metrics(registry=registry)
    with pytest.raises(ConfigurationError, match="already"):
        Metrics(registry=registry)


def test_without_its_extra_metrics_says_which_one_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"ds2api-asgi\[metrics\]"):
        Metrics()
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ConfigurationError, match=r"ds2api-asgi\[cost\]"):
        Metrics(cost=True)


@given(st.lists(st.text(max_size=MAX_LABEL + 3)), st.integers(1, 5))
def test_labels_are_at_most_so_many_whatever_comes(values: list[str], most: int) -> None:
    labels = Labels(most)
    found = [labels.of(name) for name in values]
    assert len(set(found) - {OTHER, ""}) <= most
    for name, label in zip(values, found, strict=True):
        assert label in (name, OTHER)
        assert len(label) <= MAX_LABEL
    assert [labels.of(name) for name in values if name in found] == [name for name in values if name in found]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50)), max_size=30))
def test_own_time_is_the_time_in_which_nobody_else_is_waited_for(steps: list[tuple[bool, int]]) -> None:
    now = [0]
    own = OwnTime(lambda: float(now[0]))
    others = expected = 0
    for goes, seconds in steps:
        now[0] += seconds
        expected += 0 if others else seconds
        if goes:
            own.leave()
            others += 1
        elif others:
            own.back()
            others -= 1
    assert own.seconds == expected
