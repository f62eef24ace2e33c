"""`Calls`: the component around an upstream, which sees each call of a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..asgi.claims import Claims
from ..asgi.exchange import KEY, enter
from ..asgi.facts import Called, Unreachable
from ..asgi.headers import media_type
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import ClientGone
from ..protocols import registry
from ..protocols.base import Claim
from .seen import SWITCHED, CallSeen, OwnTime, address_of
from .sockets import claim_of, is_good, status_of

if TYPE_CHECKING:
    from .watching import Watcher

__all__ = ["Calls"]


class Calls:
    """See `Watcher.calls`.

    Args:
        watcher: Who is told.
        app: The upstream.
        name: What it is called.
        provider: As OpenTelemetry calls it; None: not said.
        base_url: Where it is; None: not said.
    """

    def __init__(
        self, watcher: Watcher, app: ASGIApp, name: str, provider: str | None = None, base_url: str | None = None
    ) -> None:
        self.app = app
        self._watcher = watcher
        self._name = name
        self._provider = provider
        self._address = None if base_url is None else address_of(base_url)
        self._claims = Claims(registry.claim)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch a call of a protocol; everything else passes (the ASGI interface)."""
        claim: Claim | None = None
        if scope["type"] == "http":
            claim = self._claims.of(scope)
        elif scope["type"] == "websocket":
            claim = claim_of(scope)
        if claim is None:
            await self.app(scope, receive, send)
            return
        watcher = self._watcher
        outermost = KEY not in scope
        scope, exchange = enter(scope)
        request = scope.get(watcher.key)
        clock = exchange.clock
        call = CallSeen(self._name, self._provider, claim, scope, receive, request, clock(), self._address)
        own = OwnTime(clock) if request is None else request.own
        if request is not None:
            request.take(call)
        mark = len(exchange)
        passing = _Answer(watcher, call, own, send) if scope["type"] == "http" else _Socket(watcher, call, own, send)
        watcher.tell(watcher.call_began, call)
        own.leave()
        try:
            await self.app(scope, receive, passing.send)
            call.end = passing.end()
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
            if next(exchange.since(mark, Called), None) is None:  # nobody who watches within has noted it
                exchange.note(_told(call))
            watcher.tell(watcher.call_ended, call)
            call.taps = ()  # which may hold it


def _told(call: CallSeen) -> Called:
    return Called(
        upstream=call.upstream,
        model=call.model,
        provider=call.provider,
        status=0 if call.unreachable is not None else call.status,
        first=None if call.first is None or call.unreachable is not None else call.first - call.began,
        took=call.ended - call.began,
        end=call.end,
    )


class _Passing:
    """What an upstream says, on its way."""

    __slots__ = ("_call", "_own", "_send", "_watcher")

    def __init__(self, watcher: Watcher, call: CallSeen, own: OwnTime, send: Send) -> None:
        self._watcher = watcher
        self._call = call
        self._own = own
        self._send = send

    async def _pass(self, message: Message) -> None:
        for tap in self._call.taps:
            self._watcher.tell(tap, message)
        self._own.back()
        try:
            await self._send(message)
        finally:
            self._own.leave()


class _Answer(_Passing):
    __slots__ = ("_complete",)

    def __init__(self, watcher: Watcher, call: CallSeen, own: OwnTime, send: Send) -> None:
        super().__init__(watcher, call, own, send)
        self._complete = False

    async def send(self, message: Message) -> None:
        call = self._call
        if message["type"] == "http.response.body":
            if call.first is None and message.get("body"):
                call.first = self._own.clock()
            self._complete = self._complete or not message.get("more_body", False)
        elif message["type"] == "http.response.start":
            call.status = message["status"]
            expected = registry.get(call.claim.protocol).stream_type().encode()
            call.streamed = media_type(message.get("headers", ())) == expected
        await self._pass(message)

    def end(self) -> str:
        if not self._complete:
            return "cut"
        return "failed" if self._call.status >= 400 else "complete"


class _Socket(_Passing):
    __slots__ = ("_code",)

    def __init__(self, watcher: Watcher, call: CallSeen, own: OwnTime, send: Send) -> None:
        super().__init__(watcher, call, own, send)
        self._code = 1000

    async def send(self, message: Message) -> None:
        call = self._call
        call.status = status_of(message, call.status)
        if message["type"] == "websocket.send" and call.first is None:
            call.first = self._own.clock()
        elif message["type"] == "websocket.close":
            self._code = message.get("code") or 1000
        await self._pass(message)

    def end(self) -> str:
        if self._call.status != SWITCHED:
            return "failed" if self._call.status else "cut"
        return "complete" if is_good(self._code) else "cut"
