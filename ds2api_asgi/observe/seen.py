"""What is seen of a request from its two ends: `RequestSeen` at the client's, `CallSeen` at a provider's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import UNSET

from ..asgi.body import Replay
from ..asgi.exchange import Exchange
from ..asgi.types import Message, Receive, Scope
from ..protocols.base import Claim

__all__ = ["MAX_CALLS", "SWITCHED", "CallSeen", "OwnTime", "RequestSeen", "address_of", "status_class"]

MAX_CALLS: Final = 64
"""Calls of one request that are remembered; the oldest go first."""

SWITCHED: Final = 101
"""The status of a websocket that was accepted."""


class OwnTime:
    """Time in which nobody else was waited for: neither a provider nor the client.

    Args:
        clock: Monotonic seconds.

    Attributes:
        clock: The same.
    """

    __slots__ = ("_others", "_since", "_total", "clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._others = 0
        self._since = clock()
        self._total = 0.0

    def leave(self) -> None:
        """Somebody else is waited for, perhaps beside another one."""
        if not self._others:
            self._total += self.clock() - self._since
        self._others += 1

    def back(self) -> None:
        """That one is not waited for any more."""
        self._others -= 1
        if not self._others:
            self._since = self.clock()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._total if self._others else self._total + self.clock() - self._since


class CallSeen:
    """One call of an upstream: a request, or a websocket.

    Attributes:
        upstream: What the watcher was told to call it.
        provider: As OpenTelemetry calls it; None: nobody said.
        address: Its host and port; None: nobody said.
        claim: The upstream's protocol and what is asked of it.
        model: The model that it is asked for; None: unknown.
        number: From 1, within its request.
        scope: What the upstream gets.
        body: The request's whole body, where it had been read.
        request: Of which it is a part; None: no `Watcher.requests` is around.
        began: Monotonic seconds; likewise the next two.
        first: When the first bytes of a body came, or the first message of a websocket; None: none yet.
        ended: When it was over.
        status: What the upstream said; 101: it accepted a websocket; 0: nothing yet.
        streamed: Whether its answer is a stream.
        unreachable: Why nobody was reached, so that the status is our own; else None.
        end: ``"complete"``, ``"failed"``, ``"cut"`` (it broke off), ``"raised"`` or ``"cancelled"`` (nobody wants it).
        taps: Who sees the answer's messages pass.
        kept: What watchers keep for themselves, each under itself.
    """

    __slots__ = (
        "address",
        "began",
        "body",
        "claim",
        "end",
        "ended",
        "first",
        "kept",
        "model",
        "number",
        "provider",
        "request",
        "scope",
        "status",
        "streamed",
        "taps",
        "unreachable",
        "upstream",
    )

    def __init__(
        self,
        upstream: str,
        provider: str | None,
        claim: Claim,
        scope: Scope,
        receive: Receive,
        request: RequestSeen | None,
        began: float,
        address: tuple[str, int] | None = None,
    ) -> None:
        self.upstream = upstream
        self.address = address
        self.provider = provider
        self.claim = claim
        self.scope = scope
        self.request = request
        self.body = receive.body if isinstance(receive, Replay) else None
        self.model: str | None = claim.model if isinstance(claim.model, str) else None
        if self.model is None and isinstance(receive, Replay):
            self.model, _ = receive.peek(scope["headers"])
        self.number = 1 if request is None else request.called + 1
        self.began = began
        self.first: float | None = None
        self.ended = began
        self.status = 0
        self.streamed = False
        self.unreachable: str | None = None
        self.end = "cancelled"
        self.taps: tuple[Callable[[Message], None], ...] = ()
        self.kept: dict[object, Any] = {}

    @property
    def is_websocket(self) -> bool:
        """Whether it is a websocket."""
        return bool(self.scope["type"] == "websocket")


class RequestSeen:
    """One request of a client, or one websocket.

    Attributes:
        exchange: Its journal.
        claim: The client's protocol and what it asks for; a websocket of OpenAI's Realtime is ``"openai-realtime"``.
        scope: As it came.
        model: The model that it asks for; None: unknown, as long as its body is not read.
        began: Monotonic seconds; likewise the next two.
        first: When the first content of a stream was sent; None: none yet, or no stream.
        ended: When it was over.
        status: What the client saw; 101: a websocket that was accepted; 0: nothing yet.
        end: As in `asgi.trace.Trace`.
        waited: Seconds that were waited on purpose: for a key, and before further attempts.
        own: Time that was neither the providers' nor the client's; of a websocket until it was accepted.
        calls: The last `MAX_CALLS` calls, oldest first; forgotten when all watchers were told of the end.
        called: How many calls there were.
        body: The parts of its body that were read, while its model is not known.
        whole: Whether they are all.
        replay: Its whole body, where an outer part had read it.
        code: The code that a websocket was closed with; None: it was not, or is none.
        received: Messages of a websocket's client.
        sent: Messages to it.
        kept: What watchers keep for themselves, each under itself.
    """

    __slots__ = (
        "__weakref__",
        "_looked",
        "began",
        "body",
        "called",
        "calls",
        "claim",
        "code",
        "end",
        "ended",
        "exchange",
        "first",
        "kept",
        "model",
        "own",
        "received",
        "replay",
        "scope",
        "sent",
        "status",
        "waited",
        "whole",
    )

    def __init__(self, exchange: Exchange, claim: Claim, scope: Scope) -> None:
        self.exchange = exchange
        self.claim = claim
        self.scope = scope
        self.model: str | None = claim.model if claim.model is not UNSET else None
        self.began = self.ended = exchange.clock()
        self.first: float | None = None
        self.status = 0
        self.end = "complete"
        self.waited = 0.0
        self.own = OwnTime(exchange.clock)
        self.calls: list[CallSeen] = []
        self.called = 0
        self.body: list[bytes] = []
        self.replay: Replay | None = None
        self.whole = False
        self._looked = False
        self.code: int | None = None
        self.received = 0
        self.sent = 0
        self.kept: dict[object, Any] = {}

    def look(self) -> str | None:
        """The model that it asks for, as soon as its body was read; looked for once, and only if somebody asks."""
        if self.model is None and self.whole and not self._looked:
            self._looked = True
            self._find_model()
        return self.model

    def close(self) -> None:
        """Nothing more will be read."""
        if self.model is None and not self._looked:
            self._looked = True
            self._find_model()
        self.body = []
        self.replay = None

    def forget(self) -> None:
        """Nobody is told any more: calls, which hold their request, must not be left as garbage in a cycle."""
        self.calls = []

    def _find_model(self) -> None:
        body = Replay(b"".join(self.body), _nothing) if self.replay is None else self.replay
        self.model = body.peek(self.scope["headers"])[0] if body.body else None

    @property
    def is_websocket(self) -> bool:
        """Whether it is a websocket."""
        return bool(self.scope["type"] == "websocket")

    @property
    def served(self) -> bool:
        """Whether the client got what it asked for."""
        return self.end == "complete" and (200 <= self.status < 300 or self.status == SWITCHED)

    @property
    def overhead(self) -> float:
        """Seconds that it would not have taken without us: neither a provider's time, the client's, nor a wait."""
        return max(0.0, self.own.seconds - self.waited)

    @property
    def answering(self) -> CallSeen | None:
        """The last call that was answered, else the last one."""
        answered = (call for call in reversed(self.calls) if 200 <= call.status < 300 and call.end != "cancelled")
        return next(answered, self.calls[-1] if self.calls else None)

    def take(self, call: CallSeen) -> None:
        """Remember a call."""
        self.called += 1
        self.calls.append(call)
        del self.calls[:-MAX_CALLS]


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def address_of(url: str) -> tuple[str, int] | None:
    """Host and port, and nothing else that may stand in a URL."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return None
    return None if parts.hostname is None else (parts.hostname, port or (80 if parts.scheme == "http" else 443))


def status_class(status: int) -> str:
    """``"2xx"``; ``"none"`` where nothing was said."""
    return f"{status // 100}xx" if 100 <= status < 600 else "none"
