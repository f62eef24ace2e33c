"""Requests that are not ours to repeat: they pass as they are, but for an upstream that was surely never reached.

A file's upload, a batch, a fine-tuning job: asked twice, they are made twice. Only where the part beneath notes
`Unreachable` with ``processed=False`` has nobody seen the request, and it may be sent again, to the same app.
Nothing is held back meanwhile: the body is kept as it passes, if small enough, and the answer goes through at once.
"""

from __future__ import annotations

from random import Random

from ..asgi.exchange import Exchange
from ..asgi.facts import Attempted, Unreachable
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import TransportError
from .line import ClientLine
from .plan import RetryPolicy

__all__ = ["Untouched"]


class Untouched:
    """One such request.

    Args:
        app: Whose it is.
        exchange: The request's exchange.
        policy: How often, and how long the pauses are.
        max_body: Bytes that are kept for another attempt.
        rng: Draws the jitter.
    """

    __slots__ = (
        "_app",
        "_begun",
        "_exchange",
        "_kept",
        "_left",
        "_line",
        "_mark",
        "_over",
        "_policy",
        "_rng",
        "_whole",
    )

    def __init__(self, app: ASGIApp, exchange: Exchange, policy: RetryPolicy, *, max_body: int, rng: Random) -> None:
        self._app = app
        self._exchange = exchange
        self._policy = policy
        self._left = max_body
        self._rng = rng
        self._kept: list[Message] = []
        self._whole = False
        self._line: ClientLine
        self._mark = 0
        self._begun = False
        self._over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it.

        Raises:
            Exception: What the app raised, or the server.
        """
        self._line = ClientLine(receive, send)
        self._whole = scope["method"] in ("GET", "HEAD")
        exchange = self._exchange
        outermost = exchange.calls_left is None
        if exchange.calls_left is None:  # several of us in a nest share the attempts
            exchange.calls_left = self._policy.max_attempts
        for number in range(self._policy.max_attempts):
            if number:
                exchange.note(Attempted(number=number + 1))
            self._mark = len(exchange)
            self._over = False
            if number or outermost:
                exchange.calls_left -= 1
            try:
                await self._app({**scope}, self._receiver(), self._pass)
            except TransportError as error:
                if error.processed or not self._may_repeat():
                    raise
                self._over = True
            if not self._over or not await self._line.pause(self._after(number)):
                return

    def _after(self, number: int) -> float:
        return self._rng.uniform(0.0, min(self._policy.backoff_cap, self._policy.backoff * 2 ** min(number, 30)))

    def _may_repeat(self) -> bool:
        return self._whole and not self._begun and bool(self._exchange.calls_left)

    def _receiver(self) -> Receive:
        """A ``receive`` that says again what was kept, and keeps what comes after."""
        again = iter(tuple(self._kept))

        async def receive() -> Message:
            message = next(again, None)
            if message is None:
                message = await self._line.receive()
                self._keep(message)
            return message

        return receive

    def _keep(self, message: Message) -> None:
        if message["type"] != "http.request" or self._left < 0:
            return
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._kept.clear()
            self._whole = False
        else:
            self._kept.append(message)
            self._whole = not message.get("more_body", False)

    async def _pass(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] == "http.response.start" and self._was_unreached() and self._may_repeat():
            self._over = True
            return
        self._begun = True
        await self._line.send(message)

    def _was_unreached(self) -> bool:
        return any(not fact.processed for fact in self._exchange.since(self._mark, Unreachable))
