"""One request on its way up and its answer on its way down.

Everything happens in the task of the request: one read of the upstream is one ``send``, and the next read waits for it,
so a slow client slows the upstream down. One cancel scope watches for the client's leaving and holds the deadline of
the phase: the answer's first byte, then the next byte, and all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from msgspec import Struct

from ..asgi.disconnect import Watch
from ..asgi.headers import find, response_headers
from ..asgi.loop import AsyncioLoop
from ..asgi.types import Receive, Send
from ..errors import BrokenStream, ClientGone, TransportError
from .inflated import plain
from .sender import Sender, UpstreamAnswer

__all__ = ["Forward", "Outgoing", "Timeouts"]

CLOSE_TIMEOUT = 0.1
"""Seconds that closing an answer that was broken off may take: the upstream is to stop working on it."""

_STEP = 16  # the idle deadline is moved when a sixteenth of it has passed, not at every read


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long an upstream may take, in seconds.

    Attributes:
        first_byte: From the request to the first byte of a streamed answer's body, or to its start
            (`Outgoing.may_rest`); other answers have `total`.
        idle: Between two reads; also between two sends, for a client that does not read.
        total: For everything.
    """

    first_byte: float
    idle: float
    total: float


class Outgoing(Struct, frozen=True, kw_only=True):
    """A request as the upstream gets it.

    Attributes:
        method: ``"POST"``.
        url: Absolute, percent-encoded.
        headers: Lower-case names.
        body: All of it.
        streams: Whether a streamed answer is asked for.
        may_rest: Whether an answer that has started may come all at its end, as a picture's does: then the start counts
            as the first byte.
    """

    method: str
    url: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    streams: bool
    may_rest: bool = False


class Forward:
    """One request to an upstream; made where it runs, and `run` once.

    Args:
        sender: What sends it.
        timeouts: How long it may take.
        deadline: When everything must have ended, in seconds of `anyio.current_time`.
        loop: What `asyncio_loop` says.

    Attributes:
        started: Whether the response has started on the client's side.
    """

    __slots__ = ("_answer", "_clock", "_complete", "_deadline", "_loop", "_sender", "_sending", "_timeouts", "started")

    def __init__(self, sender: Sender, timeouts: Timeouts, *, deadline: float, loop: AsyncioLoop | None) -> None:
        self._sender = sender
        self._timeouts = timeouts
        self._deadline = deadline
        self._loop = loop
        self._clock = anyio.current_time if loop is None else loop.time
        self._answer: UpstreamAnswer | None = None
        self._complete = False
        self._sending = False
        self.started = False

    async def run(self, outgoing: Outgoing, receive: Receive, send: Send) -> None:
        """Ask the upstream and pass its answer on.

        Raises:
            TransportError: No answer; nothing was sent to the client.
            BrokenStream: The answer broke off after it had started.
            ClientGone: The client left, or does not read.
        """
        now = self._clock()
        self._deadline = min(self._deadline, now + self._timeouts.total)
        first = min(self._deadline, now + self._timeouts.first_byte) if outgoing.streams else self._deadline
        watch = Watch(receive, self._loop, deadline=first)
        try:
            async with watch:
                answer = await self._sender.send(outgoing.method, outgoing.url, outgoing.headers, outgoing.body)
                self._answer = plain(answer)
                await self._relay(self._answer, outgoing, watch, send)
        except OSError as error:  # senders raise none: it was the server's send, which has no client any more
            raise ClientGone from error
        finally:
            if self._answer is not None and not self._complete:
                with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await self._answer.aclose()
        if watch.expired and not self._complete:
            raise self._late()

    async def _relay(self, answer: UpstreamAnswer, outgoing: Outgoing, watch: Watch, send: Send) -> None:
        status = answer.status
        headers = response_headers(answer.headers)
        left = None if status in (204, 304) else _content_length(answer.headers)
        if left is not None:
            headers.append((b"content-length", b"%d" % left))
        self.started = True
        if outgoing.may_rest and status < 300:
            watch.deadline = self._deadline
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if outgoing.method == "HEAD" or status in (204, 304) or left == 0:
            left = None
        else:
            left = await self._relay_body(answer, left, watch, send)
        if left is None:
            watch.release()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        await anext(answer.chunks, None)  # a client keeps the connection only after it has seen the body's end
        await answer.aclose()
        self._complete = True
        if watch.listening:
            await watch.settle()

    async def _relay_body(self, answer: UpstreamAnswer, left: int | None, watch: Watch, send: Send) -> int | None:
        """Pass the body on. Returns None when its end is still to be said, 0 when the last chunk said it."""
        idle, clock = self._timeouts.idle, self._clock
        step = idle / _STEP
        moved = float("-inf")
        async for chunk in answer.chunks:
            if left is not None:
                left -= len(chunk)
            if left == 0:
                watch.release()
            else:
                now = clock()
                if now - moved > step:
                    moved = now
                    watch.deadline = min(self._deadline, now + idle + step)
            self._sending = True
            await send({"type": "http.response.body", "body": chunk, "more_body": left != 0})
            self._sending = False
        if left:
            raise BrokenStream("truncated", "the upstream's answer is shorter than it said")
        return left

    def _late(self) -> Exception:
        if self._sending:
            return ClientGone()
        if not self.started:
            return TransportError("timeout", "the upstream did not answer in time", processed=True)
        reason = "total" if self._clock() >= self._deadline else "idle"
        return BrokenStream(reason, f"the upstream's answer took too long ({reason})")


def _content_length(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    value = find(headers, b"content-length")
    if value is None or not value.isdigit() or find(headers, b"transfer-encoding") is not None:
        return None
    return int(value)
