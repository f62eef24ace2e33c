"""Answers on their way out: what an app may answer, and what the client gets for it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from itertools import product
from typing import Any

import anyio
import pytest

from dialogues import (
    ANTHROPIC_HEADERS,
    HEADERS,
    OPENAI_HEADERS,
    PAIRS,
    STREAM_HEADERS,
    STREAM_TYPES,
    answer_in,
    anthropic_request,
    ended_well,
    error_in,
    error_of,
    events_of,
    frames_in,
    openai_answer,
    openai_frames,
    path_of,
    request_in,
    streamed,
    text_of,
    words_of,
)
from ds2api_asgi.asgi.exchange import Exchange, enter
from ds2api_asgi.asgi.facts import Lost
from ds2api_asgi.errors import BrokenStream, ClientGone, TransportError
from ds2api_asgi.testing import (
    EVENT_STREAM,
    Answer,
    Break,
    Driver,
    ScriptBroke,
    ScriptedUpstream,
    Start,
    Step,
    json_script,
)
from ds2api_asgi.translator import Translator
from ds2api_asgi.universal import jsontext

JSON = ((b"content-type", b"application/json"),)


async def _ask(client: str, speaks: str, app: Any, *, stream: bool | None = None, **options: Any) -> Answer:
    driver = Driver(Translator(app, speaks=speaks, **options), headers=HEADERS[client])
    return await driver.request("POST", path_of(client, stream=stream), json=request_in(client, stream=stream))


async def _played(client: str, speaks: str, *steps: Step, stream: bool | None = None, **options: Any) -> Answer:
    return await _ask(client, speaks, ScriptedUpstream([steps]), stream=stream, **options)


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_a_whole_answer_is_translated(client: str, speaks: str) -> None:
    answer = await _ask(client, speaks, ScriptedUpstream([json_script(answer_in(speaks))]))
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))
    assert words_of(client, answer.json()) == "Hi there"


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_a_stream_is_translated(client: str, speaks: str) -> None:
    answer = await _played(client, speaks, *streamed(*frames_in(speaks, "Hi", " there")), stream=True)
    assert answer.status == 200
    assert answer.header("content-type") == STREAM_TYPES[client]
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("x-accel-buffering") == "no"
    assert answer.header("content-length") is None
    assert text_of(client, answer.body) == "Hi there"
    assert ended_well(client, answer.body)
    assert answer.complete


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_a_stream_where_none_was_asked_for_becomes_a_whole_answer(client: str, speaks: str) -> None:
    answer = await _played(client, speaks, *streamed(*frames_in(speaks, "Hi", " there")))
    assert answer.status == 200
    assert words_of(client, answer.json()) == "Hi there"


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_a_whole_answer_where_a_stream_was_asked_for_becomes_a_stream(client: str, speaks: str) -> None:
    answer = await _ask(client, speaks, ScriptedUpstream([json_script(answer_in(speaks))]), stream=True)
    assert answer.header("content-type") == STREAM_TYPES[client]
    assert text_of(client, answer.body) == "Hi there"
    assert ended_well(client, answer.body)


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_headers_of_the_answer_pass_but_for_those_of_its_body(client: str, speaks: str) -> None:
    headers = [
        (b"X-Request-ID", b"req_1"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"etag", b'"x"'),
        (b"content-md5", b"x"),
        (b"connection", b"close"),
        (b"date", b"now"),
    ]
    answer = await _ask(client, speaks, ScriptedUpstream([json_script(answer_in(speaks), headers=headers)]))
    names = [name for name, _ in answer.headers]
    assert names == [b"x-request-id", b"set-cookie", b"set-cookie", b"content-type", b"content-length"]


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, ((b"content-type", b"text/html"),), b"<html>not an API</html>"),
        (200, JSON, b""),
        (200, JSON, b"[]"),
        (200, JSON, b"{}"),
        (200, JSON, b'{"unexpected": true}'),
        (200, (), b"\xff\xff"),
        (204, (), b""),
        (301, ((b"location", b"https://elsewhere.example"),), b""),
        (307, JSON, b"{}"),
        (200, (*JSON, (b"content-encoding", b"br")), b"{}"),
        (200, (*JSON, (b"content-encoding", b"gzip")), b"not gzip"),
        (200, EVENT_STREAM, b""),
        (200, EVENT_STREAM, b"data: [DONE]\n\n"),
        (200, EVENT_STREAM, b": ping\n\n"),
        (200, EVENT_STREAM, b"data: garbage\n\n"),
        (200, EVENT_STREAM, b"<html>"),
        (200, (*EVENT_STREAM, (b"content-encoding", b"gzip")), b"data: {}\n\n"),
    ],
)
async def test_what_is_no_answer_is_a_bad_gateway(
    client: str, speaks: str, stream: bool, status: int, headers: Any, body: bytes
) -> None:
    answer = await _played(client, speaks, Start(status, headers), body, stream=stream)
    assert 500 <= answer.status <= 504, answer
    error_of(client, answer.json())
    assert answer.header("content-type") == "application/json"
    assert answer.complete


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_document_under_a_success_status_is_an_error(client: str, speaks: str, *, stream: bool) -> None:
    upstream = ScriptedUpstream([json_script(error_in(speaks, "no GPU"))])
    answer = await _ask(client, speaks, upstream, stream=stream)
    assert answer.status >= 500
    assert error_of(client, answer.json())["message"] == "no GPU"


STATUSES = (400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504, 529, 418, 599)
GARBAGE = (b"", b"<html>oops", b"\xff\x00", b"[]", b'{"error": 5}', b'"x"')


# Statuses and bodies are a loop: as cases they would be a third of all tests.
@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_of_garbage_keeps_its_status_class(client: str, speaks: str, *, stream: bool) -> None:
    for status, body in product(STATUSES, GARBAGE):
        answer = await _played(client, speaks, Start(status, ((b"retry-after", b"7"),)), body, stream=stream)
        assert answer.status // 100 == status // 100, (status, body)
        assert answer.header("retry-after") == "7", (status, body)
        error_of(client, answer.json())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "error", "expected", "kind"),
    [
        (
            401,
            {"message": "bad key", "type": "invalid_request_error", "code": "invalid_api_key"},
            401,
            "authentication_error",
        ),
        (403, {"message": "no", "type": "x"}, 403, "permission_error"),
        (404, {"message": "no model", "code": "model_not_found"}, 404, "not_found_error"),
        (429, {"message": "slow", "code": "rate_limit_exceeded"}, 429, "rate_limit_error"),
        (400, {"message": "bad", "type": "invalid_request_error"}, 400, "invalid_request_error"),
        (500, {"message": "oops", "type": "server_error"}, 500, "api_error"),
        (503, {"message": "busy", "type": "service_unavailable_error"}, 529, "overloaded_error"),
    ],
)
async def test_errors_are_said_in_the_clients_words(
    status: int, error: dict[str, Any], expected: int, kind: str
) -> None:
    answer = await _ask("anthropic", "openai-chat", ScriptedUpstream([json_script({"error": error}, status=status)]))
    assert answer.status == expected
    assert error_of("anthropic", answer.json()) == {"type": kind, "message": error["message"]}


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b"deflate", b"x-gzip"])
async def test_a_compressed_answer_is_read_all_the_same(client: str, speaks: str, stream: bool, coding: bytes) -> None:
    squeeze: Callable[[bytes], bytes] = zlib.compress if coding == b"deflate" else gzip.compress
    data = squeeze(b"".join(frames_in(speaks, "Hi", " there")))
    pieces = [data[index : index + 7] for index in range(0, len(data), 7)]
    answer = await _played(
        client, speaks, Start(200, (*STREAM_HEADERS[speaks], (b"content-encoding", coding))), *pieces, stream=stream
    )
    assert answer.status == 200
    assert answer.header("content-encoding") is None
    assert (text_of(client, answer.body) if stream else words_of(client, answer.json())) == "Hi there"


@pytest.mark.anyio
@pytest.mark.parametrize("coding", [b"gzip", b"br"])
async def test_a_compressed_error_keeps_its_status(coding: bytes) -> None:
    body = gzip.compress(b'{"error": {"message": "slow down"}}')
    answer = await _played("anthropic", "openai-chat", Start(429, (*JSON, (b"content-encoding", coding))), body)
    assert answer.status == 429
    assert ("slow down" in error_of("anthropic", answer.json())["message"]) is (coding == b"gzip")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_compressed_stream_that_is_cut_does_not_look_like_a_success(*, stream: bool) -> None:
    data = gzip.compress(b"".join(openai_frames(*(f"word{n} " for n in range(200)))))
    start = Start(200, (*EVENT_STREAM, (b"content-encoding", b"gzip")))
    answer = await _played("anthropic", "openai-chat", start, data[: len(data) // 2], stream=stream)
    assert answer.status >= 500 or events_of(answer.body)[-1]["type"] == "error"


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("frames", ["whole", "stream", "bomb"])
async def test_an_answer_over_the_bound_is_a_bad_gateway_and_its_app_is_stopped(
    client: str, speaks: str, frames: str
) -> None:
    sent = 0
    stopped: list[BaseException] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        headers = STREAM_HEADERS[speaks] if frames == "stream" else JSON
        if frames == "bomb":
            headers = (*JSON, (b"content-encoding", b"gzip"))
        chunk = gzip.compress(b" " * 10_000_000) if frames == "bomb" else b": keep-alive" + b" " * 990 + b"\n"
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        try:
            while True:
                sent += 1
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except ClientGone as error:
            stopped.append(error)
            raise

    answer = await _ask(client, speaks, endless, max_answer=100_000)
    assert answer.status == 502
    assert "100000" in error_of(client, answer.json())["message"]
    assert sent < 110
    assert stopped


@pytest.mark.anyio
async def test_garbage_after_the_error_of_a_compressed_stream_is_not_a_second_answer() -> None:
    compressor = zlib.compressobj(wbits=31)
    data = compressor.compress(b'data: {"error": {"message": "busy"}}\n\n') + compressor.flush(zlib.Z_SYNC_FLUSH)
    script = [Start(200, (*EVENT_STREAM, (b"content-encoding", b"gzip"))), data, b"\xff" * 50, b"\xff" * 50]
    answer = await _played("anthropic", "openai-chat", *script, stream=True)
    assert answer.status >= 500
    assert error_of("anthropic", answer.json())["message"] == "busy"


@pytest.mark.anyio
async def test_a_large_error_is_read_up_to_a_bound() -> None:
    upstream = ScriptedUpstream([[Start(500), *([b"x" * 1_000_000] * 5)]])
    answer = await _ask("anthropic", "openai-chat", upstream)
    assert answer.status == 500
    assert len(answer.body) < 2_000_000


class Oops(Exception):
    pass


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_app_that_raises_is_a_500_and_raises_on_so_that_the_server_logs_it(
    client: str, speaks: str, *, stream: bool
) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise Oops("secret detail")

    with pytest.raises(Oops):
        await _call(Translator(app, speaks=speaks), client, sent, stream=stream)
    start, body = sent
    assert start["status"] == 500
    assert body["more_body"] is False
    assert b"secret" not in body["body"]


async def _call(app: Any, client: str, sent: list[Any], *, stream: bool = False) -> Exchange:
    """Call an app with a request and a client that listens for ever."""
    messages = [{"type": "http.request", "body": jsontext.dumps(request_in(client, stream=stream)), "more_body": False}]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path_of(client, stream=stream).partition("?")
    scope: Any = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": query.encode()}
    scope, exchange = enter(scope)
    await app(scope, receive, send)
    return exchange


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TransportError("connect", "nobody at 10.0.0.1", processed=False), 502),
        (TransportError("timeout", "late", processed=True), 504),
        (BrokenStream("reset", "reset"), 502),
    ],
)
async def test_our_own_exceptions_become_answers_and_end_there(error: Exception, status: int) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    await _call(Translator(app, speaks="openai-chat"), "anthropic", sent)
    assert sent[0]["status"] == status
    assert b"10.0.0.1" not in sent[1]["body"]


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_app_that_returns_without_an_answer_is_a_bad_gateway(
    client: str, speaks: str, *, stream: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    answer = await _ask(client, speaks, app, stream=stream)
    assert answer.status == 502
    error_of(client, answer.json())


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("ending", ["return", "raise", "broken", "eof"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_stream_cut_anywhere_never_looks_like_a_success(
    client: str, speaks: str, ending: str, *, stream: bool
) -> None:
    whole = b"".join(frames_in(speaks, "Hi", " there"))
    last = {
        "anthropic": b"event: message_stop",
        "openai-chat": b'"stop"',
        "openai-responses": b"event: response.completed",
        "gemini": b'"STOP"',
        "ollama": b'"done": true',
    }
    end = whole.index(last[speaks])
    for cut in range(0, end, 13):
        sent: list[Any] = []
        app = Translator(_cutting(whole[:cut], ending, speaks), speaks=speaks)
        try:
            await _call(app, client, sent, stream=stream)
        except Oops:
            assert ending == "raise"
        start, *bodies = sent
        body = b"".join(message["body"] for message in bodies)
        assert [message["more_body"] for message in bodies][-1] is False
        if start["status"] == 200:
            assert stream
            assert not ended_well(client, body)
            error_of(client, events_of(body)[-1])
        else:
            assert start["status"] >= 500


def _cutting(data: bytes, ending: str, speaks: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(STREAM_HEADERS[speaks])})
        await send({"type": "http.response.body", "body": data, "more_body": True})
        if ending == "raise":
            raise Oops
        if ending == "broken":
            raise BrokenStream("reset", "reset")
        if ending == "eof":
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("ending", ["return", "broken"])
async def test_a_whole_answer_that_is_cut_is_a_bad_gateway(client: str, speaks: str, ending: str) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(JSON)})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        if ending == "broken":
            raise BrokenStream("reset", "reset")

    await _call(Translator(app, speaks=speaks), client, sent)
    assert sent[0]["status"] == 502


@pytest.mark.anyio
async def test_an_answer_that_had_come_to_its_end_stays_one_when_the_app_breaks_after_it() -> None:
    sent: list[Any] = []
    script = [*streamed(*openai_frames("Hi")), Break()]
    with pytest.raises(ScriptBroke):
        await _call(Translator(ScriptedUpstream([script]), speaks="openai-chat"), "anthropic", sent, stream=True)
    body = b"".join(message.get("body", b"") for message in sent)
    assert ended_well("anthropic", body)
    assert sent[-1]["more_body"] is False


@pytest.mark.anyio
@pytest.mark.parametrize("error", [ClientGone(), BrokenStream("reset", "reset")])
async def test_our_own_exceptions_after_a_complete_answer_end_there(error: Exception) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ScriptedUpstream([json_script(openai_answer())])(scope, receive, send)
        raise error

    await _call(Translator(app, speaks="openai-chat"), "anthropic", sent)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 200


@pytest.mark.anyio
async def test_a_second_start_and_a_body_before_the_start_are_not_passed_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        for status in (200, 500):
            await send({"type": "http.response.start", "status": status, "headers": list(JSON)})
        await ScriptedUpstream([json_script(openai_answer())])(scope, receive, send)
        await send({"type": "http.response.body", "body": b"late", "more_body": False})
        await send({"type": "http.response.trailers", "headers": []})

    answer = await _ask("anthropic", "openai-chat", app)
    assert answer.status == 200
    assert words_of("anthropic", answer.json()) == "Hi there"


@pytest.mark.anyio
async def test_an_exception_of_the_clients_send_passes_and_nothing_more_is_sent() -> None:
    class Gone(OSError):
        pass

    sends = 0

    async def send(message: Any) -> None:
        nonlocal sends
        sends += 1
        raise Gone

    async def wrap(scope: Any, receive: Any, _: Any) -> None:
        await Translator(ScriptedUpstream([json_script(openai_answer())]), speaks="openai-chat")(scope, receive, send)

    with pytest.raises(Gone):
        await _call(wrap, "anthropic", [])
    assert sends == 1


@pytest.mark.anyio
async def test_models_are_listed_in_the_clients_shape() -> None:
    listed = {"object": "list", "data": [{"id": "m1", "object": "model", "created": 1, "owned_by": "x"}]}
    upstream = ScriptedUpstream([json_script(listed), json_script(listed["data"][0]), json_script({}, status=404)])
    driver = Driver(Translator(upstream, speaks="openai-chat"), headers=ANTHROPIC_HEADERS)
    models = (await driver.request("GET", "/v1/models?limit=5")).json()
    assert [(model["type"], model["id"]) for model in models["data"]] == [("model", "m1")]
    assert models["has_more"] is False
    model = (await driver.request("GET", "/v1/models/m1")).json()
    assert (model["type"], model["id"]) == ("model", "m1")
    missing = await driver.request("GET", "/v1/models/m2")
    assert missing.status == 404
    assert error_of("anthropic", missing.json())["type"] == "not_found_error"
    assert [request.method for request in upstream.requests] == ["GET", "GET", "GET"]
    assert upstream.requests[0].query == b""


@pytest.mark.anyio
async def test_a_stream_of_models_is_a_bad_gateway() -> None:
    driver = Driver(
        Translator(ScriptedUpstream([streamed(b"data: {}\n\n")]), speaks="openai-chat"), headers=ANTHROPIC_HEADERS
    )
    assert (await driver.request("GET", "/v1/models")).status == 502


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_losses_of_an_answer_are_noted(*, stream: bool) -> None:
    document = openai_answer(
        system_fingerprint="fp_1",
        choices=[
            {"index": n, "message": {"role": "assistant", "content": f"answer {n}"}, "finish_reason": "stop"}
            for n in (0, 1)
        ],
    )
    sent: list[Any] = []
    translator = Translator(ScriptedUpstream([json_script(document)]), speaks="openai-chat")
    exchange = await _call(translator, "anthropic", sent, stream=stream)
    assert sent[0]["status"] == 200
    assert any("candidates[1]" in path for fact in exchange.all(Lost) for path in fact.paths)


@pytest.mark.anyio
async def test_dates_come_from_the_clock() -> None:
    frames = frames_in("anthropic", "Hi")
    translator = Translator(ScriptedUpstream([streamed(*frames)]), speaks="anthropic", clock=lambda: 1_234_567_890.5)
    answer = await Driver(translator, headers=OPENAI_HEADERS).request(
        "POST", "/v1/chat/completions", json=request_in("openai-chat")
    )
    assert answer.json()["created"] == 1_234_567_890


@pytest.mark.anyio
async def test_a_tool_is_called_under_the_name_that_the_client_gave_it() -> None:
    name = "get.weather/now"
    call = {"id": "call_1", "type": "function", "function": {"name": "WILL_BE_SET", "arguments": '{"city": "Oslo"}'}}
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        seen.append(jsontext.loads(body)["tools"][0]["function"]["name"])
        call["function"]["name"] = seen[0]  # type: ignore[index]
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        answer = openai_answer(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
        await ScriptedUpstream([json_script(answer)])(scope, receive, send)

    tool = {"name": name, "input_schema": {"type": "object"}}
    answer = await Driver(Translator(app, speaks="openai-chat"), headers=ANTHROPIC_HEADERS).request(
        "POST", "/v1/messages", json=anthropic_request(tools=[tool])
    )
    assert seen[0] != name
    (block,) = answer.json()["content"]
    assert (block["name"], block["input"]) == (name, {"city": "Oslo"})
    assert answer.json()["stop_reason"] == "tool_use"


@pytest.mark.anyio
@pytest.mark.parametrize(("ending", "well"), [("eof", True), ("broken", False), ("return", False)])
async def test_after_the_finish_a_clean_end_will_do_but_a_break_is_a_break(ending: str, *, well: bool) -> None:
    sent: list[Any] = []
    data = b"".join(openai_frames("Hi")[:-1])
    await _call(Translator(_cutting(data, ending, "openai-chat"), speaks="openai-chat"), "anthropic", sent, stream=True)
    body = b"".join(message.get("body", b"") for message in sent)
    assert ended_well("anthropic", body) is well
    assert ("error" in events_of(body)[-1]) is not well
