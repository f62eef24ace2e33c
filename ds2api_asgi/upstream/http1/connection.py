"""One connection and the answer that arrives on it: no waiting but for bytes, so any chunking of them can be tried.

| the connection | bytes that come | the connection is lost |
|---|---|---|
| is idle | are nobody's answer: it is closed (empty lines are let pass, RFC 9112, 2.2) | is forgotten |
| was asked | are read as the head; interim answers (1xx) are passed over | the request has no answer |
| has told the head | are read as the body | the answer is cut, unless it says no length |
| has told all | came too early for any request: it is closed, not used again | is forgotten |
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from ...errors import BrokenStream, TransportError
from .target import Origin

__all__ = ["MAX_HEAD", "READ_BUFFER", "Answer", "Connection"]

MAX_HEAD = 64 * 1024
"""Bytes that may come without being a body: of an answer's head, of interim answers before it, of trailers."""

READ_BUFFER = 128 * 1024
"""Bytes that are kept for who reads an answer before no more are taken from the upstream."""

_INTERIM = frozenset({100, 102, 103})
"""All but 101, a protocol that nobody asked to switch to, and those that the parser believes to have a body."""


class _Stop(Exception):
    """What follows is not to be read."""


class Answer:
    """See `UpstreamAnswer`; made by `Connection.ask`.

    Attributes:
        status: 0 until the head is known.
        headers: As they came.
        ended: Whether all of it has arrived.
        untouched: Whether not one byte of it has.
        parts: Of the body, which wait for who reads it.
        held: Bytes that came with them, to be added up by who reads the connection.
    """

    __slots__ = (
        "_connection",
        "_failure",
        "_loop",
        "_waiter",
        "ended",
        "headers",
        "held",
        "parts",
        "status",
        "untouched",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.ended = False
        self.untouched = True
        self.parts: list[bytes] = []
        self.held = 0
        self._connection = connection
        self._loop = loop
        self._failure = ""
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait for the head.

        Raises:
            TransportError: There will be none.
        """
        while not self.status:
            if self._failure:
                reason = self._failure
                raise TransportError(reason, f"no answer from the upstream ({reason})", processed=True)
            try:
                await self._more()
            except asyncio.CancelledError:
                await self.aclose()
                raise

    @property
    def chunks(self) -> Answer:
        """The body as it arrives."""
        return self

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> bytes:
        while not self.parts:
            if self.ended:
                raise StopAsyncIteration
            if self._failure:
                raise BrokenStream(self._failure, f"the upstream's answer broke off ({self._failure})")
            await self._more()
        parts, self.parts = self.parts, []
        if self.held > READ_BUFFER and not self.ended:
            self._connection.read_on()
        self.held = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def aclose(self) -> None:
        """See `UpstreamAnswer.aclose`."""
        if not self.ended:  # else the connection was given back, and may be another answer's
            self._connection.close()

    def wake(self) -> None:
        """Have who waits look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def fail(self, reason: str) -> None:
        """Say that no more can arrive; what has is still read."""
        self._failure = reason
        self.wake()

    async def _more(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Connection(asyncio.Protocol):
    """A connection to an upstream: one request and its answer at a time.

    Args:
        origin: Where it leads.
        loop: The event loop that runs it.
        freed: Told when it can take the next request.
        lost: Told when it has ended.

    Attributes:
        origin: As given.
        idle_since: When it was freed, in seconds of the loop's clock; to be set by who keeps it.
    """

    __slots__ = (
        "_answer",
        "_arrived",
        "_bodiless",
        "_freed",
        "_is_long",
        "_loop",
        "_lost",
        "_other",
        "_parser",
        "_paused",
        "_reusable",
        "_transport",
        "idle_since",
        "on_body",
        "origin",
    )

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        *,
        freed: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self._loop = loop
        self._freed = freed
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._arrived: list[bytes] = []  # parts of a body, of one read
        self.on_body = self._arrived.append  # no function of ours, since a read may hold hundreds
        self._parser = HttpResponseParser(self)
        self._answer: Answer | None = None
        self._bodiless = False
        self._is_long = False
        self._reusable = False
        self._paused = False
        self._other = 0  # bytes since there was a part of a body

    @property
    def alive(self) -> bool:
        """Whether it can be asked, as far as one can tell."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, message: Sequence[bytes], *, bodiless: bool) -> Answer:
        """Send a request; nobody else's may be under way.

        Args:
            message: Its bytes.
            bodiless: Whether it is one for the head alone (HEAD).
        """
        answer = Answer(self, self._loop)
        transport = self._transport
        if transport is None or transport.is_closing():
            answer.fail("reset")
            return answer
        self._answer = answer
        self._bodiless = bodiless
        self._is_long = len(message) > 1
        self._other = 0
        transport.writelines(message)
        return answer

    def read_on(self) -> None:
        """Take bytes again, after so many had come that no more were taken."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """End it at once; what is still to be sent is dropped, and an answer under way is cut."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.fail("reset")
        if self._transport is not None:
            self._transport.abort()

    # What the transport tells (asyncio.Protocol).

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = made = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        if self.origin.secure:
            # While nobody reads, nothing more is to be taken from TCP: uvloop forgets what it has when TCP then ends.
            cast("Any", made).set_read_buffer_limits(1, 0)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        answer = self._answer
        if answer is None:
            if data.strip(b"\r\n"):
                self._drop()
            return
        answer.untouched = False
        failure = ""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            failure = "protocol"
        arrived = self._arrived
        if not arrived:
            self._other += len(data)
        elif self._bodiless:
            failure = "protocol"
        else:
            answer.parts += arrived
            answer.held += len(data)
            self._other = 0
        arrived.clear()
        if self._other > MAX_HEAD:
            failure = "protocol"
        if failure or answer.ended:
            self._end(answer, failure)
            return
        if answer.held > READ_BUFFER:
            self._pause()
        answer.wake()

    def eof_received(self) -> None:
        """No more will come; nobody waits until the rest of the request is sent."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._loop.call_soon(self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        transport, self._transport = self._transport, None
        del self._parser  # it holds us, and we would be garbage in a cycle
        answer, self._answer = self._answer, None
        if answer is not None:
            if answer.status and exc is None and _ends_with_connection(answer.headers) and _was_closed(transport):
                answer.ended = True
                answer.wake()
            else:
                answer.fail("truncated" if answer.status and exc is None else "reset")
        self._lost(self)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _drop(self) -> None:
        """As `close`, while the transport tells of something: asyncio's TLS would miss its own there."""
        transport, self._transport = self._transport, None
        if transport is not None:
            if self.origin.secure:
                self._loop.call_soon(transport.abort)
            else:
                transport.abort()

    def _end(self, answer: Answer, failure: str) -> None:
        """The answer has arrived, or none can arrive any more."""
        self._answer = None
        transport = self._transport
        if (
            failure
            or not self._reusable
            or transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size()  # the request is still on its way, though it was answered
            or (self._is_long and self._may_be_unread(answer))
        ):
            self._drop()
        else:
            if self._bodiless:  # the parser waits for the body that the headers told of
                self._parser = HttpResponseParser(self)
            if self._paused:
                self.read_on()
            self._freed(self)
        if answer.ended:
            answer.wake()
        else:
            answer.fail(failure)

    def _may_be_unread(self, answer: Answer) -> bool:
        """Whether a long request may not have been read: TLS does not tell what TCP has still to send."""
        return self.origin.secure and answer.status >= 400

    # What the parser reads (httptools).

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._answer is None or self._answer.status:
            raise _Stop  # nobody asked for it

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody reads."""
        answer = self._answer
        if answer is not None and not answer.status:
            answer.headers.append((name, value.rstrip(b" \t")))  # RFC 9112, 5: it is none of the value

    def on_headers_complete(self) -> None:
        """The head has ended."""
        answer, status = self._answer, self._parser.get_status_code()
        assert answer is not None
        if status < 200:
            if status not in _INTERIM:
                raise _Stop
            answer.headers = []
            return
        answer.status = status
        if self._bodiless:
            answer.ended = True
            self._reusable = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """All has arrived."""
        answer = self._answer
        if answer is not None and answer.status:
            answer.ended = True
            self._reusable = self._parser.should_keep_alive()


def _ends_with_connection(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a body is as long as the connection lasts (RFC 9112, 6.3)."""
    return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)


def _was_closed(transport: asyncio.BaseTransport | None) -> bool:
    """Whether the upstream said that it would send no more; over TLS anybody can end a connection (RFC 9112, 9.8)."""
    session: ssl.SSLObject | None = None if transport is None else transport.get_extra_info("ssl_object")
    if session is None:
        return True
    try:
        return not session.read(1)  # there are bytes where uvloop gave up those that we did not take yet
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
