"""What watches lets everything pass as it is, and whatever passes does it no harm."""

from __future__ import annotations

import gc
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from ds2api_asgi import ClientGone, Metrics, Telemetry
from ds2api_asgi.asgi.body import Replay
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.facts import KeyLeased
from ds2api_asgi.asgi.types import Message, Receive, Scope, Send
from ds2api_asgi.observe import Live, Traced
from ds2api_asgi.observe.answers import AnswerReader
from ds2api_asgi.observe.seen import MAX_CALLS, CallSeen, RequestSeen, status_class
from ds2api_asgi.observe.watching import Watcher, Watchers
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import json_script
from watched import ANSWER, QUESTION, ask, nest

pytestmark = pytest.mark.anyio

TYPES = ("application/json", "text/event-stream", "application/x-ndjson", "nonsense")
FRAMES = (
    b"data: ",
    b"\n\n",
    b"[DONE]",
    b'{"id": "x", "choices": [{"index": 0, "delta": {"content": "a"}}]}',
    b'{"usage": {"prompt_tokens": -1, "completion_tokens": "x"}}',
    b'{"model": 5, "choices": 7}',
    b"event: message_start\n",
    b'{"candidates": [{"content": {"parts": [null]}}]}',
    b'{"done": true, "eval_count": 3}',
    b"\xff\x00{",
)
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
    "ollama": "/api/chat",
}
chunks = st.lists(st.one_of(st.sampled_from(FRAMES), st.binary(max_size=8)), max_size=8)


def watchers() -> list[Watcher]:
    return [
        Metrics(),
        Telemetry(tracer_provider=TracerProvider(), meter_provider=MeterProvider(), contents=True),
    ]


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
    }


@given(
    st.sampled_from(sorted(PATHS)),
    st.sampled_from((200, 204, 302, 404, 500, 599)),
    st.sampled_from(TYPES),
    chunks,
    st.binary(max_size=20),
    st.booleans(),
)
def test_messages_pass_as_they_are_and_nothing_that_passes_does_harm(
    protocol: str, status: int, kind: str, body: list[bytes], asked: bytes, breaks: bool
) -> None:
    answer: list[dict[str, Any]] = [
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]},
        *[{"type": "http.response.body", "body": chunk, "more_body": True} for chunk in body],
    ]
    if not breaks:
        answer.append({"type": "http.response.body", "body": b"", "more_body": False})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == {"type": "http.request", "body": asked, "more_body": False}
        for message in answer:
            await send(message)
        if breaks:
            raise ZeroDivisionError

    async def run(watcher: Watcher) -> list[Any]:
        got: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": asked, "more_body": False}

        async def send(message: Any) -> None:
            got.append(message)

        watched = watcher.requests(watcher.calls(app, name="up"))
        if breaks:
            with pytest.raises(ZeroDivisionError):
                await watched(scope_of(PATHS[protocol]), receive, send)
        else:
            await watched(scope_of(PATHS[protocol]), receive, send)
        return got

    for watcher in WATCHERS:
        STUMBLES.clear()
        assert anyio.run(run, watcher) == answer
        assert STUMBLES == []


STUMBLES: list[Any] = []
WATCHERS = watchers()
for watcher in WATCHERS:
    # Hooks that raise are logged and swallowed; here they must not even raise.
    def tell(hook: Any, *args: Any) -> None:
        try:
            hook(*args)
        except Exception as error:
            STUMBLES.append(error)

    watcher.tell = tell  # type: ignore[method-assign]


@given(st.sampled_from(sorted(PATHS)), chunks, st.booleans(), st.booleans(), st.booleans())
def test_garbage_is_no_answer_and_raises_nothing(
    protocol: str, body: list[bytes], streamed: bool, contents: bool, ends: bool
) -> None:
    reader = AnswerReader(protocol, contents=contents)
    reader.start({"type": "http.response.start", "status": 200, "headers": []}, streamed=streamed)
    for chunk in body:
        reader.feed({"type": "http.response.body", "body": chunk, "more_body": True})
    if ends:
        reader.feed({"type": "http.response.body", "body": b"", "more_body": False})
    reader.answer()


async def test_a_body_that_was_read_is_handed_on_as_what_it_is() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def nothing(*_: Any) -> Any:
        return {"type": "http.disconnect"}

    body = Replay(b'{"model": "m"}', nothing)
    for watcher in watchers():
        await watcher.requests(watcher.calls(app, name="up"))(scope_of(PATHS["anthropic"]), body, nothing)
    assert seen == [body, body]


async def test_a_client_that_left_is_told_to_parts_above_but_not_to_the_server() -> None:
    async def gone(scope: Any, receive: Any, send: Any) -> None:
        raise ClientGone

    async def nothing(*_: Any) -> Any:
        return {"type": "http.disconnect"}

    for watcher in watchers():
        for app in (watcher.requests(gone), watcher.calls(gone, name="up")):
            await app(scope_of(PATHS["anthropic"]), nothing, nothing)
            scope = {**scope_of(PATHS["anthropic"]), KEY: Exchange(started=0.0)}
            with pytest.raises(ClientGone):
                await app(scope, nothing, nothing)


async def test_calls_that_are_remembered_are_bounded() -> None:
    class Keeping(Watcher):
        request: RequestSeen

        def ended(self, request: RequestSeen) -> None:
            self.request = request
            self.numbers = [call.number for call in request.calls]
            self.answering = request.answering

    watcher = Keeping()

    async def up(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    call = watcher.calls(up, name="up")

    async def many(scope: Any, receive: Any, send: Any) -> None:
        async def drop(message: Any) -> None:
            pass

        for _ in range(MAX_CALLS + 5):
            await call(scope, receive, drop)
        await up(scope, receive, send)

    await ask(watcher.requests(many), QUESTION)
    assert watcher.request.called == MAX_CALLS + 5
    assert watcher.numbers == list(range(6, MAX_CALLS + 6))
    assert isinstance(watcher.answering, CallSeen)
    assert watcher.answering.number == MAX_CALLS + 5


def test_every_protocol_has_its_path_here() -> None:
    assert set(registry.names()) <= set(PATHS)


@pytest.mark.parametrize(("status", "label"), [(0, "none"), (200, "2xx"), (404, "4xx"), (599, "5xx"), (999, "none")])
def test_a_status_is_told_by_its_class(status: int, label: str) -> None:
    assert status_class(status) == label


@pytest.mark.parametrize("telling", ["one", "several", "traced"])
async def test_what_is_seen_of_a_request_is_no_garbage_in_cycles(telling: str) -> None:
    watcher: Watcher = Watchers(watchers()) if telling == "several" else Live()
    app, _ = nest(watcher, [json_script(ANSWER)] * 2)
    if telling == "traced":
        app = Traced(app, log=False)
    await ask(app)  # what is made once is made

    def left() -> int:
        return sum(isinstance(one, (Exchange, RequestSeen, CallSeen)) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = left()
        await ask(app)
        assert left() == before
    finally:
        gc.enable()


class Broken(Watcher):
    """Raises whatever it is told."""

    def starting(self, request: RequestSeen, message: Message) -> Message:
        raise ValueError("no start for you")

    def ended(self, request: RequestSeen) -> None:
        raise ValueError("no end for you")


@pytest.mark.parametrize("wrap", [lambda watcher: watcher, lambda watcher: Watchers([watcher])])
async def test_what_goes_wrong_in_a_watcher_is_not_the_requests_affair(
    wrap: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = nest(wrap(Broken()), [json_script(ANSWER)])
    answer = await ask(app)
    assert answer.status == 200
    assert [record.getMessage() for record in caplog.records] == [
        "Broken could not change an answer's start",
        "Broken could not take note",
    ]


async def test_what_goes_wrong_in_a_watcher_is_not_a_websockets_affair(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/v1/responses", "headers": [], "query_string": b""}
    await Broken().requests(app)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert len(caplog.records) == 2


async def test_a_fact_of_work_in_the_background_is_told_when_its_request_is_over() -> None:
    told: list[object] = []

    class Listening(Watcher):
        def noted(self, request: RequestSeen, fact: object) -> None:
            told.append(fact)

    kept: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    await ask(Listening().requests(app))
    fact = KeyLeased(pool="p", key="k")
    kept[0][KEY].note(fact)
    assert told == [fact]
