"""One HTTP request of a client: what it saw of it (`Attempt`), and its end of the connection (`Wire`)."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
from msgspec import Struct

from ..asgi.exchange import KEY, Exchange
from ..asgi.facts import Attempted, KeyLeased, PoolEmpty
from ..asgi.headers import RawHeaders, media_type
from ..asgi.types import ASGIApp, Message
from ..protocols import registry
from ..protocols.hidden import judge_of
from . import wire
from .loop import VirtualLoop
from .request import Request

__all__ = ["Attempt", "Wire", "looks_whole"]


class Attempt(Struct, kw_only=True, eq=False):
    """One HTTP request of a client, as the client sees it.

    Attributes:
        number: 1 for the first one of the simulation.
        group: The name of the client's group.
        protocol: What the client speaks.
        model: What it asked for.
        stream: Whether it asked for a stream.
        begun: When.
        exchange: What our parts noted.
        facts: The same, each with its time.
        first: When its answer began.
        ended: When our app had ended.
        status: Of the answer; 0: there is none.
        headers: Of the answer.
        body: Of the answer.
        complete: Whether the answer's last message came.
        left: When the client left; None: it did not.
        killed: Whether the server cancelled it.
        error: What came out of our app.
    """

    number: int
    group: str
    protocol: str
    model: str
    stream: bool
    begun: float
    exchange: Exchange
    facts: list[tuple[float, object]]
    first: float | None = None
    ended: float = 0.0
    status: int = 0
    headers: RawHeaders = []
    body: bytearray = bytearray()
    complete: bool = False
    left: float | None = None
    killed: bool = False
    error: BaseException | None = None

    @property
    def good(self) -> bool:
        """Whether all of a successful answer came."""
        return 200 <= self.status < 300 and self.complete

    def waited(self) -> float:
        """Seconds between the beginning of attempts and their keys."""
        total, since = 0.0, self.begun
        for when, fact in self.facts:
            if isinstance(fact, Attempted):
                since = when
            elif isinstance(fact, KeyLeased | PoolEmpty):
                total += when - since
                since = when
        return total


class Wire:
    """A client's end of the ASGI connection, and what a server does there.

    Args:
        loop: Whose time it is.
        attempt: What is filled in.
        request: What is asked.
    """

    def __init__(self, loop: VirtualLoop, attempt: Attempt, request: Request) -> None:
        self._loop = loop
        self._attempt = attempt
        self._request = request
        self._asked = False
        self._over = anyio.Event()

    def scope(self) -> dict[str, Any]:
        """The ASGI scope, with the exchange in it, so that what is noted can be seen."""
        path, _, query = self._request.path.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (b"host", b"simulated"),
                (b"content-type", b"application/json"),
                (wire.CLIENT, b"%d" % self._attempt.number),
                *self._request.headers,
            ],
            "client": ("192.0.2.1", 50000),
            "server": ("simulated", 80),
            KEY: self._attempt.exchange,
        }

    async def receive(self) -> Message:
        """The body, and then, when the client has left or has its answer, the disconnect."""
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message; as with most servers, nothing happens when the client has left."""
        attempt = self._attempt
        if self._over.is_set():
            await anyio.lowlevel.checkpoint()
            return
        if message["type"] == "http.response.start":
            attempt.status = message["status"]
            attempt.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            if attempt.first is None:
                attempt.first = self._loop.time()
            attempt.body += message.get("body", b"")
            if not message.get("more_body", False):
                attempt.complete = True
                self._over.set()
        await anyio.lowlevel.checkpoint()

    def leave(self) -> None:
        """The client closes its connection."""
        if not self._over.is_set():
            self._attempt.left = self._loop.time()
            self._over.set()

    async def run(self, app: ASGIApp, *, leave_at: float | None, kill_at: float | None) -> None:
        """Make the request."""
        loop, attempt = self._loop, self._attempt
        leave = None if leave_at is None else loop.call_at(leave_at, self.leave)
        kill = None
        try:
            if kill_at is None:
                await app(self.scope(), self.receive, self.send)
            else:
                task = loop.create_task(_call(app, self.scope(), self.receive, self.send))
                kill = loop.call_at(kill_at, task.cancel)
                await task
        except anyio.get_cancelled_exc_class():
            if kill_at is None or loop.time() < kill_at:
                raise
            attempt.killed = True
        except Exception as error:  # noqa: BLE001 - a server would log it
            attempt.error = error
        finally:
            attempt.ended = loop.time()
            if leave is not None:
                leave.cancel()
            if kill is not None:
                kill.cancel()


async def _call(app: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
    await app(scope, receive, send)


def looks_whole(attempt: Attempt) -> bool:
    """Whether its client would take an answer for a whole and successful one."""
    if not attempt.complete or not 200 <= attempt.status < 300:
        return False
    protocol = registry.get(attempt.protocol)
    kind = media_type(attempt.headers)
    if kind == protocol.stream_type().encode():
        watch = protocol.stream_watch()
        watch.feed(bytes(attempt.body))
        return watch.terminal and watch.failure is None
    judge = judge_of(protocol, kind)
    return judge is None or judge(bytes(attempt.body)) is None
