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

import anyio

from ..asgi.exchange import Exchange
from ..asgi.facts import KeptAlive
from ..asgi.loop import current_time
from ..asgi.types import Message, Send
from ..errors import BrokenStream

__all__ = ["KeepAlive"]

_NO_BUFFERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class KeepAlive:
    """The ``send`` of one request for a stream; `run` beside the attempts says "still here".

    Args:
        send: The request's ``send``.
        exchange: Where it is noted.
        content_type: Of the client's streams: ``"text/event-stream"``.
        comment: What says nothing.
        every: Seconds of silence after which it is sent.
        stall: Seconds that a client may take to read it.

    Attributes:
        content_type: As given, without parameters.
        begun: Whether the stream was begun with our headers.
        allowed: Whether a comment fits between what was sent and what comes; attempts say so.
    """

    __slots__ = (
        "_comment",
        "_every",
        "_exchange",
        "_lock",
        "_over",
        "_send",
        "_since",
        "_stall",
        "_started",
        "_whole",
        "allowed",
        "begun",
        "content_type",
    )

    def __init__(
        self, send: Send, exchange: Exchange, *, content_type: str, comment: bytes, every: float, stall: float
    ) -> None:
        self._send = send
        self._exchange = exchange
        self.content_type = content_type.encode("ascii")
        self._comment = comment
        self._every = every
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

    def stop(self) -> bool:
        """No comments any more.

        Returns:
            Whether the stream was begun, so that a failure must be said in it.
        """
        self._over = True
        return self.begun

    async def run(self) -> None:
        """Send comments for ever; to be cancelled.

        Raises:
            BrokenStream: The client takes nothing.
            Exception: What the server's ``send`` raised.
        """
        while not self._over:
            rest = self._since + self._every - current_time()
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
