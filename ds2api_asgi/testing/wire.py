"""One HTTP exchange between a client and an app in the same process, with nothing in between that buffers.

Every ``send`` of the app waits until the client has taken the message, so a client that holds chunk n knows that
chunk n+1 is not made yet. What a server over a socket would refuse (a second start, a body after the last one) is
refused here with a RuntimeError in the app.

    client                          app
    start()   ◄── rendezvous ──     send(http.response.start)
    chunk()   ◄── rendezvous ──     send(http.response.body)
    leave()   ── at once ──►        receive() → http.disconnect; further sends vanish, as uvicorn's do
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from ..asgi.types import ASGIApp, Message, Scope

__all__ = ["BrokenResponse", "NoResponse", "RawHeaders", "Wire"]

RawHeaders = Sequence[tuple[bytes, bytes]]


class NoResponse(Exception):
    """The app returned without having started a response."""


class BrokenResponse(Exception):
    """The app's response ended before its last body message; ``__cause__`` is what it raised, if it did."""


class Wire:
    """The exchange.

    Args:
        app: The app.
        scope: The request's ``http`` scope.
        body: The request's body, part by part; closed when the app is done with it.

    Attributes:
        error: What the app raised, once it has.
        told: Whether the client was told that the response is missing or broken.
        complete: Whether the app sent its last body message.
        left: Whether the client left before that.
    """

    def __init__(self, app: ASGIApp, scope: Scope, body: AsyncIterable[bytes]) -> None:
        self._app = app
        self._scope = scope
        self._parts: AsyncIterator[bytes] | None = aiter(body)
        self._give, self._take = anyio.create_memory_object_stream[Message](0)
        self._over = anyio.Event()
        self._started = False
        self.error: Exception | None = None
        self.told = False
        self.complete = False
        self.left = False

    async def run(self) -> None:
        """Run the app: the task of its side. Its exceptions go into `error`."""
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - as a server does; the client is told
            self.error = error
        finally:
            self._over.set()
            self._give.close()
            await _close(self._parts)

    async def start(self) -> tuple[int, RawHeaders]:
        """Wait for the response's start.

        Returns:
            Status and headers.

        Raises:
            NoResponse: The app ended without one; ``__cause__`` is what it raised, if it did.
        """
        try:
            message = await self._take.receive()
        except anyio.EndOfStream:
            self.told = True
            raise NoResponse("the app did not start a response") from self.error
        return message["status"], [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]

    async def chunk(self) -> bytes | None:
        """Take the next part of the body that holds something; None after the last.

        Raises:
            BrokenResponse: The app ended in the middle.
        """
        while not self.left:
            try:
                message = await self._take.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                if self.complete:
                    return None
                self.told = True
                raise BrokenResponse("the response ended before its last part") from self.error
            if message.get("body"):
                return bytes(message["body"])
        return None

    def leave(self) -> None:
        """Go away, or be done: the app's ``receive`` tells it at once. To be called for every exchange."""
        self.left = self.left or not self.complete
        self._over.set()
        self._take.close()
        self._give.close()

    async def _receive(self) -> dict[str, Any]:
        if self._parts is not None and not self._over.is_set():
            try:
                return {"type": "http.request", "body": await anext(self._parts), "more_body": True}
            except StopAsyncIteration:
                self._parts = None
                return {"type": "http.request", "body": b"", "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind not in ("http.response.start", "http.response.body"):
            raise RuntimeError(f"the app sent {kind!r}, which was not offered")
        if (kind == "http.response.start") is self._started:
            raise RuntimeError("the app started twice" if self._started else "the app sent a body before the start")
        if self.complete:
            raise RuntimeError("the app sent a body after the last one")
        self._started = True
        if kind == "http.response.body":
            last = not message.get("more_body", False)
            if self._scope["method"] == "HEAD":
                message = {**message, "body": b""}
            self.complete = last
        try:
            await self._give.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await anyio.lowlevel.checkpoint()  # the client left; a server drops it silently
        if self.complete:
            self._give.close()
            self._over.set()


async def _close(parts: AsyncIterator[bytes] | None) -> None:
    if isinstance(parts, AsyncGenerator):
        with anyio.CancelScope(shield=True):
            await parts.aclose()
