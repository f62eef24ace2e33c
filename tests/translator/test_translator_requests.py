"""Requests on their way in: what the app is asked, and what is refused in the client's protocol before it is asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from dialogues import (
    ANTHROPIC_HEADERS,
    HEADERS,
    OPENAI_HEADERS,
    PATHS,
    answer_in,
    anthropic_request,
    error_of,
    openai_answer,
    request_in,
)
from ds2api_asgi.asgi.body import Replay
from ds2api_asgi.asgi.exchange import KEY, Exchange, enter
from ds2api_asgi.asgi.facts import Lost
from ds2api_asgi.asgi.path import raw_relative_path, relative_path
from ds2api_asgi.errors import ClientGone
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Claim, Operation
from ds2api_asgi.resilience import Retry
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from ds2api_asgi.translator import Translator
from ds2api_asgi.translator.carrying import Carriage
from ds2api_asgi.translator.losses import Losses
from ds2api_asgi.translator.request import TranslatedRequest
from ds2api_asgi.translator.settings import Settings

HISTORY = {"anthropic": "messages", "openai-chat": "messages", "openai-responses": "input"}
PAIRS = [
    ("anthropic", "openai-chat"),
    ("openai-chat", "anthropic"),
    ("openai-responses", "anthropic"),
    ("anthropic", "openai-responses"),
    ("openai-chat", "openai-responses"),
    ("openai-responses", "openai-chat"),
]


def _upstream(speaks: str) -> ScriptedUpstream:
    return ScriptedUpstream([json_script(answer_in(speaks))], repeat=True)


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_the_app_is_asked_in_its_own_protocol(client: str, speaks: str) -> None:
    upstream = _upstream(speaks)
    driver = Driver(Translator(upstream, speaks=speaks), headers=HEADERS[client])
    answer = await driver.request("POST", PATHS[client] + "?beta=true", json=request_in(client))
    assert answer.status == 200
    (asked,) = upstream.requests
    assert (asked.method, asked.path, asked.query) == ("POST", PATHS[speaks], b"")
    assert asked.json()[HISTORY[speaks]] == [{"role": "user", "content": "hello"}]
    assert asked.header("content-length") == str(len(asked.body))
    assert asked.header("content-type") == "application/json"
    assert asked.header("accept-encoding") == "identity"


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [{}, {"stream": False}, {"stream": True}])
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_parts_beneath_are_told_what_they_would_read_in_the_body(
    client: str, speaks: str, stream: dict[str, bool]
) -> None:
    told: list[Replay] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append(receive)
        await ScriptedUpstream([json_script(answer_in(speaks))])(scope, receive, send)

    await Driver(Translator(app, speaks=speaks), headers=HEADERS[client]).request(
        "POST", PATHS[client], json={**request_in(client), **stream}
    )
    (replay,) = told
    assert replay.peek([]) == Replay(replay.body, replay).peek([])
    assert replay.peek([])[1] == stream.get("stream")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "speaks", "sent", "arrived"),
    [
        ("anthropic", "openai-chat", {"x-api-key": "sk-1"}, {"authorization": "Bearer sk-1", "x-api-key": None}),
        ("anthropic", "openai-chat", {"authorization": "Bearer sk-2"}, {"authorization": "Bearer sk-2"}),
        (
            "anthropic",
            "openai-chat",
            {"authorization": "bearer other", "x-api-key": "own"},
            {"authorization": "Bearer own"},
        ),
        ("anthropic", "openai-chat", {}, {"authorization": None, "x-api-key": None}),
        ("openai-chat", "anthropic", {"authorization": "Bearer sk-3"}, {"x-api-key": "sk-3", "authorization": None}),
        ("openai-chat", "anthropic", {"api-key": "azure"}, {"x-api-key": "azure", "api-key": None}),
        ("openai-chat", "anthropic", {"openai-organization": "org"}, {"openai-organization": None}),
        ("anthropic", "openai-chat", {"anthropic-version": "2023-06-01"}, {"anthropic-version": None}),
        ("openai-chat", "anthropic", {}, {"anthropic-version": "2023-06-01"}),
        (
            "anthropic",
            "openai-chat",
            {"traceparent": "00-1-2-3", "cookie": "a=b"},
            {"traceparent": "00-1-2-3", "cookie": "a=b"},
        ),
    ],
)
async def test_credentials_change_their_header_and_a_protocols_own_headers_stay_with_it(
    client: str, speaks: str, sent: dict[str, str], arrived: dict[str, str | None]
) -> None:
    upstream = _upstream(speaks)
    await Driver(Translator(upstream, speaks=speaks)).request(
        "POST", PATHS[client], headers=sent, json=request_in(client)
    )
    assert {name: upstream.requests[0].header(name) for name in arrived} == arrived


@pytest.mark.anyio
async def test_the_scope_is_copied_and_offers_no_other_way_to_answer_than_body_messages() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await _upstream("openai-chat")(scope, receive, send)

    extensions = {"http.response.pathsend": {}, "http.response.trailers": {}, "tls": {}}
    outer = {"extensions": extensions, "app.state": 1}
    driver = Driver(Translator(app, speaks="openai-chat"), root_path="/llm", headers=ANTHROPIC_HEADERS)
    await driver.request("POST", "/v1/messages", json=anthropic_request(), scope=outer)
    (scope,) = scopes
    assert scope["extensions"] == {"tls": {}}
    assert extensions.keys() == {"http.response.pathsend", "http.response.trailers", "tls"}
    assert scope["app.state"] == 1
    assert (scope["path"], scope["root_path"], relative_path(scope)) == (
        "/llm/v1/chat/completions",
        "/llm",
        "/v1/chat/completions",
    )
    assert isinstance(scope[KEY], Exchange)


@pytest.mark.anyio
async def test_a_models_name_stays_percent_encoded_on_the_wire() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await json_upstream(scope, receive, send)

    json_upstream = ScriptedUpstream(
        [json_script({"id": "org/m 1", "type": "model", "display_name": "M", "created_at": "2026-01-01T00:00:00Z"})]
    )
    driver = Driver(Translator(app, speaks="anthropic"), headers=OPENAI_HEADERS, root_path="/llm")
    answer = await driver.request("GET", "/v1/models/org%2Fm%201")
    assert answer.json()["id"] == "org/m 1"
    assert scopes[0]["path"] == "/llm/v1/models/org/m 1"
    assert raw_relative_path(scopes[0]).startswith("/v1/models/org")


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"{}{}", b'{"model": "m", "model"', b"[" * 100_000, b"<html>"],
)
async def test_a_body_that_is_no_json_object_is_refused_by_400(client: str, speaks: str, body: bytes) -> None:
    upstream = _upstream(speaks)
    answer = await Driver(Translator(upstream, speaks=speaks)).request("POST", PATHS[client], body=body)
    assert answer.status == 400
    assert error_of(client, answer.json())["type"] == "invalid_request_error"
    assert not upstream.requests


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "change", "path"),
    [
        ("anthropic", {"messages": 5}, "messages"),
        ("anthropic", {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (
            "anthropic",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
            "messages[0].content[0].text",
        ),
        ("anthropic", {"model": 5}, "model"),
        ("anthropic", {"max_tokens": "many"}, "max_tokens"),
        ("anthropic", {"stream": "yes"}, "stream"),
        ("anthropic", {"tools": {"a": 1}}, "tools"),
        ("openai-responses", {"input": 5}, "input"),
        ("openai-responses", {"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ("openai-responses", {"tools": {"a": 1}}, "tools"),
        ("openai-responses", {"reasoning": "much"}, "reasoning"),
        ("openai-chat", {"messages": "hi"}, "messages"),
        ("openai-chat", {"messages": [7]}, "messages[0]"),
        (
            "openai-chat",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": []}]}]},
            "messages[0].content[0].text",
        ),
        ("openai-chat", {"model": None}, "model"),
        ("openai-chat", {"temperature": "hot"}, "temperature"),
        ("openai-chat", {"stream": 1}, "stream"),
        ("openai-chat", {"tools": [5]}, "tools[0]"),
    ],
)
async def test_a_value_of_the_wrong_type_is_refused_and_named(client: str, change: dict[str, Any], path: str) -> None:
    speaks = dict(PAIRS)[client]
    upstream = _upstream(speaks)
    answer = await Driver(Translator(upstream, speaks=speaks)).request(
        "POST", PATHS[client], json={**request_in(client), **change}
    )
    assert answer.status == 400
    error = error_of(client, answer.json())
    assert error["type"] == "invalid_request_error"
    assert path in error["message"]
    if client != "anthropic":
        assert error["param"] == path
    assert not upstream.requests


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "missing"),
    [
        ("anthropic", "model"),
        ("anthropic", "messages"),
        ("anthropic", "max_tokens"),
        ("openai-chat", "model"),
        ("openai-chat", "messages"),
        ("openai-responses", "model"),
    ],
)
async def test_a_missing_member_is_refused_and_named(client: str, missing: str) -> None:
    speaks = dict(PAIRS)[client]
    upstream = _upstream(speaks)
    document = request_in(client)
    del document[missing]
    answer = await Driver(Translator(upstream, speaks=speaks)).request("POST", PATHS[client], json=document)
    assert answer.status == 400
    assert missing in error_of(client, answer.json())["message"]
    assert not upstream.requests


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_a_wrong_method_is_refused_by_405_with_the_right_one(client: str, speaks: str, method: str) -> None:
    upstream = _upstream(speaks)
    answer = await Driver(Translator(upstream, speaks=speaks)).request(method, PATHS[client])
    assert answer.status == 405
    assert answer.header("allow") == "POST"
    if method == "HEAD":
        assert answer.body == b""
        assert int(answer.header("content-length") or 0) > 0
    else:
        error_of(client, answer.json())
    assert not upstream.requests


@pytest.mark.anyio
async def test_a_wrong_method_on_a_list_of_models_names_get() -> None:
    upstream = _upstream("openai-chat")
    driver = Driver(Translator(upstream, speaks="openai-chat"), headers=ANTHROPIC_HEADERS)
    answer = await driver.request("POST", "/v1/models", json={})
    assert (answer.status, answer.header("allow")) == (405, "GET")


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_a_body_over_the_bound_is_refused_by_413_and_is_not_read_to_its_end(client: str, speaks: str) -> None:
    upstream = _upstream(speaks)
    made = 0

    def endless() -> Iterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b" " * 1000

    answer = await Driver(Translator(upstream, speaks=speaks, max_body=10_000)).request(
        "POST", PATHS[client], body=endless()
    )
    assert answer.status == 413
    error = error_of(client, answer.json())
    assert "10000" in error["message"]
    if client == "anthropic":
        assert error["type"] == "request_too_large"
    assert made <= 11
    assert not upstream.requests


@pytest.mark.anyio
@pytest.mark.parametrize("length", ["10001", "9" * 5000])
async def test_a_stated_length_over_the_bound_is_refused_without_reading(length: str) -> None:
    def unread() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    translator = Translator(_upstream("openai-chat"), speaks="openai-chat", max_body=10_000)
    answer = await Driver(translator).request("POST", "/v1/messages", body=unread(), headers={"content-length": length})
    assert answer.status == 413


@pytest.mark.anyio
async def test_a_body_of_exactly_the_bound_is_served() -> None:
    upstream = _upstream("openai-chat")
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
    translator = Translator(upstream, speaks="openai-chat", max_body=len(body))
    assert (await Driver(translator).request("POST", "/v1/messages", body=body)).status == 200
    assert (await Driver(translator).request("POST", "/v1/messages", body=body + b" ")).status == 413


@pytest.mark.anyio
async def test_a_compressed_body_is_refused_with_a_reason() -> None:
    upstream = _upstream("openai-chat")
    answer = await Driver(Translator(upstream, speaks="openai-chat")).request(
        "POST", "/v1/messages", body=b"\x1f\x8b", headers={"content-encoding": "gzip"}
    )
    assert answer.status == 400
    assert "compressed" in error_of("anthropic", answer.json())["message"]


@pytest.mark.anyio
async def test_what_the_target_cannot_say_is_refused_under_reject_and_named() -> None:
    upstream = _upstream("openai-chat")
    document = anthropic_request(top_k=40)
    driver = Driver(Translator(upstream, speaks="openai-chat", on_loss="reject"), headers=ANTHROPIC_HEADERS)
    answer = await driver.request("POST", "/v1/messages", json=document)
    assert answer.status == 400
    error = error_of("anthropic", answer.json())
    assert error["type"] == "invalid_request_error"
    assert "top_k" in error["message"]
    assert not upstream.requests
    assert (await driver.request("POST", "/v1/messages", json=anthropic_request())).status == 200


@pytest.mark.anyio
async def test_losses_are_noted_logged_and_stated(caplog: pytest.LogCaptureFixture) -> None:
    exchanges: list[Exchange] = []

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        scope, exchange = enter(scope)
        exchanges.append(exchange)
        await translator(scope, receive, send)

    translator = Translator(_upstream("openai-chat"), speaks="openai-chat", loss_header=True)
    with caplog.at_level(logging.WARNING, "ds2api_asgi.translator"):
        answer = await Driver(outer).request("POST", "/v1/messages", json=anthropic_request(top_k=40))
    lost = next(exchanges[0].all(Lost))
    assert any("top_k" in path for path in lost.paths)
    assert (answer.header("x-ds2-loss") or "").startswith(f"{lost.count};max=")
    (record,) = [record for record in caplog.records if "request" in record.getMessage()]
    assert any("top_k" in line for line in record.__dict__["losses"])
    assert "40" not in str(record.__dict__["losses"])


@pytest.mark.anyio
async def test_allow_says_nothing_of_losses(caplog: pytest.LogCaptureFixture) -> None:
    translator = Translator(_upstream("openai-chat"), speaks="openai-chat", on_loss="allow")
    with caplog.at_level(logging.DEBUG, "ds2api_asgi.translator"):
        answer = await Driver(translator).request("POST", "/v1/messages", json=anthropic_request(top_k=40))
    assert answer.status == 200
    assert answer.header("x-ds2-loss") is None
    assert not caplog.records


@pytest.mark.anyio
async def test_a_function_decides_about_losses() -> None:
    asked: list[Any] = []

    def decide(losses: Any) -> Any:
        asked.append(losses)
        return "reject" if len(losses) > 1 else "allow"

    translator = Translator(_upstream("openai-chat"), speaks="openai-chat", on_loss=decide)
    one = await Driver(translator).request("POST", "/v1/messages", json=anthropic_request(top_k=40))
    two = await Driver(translator).request(
        "POST", "/v1/messages", json=anthropic_request(top_k=40, context_management={"edits": []})
    )
    assert (one.status, two.status) == (200, 400)
    assert asked


@pytest.mark.anyio
async def test_tokens_are_guessed_where_the_app_does_not_count_and_the_guess_says_so() -> None:
    upstream = _upstream("openai-chat")
    document = {"model": "m", "messages": [{"role": "user", "content": "hello world " * 100}]}
    driver = Driver(Translator(upstream, speaks="openai-chat", loss_header=True), headers=ANTHROPIC_HEADERS)
    answer = await driver.request("POST", "/v1/messages/count_tokens", json=document)
    assert answer.status == 200
    assert 200 < answer.json()["input_tokens"] < 400
    assert answer.header("x-ds2-estimate") == "true"
    assert answer.header("x-ds2-loss") == "1;max=degraded"
    assert not upstream.requests
    strict = Driver(Translator(upstream, speaks="openai-chat", on_loss="reject"), headers=ANTHROPIC_HEADERS)
    assert (await strict.request("POST", "/v1/messages/count_tokens", json=document)).status == 400


@pytest.mark.anyio
@pytest.mark.parametrize("status", [404, 405, 501])
async def test_tokens_are_guessed_where_a_server_lacks_what_its_protocol_has(status: int) -> None:
    document = {"model": "m", "messages": [{"role": "user", "content": "hello world " * 100}]}
    refusal = json_script({"error": {"message": "no such path"}}, status=status)
    for speaks in ("openai-responses", "gemini"):
        upstream = ScriptedUpstream([refusal, refusal])
        driver = Driver(Translator(upstream, speaks=speaks), headers=ANTHROPIC_HEADERS)
        answer = await driver.request("POST", "/v1/messages/count_tokens", json=document)
        assert (answer.status, answer.header("x-ds2-estimate")) == (200, "true")
        assert 200 < answer.json()["input_tokens"] < 400
        strict = Driver(Translator(upstream, speaks=speaks, on_loss="reject"), headers=ANTHROPIC_HEADERS)
        answer = await strict.request("POST", "/v1/messages/count_tokens", json=document)
        assert (answer.status >= 400, answer.header("x-ds2-estimate")) == (True, None)


@pytest.mark.anyio
async def test_a_model_that_does_not_exist_is_not_guessed_for() -> None:
    upstream = ScriptedUpstream([json_script({"error": {"message": "The model `m` does not exist"}}, status=404)])
    document = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    driver = Driver(Translator(upstream, speaks="openai-responses"), headers=ANTHROPIC_HEADERS)
    assert (await driver.request("POST", "/v1/messages/count_tokens", json=document)).status == 404


@pytest.mark.anyio
async def test_embeddings_that_the_app_cannot_make_are_not_found() -> None:
    upstream = _upstream("anthropic")
    answer = await Driver(Translator(upstream, speaks="anthropic")).request(
        "POST", "/v1/embeddings", json={"model": "m", "input": "x"}
    )
    assert answer.status == 404
    error_of("openai-chat", answer.json())
    assert not upstream.requests


@pytest.mark.anyio
@pytest.mark.parametrize("nested", [False, True])
async def test_a_client_that_leaves_while_it_sends_is_dropped_and_nothing_is_asked(*, nested: bool) -> None:
    upstream = _upstream("openai-chat")
    translator = Translator(upstream, speaks="openai-chat")
    messages = iter([{"type": "http.request", "body": b'{"model"', "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}
    if nested:
        scope, _ = enter(scope)
        with pytest.raises(ClientGone):  # parts above must not take it for a failure of the app
            await translator(scope, receive, send)
    else:
        await translator(scope, receive, send)
    assert not sent
    assert not upstream.requests


@pytest.mark.anyio
async def test_the_app_receives_the_body_once_and_then_the_disconnect() -> None:
    received: list[Any] = []
    done = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        received.append(await receive())
        received.append(await receive())
        done.set()

    async with Driver(_after(app)).open("POST", "/v1/messages", json=anthropic_request()):
        pass
    with anyio.fail_after(20):
        await done.wait()
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]
    assert received[0]["more_body"] is False


def _after(app: Any) -> Any:
    """A translator of which the client hears at once, so that it can leave in the middle."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def after_start(message: Any) -> None:
            if message["type"] != "http.response.start":
                await send(message)

        await Translator(app, speaks="openai-chat")(scope, receive, after_start)

    return outer


@pytest.mark.anyio
async def test_a_translator_within_a_translator_reads_the_body_once() -> None:
    upstream = ScriptedUpstream([json_script(openai_answer("nested"))])
    inner = Translator(upstream, speaks="openai-chat", clients=["anthropic"])
    outer = Translator(inner, speaks="anthropic", clients=["openai-chat"])
    answer = await Driver(outer, headers=OPENAI_HEADERS).request(
        "POST", "/v1/chat/completions", json=request_in("openai-chat")
    )
    assert answer.status == 200
    assert answer.json()["choices"][0]["message"]["content"] == "nested"
    assert upstream.requests[0].header("authorization") == "Bearer sk-client"


@pytest.mark.anyio
async def test_what_breaks_in_translating_a_request_is_a_500_in_the_clients_protocol_and_raises_on() -> None:
    sent: list[Any] = []
    upstream = _upstream("openai-chat")

    async def receive() -> Any:
        body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    translator = Translator(upstream, speaks="openai-chat", clock=lambda: 1 / 0)
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}
    with pytest.raises(ZeroDivisionError):
        await translator(scope, receive, send)
    assert sent[0]["status"] == 500
    assert b'"api_error"' in sent[1]["body"]
    assert not upstream.requests


@pytest.mark.anyio
async def test_tokens_are_counted_by_an_app_that_can() -> None:
    """No two of today's protocols count tokens both, so one stands on both sides."""
    protocol = registry.get("anthropic")
    upstream = ScriptedUpstream([json_script({"input_tokens": 12})])
    settings = Settings(
        app=upstream,
        upstream=protocol,
        losses=Losses("warn", stated=False),
        dialect="",
        transforms=(),
        max_body=1000,
        max_answer=1000,
        clock=lambda: 0.0,
        carriage=Carriage.of("anthropic"),
    )
    claim = Claim(protocol="anthropic", operation=Operation.COUNT_TOKENS)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope, exchange = enter(scope)
        await TranslatedRequest(settings, protocol, claim, scope, exchange, receive, send).run()

    answer = await Driver(app).request(
        "POST", "/v1/messages/count_tokens", json={"model": "m", "messages": [{"role": "user", "content": "x"}]}
    )
    assert answer.json() == {"input_tokens": 12}
    assert answer.header("x-ds2-estimate") is None
    assert upstream.requests[0].path == "/v1/messages/count_tokens"


@pytest.mark.anyio
@pytest.mark.parametrize("speaks", ["openai-chat", "openai-responses", "anthropic", "gemini"])
async def test_a_model_that_a_body_names_is_asked_for_without_a_body(speaks: str) -> None:
    model = {"gemini": {"name": "models/m"}}.get(speaks, {"id": "m", "object": "model", "type": "model"})
    upstream = ScriptedUpstream([json_script(model)])
    app = Translator(Retry(upstream, protocol=speaks), speaks=speaks)
    with anyio.fail_after(20):  # who read the body would wait for it for ever
        answer = await Driver(app).request("POST", "/api/show", json={"model": "m"})
    assert answer.status == 200
    assert [(request.method, request.body) for request in upstream.requests] == [("GET", b"")]
