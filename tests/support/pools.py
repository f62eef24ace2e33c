"""A protocol small enough to see through, upstreams that follow scripts, and stores that wait: kit of pool tests."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from msgspec import UNSET, UnsetType

from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.pool import Ask, MemoryStore
from ds2api_asgi.protocols.base import Claim, Limits, Operation, WireError
from ds2api_asgi.universal.failure import (
    Failure,
    FailureKind,
    Fault,
    KeyAction,
    RetryScope,
    Row,
    Verdict,
    judge,
    kind_of_status,
)

Script = Callable[[Any, Any, Any], Awaitable[None]]


class Watch:
    def __init__(self) -> None:
        self.content = False
        self.terminal = False
        self.ended = False
        self.failure: Failure | None = None

    def feed(self, data: bytes) -> None:
        for line in data.splitlines():
            if line.startswith(b"data: delta"):
                self.content = True
            elif line.startswith(b"data: error "):
                kind = FailureKind(line.removeprefix(b"data: error ").decode())
                self.failure = Failure(kind=kind, message="in the stream")


class Tiny:
    """A protocol small enough to see through."""

    name = "tiny"
    streams_by_default = False
    rows = (
        Row(id="quota", code=("quota",), fault=Fault.QUOTA, retry=RetryScope.KEY, key=KeyAction.EXHAUST),
        Row(id="too_large_for_key", code=("tpm",), fault=Fault.RATE, retry=RetryScope.KEY, key=KeyAction.NONE),
    )

    def stream_type(self, dialect: str = "") -> str:
        return "text/event-stream"

    def claim(self, method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:
        if path == "/v1/chat":
            return Claim(protocol="tiny", operation=Operation.GENERATE, method_allowed=method == "POST")
        if path == "/v1/models":
            return Claim(protocol="tiny", operation=Operation.LIST_MODELS)
        return None

    def authorize(self, secret: str) -> tuple[bytes, bytes]:
        return b"x-api-key", secret.encode()

    def decode_error(self, status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
        assert isinstance(status, int)
        try:
            code = json.loads(body)["code"]
        except (ValueError, KeyError, TypeError):
            code = UNSET
        after = headers.get("retry-after")
        return Failure(
            kind=kind_of_status(status),
            status=status,
            message="failed",
            code=code,
            retry_after=float(after) if after else UNSET,
        )

    def classify(self, failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
        return judge(self.rows, failure, protocol="tiny")

    def limits(self, headers: Mapping[str, str], *, now: float) -> list[Limits]:
        if "x-remaining" not in headers:
            return []
        return [Limits(dimension="requests", remaining=float(headers["x-remaining"]), reset_after=30.0)]

    def encode_error(self, failure: Failure) -> WireError:
        return WireError(
            status=failure.status or 500,
            headers=((b"content-type", b"application/json"),),
            document={"error": {"kind": failure.kind.value, "message": failure.message}},
        )

    def stream_watch(self) -> Watch:
        return Watch()


def answers(status: int, body: bytes = b"{}", **headers: str) -> Script:
    """An app that always answers the same, in two chunks."""
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body[:3], "more_body": True})
        await send({"type": "http.response.body", "body": body[3:], "more_body": False})

    return app


def streams(*events: str, breaks: bool = False) -> Script:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in events:
            await send({"type": "http.response.body", "body": f"data: {event}\n\n".encode(), "more_body": True})
        if breaks:
            raise BrokenStream("reset", "the upstream went away")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


OK = answers(200, b'{"ok": true}')


class ByKey:
    """An upstream that has a script for each key, and remembers what it was asked."""

    def __init__(self, scripts: dict[str, Script]) -> None:
        self.scripts = scripts
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        headers = dict(scope["headers"])
        if scope["method"] == "POST":
            self.bodies.append((await receive())["body"])
        await self.scripts[headers[b"x-api-key"].decode()](scope, receive, send)

    @property
    def asked(self) -> list[str]:
        return [dict(scope["headers"]).get(b"x-api-key", b"").decode() for scope in self.scopes]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Answer:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


def scope_of(method: str = "POST", path: str = "/v1/chat", query: bytes = b"", headers: Any = (), **more: Any) -> Any:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [*headers],
        KEY: Exchange(started=0.0),
        **more,
    }


async def ask(
    app: Any, scope: Any = None, body: bytes = b'{"model": "m"}', answer: Answer | None = None, *, stays: bool = False
) -> Answer:
    """Ask an app; the client leaves after its body, or stays."""
    answer = answer or Answer()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if stays and not messages:
            await anyio.sleep_forever()
        return messages.pop() if messages else {"type": "http.disconnect"}

    await app(scope_of() if scope is None else scope, receive, answer.send)
    return answer


class Steps:
    """Cancels at the n-th await of everything that is built on it."""

    def __init__(self, last: int) -> None:
        self.left = last
        self.scope = anyio.CancelScope()

    async def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()
        await anyio.lowlevel.checkpoint()


class SteppedStore(MemoryStore):
    """A store that waits, as one behind a network does."""

    step: Steps

    async def acquire(self, ask: Ask) -> Any:
        await self.step()
        return await super().acquire(ask)

    async def report(self, *arguments: Any) -> Any:
        await self.step()
        return await super().report(*arguments)

    async def release(self, *arguments: Any) -> None:
        await self.step()
        await super().release(*arguments)
