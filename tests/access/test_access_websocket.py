"""Websockets: the key where browsers can put it, and every message within models and limits."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from access_kit import ALICE, BOB, Hello, bearer, guarded
from ds2api_asgi import Access, ClientKey, ClientLimits, StatefulResponses, Translator
from ds2api_asgi.demo import DemoModel

pytestmark = pytest.mark.anyio


class Socket:
    """A client's end of a websocket."""

    def __init__(self, app: Any, *, path: str = "/v1/responses", headers: Any = None, **scope: Any) -> None:
        raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self.scope = {"type": "websocket", "path": path, "headers": raw, "query_string": b"", **scope}
        self._app = app
        self._give, self._inbox = anyio.create_memory_object_stream[Any](100)
        self._outbox, self._take = anyio.create_memory_object_stream[Any](1_000)
        self._give.send_nowait({"type": "websocket.connect"})

    async def run(self) -> None:
        async with self._inbox, self._outbox:
            await self._app(self.scope, self._inbox.receive, self._outbox.send)

    def say(self, event: Any) -> None:
        text = event if isinstance(event, str) else json.dumps(event)
        self._give.send_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self._give.send_nowait({"type": "websocket.disconnect", "code": 1000})

    async def hear(self) -> Any:
        with anyio.fail_after(20):
            return await self._take.receive()

    async def last(self) -> dict[str, Any]:
        """The event that ends a response."""
        while True:
            event: dict[str, Any] = json.loads((await self.hear())["text"])
            if event["type"] in ("response.completed", "response.failed", "error"):
                return event

    def close(self) -> None:
        for stream in (self._give, self._inbox, self._outbox, self._take):
            stream.close()


def stateful() -> Any:
    return StatefulResponses(Translator(DemoModel(), speaks="openai-chat"))


CREATE = {"type": "response.create", "model": "demo-small", "input": "hello", "store": False}
PLACES: list[dict[str, Any]] = [
    {"headers": bearer(ALICE)},
    {"headers": {"api-key": ALICE}},
    {"query_string": f"key={ALICE}".encode()},
    {
        "headers": {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{ALICE}"},
        "subprotocols": ["realtime", f"openai-insecure-api-key.{ALICE}"],
    },
]


async def converse(app: Any, *events: Any, place: Any = None) -> list[dict[str, Any]]:
    """What ends each response."""
    socket = Socket(app, **(PLACES[0] if place is None else place))
    ends = []
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        assert (await socket.hear())["type"] == "websocket.accept"
        for event in events:
            socket.say(event)
            ends.append(await socket.last())
        socket.leave()
    socket.close()
    return ends


@pytest.mark.parametrize("place", PLACES)
async def test_a_key_opens_a_websocket_and_goes_no_further(place: dict[str, Any]) -> None:
    seen: list[Any] = []

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await stateful()(scope, receive, send)

    app = Access(watching, keys=[ALICE])
    (end,) = await converse(app, CREATE, place=place)
    assert end["type"] == "response.completed"
    assert ALICE not in repr(seen)
    if "subprotocols" in place:
        assert seen[0]["subprotocols"] == ["realtime"]
        assert (b"sec-websocket-protocol", b"realtime") in seen[0]["headers"]


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/realtime", "/anything"])
@pytest.mark.parametrize("extension", [False, True])
async def test_a_stranger_is_turned_away_before_it_is_accepted(path: str, extension: bool) -> None:
    app, _ = guarded(Hello())
    scope = {"extensions": {"websocket.http.response": {}}} if extension else {}
    socket = Socket(app, path=path, headers=bearer("sk-stranger-0123456789"), **scope)
    await socket.run()
    first = await socket.hear()
    if extension:
        assert (first["type"], first["status"]) == ("websocket.http.response.start", 401)
        assert json.loads((await socket.hear())["body"])["error"]["code"] == "invalid_api_key"
    else:
        assert first["type"] == "websocket.close"
    socket.close()


async def test_others_pass_where_that_is_asked_for_but_not_to_responses() -> None:
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    door = Access(app, keys=[ALICE], others="pass")
    for path in ("/chat", "/v1/responses", "/responses/x"):
        socket = Socket(door, path=path)
        await socket.run()
        socket.close()
    assert reached == ["/chat"]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({**CREATE, "model": "demo-large"}, 403),
        ({"type": "response.create", "response": {"model": "demo-large", "input": "x"}}, 403),
        ({"type": "response.create", "model": "demo-small", "response": {"model": "demo-large", "input": "x"}}, 400),
        ({"type": "response.create", "input": "hello"}, 403),
        ({**CREATE, "models": ["demo-large"]}, 403),
        ('{"type":"response.create","model":"demo-small","model":"demo-large","input":"x"}', 400),
        ('{"type":"response.create","response":{"model":"demo-small","MODEL":"demo-large","input":"x"}}', 400),
        ("[]", 400),
        ("no json", 400),
        ("[" * 500, 400),
        ('{"type":"response.create","n":NaN}', 400),
    ],
)
async def test_a_message_is_no_way_around(event: Any, status: int) -> None:
    app, _ = guarded(stateful(), models=["demo-small"])
    refused, served = await converse(app, event, CREATE)
    assert (refused["type"], refused["status"]) == ("error", status)
    assert served["type"] == "response.completed"


async def test_what_the_app_reads_is_what_was_looked_at() -> None:
    texts: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        texts.append((await receive())["text"])
        await send({"type": "websocket.send", "text": '{"type":"error"}'})
        await receive()

    twice = '{"type":"response.create","response":{"model":"demo-large","model":"demo-small"}}'
    await converse(Access(app, keys=[ClientKey(ALICE, models=["demo-small"])]), twice)
    assert texts == ['{"type":"response.create","response":{"model":"demo-small"}}']


async def test_each_message_takes_from_the_limits_and_is_put_right() -> None:
    app, _ = guarded(stateful(), limits=ClientLimits(rpm=3, tpm=10_000, concurrency=1))
    ends = await converse(app, *[CREATE] * 4)
    assert [end["type"] for end in ends] == ["response.completed"] * 3 + ["error"]
    assert ends[3]["status"] == 429
    assert ends[3]["error"]["code"] == "gateway_rate_limit_exceeded"
    store: Any = app._turnstile._store
    assert store._leases == {}
    tokens = store._counts["alice", "tokens/60"]
    assert tokens.take(0, store._last).remaining > 9_800


async def test_a_key_that_was_taken_away_is_no_good_for_the_next_message() -> None:
    app, _ = guarded(stateful())
    socket = Socket(app, **PLACES[0])
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        await socket.hear()
        socket.say(CREATE)
        assert (await socket.last())["type"] == "response.completed"
        app.replace([BOB])
        socket.say({**CREATE, "stream_id": "lane"})
        refused = await socket.last()
        assert (refused["status"], refused["stream_id"]) == (401, "lane")
        socket.leave()
    socket.close()


async def test_who_leaves_gives_its_places_back() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    app, _ = guarded(silent, limits=ClientLimits(concurrency=2))
    socket = Socket(app, **PLACES[0])
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        for _ in range(3):
            socket.say(CREATE)
        refused = json.loads((await socket.hear())["text"])
        assert refused["error"]["code"] == "gateway_concurrency_exceeded"
        socket.leave()
    store: Any = app._turnstile._store
    assert store._leases == {}
    socket.close()


async def test_a_key_for_certain_models_has_no_other_websockets() -> None:
    app, _ = guarded(Hello(), models=["demo-small"])
    socket = Socket(app, path="/v1/realtime", **PLACES[0])
    await socket.run()
    assert (await socket.hear())["type"] == "websocket.close"
    socket.close()


def scripted(*said: str) -> Any:
    """An app that reads two messages, says what it is told to, and then listens until the client has left."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await receive()
        for text in said:
            await send({"type": "websocket.send", "text": text})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return app


async def used_by_two(app: Any, first: Any, second: Any) -> float:
    """What of a budget is used when a client says two things, hears an answer, and leaves."""
    door, _ = guarded(app, limits=ClientLimits(budget=1_000_000))
    socket = Socket(door, **PLACES[0])
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        socket.say(first)
        socket.say(second)
        await anyio.wait_all_tasks_blocked()
        socket.leave()
    socket.close()
    store: Any = door._turnstile._store
    (count,) = store._counts.values()
    assert store._leases == {}
    return float(count.used)


async def test_a_small_message_that_fails_does_not_give_a_large_ones_tokens_back() -> None:
    large = {**CREATE, "input": "word " * 40_000}
    used = await used_by_two(scripted('{"type":"error","error":{}}'), large, CREATE)
    assert used > 40_000


async def test_who_leaves_before_the_last_event_pays_for_what_was_written() -> None:
    delta = '{"type":"response.output_text.delta","delta":"word "}'
    used = await used_by_two(scripted(*[delta] * 900), CREATE, CREATE)
    alone = await used_by_two(scripted(), CREATE, CREATE)
    assert used >= alone / 2 + 900


async def test_an_answer_that_reached_its_bound_is_not_free_though_nobody_says_what_it_cost() -> None:
    ends = [f'{{"type":"response.{end}","response":{{}}}}' for end in ("incomplete", "failed")]
    assert await used_by_two(scripted(ends[0], ends[0]), CREATE, CREATE) > 0
    assert await used_by_two(scripted(ends[1], ends[1]), CREATE, CREATE) == 0


@pytest.mark.parametrize(
    "event",
    [
        '{"type":"response.create","TYPE":"x","model":"demo-small","input":"x"}',
        '{"type":"x","type":"response.create","model":"demo-small","input":"x"}',
        '{"type":"x","Type":"response.create","model":"demo-large","input":"x"}',
        '{"type":"response.create","model":"demo-small","Response":{"model":"demo-large"}}',
        '{"type":"response.create","response":{"model":"demo-large"},"response":{"model":"demo-small"}}',
    ],
)
async def test_a_message_that_two_parsers_would_take_for_two_goes_no_further(event: str) -> None:
    app, _ = guarded(stateful(), models=["demo-small"])
    refused, served = await converse(app, event, CREATE)
    assert (refused["type"], refused["status"]) == ("error", 400)
    assert "stands in the body twice" in refused["error"]["message"] or "case" in refused["error"]["message"]
    assert served["type"] == "response.completed"


REALTIME = "/v1/realtime"


class Provider:
    """Keeps what reaches it."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.heard.append(message)


async def realtime(query: str, *events: Any, models: Any = ("gpt-realtime*", "whisper-1")) -> tuple[Any, list[Any]]:
    """What a key with an allow-list gets to hear, and what the provider does."""
    provider = Provider()
    app = Access(provider, keys=[ClientKey(ALICE, name="alice", models=list(models))])
    socket = Socket(app, path=REALTIME, query_string=query.encode(), headers=bearer(ALICE))
    heard = []
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        heard.append(await socket.hear())
        if heard[0]["type"] == "websocket.accept":
            for event in events:
                socket.say(event)
            socket.leave()
    heard += [json.loads(message["text"]) for message in _left(socket) if message["type"] == "websocket.send"]
    socket.close()
    return heard, provider.heard


def _left(socket: Any) -> list[Any]:
    found = []
    while True:
        try:
            found.append(socket._take.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError):
            return found


@pytest.mark.parametrize(
    ("query", "opens"),
    [
        ("model=gpt-realtime", True),
        ("model=gpt-realtime-mini&x=1", True),
        ("model=%67pt-realtime", True),
        ("model=gpt-realtime&model=gpt-realtime", True),
        ("model=gpt-5", False),
        ("model=gpt-realtime&model=gpt-5", False),
        ("model=gpt-5&model=gpt-realtime", False),
        ("model=gpt-realtime&Model=gpt-5", False),
        ("model=", False),
        ("", False),
        ("intent=transcription", False),
        ("model=gpt-realtime&intent=transcription", False),
        ("model=gpt-realtime&deployment=gpt-5", False),
    ],
)
async def test_a_key_with_a_list_may_use_realtime_with_the_models_on_it(query: str, opens: bool) -> None:
    heard, _ = await realtime(query)
    assert (heard[0]["type"] == "websocket.accept") is opens


def transcribing(model: Any) -> Any:
    return {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"transcription": {"model": model}}}},
    }


@pytest.mark.parametrize(
    "event",
    [
        transcribing("gpt-4o-transcribe"),
        transcribing(7),
        {"type": "session.update", "session": {"input_audio_transcription": {"model": "gpt-5"}}},
        {"type": "session.update", "session": {"model": "gpt-5"}},
        {"type": "response.create", "response": {"model": "gpt-5"}},
        json.dumps(transcribing("gpt-5")).replace("model", "mod\\u0065l"),
        '{"type":"session.update","session":{"model":"gpt-realtime","model":"gpt-5"}}',
        '{"type":"session.update","session":{"model":"gpt-5"}',
        '["model"]',
    ],
)
async def test_no_message_names_a_model_that_is_not_on_the_list(event: Any) -> None:
    heard, passed = await realtime("model=gpt-realtime", event)
    assert [told["type"] for told in heard[1:]] == ["error"]
    assert heard[1]["error"]["message"]
    assert passed == []


SOUND = json.dumps({"type": "input_audio_buffer.append", "audio": "UklGRiQAAABXQVZF" * 100})


async def test_all_other_messages_pass_and_sound_passes_as_it_is() -> None:
    events = [
        SOUND,
        transcribing("whisper-1"),
        {"type": "session.update", "session": {"audio": {"input": {"transcription": None}}}},
        {"type": "session.update", "session": {"tools": [{"name": "f", "parameters": {"model": "gpt-5"}}]}},
        {"type": "response.create", "response": {"metadata": {"model": "gpt-5"}, "instructions": 'say "model"'}},
        {"type": "conversation.item.create", "item": {"content": [{"text": '{"model": "gpt-5"}'}], "model": "x"}},
    ]
    heard, passed = await realtime("model=gpt-realtime", *events)
    assert heard[1:] == []
    assert passed[0]["text"] == SOUND
    said = [event if isinstance(event, str) else json.dumps(event) for event in events]
    assert [json.loads(message["text"]) for message in passed] == [json.loads(text) for text in said]


async def test_a_key_without_a_list_says_what_it_likes() -> None:
    odd = '{"type":"session.update","session":{"model":"gpt-5"}'
    heard, passed = await realtime("intent=transcription", odd, models=["*"])
    assert heard[0]["type"] != "websocket.accept"  # a list of everything is a list
    provider = Provider()
    app = Access(provider, keys=[ClientKey(ALICE, name="alice")])
    socket = Socket(app, path=REALTIME, headers=bearer(ALICE))
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        await socket.hear()
        socket.say(odd)
        socket.leave()
    socket.close()
    assert [message["text"] for message in provider.heard] == [odd]
    assert passed == []
