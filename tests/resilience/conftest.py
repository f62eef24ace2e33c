"""A protocol with streams of single words, and apps that act what a scene tells them."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

import anyio
import pytest
from msgspec import UNSET

from ds2api_asgi.asgi.exchange import Exchange
from ds2api_asgi.protocols.base import Claim, Operation, WireError
from ds2api_asgi.resilience import Failover, Retry
from ds2api_asgi.testing.driver import Answer, Driver
from ds2api_asgi.universal.failure import Failure, FailureKind, Verdict, judge, kind_of_status

Scene = Callable[[Any, Any, Any], Awaitable[None]]
STATUSES = {
    FailureKind.INVALID: 400,
    FailureKind.AUTH: 401,
    FailureKind.NOT_FOUND: 404,
    FailureKind.CONFLICT: 409,
    FailureKind.TOO_LARGE: 413,
    FailureKind.RATE: 429,
    FailureKind.BILLING: 429,
    FailureKind.SERVER: 500,
    FailureKind.BAD_GATEWAY: 502,
    FailureKind.TRUNCATED: 502,
    FailureKind.OVERLOADED: 529,
    FailureKind.TIMEOUT: 504,
}


class WordWatch:
    """Reads ``data: <word>`` events."""

    def __init__(self) -> None:
        self.content = False
        self.terminal = False
        self.ended = False
        self.failure: Failure | None = None
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        *events, self._buffer = (self._buffer + data).split(b"\n\n")
        for event in events:
            word = event.removeprefix(b"data: ").decode()
            self.content |= word.startswith("c")
            self.terminal |= word == "end"
            self.ended = self.terminal
            if word.startswith("error:"):
                kind = FailureKind(word.removeprefix("error:"))
                self.failure = Failure(kind=kind, message="in the stream")


class WordProtocol:
    """``/ask`` generates; errors are ``{"error": kind}``."""

    name = "words"
    streams_by_default = False

    def stream_type(self, dialect: str = "") -> str:
        return "text/event-stream"

    def claim(self, method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:
        if path not in ("/ask", "/models"):
            return None
        operation = Operation.GENERATE if path == "/ask" else Operation.LIST_MODELS
        return Claim(protocol="words", operation=operation, method_allowed=method in ("POST", "GET", "HEAD"))

    def decode_error(self, status: Any, headers: Mapping[str, str], body: bytes) -> Failure:
        try:
            kind = FailureKind(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError):
            kind = kind_of_status(status)
        after = headers.get("retry-after")
        return Failure(kind=kind, message="upstream", status=status, retry_after=float(after) if after else UNSET)

    def encode_error(self, failure: Failure) -> WireError:
        headers = ((b"content-type", b"application/json"),)
        return WireError(status=STATUSES[failure.kind], headers=headers, document={"error": failure.kind.value})

    def classify(self, failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
        return judge((), failure, protocol="words")

    def authorize(self, secret: str) -> tuple[bytes, bytes]:
        return b"x-api-key", secret.encode()

    def limits(self, headers: Mapping[str, str], *, now: float) -> tuple[()]:
        return ()

    def stream_watch(self) -> WordWatch:
        return WordWatch()

    def stream_error(self, failure: Failure) -> bytes:
        return b"data: error:%s\n\n" % failure.kind.value.encode()


class Actor:
    """An app that acts one scene per call, the last one again and again, and remembers what it was asked."""

    def __init__(self, *scenes: Scene) -> None:
        self.scenes = scenes
        self.bodies: list[bytes] = []
        self.scopes: list[Any] = []
        self.exchange: Exchange | None = None
        self.running = 0

    @property
    def calls(self) -> int:
        return len(self.scopes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.exchange = scope.get("ds2api_asgi.exchange")
        scene = self.scenes[min(self.calls, len(self.scenes)) - 1]
        self.running += 1
        try:
            if scope["method"] == "POST":
                message = await receive()
                self.bodies.append(message["body"])
            await scene(scope, receive, send)
        finally:
            self.running -= 1

    def facts(self, kind: type[Any]) -> list[Any]:
        assert self.exchange is not None
        return list(self.exchange.all(kind))


class Stage:
    """What the scenes need."""

    Actor = Actor
    protocol: Any = WordProtocol()
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def retry(self, app: Any, **terms: Any) -> Retry:
        """A Retry that does not pause without a hint."""
        terms.setdefault("backoff", 0.0)
        return Retry(app, protocol=self.protocol, rng=Random(1), clock=self.clock, **terms)

    def failover(self, apps: Sequence[Any], **terms: Any) -> Failover:
        """A Failover that does not pause without a hint."""
        terms.setdefault("backoff", 0.0)
        return Failover(apps, protocol=self.protocol, rng=Random(1), clock=self.clock, **terms)

    def error(self, status: int, kind: str = "", *, headers: Sequence[tuple[bytes, bytes]] = ()) -> Scene:
        """Answers with an error."""
        body = json.dumps({"error": kind} if kind else {}).encode()
        return self.answer(body, status=status, headers=headers)

    def answer(
        self, *parts: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = (), cut: bool = False
    ) -> Scene:
        """Answers with a body in parts."""

        async def scene(scope: Any, receive: Any, send: Any) -> None:
            fields = [(b"content-type", b"application/json"), *headers]
            await send({"type": "http.response.start", "status": status, "headers": fields})
            for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if not cut:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        return scene

    def stream(
        self, *parts: bytes, then: Exception | None = None, final: bool = True, kind: str = "text/event-stream"
    ) -> Scene:
        """Streams parts; then raises, or ends with (or without) the last body message."""

        async def scene(scope: Any, receive: Any, send: Any) -> None:
            fields = [(b"content-type", f"{kind}; charset=utf-8".encode())]
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                await anyio.lowlevel.checkpoint()
            if then is not None:
                raise then
            if final:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        return scene

    def fails(self, error: Exception) -> Scene:
        """Raises."""

        async def scene(scope: Any, receive: Any, send: Any) -> None:
            raise error

        return scene

    async def hangs(self, scope: Any, receive: Any, send: Any) -> None:
        """Never answers, but leaves with the client."""
        while (await receive())["type"] != "http.disconnect":
            pass

    async def deaf(self, scope: Any, receive: Any, send: Any) -> None:
        """Never answers and never listens."""
        await anyio.sleep_forever()

    def noting(self, *facts: object, then: Scene) -> Scene:
        """Notes facts, then acts another scene."""

        async def scene(scope: Any, receive: Any, send: Any) -> None:
            for fact in facts:
                scope["ds2api_asgi.exchange"].note(fact)
            await then(scope, receive, send)

        return scene

    async def ask(self, app: Any, *, path: str = "/ask", method: str = "POST", body: bytes = b"{}") -> Answer:
        """Make a request and read the answer to its end."""
        return await Driver(app).request(method, path, body=body)


@pytest.fixture
def stage() -> Stage:
    return Stage()
