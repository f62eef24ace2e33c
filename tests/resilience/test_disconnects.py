"""A client that leaves, and a server that cancels, at any moment."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ds2api_asgi.asgi.facts import Attempted

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "method": "POST", "path": "/ask", "root_path": "", "headers": [], "query_string": b""}
C1, END = b"data: c1\n\n", b"data: end\n\n"


class Client:
    """The server's side of one request: tells a disconnect once, as hypercorn and daphne do, and to one reader."""

    def __init__(self, body: bytes = b'{"stream": true}') -> None:
        self._messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]
        self._left = anyio.Event()
        self._told = False
        self._reading = False
        self.sent: list[Any] = []
        self.awaited = 0

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> Any:
        await anyio.lowlevel.checkpoint()
        self.awaited += 1
        assert not self._reading
        if self._messages:
            return self._messages.pop()
        self._reading = True
        try:
            await self._left.wait()
            if self._told:
                await anyio.sleep_forever()
        finally:
            self._reading = False
        self._told = True
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.awaited += 1
        self.sent.append(message)


def listening(scene: Any) -> Any:
    """Act a scene for as long as the client is there, as our Upstream does."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(listen)
            await scene(scope, receive, send)
            group.cancel_scope.cancel()

    return app


def until_left(*parts: bytes, wait: anyio.Event) -> Any:
    async def scene(scope: Any, receive: Any, send: Any) -> None:
        if parts:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        wait.set()
        await anyio.sleep_forever()

    return scene


async def leave_when(app: Any, client: Client, moment: anyio.Event) -> None:
    """Serve a request whose client leaves at a moment; it must be over soon after."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(app, SCOPE, client.receive, client.send)
            await moment.wait()
            client.leave()


@pytest.mark.parametrize(
    ("parts", "arrived"),
    [
        ([], b""),
        ([b"data: open\n\n"], b""),
        ([b"data: open\n\n", C1], b"data: open\n\n" + C1),
        ([C1, b"data: half"], C1),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
async def test_a_client_that_leaves_ends_the_attempt_and_all_trying(stage, parts, arrived, nested):
    moment = anyio.Event()
    app = stage.Actor(listening(until_left(*parts, wait=moment)))
    client = Client()
    part = stage.retry(app)
    await leave_when(stage.failover([part, part]) if nested else part, client, moment)
    assert (app.calls, app.running) == (1, 0)
    assert b"".join(message.get("body", b"") for message in client.sent) == arrived


async def test_an_app_that_is_told_and_stays_is_cancelled(stage):
    moment = anyio.Event()

    async def stubborn(scope, receive, send):
        moment.set()
        assert (await receive())["type"] == "http.disconnect"
        await anyio.sleep_forever()

    app = stage.Actor(stubborn)
    await leave_when(stage.retry(app), Client(), moment)
    assert (app.calls, app.running) == (1, 0)


@pytest.mark.parametrize("answer", ["error", "cut"])
async def test_an_app_that_listens_on_after_a_lost_answer_is_told_that_it_is_over(stage, answer):
    """As servers tell it; Quart's apps end only then."""
    told = []

    async def scene(scope, receive, send):
        async with anyio.create_task_group() as group:

            async def listen():
                while not told:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        told.append(message)

            group.start_soon(listen)
            await anyio.wait_all_tasks_blocked()
            first = stage.error(500) if answer == "error" else stage.stream(b"data: open\n\n")
            await first(scope, receive, send)

    client = Client()
    app = stage.Actor(scene, stage.answer(b"{}"))
    await stage.retry(app)(SCOPE, client.receive, client.send)
    assert told == [{"type": "http.disconnect"}]
    assert (app.calls, app.running) == (2, 0)
    assert client.sent[0]["status"] == 200


async def test_an_app_may_ask_again_after_it_was_told(stage):
    moment, told = anyio.Event(), []

    async def scene(scope, receive, send):
        moment.set()
        told.append(await receive())
        told.append(await receive())

    await leave_when(stage.retry(stage.Actor(scene)), Client(), moment)
    assert [message["type"] for message in told] == ["http.disconnect"] * 2


async def test_a_client_that_leaves_during_a_pause_ends_it(stage):
    app = stage.Actor(stage.error(429, "rate", headers=[(b"retry-after", b"60")]))
    client = Client()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(stage.retry(app, wait_cap=100.0), SCOPE, client.receive, client.send)
            await anyio.wait_all_tasks_blocked()
            client.leave()
    assert app.calls == 1
    assert client.sent == []


async def test_a_client_that_left_while_nobody_listened_is_not_tried_for_again(stage):
    client = Client()

    async def scene(scope, receive, send):
        client.leave()
        await stage.error(429, "rate", headers=[(b"retry-after", b"0.05")])(scope, receive, send)

    app = stage.Actor(scene)
    await stage.retry(app)(SCOPE, client.receive, client.send)
    assert (app.calls, client.sent) == (1, [])


async def test_a_client_that_leaves_during_its_body_is_not_answered(stage):
    async def receive():
        return {"type": "http.disconnect"}

    app, client = stage.Actor(stage.answer(b"{}")), Client()
    await stage.retry(app)(SCOPE, receive, client.send)
    assert (app.calls, client.sent) == (0, [])


async def test_a_disconnect_after_the_last_message_is_no_abort(stage):
    client = Client()
    done = []

    async def scene(scope, receive, send):
        await stage.stream(C1, END)(scope, receive, send)
        client.leave()
        assert (await receive())["type"] == "http.disconnect"
        await anyio.sleep(0.2)
        done.append(True)

    await stage.retry(stage.Actor(scene))(SCOPE, client.receive, client.send)
    assert done == [True]


SCENES = ["good", "retried", "first-event error", "cut", "empty", "given up", "failover"]


def scenario(stage: Any, name: str) -> tuple[Any, Any]:
    match name:
        case "good":
            app = stage.Actor(stage.stream(b"data: open\n\n", C1, END))
        case "retried":
            app = stage.Actor(stage.error(500), stage.fails(RuntimeError("bug")), stage.answer(b"{}"))
        case "first-event error":
            app = stage.Actor(stage.stream(b"data: error:server\n\n"), stage.stream(C1, END))
        case "cut":
            app = stage.Actor(stage.stream(C1, b"data: c", final=False))
        case "empty":
            app = stage.Actor(stage.answer(b""))
        case "given up":
            app = stage.Actor(stage.error(503))
        case _:
            app = stage.Actor(stage.error(503), stage.stream(C1, END))
            return app, stage.failover([app, stage.retry(app)])
    return app, stage.retry(app)


@pytest.mark.parametrize("name", SCENES)
async def test_a_cancellation_at_any_await_ends_everything_at_once(stage, name):
    app, part = scenario(stage, name)
    client = Client()
    await part(SCOPE, client.receive, client.send)
    assert client.awaited > 2
    for at in range(1, client.awaited + 1):
        app, part = scenario(stage, name)
        client = Client()
        scope = anyio.CancelScope()

        def counted(call: Any, scope: anyio.CancelScope = scope, client: Client = client, at: int = at) -> Any:
            async def wrapped(*arguments: Any) -> Any:
                if client.awaited + 1 == at:
                    scope.cancel()
                return await call(*arguments)

            return wrapped

        with anyio.fail_after(20), scope:
            await part(SCOPE, counted(client.receive), counted(client.send))
        assert scope.cancelled_caught
        assert app.running == 0
        assert client.awaited == at - 1
        assert not any(message.get("more_body") is False for message in client.sent)
        if app.exchange is not None:
            assert len(app.facts(Attempted)) >= app.calls
