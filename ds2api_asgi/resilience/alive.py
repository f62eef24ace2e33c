"""Keep-alives for a client that waits for a stream: begun early, while it is still open which attempt will answer.

Proxies cut connections on which nothing moves (Cloudflare after 100 seconds with a 524, nginx after 60). So after some
silence the stream is begun with headers of our own, and comments go out as long as nothing else does. They say nothing
of an answer, so trying goes on as before; only a failure of all attempts is then said as an error event, since the
status has been given.

| state | the client has | an attempt's start | all have failed |
|---|---|---|---|
| waiting | nothing | passes | an error status |
| begun | our headers, comments | dropped | an error event |
| answered | an attempt's headers | - | - |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ..asgi.exchange import Exchange
from ..asgi.facts import KeptAlive
from ..asgi.headers import decode
from ..asgi.loop import current_time
from ..asgi.types import Message, Send
from ..asgi.unwrapped import unwrapped
from ..errors import BrokenStream
from ..protocols.alive import keep_alive_of
from ..protocols.base import Protocol
from ..protocols.ending import stream_error
from .answer import FailedAnswer

__all__ = ["KeepAlive"]

_NO_BUFFERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class KeepAlive:
    """The ``send`` of one request for a stream, which says "still here" while its attempts run (`through`).

    Args:
        send: The request's ``send``.
        exchange: Where it is noted.
        protocol: The client's, which has something that says nothing (`protocols.alive`).
        every: Seconds of silence after which it is sent.
        stall: Seconds that a client may take to read it.

    Attributes:
        content_type: Of the client's streams, without parameters.
        every: As given.
        begun: Whether the stream was begun with our headers.
        allowed: Whether a comment fits between what was sent and what comes; attempts say so.
    """

    __slots__ = (
        "_comment",
        "_exchange",
        "_lock",
        "_over",
        "_protocol",
        "_send",
        "_since",
        "_stall",
        "_started",
        "_whole",
        "allowed",
        "begun",
        "content_type",
        "every",
    )

    def __init__(self, send: Send, exchange: Exchange, protocol: Protocol, *, every: float, stall: float) -> None:
        self._send = send
        self._exchange = exchange
        self._protocol = protocol
        self._comment = keep_alive_of(protocol)
        self.content_type = protocol.stream_type().encode("ascii")
        self.every = every
        self._stall = stall
        self._lock = anyio.Lock(fast_acquire=True)  # or every delta would cost a turn of the loop
        self._since = current_time()
        self._started = False
        self._whole = True  # whether all messages have gone out wholly
        self._over = False
        self.begun = False
        self.allowed = True

    async def send(self, message: Message) -> None:
        """Send a message of an attempt, never in the middle of a comment; a second start is dropped."""
        async with self._lock:
            if message["type"] == "http.response.start":
                if self.begun:
                    return
                self._started = True
            elif not message.get("more_body", False):
                self._over = True
            self._whole = False
            await self._send(message)
            self._whole = True
            self._since = current_time()

    async def through(self, attempts: Callable[[], Awaitable[None]]) -> None:
        """Run the attempts, which send through us, and keep the connection meanwhile.

        Raises:
            BrokenStream: The client takes nothing.
            Exception: What the attempts or the server's ``send`` raised.
        """
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(self._run)
                await attempts()
                group.cancel_scope.cancel()

    async def tell_lost(self, answer: FailedAnswer) -> None:
        """All attempts have failed: say so, as an error event where the stream was begun."""
        self._over = True
        if not self.begun:
            await answer.send(self.send)
            return
        failure = self._protocol.decode_error(answer.status, decode(answer.headers), answer.body)
        body = stream_error(self._protocol, None, failure)
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _run(self) -> None:
        while not self._over:
            rest = self._since + self.every - current_time()
            if rest > 0:
                await anyio.sleep(rest)
            elif self._fits():
                await self._say()
            else:
                self._since = current_time()

    def _fits(self) -> bool:
        return self.allowed and self._whole and not self._over and not self._lock.locked()

    async def _say(self) -> None:
        with anyio.move_on_after(self._stall) as stalled:
            async with self._lock:
                self._exchange.note(KeptAlive(begins=not self._started))
                self._whole = False
                if not self._started:
                    self._started = self.begun = True
                    kind = (b"content-type", self.content_type + b"; charset=utf-8")
                    await self._send({"type": "http.response.start", "status": 200, "headers": [kind, *_NO_BUFFERS]})
                await self._send({"type": "http.response.body", "body": self._comment, "more_body": True})
                self._whole = True
                self._since = current_time()
        if stalled.cancelled_caught:
            raise BrokenStream("idle", "the client takes nothing")
