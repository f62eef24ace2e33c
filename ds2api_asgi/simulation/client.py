"""Simulated clients: they ask, read, leave, and try again as the official SDKs do."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
from msgspec import Struct

from ..asgi.exchange import KEY, Exchange
from ..asgi.facts import Attempted, KeyLeased, PoolEmpty
from ..asgi.headers import RawHeaders, find, media_type
from ..asgi.types import ASGIApp, Message
from ..protocols import registry
from ..protocols.hidden import judge_of
from ..translator import convert
from ..universal import jsontext
from . import scenario, wire
from .loop import VirtualLoop
from .provider import CLIENT

__all__ = ["Attempt", "Request", "RequestEnd", "Sdk", "Wire", "draw_request", "looks_whole"]

_RETRIED = frozenset({408, 409, 429})
_LONGEST_RETRY_AFTER = 60.0


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


class RequestEnd(Struct, frozen=True, kw_only=True):
    """What a client got in the end.

    Attributes:
        group: The name of its group.
        begun: When it asked first.
        ended: When it knew.
        first: When the answer that it kept began.
        end: ``"ok"``, an HTTP status, ``"cut"`` (an answer that broke off), ``"left"``, ``"late"`` (its deadline) or
            ``"killed"``.
        attempts: How often it asked.
        waited: Seconds that its attempts waited for keys.
    """

    group: str
    begun: float
    ended: float
    first: float | None
    end: str
    attempts: int
    waited: float


class Request(Struct, frozen=True, kw_only=True):
    """What a client is about to ask.

    Attributes:
        group: Its group.
        protocol: What it speaks.
        model: What it asks for.
        method: HTTP method.
        path: With what follows ``?``.
        headers: Further headers.
        body: JSON.
        stream: Whether a stream is asked for.
        leave_after: Seconds after which it leaves; None: it stays.
        kill_after: Seconds after which the server cancels it; None: it does not.
    """

    group: scenario.Clients
    protocol: str
    model: str
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    stream: bool
    leave_after: float | None
    kill_after: float | None


def draw_request(group: scenario.Clients, speaks: str, number: int, rng: Random) -> Request:
    """Draw a request.

    Args:
        group: Who asks.
        speaks: What the providers speak.
        number: The request's.
        rng: Where its chance comes from.
    """
    stream = rng.random() < group.stream
    model = rng.choice(group.models)
    document = wire.request_document(
        model,
        number=number,
        prompt=max(1, round(group.prompt_tokens.draw(rng))),
        output=max(1, round(group.output_tokens.draw(rng))),
        stream=stream,
    )
    protocol = group.protocol or speaks
    method, path, headers, body = "POST", "/v1/chat/completions", (), jsontext.dumps(document)
    if protocol != speaks:
        converted = convert(document, kind="request", source=speaks, target=protocol)
        assert converted.route is not None
        method, body = converted.route.method, converted.body
        path = converted.route.path + (f"?{converted.route.query.decode()}" if converted.route.query else "")
    leave_after = group.patience.draw(rng) if rng.random() < group.leave else None
    kill_after = group.patience.draw(rng) if rng.random() < group.kill else None
    return Request(
        group=group, protocol=protocol, model=model, method=method, path=path, headers=headers, body=body,
        stream=stream, leave_after=leave_after, kill_after=kill_after,
    )  # fmt: skip


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
                (CLIENT, b"%d" % self._attempt.number),
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


class Sdk:
    """Asks until it has an answer, as the SDKs of OpenAI and Anthropic do.

    Args:
        loop: Whose time it is.
        app: What is asked.
        attempts: Gives each attempt its number.
        done: Is told each attempt when it is over.
        began: Is told each attempt before it is made.
        rng: Where its jitter comes from.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        app: ASGIApp,
        *,
        attempts: Callable[[], int],
        began: Callable[[Attempt], None],
        done: Callable[[Attempt], None],
        rng: Random,
    ) -> None:
        self._loop = loop
        self._app = app
        self._attempts = attempts
        self._began = began
        self._done = done
        self._rng = rng

    async def ask(self, request: Request, *, end: float) -> RequestEnd:
        """Ask.

        Args:
            request: What.
            end: When even the most patient client leaves.
        """
        loop, group = self._loop, request.group
        begun = loop.time()
        deadline = min(end, begun + group.deadline) if group.deadline is not None else end
        leave_at = deadline if request.leave_after is None else min(deadline, begun + request.leave_after)
        kill_at = None if request.kill_after is None else begun + request.kill_after
        made, waited = 0, 0.0
        while True:
            attempt = self._new(request)
            self._began(attempt)
            await Wire(loop, attempt, request).run(self._app, leave_at=leave_at, kill_at=kill_at)
            self._done(attempt)
            made += 1
            waited += attempt.waited()
            word = _word(attempt, leave_at < deadline)
            pause = None if word in ("ok", "left", "late", "killed") else self._pause(attempt, made - 1, group.retries)
            if pause is None or loop.time() + pause >= leave_at:
                break
            await anyio.sleep(pause)
        return RequestEnd(
            group=group.name, begun=begun, ended=loop.time(), first=attempt.first, end=word, attempts=made,
            waited=waited,
        )  # fmt: skip

    def _new(self, request: Request) -> Attempt:
        now = self._loop.time()
        exchange = Exchange(started=now, clock=self._loop.time)
        attempt = Attempt(
            number=self._attempts(), group=request.group.name, protocol=request.protocol, model=request.model,
            stream=request.stream, begun=now, exchange=exchange, facts=[], headers=[], body=bytearray(),
        )  # fmt: skip
        exchange.observe(lambda fact: attempt.facts.append((self._loop.time(), fact)))
        return attempt

    def _pause(self, attempt: Attempt, retries_made: int, retries: int) -> float | None:
        """Seconds until the next attempt, or None: the SDK gives up."""
        if retries_made >= retries:
            return None
        if attempt.status and attempt.status < 400:  # a stream that broke is not asked for again
            return None
        word = find(attempt.headers, b"x-should-retry")
        if word == b"false":
            return None
        if word != b"true" and attempt.status and attempt.status < 500 and attempt.status not in _RETRIED:
            return None
        told = _retry_after(attempt.headers)
        if told is not None and 0 < told <= _LONGEST_RETRY_AFTER:
            return told
        return float(min(0.5 * 2.0**retries_made, 8.0) * (1 - 0.25 * self._rng.random()))


def _retry_after(headers: RawHeaders) -> float | None:
    for name, unit in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = find(headers, name)
        if value is not None:
            try:
                return float(value) * unit
            except ValueError:
                continue
    return None


def _word(attempt: Attempt, leaves: bool) -> str:
    if attempt.killed:
        return "killed"
    if attempt.left is not None:
        return "left" if leaves else "late"
    if attempt.status >= 400:
        return str(attempt.status)
    return "ok" if looks_whole(attempt) else "cut"


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
