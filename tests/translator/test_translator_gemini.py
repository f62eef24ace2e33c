"""What only Gemini has: paths that name the model and tell streams, JSON arrays as streams, two shapes of a count."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import anyio
import httpx
import openai
import pytest

from dialogues import (
    ANTHROPIC_HEADERS,
    GEMINI_HEADERS,
    HEADERS,
    OPENAI_HEADERS,
    PATHS,
    STREAM_PATHS,
    answer_in,
    ended_well,
    error_of,
    events_of,
    frames_in,
    gemini_answer,
    gemini_request,
    request_in,
    streamed,
    text_of,
)
from ds2api_asgi import KeyPool, Retry, Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.framing.json_array import JsonArrayParser
from ds2api_asgi.testing import EVENT_STREAM, Driver, ScriptedUpstream, Start, Wait, json_script, serve

ARRAY_PATH = "/v1beta/models/demo-small:streamGenerateContent"
OTHERS = pytest.mark.parametrize("other", ["openai-chat", "anthropic"])
KEY = "sk-demo"


# -- streams as JSON arrays ------------------------------------------------------------------------------------------


def _said(chunks: list[Any]) -> str:
    parts = [part for chunk in chunks for c in chunk.get("candidates", ()) for part in c["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts)


@pytest.mark.anyio
@OTHERS
@pytest.mark.parametrize("whole", [False, True])
async def test_a_stream_without_alt_sse_is_a_json_array(other: str, *, whole: bool) -> None:
    script = json_script(answer_in(other)) if whole else streamed(*frames_in(other, "Hi", " there"))
    upstream = ScriptedUpstream([script])
    driver = Driver(Translator(upstream, speaks=other), headers=GEMINI_HEADERS)
    answer = await driver.request("POST", ARRAY_PATH, json=gemini_request())
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") is None
    chunks = answer.json()
    assert _said(chunks) == "Hi there"
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert upstream.requests[0].json()["stream"] is True


@pytest.mark.anyio
@OTHERS
async def test_each_element_of_an_array_leaves_before_the_next_is_made(other: str) -> None:
    words = ["Hi", " there", " you"]
    steps: list[Any] = [Start(200, EVENT_STREAM)]
    gates: list[anyio.Event] = []
    for frame in frames_in(other, *words):
        steps.append(frame)
        if any(json.dumps(word).encode() in frame for word in words):
            gates.append(anyio.Event())
            steps.append(Wait(gates[-1]))
    driver = Driver(Translator(ScriptedUpstream([steps]), speaks=other), headers=GEMINI_HEADERS)
    parser = JsonArrayParser()
    with anyio.fail_after(10):
        async with driver.open("POST", ARRAY_PATH, json=gemini_request()) as response:
            for word, gate in zip(words, gates, strict=True):
                elements = parser.feed(await anext(response))
                assert _said([json.loads(element) for element in elements]) == word
                gate.set()
            parser.feed((await response.read()).body)
    assert parser.complete


@pytest.mark.anyio
@OTHERS
@pytest.mark.parametrize("ending", ["return", "broken", "eof"])
async def test_an_array_whose_upstream_is_cut_is_never_whole(other: str, ending: str) -> None:
    whole = b"".join(frames_in(other, "Hi", " there"))
    last = {"anthropic": b"event: message_stop", "openai-chat": b'"stop"'}[other]
    for cut in range(0, whole.index(last), 17):
        app = Translator(_cutting(whole[:cut], ending), speaks=other)
        answer = await Driver(app, headers=GEMINI_HEADERS).request("POST", ARRAY_PATH, json=gemini_request())
        if answer.status != 200:
            error_of("gemini", answer.json())
            continue
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)
        *_, error = JsonArrayParser().feed(answer.body)
        error_of("gemini", json.loads(error))


def _cutting(data: bytes, ending: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(EVENT_STREAM)})
        await send({"type": "http.response.body", "body": data, "more_body": True})
        if ending == "broken":
            raise BrokenStream("reset", "reset")
        if ending == "eof":
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


@pytest.mark.anyio
@OTHERS
async def test_an_error_before_content_is_a_true_status_for_an_array_too(other: str) -> None:
    script = json_script({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, status=503)
    driver = Driver(Translator(ScriptedUpstream([script]), speaks=other), headers=GEMINI_HEADERS)
    answer = await driver.request("POST", ARRAY_PATH, json=gemini_request())
    assert answer.status == 503
    error = error_of("gemini", answer.json())
    assert (error["message"], error["status"]) == ("busy", "UNAVAILABLE")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_arrays_and_event_streams_over_a_real_server(anyio_backend: str) -> None:
    app = Translator(DemoModel(keys=[KEY]), speaks="openai-chat")
    headers = {"x-goog-api-key": KEY}
    async with serve(app) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        array = await client.post(ARRAY_PATH, json=gemini_request())
        stream = await client.post(STREAM_PATHS["gemini"], json=gemini_request())
        plain = await client.post(PATHS["gemini"], json=gemini_request())
    assert array.headers["content-type"] == "application/json"
    assert stream.headers["content-type"].startswith("text/event-stream")
    said = _said([plain.json()])
    assert said == _said(array.json()) == text_of("gemini", stream.content) != ""
    assert len(array.json()) > 2


# -- paths and credentials -------------------------------------------------------------------------------------------


@pytest.mark.anyio
@OTHERS
@pytest.mark.parametrize("stream", [False, True])
async def test_the_model_and_the_stream_go_into_the_path_and_come_out_of_it(other: str, *, stream: bool) -> None:
    script = streamed(*frames_in("gemini", "Hi")) if stream else json_script(gemini_answer())
    upstream = ScriptedUpstream([script])
    driver = Driver(Translator(upstream, speaks="gemini"), headers=HEADERS[other])
    request = {**request_in(other, stream=stream), "model": "org/m 1"}
    answer = await driver.request("POST", PATHS[other], json=request)
    assert answer.status == 200
    (asked,) = upstream.requests
    verb, query = ("streamGenerateContent", b"alt=sse") if stream else ("generateContent", b"")
    assert (asked.path, asked.query) == (f"/v1beta/models/org/m 1:{verb}", query)
    assert not {"model", "stream"} & asked.json().keys()
    assert asked.header("x-goog-api-key") == "sk-client"
    assert asked.header("authorization") is None
    assert asked.header("x-api-key") is None


@pytest.mark.anyio
@OTHERS
async def test_a_gemini_clients_key_never_goes_upstream_in_a_query(other: str) -> None:
    upstream = ScriptedUpstream([json_script(answer_in(other))])
    driver = Driver(Translator(upstream, speaks=other))
    answer = await driver.request("POST", PATHS["gemini"] + "?key=sk-secret&x=1", json=gemini_request())
    assert answer.status == 200
    (asked,) = upstream.requests
    assert asked.query == b""
    assert b"sk-secret" not in asked.body
    assert "sk-secret" not in str(asked.headers)
    assert asked.json()["model"] == "demo-small"


@pytest.mark.anyio
async def test_a_request_without_a_model_is_refused_where_the_path_has_to_name_it() -> None:
    upstream = ScriptedUpstream([json_script(gemini_answer())])
    driver = Driver(Translator(upstream, speaks="gemini"), headers=OPENAI_HEADERS)
    answer = await driver.request("POST", PATHS["openai-chat"], json={**request_in("openai-chat"), "model": ""})
    assert answer.status == 400
    assert error_of("openai-chat", answer.json())["param"] == "model"
    assert not upstream.requests


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "shape"),
    [(GEMINI_HEADERS, "models"), (ANTHROPIC_HEADERS, "data"), (OPENAI_HEADERS, "data")],
)
async def test_headers_tell_whose_list_of_models_is_asked_for(headers: dict[str, str], shape: str) -> None:
    demo = Translator(DemoModel(), speaks="openai-chat")
    answer = await Driver(demo, headers=headers).request("GET", "/v1/models?pageSize=1&pageToken=x")
    assert shape in answer.json()
    assert "demo-small" in answer.text


@pytest.mark.anyio
async def test_the_list_under_v1beta_is_always_geminis() -> None:
    answer = await Driver(Translator(DemoModel(), speaks="openai-chat")).request("GET", "/v1beta/models")
    assert {"models/demo-small", "models/demo-large"} <= {model["name"] for model in answer.json()["models"]}
    one = await Driver(Translator(DemoModel(), speaks="openai-chat")).request("GET", "/v1beta/models/demo-small")
    assert one.json()["name"] == "models/demo-small"


# -- counting tokens -------------------------------------------------------------------------------------------------

SYSTEM = {"systemInstruction": {"parts": [{"text": "be brief"}]}, **gemini_request()}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("document", "system"),
    [
        (gemini_request(), False),
        ({"generateContentRequest": {"model": "models/demo-small", **gemini_request()}}, False),
        ({"generateContentRequest": {"model": "models/demo-small", **SYSTEM}}, True),
    ],
)
async def test_both_shapes_of_a_count_are_asked_of_an_upstream_that_counts(document: Any, *, system: bool) -> None:
    upstream = ScriptedUpstream([json_script({"input_tokens": 7})])
    driver = Driver(Translator(upstream, speaks="anthropic"), headers=GEMINI_HEADERS)
    answer = await driver.request("POST", "/v1beta/models/demo-small:countTokens", json=document)
    assert (answer.status, answer.json()) == (200, {"totalTokens": 7})
    (asked,) = upstream.requests
    assert asked.path == "/v1/messages/count_tokens"
    assert asked.json()["model"] == "demo-small"
    assert ("system" in asked.json()) is system
    assert answer.header("x-ds2-estimate") is None


@pytest.mark.anyio
async def test_a_count_of_an_upstream_that_counts_not_is_marked_as_an_estimate() -> None:
    driver = Driver(Translator(DemoModel(), speaks="openai-chat"), headers=GEMINI_HEADERS)
    answer = await driver.request("POST", "/v1beta/models/demo-small:countTokens", json=gemini_request())
    assert answer.json()["totalTokens"] > 0
    assert answer.header("x-ds2-estimate") == "true"


@pytest.mark.anyio
@pytest.mark.parametrize("system", [False, True])
async def test_a_count_is_asked_of_gemini_in_the_shape_that_can_say_it(*, system: bool) -> None:
    upstream = ScriptedUpstream([json_script({"totalTokens": 9})])
    driver = Driver(Translator(upstream, speaks="gemini"), headers=ANTHROPIC_HEADERS)
    document: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    if system:
        document["system"] = "be brief"
    answer = await driver.request("POST", "/v1/messages/count_tokens", json=document)
    assert (answer.status, answer.json()) == (200, {"input_tokens": 9})
    (asked,) = upstream.requests
    assert asked.path == "/v1beta/models/m:countTokens"
    if system:
        inner = asked.json()["generateContentRequest"]
        assert inner["model"] == "models/m"
        assert inner["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    else:
        assert asked.json() == gemini_request()


# -- in front of a Gemini upstream -----------------------------------------------------------------------------------


@pytest.mark.anyio
@OTHERS
@pytest.mark.parametrize(
    ("status", "word", "details", "openai_status", "retry_after"),
    [
        (400, "INVALID_ARGUMENT", [], 400, None),
        (403, "PERMISSION_DENIED", [], 403, None),
        (404, "NOT_FOUND", [], 404, None),
        (
            429,
            "RESOURCE_EXHAUSTED",
            [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}],
            429,
            "35",
        ),
        (500, "INTERNAL", [], 500, None),
        (503, "UNAVAILABLE", [], 503, None),
        (504, "DEADLINE_EXCEEDED", [], 504, None),
    ],
)
async def test_errors_of_gemini_are_said_in_the_clients_words(
    other: str, status: int, word: str, details: list[Any], openai_status: int, retry_after: str | None
) -> None:
    error = {"code": status, "message": "words", "status": word, "details": details}
    upstream = ScriptedUpstream([json_script({"error": error}, status=status)])
    driver = Driver(Translator(upstream, speaks="gemini"), headers=HEADERS[other])
    answer = await driver.request("POST", PATHS[other], json=request_in(other))
    expected = 529 if other == "anthropic" and status == 503 else openai_status
    assert answer.status == expected
    assert error_of(other, answer.json())["message"] == "words"
    assert answer.header("retry-after") == retry_after


@pytest.mark.anyio
@OTHERS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "answered",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m"},
        {"candidates": [{"index": 0, "finishReason": "SAFETY"}]},
        {"candidates": [{"index": 0, "finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "bad"}]},
        {"candidates": [{"index": 0, "finishReason": "UNEXPECTED_TOOL_CALL", "content": {"role": "model"}}]},
    ],
)
async def test_what_was_blocked_or_malformed_is_no_success(other: str, answered: Any, *, stream: bool) -> None:
    script = streamed(b"data: " + json.dumps(answered).encode() + b"\r\n\r\n") if stream else json_script(answered)
    driver = Driver(Translator(ScriptedUpstream([script]), speaks="gemini"), headers=HEADERS[other])
    answer = await driver.request("POST", PATHS[other], json=request_in(other, stream=stream))
    if answer.status != 200:
        error_of(other, answer.json())
        return
    assert ("content_filter" if other == "openai-chat" else "refusal") in answer.text
    assert '"end_turn"' not in answer.text
    assert '"stop"' not in answer.text


@pytest.mark.anyio
async def test_a_pool_takes_the_model_from_the_path() -> None:
    asked: list[tuple[str, str]] = []

    async def provider(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        key, path = headers[b"x-goog-api-key"].decode(), scope["path"]
        asked.append((key, path))
        if key == "sk-1" and "/models/paid" in path:
            missing = {"error": {"code": 404, "message": "no such model", "status": "NOT_FOUND"}}
            await ScriptedUpstream([json_script(missing, status=404)])(scope, receive, send)
        else:
            await ScriptedUpstream([json_script(gemini_answer())])(scope, receive, send)

    app = Retry(KeyPool(provider, protocol="gemini", keys=["sk-1", "sk-2"]), protocol="gemini", backoff=1e-6)
    driver = Driver(app, headers={"x-goog-api-key": "client"})
    for _ in range(6):
        answer = await driver.request("POST", "/v1beta/models/paid:generateContent?key=client", json=gemini_request())
        assert answer.status == 200
    for _ in range(4):
        answer = await driver.request("POST", "/v1beta/models/free:generateContent", json=gemini_request())
        assert answer.status == 200
    paid = [key for key, path in asked if "paid" in path]
    assert paid.count("sk-1") <= 1  # it has learned that this key has not this model
    assert {key for key, path in asked if "free" in path} == {"sk-1", "sk-2"}  # but others it has
    assert not any("client" in key for key, _ in asked)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_daily_quota_moves_to_the_next_key_and_a_minutes_too(*, stream: bool) -> None:
    used: list[str] = []

    async def provider(scope: Any, receive: Any, send: Any) -> None:
        key = dict(scope["headers"])[b"x-goog-api-key"].decode()
        used.append(key)
        identity = {"sk-1": "GenerateRequestsPerDayPerProject", "sk-2": "GenerateRequestsPerMinutePerProject"}.get(key)
        if identity is None:
            script = streamed(*frames_in("gemini", "Hi")) if stream else json_script(gemini_answer("Hi"))
        else:
            kind = "type.googleapis.com/google.rpc."
            details = [
                {"@type": kind + "QuotaFailure", "violations": [{"quotaId": identity, "quotaValue": "10"}]},
                {"@type": kind + "RetryInfo", "retryDelay": "30s"},
            ]
            error = {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}
            script = json_script({"error": error}, status=429)
        await ScriptedUpstream([script])(scope, receive, send)

    pool = KeyPool(provider, protocol="gemini", keys=["sk-1", "sk-2", "sk-3"])
    app = Translator(Retry(pool, protocol="gemini", max_attempts=5, backoff=1e-6, backoff_cap=1e-6), speaks="gemini")
    driver = Driver(app, headers=OPENAI_HEADERS)
    for _ in range(5):
        request = request_in("openai-chat", stream=stream)
        answer = await driver.request("POST", PATHS["openai-chat"], json=request)
        assert answer.status == 200
        assert "Hi" in answer.text
    assert used.count("sk-1") == 1
    assert used.count("sk-2") == 1
    assert used.count("sk-3") == 5


# -- a chain over the demo model -------------------------------------------------------------------------------------


def _gemini_speaking() -> Translator:
    """An app that speaks nothing but Gemini."""
    return Translator(DemoModel(keys=[KEY]), speaks="openai-chat", clients=["gemini"])


@pytest.mark.anyio
@OTHERS
async def test_an_answer_comes_the_same_through_a_chain(other: str) -> None:
    chain = Translator(_gemini_speaking(), speaks="gemini", clients=["openai-chat", "anthropic"])
    headers = {"openai-chat": {"authorization": f"Bearer {KEY}"}, "anthropic": {**ANTHROPIC_HEADERS, "x-api-key": KEY}}
    direct = Translator(DemoModel(keys=[KEY]), speaks="openai-chat")
    said = []
    for app in (direct, chain):
        driver = Driver(app, headers=headers[other])
        whole = await driver.request("POST", PATHS[other], json=request_in(other))
        stream = await driver.request("POST", PATHS[other], json=request_in(other, stream=True))
        assert (whole.status, stream.status) == (200, 200)
        assert ended_well(other, stream.body)
        assert len(events_of(stream.body)) > 3
        said.append(text_of(other, stream.body))
    assert said[0] == said[1] != ""


@asynccontextmanager
async def _gpt(key: str = KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    app = Translator(_gemini_speaking(), speaks="gemini", clients=["openai-chat", "anthropic"])
    async with serve(app) as url, openai.AsyncOpenAI(base_url=url + "/v1", api_key=key, max_retries=0) as client:
        yield client


@asynccontextmanager
async def _claude(key: str = KEY) -> AsyncIterator[anthropic.AsyncAnthropic]:
    app = Translator(_gemini_speaking(), speaks="gemini", clients=["openai-chat", "anthropic"])
    async with serve(app) as url, anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_companions_and_errors_through_gemini(anyio_backend: str) -> None:
    async with _gpt() as client:
        listed = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("demo-small")).id == "demo-small"
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="unheard-of", messages=[{"role": "user", "content": "a"}])
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="demo-fail-500", messages=[{"role": "user", "content": "a"}])
    async with _claude() as claude:
        assert [model.id async for model in claude.models.list()] == listed
        counted = await claude.messages.count_tokens(
            model="demo-small", system="be brief", messages=[{"role": "user", "content": "hello"}]
        )
        assert counted.input_tokens > 0
        with pytest.raises(anthropic.BadRequestError):
            await claude.messages.create(
                model="demo-fail-400", max_tokens=9, messages=[{"role": "user", "content": "a"}]
            )
    async with _gpt("wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="demo-small", messages=[{"role": "user", "content": "a"}])
    assert "demo-small" in listed
