"""The console's stream: what it tells, and everything that ends it."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from console_kit import PASSWORD, bearer, log_in, nest
from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.gateway.console import events as module
from ds2api_asgi.gateway.console.component import Console
from ds2api_asgi.gateway.console.standing import LONGEST, SHARE
from ds2api_asgi.pool import Secret
from ds2api_asgi.testing import Driver, Wait, event_script
from watched import QUESTION, chunk

pytestmark = pytest.mark.anyio

STREAMED = {**QUESTION, "stream": True}


class Parser:
    """Reads events one by one; those that came together wait for the next look."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._kept: deque[Any] = deque()

    async def next(self, response: Any) -> Any:
        while not self._kept:
            self._kept.extend(self._parser.feed(await anext(response)))
        return self._kept.popleft()


async def told(response: Any, parser: Parser, name: str) -> Any:
    """The next event of a name."""
    with anyio.fail_after(20):
        while True:
            event = await parser.next(response)
            if event.name == name.encode():
                return json.loads(event.data)


async def told_when(response: Any, parser: Parser, condition: Callable[[Any], bool]) -> Any:
    """The next state of a request that is as wanted."""
    while True:
        entry = await told(response, parser, "request")
        if condition(entry):
            return entry


async def rest(response: Any) -> None:
    async for _ in response:
        pass


async def test_the_state_comes_at_once_and_again_each_second() -> None:
    made = nest()
    began = time.monotonic()
    async with Driver(made.console).open("GET", "/api/events", headers=bearer()) as response:
        assert dict(response.headers)[b"content-type"].startswith(b"text/event-stream")
        parser = Parser()
        first = await told(response, parser, "state")
        await made.pool.disable("one")
        second = await told(response, parser, "state")
        assert time.monotonic() - began > 0.5
    assert [key["switched_off"] for key in first["pools"][0]["keys"]] == [False, False]
    assert [key["switched_off"] for key in second["pools"][0]["keys"]] == [True, False]


async def test_a_request_is_told_as_it_changes() -> None:
    go = anyio.Event()
    made = nest([event_script(chunk("Hello wide world"), then=[Wait(go)])])
    async with Driver(made.console).open("GET", "/api/events", headers=bearer()) as response:
        parser = Parser()
        await told(response, parser, "state")
        async with Driver(made.app).open("POST", "/v1/chat/completions", json=STREAMED) as answer:
            await anext(answer)
            # A look may come at any moment: before the answer began, and before its first words were counted.
            entry = await told_when(response, parser, lambda entry: bool(entry.get("output")))
            assert (entry["phase"], entry["model"], entry["output"], entry["estimated"]) == (
                "streaming",
                "gpt-4o",
                4,
                True,
            )
        ended = await told_when(response, parser, lambda entry: "end" in entry)
        assert (ended["id"], ended["end"]) == (entry["id"], "gone")


async def test_a_logout_ends_it() -> None:
    made = nest()
    headers, token = await log_in(made.console)
    async with Driver(made.console).open("GET", "/api/events", headers=headers) as response:
        await told(response, Parser(), "state")
        form = {"content-type": "application/x-www-form-urlencoded", **headers}
        await Driver(made.console).request("POST", "/logout", headers=form, body=f"csrf={token}".encode())
        with anyio.fail_after(10):
            await rest(response)
        assert response.complete
    assert made.console.listeners == 0


async def test_the_end_of_a_session_ends_it() -> None:
    now = [1000.0]
    made = nest(wall=lambda: now[0], session=60)
    headers, _ = await log_in(made.console)
    async with Driver(made.console).open("GET", "/api/events", headers=headers) as response:
        await told(response, Parser(), "state")
        now[0] += 60
        with anyio.fail_after(10):
            await rest(response)
        assert response.complete


async def test_draining_ends_all_and_begins_none() -> None:
    made = nest()
    async with Driver(made.console).open("GET", "/api/events", headers=bearer()) as response:
        await told(response, Parser(), "state")
        made.console.drain()
        began = time.monotonic()
        with anyio.fail_after(10):
            await rest(response)
        assert time.monotonic() - began < 5
        assert response.complete
    assert (await Driver(made.console).request("GET", "/api/events", headers=bearer())).status == 503


async def test_a_reader_that_leaves_is_gone_within_a_tenth_of_a_second() -> None:
    made = nest()
    took: list[float] = []
    while not took or (min(took) > 0.1 and len(took) < 5):  # a busy machine is late now and then, and not each time
        async with Driver(made.console).open("GET", "/api/events", headers=bearer()) as response:
            await told(response, Parser(), "state")
            assert made.console.listeners == 1
            began = time.monotonic()
            await response.disconnect()
            with anyio.fail_after(20):
                while made.console.listeners:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.005)
            took.append(time.monotonic() - began)
    assert min(took) < 0.1


async def test_no_more_listen_than_may(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_LISTENERS", 1)
    made = nest()
    async with Driver(made.console).open("GET", "/api/events", headers=bearer()) as response:
        await told(response, Parser(), "state")
        assert (await Driver(made.console).request("GET", "/api/events", headers=bearer())).status == 503
    async with Driver(made.console).open("GET", "/api/events", headers=bearer()) as response:
        assert response.status == 200


async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "STALLED", 0.1)
    made = nest()
    sent: list[str] = []

    async def receive() -> Any:
        if not sent:
            return {"type": "http.request", "body": b"", "more_body": False}
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/events",
        "headers": [(b"authorization", bearer()["authorization"].encode())],
    }
    with anyio.fail_after(10):
        await made.console(scope, receive, send)
    assert made.console.listeners == 0


async def test_a_slow_reader_skips_what_was_in_between() -> None:
    made = nest()
    async with Driver(made.console).open("GET", "/api/events", headers=bearer()) as response:
        parser = Parser()
        await told(response, parser, "state")
        for _ in range(15):
            await made.ask()
        names: list[str] = []
        with anyio.fail_after(20):
            while len(names) < 15:
                entry = await told_when(response, parser, lambda entry: "end" in entry)
                names.append(entry["id"])
        assert len(set(names)) == 15  # each is told its end once, whatever was told of it before


async def test_a_document_that_takes_long_is_made_less_often() -> None:
    now = [0.0]

    def pools() -> Any:
        now[0] += 0.2
        return {}

    console = Console(password=Secret(PASSWORD), pools=pools, clock=lambda: now[0])
    standing = console._standing
    await standing.document()
    assert standing.interval == pytest.approx(0.2 / SHARE)
    at = now[0]
    now[0] += 1.9
    await standing.document()
    assert now[0] == at + 1.9  # told again as it was
    now[0] += 100
    for _ in range(3):
        await standing.document()
        now[0] += 10
    assert standing.interval <= LONGEST
