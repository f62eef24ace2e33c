"""`Requests`: the component around the whole nest, which sees each request of a client from beginning to end."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..asgi.body import Replay
from ..asgi.claims import Claims
from ..asgi.exchange import KEY, enter
from ..asgi.facts import Attempted, Queued
from ..asgi.headers import media_type
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import ClientGone
from ..protocols import registry
from ..protocols.base import Claim, StreamWatch
from ..protocols.inference import watch_of
from .seen import RequestSeen
from .sockets import SocketEnds, claim_of

if TYPE_CHECKING:
    from .watching import Watcher

__all__ = ["MAX_PEEKED", "Requests"]

MAX_PEEKED: Final = 8 * 1024 * 1024
"""Bytes of a request's body in which its model is looked for."""


class _Ends(Protocol):
    """The client's side of a request."""

    gone: bool

    @property
    def source(self) -> Receive: ...

    async def send(self, message: Message) -> None: ...

    def finish(self, raised: str | None) -> None: ...


class Requests:
    """See `Watcher.requests`.

    Args:
        watcher: Who is told.
        app: The whole nest.
        clock: Monotonic seconds, for exchanges that begin here.
    """

    def __init__(self, watcher: Watcher, app: ASGIApp, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._watcher = watcher
        self._clock = clock
        self._claims = Claims(registry.claim)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch a request of a protocol; everything else passes (the ASGI interface)."""
        kind = scope["type"]
        claim: Claim | None = None
        if kind == "http":
            claim = self._claims.of(scope)
        elif kind == "websocket":
            claim = claim_of(scope)
        if claim is None:
            await self.app(scope, receive, send)
            return
        watcher = self._watcher
        outermost = KEY not in scope
        scope, exchange = enter(scope, clock=self._clock)
        request = RequestSeen(exchange, claim, scope)
        scope = {**scope, watcher.key: request}
        exchange.wants_usage = exchange.wants_usage or watcher.wants_usage
        watcher.tell(watcher.began, request)

        exchange.observe(_noting(watcher, request))
        ends: _Ends
        if kind == "http":
            ends = _HttpEnds(watcher, request, receive, send)
        else:
            ends = SocketEnds(watcher, request, receive, send)
        raised: str | None = None
        try:
            await self.app(scope, ends.source, ends.send)
        except ClientGone:
            ends.gone = True
            if not outermost:  # a server would log it as a crash
                raise
        except Exception:
            raised = "raised"
            raise
        except BaseException:  # all that is no error comes from outside: cancellation, or the end of the process
            raised = "cancelled"
            raise
        finally:
            request.ended = exchange.clock()
            request.own.leave()  # what comes now is not the request's time
            ends.finish(raised)
            watcher.tell(watcher.ended, request)
            request.forget()


def _noting(watcher: Watcher, request: RequestSeen) -> Callable[[Any], None]:
    """What an exchange shows its facts to. Requests hold their exchange, so it must not hold them: no cycles.

    Whatever still works for a request that is over, in the background, holds it by its scope.
    """
    seen = weakref.ref(request)

    def noted(fact: Any) -> None:
        request = seen()
        if request is None:
            return
        if isinstance(fact, Attempted):
            request.waited += fact.after
        elif isinstance(fact, Queued):
            request.waited += fact.seconds
        watcher.tell(watcher.noted, request, fact)

    return noted


class _HttpEnds:
    __slots__ = (
        "_complete",
        "_receive",
        "_replay",
        "_request",
        "_send",
        "_size",
        "_stream",
        "_tells",
        "_watcher",
        "gone",
    )

    def __init__(self, watcher: Watcher, request: RequestSeen, receive: Receive, send: Send) -> None:
        self._watcher = watcher
        self._request = request
        self._receive = receive
        request.replay = self._replay = receive if isinstance(receive, Replay) else None
        request.whole = self._replay is not None
        self._send = send
        self._tells = watcher.wants_streams
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
        if kind == "http.response.body":
            if self._stream is not None:
                self._stream.feed(message.get("body", b""))
                if request.first is None and self._stream.content:
                    request.first = request.exchange.clock()
                if self._tells:
                    self._watcher.tell(self._watcher.passed, request, message.get("body", b""))
        elif kind == "http.response.start":
            request.status = message["status"]
            protocol = registry.get(request.claim.protocol)
            streams = media_type(message.get("headers", ())) == protocol.stream_type().encode()
            if 200 <= request.status < 300 and streams:
                self._stream = watch_of(protocol, request.claim.operation)
            message = self._watcher.alter(self._watcher.starting, request, message)
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

    def finish(self, raised: str | None) -> None:
        request = self._request
        request.end = self._end(raised)
        request.close()

    def _end(self, raised: str | None) -> str:
        if not self._complete:
            if self.gone:
                return "gone"
            if raised == "cancelled":
                return raised
            return "cut" if self._request.status else "raised"
        if self._request.status >= 400:
            return "failed"
        stream = self._stream
        if raised == "raised" or (stream is not None and (stream.failure is not None or not stream.terminal)):
            return "cut"
        return "complete"
