"""What is seen of a request from its two ends: `Watcher`, beneath `Metrics` and `Telemetry`.

A watcher makes two kinds of component. `Watcher.requests` goes around the whole nest and sees each request of a client;
`Watcher.calls` goes around each `Upstream` and sees each call of a provider. In between, facts are seen as parts note
them. Both kinds let everything pass as it is, and what goes wrong in a watcher is logged and never a request's affair.

::

    client ── requests(…) ── Translator ── Retry ── KeyPool ── calls(…) ── Upstream ── provider
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from msgspec import UNSET

from ..asgi.body import Replay
from ..asgi.claims import Claims
from ..asgi.exchange import KEY, Exchange, enter
from ..asgi.facts import Attempted, Queued, Unreachable
from ..asgi.headers import media_type
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import ClientGone
from ..protocols import registry
from ..protocols.base import Claim, StreamWatch

__all__ = ["MAX_CALLS", "MAX_PEEKED", "CallSeen", "Hook", "OwnTime", "RequestSeen", "Watcher", "status_class"]

logger = logging.getLogger("ds2api_asgi.observe")

MAX_PEEKED: Final = 8 * 1024 * 1024
"""Bytes of a request's body in which its model is looked for."""

MAX_CALLS: Final = 64
"""Calls of one request that are remembered; the oldest go first."""

_numbers = itertools.count()


class OwnTime:
    """Time in which nobody else was waited for: neither a provider nor the client.

    Args:
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_others", "_since", "_total")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._others = 0
        self._since = clock()
        self._total = 0.0

    def leave(self) -> None:
        """Somebody else is waited for, perhaps beside another one."""
        if not self._others:
            self._total += self._clock() - self._since
        self._others += 1

    def back(self) -> None:
        """That one is not waited for any more."""
        self._others -= 1
        if not self._others:
            self._since = self._clock()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._total if self._others else self._total + self._clock() - self._since


class CallSeen:
    """One call of an upstream.

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
        first: When the first bytes of a body came; None: none yet.
        ended: When it was over.
        status: What the upstream said; 0: nothing yet.
        streamed: Whether its answer is a stream.
        unreachable: Why nobody was reached, so that the status is our own; else None.
        end: ``"complete"``, ``"failed"``, ``"cut"`` (it broke off), ``"raised"`` or ``"cancelled"`` (nobody wants it).
        tap: Who sees the answer's messages pass.
        state: A watcher's own.
    """

    __slots__ = (
        "address",
        "began",
        "body",
        "claim",
        "end",
        "ended",
        "first",
        "model",
        "number",
        "provider",
        "request",
        "scope",
        "state",
        "status",
        "streamed",
        "tap",
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
            self.model, _ = receive.peek()
        self.number = 1 if request is None else request.called + 1
        self.began = began
        self.first: float | None = None
        self.ended = began
        self.status = 0
        self.streamed = False
        self.unreachable: str | None = None
        self.end = "complete"
        self.tap: Callable[[Message], None] | None = None
        self.state: Any = None


class RequestSeen:
    """One request of a client.

    Attributes:
        exchange: Its journal.
        claim: The client's protocol and what it asks for.
        scope: As it came.
        model: The model that it asks for; None: unknown, as long as its body is not read.
        began: Monotonic seconds; likewise the next two.
        first: When the first content of a stream was sent; None: none yet, or no stream.
        ended: When it was over.
        status: What the client saw; 0: nothing yet.
        end: As in `asgi.trace.Trace`.
        waited: Seconds that were waited on purpose: for a key, and before further attempts.
        own: Time that was neither the providers' nor the client's.
        calls: The last `MAX_CALLS` calls, oldest first.
        called: How many calls there were.
        body: The parts of its body that were read, while its model is not known.
        whole: Whether they are all.
        replay: Its whole body, where an outer part had read it.
        state: A watcher's own.
    """

    __slots__ = (
        "_looked",
        "began",
        "body",
        "called",
        "calls",
        "claim",
        "end",
        "ended",
        "exchange",
        "first",
        "model",
        "own",
        "replay",
        "scope",
        "state",
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
        self.state: Any = None

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

    def _find_model(self) -> None:
        body = Replay(b"".join(self.body), _nothing) if self.replay is None else self.replay
        self.model = body.peek()[0] if body.body else None

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


class Hook(Protocol):
    """What a watcher does when it is told something."""

    def __call__(self, *args: Any) -> None:
        """Take note."""
        ...


class Watcher:
    """Makes the components, and is told what they see; each hook may be left as it is.

    Attributes:
        wants_usage: Whether `Used` is to be noted of each answer.
        wants_streams: Whether it is shown the bytes of streams that clients get (`passed`).
    """

    wants_usage = False
    wants_streams = False

    def __init__(self) -> None:
        self._key = f"ds2api_asgi.observe.{next(_numbers)}"

    def requests(self, app: ASGIApp) -> ASGIApp:
        """A component around an app, which sees the requests that are a protocol's; everything else passes.

        Args:
            app: The whole nest, what lets clients in among it.
        """
        return _Requests(self, app, self._key)

    def calls(self, app: ASGIApp, *, name: str, provider: str | None = None, base_url: str | None = None) -> ASGIApp:
        """A component around an app, which sees the calls of a provider.

        Args:
            app: An `Upstream`, or what stands for one.
            name: What it is called.
            provider: As OpenTelemetry calls it (``"openai"``, ``"gcp.gemini"``), by which costs are told too; None: not
                said.
            base_url: Where it is, to be told with its calls; None: not told.
        """
        return _Calls(self, app, self._key, name, provider, base_url)

    def tell(self, hook: Hook, *args: Any) -> None:
        """Call a hook; what it raises is logged."""
        try:
            hook(*args)
        except Exception:
            logger.exception("%s could not take note", type(self).__name__)

    def began(self, request: RequestSeen) -> None:
        """A request began."""

    def noted(self, request: RequestSeen, fact: object) -> None:
        """A part noted a fact."""

    def passed(self, request: RequestSeen, chunk: bytes) -> None:
        """A part of a stream goes to the client."""

    def ended(self, request: RequestSeen) -> None:
        """A request is over."""

    def call_began(self, call: CallSeen) -> None:
        """A call begins."""

    def call_ended(self, call: CallSeen) -> None:
        """A call is over."""


class _Requests:
    """See `Watcher.requests`."""

    def __init__(self, watcher: Watcher, app: ASGIApp, key: str) -> None:
        self.app = app
        self._watcher = watcher
        self._key = key
        self._claims = Claims(registry.claim)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        claim = self._claims.of(scope) if scope["type"] == "http" else None
        if claim is None:
            await self.app(scope, receive, send)
            return
        watcher = self._watcher
        outermost = KEY not in scope
        scope, exchange = enter(scope)
        request = RequestSeen(exchange, claim, scope)
        scope = {**scope, self._key: request}
        exchange.wants_usage = exchange.wants_usage or watcher.wants_usage
        watcher.tell(watcher.began, request)

        def noted(fact: Any) -> None:
            if isinstance(fact, Attempted):
                request.waited += fact.after
            elif isinstance(fact, Queued):
                request.waited += fact.seconds
            watcher.tell(watcher.noted, request, fact)

        exchange.observe(noted)
        ends = _Ends(request, receive, send, watcher if watcher.wants_streams else None)
        raised = False
        try:
            await self.app(scope, ends.source, ends.send)
        except ClientGone:
            ends.gone = True
            if not outermost:  # a server would log it as a crash
                raise
        except Exception:
            raised = True
            raise
        finally:
            ends.finish(raised=raised)
            watcher.tell(watcher.ended, request)


class _Ends:
    """The client's side of a request."""

    __slots__ = (
        "_complete",
        "_receive",
        "_replay",
        "_request",
        "_send",
        "_size",
        "_stream",
        "_watcher",
        "gone",
    )

    def __init__(self, request: RequestSeen, receive: Receive, send: Send, watcher: Watcher | None) -> None:
        self._request = request
        self._receive = receive
        request.replay = self._replay = receive if isinstance(receive, Replay) else None
        request.whole = self._replay is not None
        self._send = send
        self._watcher = watcher
        self._size = 0
        self._complete = False
        self.gone = False
        self._stream: StreamWatch | None = None

    @property
    def source(self) -> Receive:
        """What the app is to receive from; a body that was read is handed on as it is, for parts look at its type."""
        return self.receive if self._replay is None else self._replay

    async def receive(self) -> Message:
        if self._request.whole:  # what follows is waited for beside everything else
            message: Message = await self._receive()
        else:
            self._request.own.leave()
            try:
                message = await self._receive()
            finally:
                self._request.own.back()
        if message["type"] == "http.disconnect":
            self.gone = self.gone or not self._complete
        elif not self._request.whole:
            self._keep(message.get("body", b""))
            self._request.whole = not message.get("more_body", False)
        return message

    def _keep(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._request.model is None and self._size <= MAX_PEEKED:
            self._request.body.append(chunk)
        else:
            self._request.body.clear()

    async def send(self, message: Message) -> None:
        request = self._request
        kind = message["type"]
        if kind == "http.response.start":
            request.status = message["status"]
            protocol = registry.get(request.claim.protocol)
            streams = media_type(message.get("headers", ())) == protocol.stream_type().encode()
            if 200 <= request.status < 300 and streams:
                self._stream = protocol.stream_watch()
        elif kind == "http.response.body" and self._stream is not None:
            self._stream.feed(message.get("body", b""))
            if request.first is None and self._stream.content:
                request.first = request.exchange.clock()
            if self._watcher is not None:
                self._watcher.tell(self._watcher.passed, request, message.get("body", b""))
        request.own.leave()
        try:
            await self._send(message)
        except OSError:  # what servers raise when nobody listens any more
            self.gone = True
            raise
        finally:
            request.own.back()
        if kind == "http.response.body" and not message.get("more_body", False):
            self._complete = True

    def finish(self, *, raised: bool) -> None:
        request = self._request
        request.ended = request.exchange.clock()
        request.end = self._end(raised=raised)
        request.close()

    def _end(self, *, raised: bool) -> str:
        if not self._complete:
            if self.gone:
                return "gone"
            return "cut" if self._request.status else "raised"
        if self._request.status >= 400:
            return "failed"
        stream = self._stream
        if raised or (stream is not None and (stream.failure is not None or not stream.terminal)):
            return "cut"
        return "complete"


class _Calls:
    """See `Watcher.calls`."""

    def __init__(
        self, watcher: Watcher, app: ASGIApp, key: str, name: str, provider: str | None, base_url: str | None
    ) -> None:
        self.app = app
        self._watcher = watcher
        self._key = key
        self._name = name
        self._provider = provider
        self._address = None if base_url is None else _address(base_url)
        self._claims = Claims(registry.claim)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        claim = self._claims.of(scope) if scope["type"] == "http" else None
        if claim is None:
            await self.app(scope, receive, send)
            return
        watcher = self._watcher
        outermost = KEY not in scope
        scope, exchange = enter(scope)
        request = scope.get(self._key)
        clock = exchange.clock
        call = CallSeen(self._name, self._provider, claim, scope, receive, request, clock(), self._address)
        own = OwnTime(clock) if request is None else request.own
        if request is not None:
            request.take(call)
        mark = len(exchange)
        complete = False

        async def seen(message: Message) -> None:
            nonlocal complete
            if message["type"] == "http.response.start":
                call.status = message["status"]
                expected = registry.get(claim.protocol).stream_type().encode()
                call.streamed = media_type(message.get("headers", ())) == expected
            elif message["type"] == "http.response.body":
                if call.first is None and message.get("body"):
                    call.first = clock()
                complete = complete or not message.get("more_body", False)
            if call.tap is not None:
                watcher.tell(call.tap, message)
            own.back()
            try:
                await send(message)
            finally:
                own.leave()

        call.end = "cancelled"
        watcher.tell(watcher.call_began, call)
        own.leave()
        try:
            await self.app(scope, receive, seen)
            call.end = "cut" if not complete else "failed" if call.status >= 400 else "complete"
        except ClientGone:
            if not outermost:
                raise
        except Exception:
            call.end = "cut" if call.status else "raised"
            raise
        finally:
            own.back()
            call.ended = clock()
            unreachable = next(exchange.since(mark, Unreachable), None)
            call.unreachable = None if unreachable is None else unreachable.reason
            watcher.tell(watcher.call_ended, call)


def _address(url: str) -> tuple[str, int] | None:
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
