"""One attempt: one app run once behind a gate, until its answer is let through (the commit) or lost.

Before the commit nothing of the answer reaches the client, so the attempt can be given up without a trace:

    the answer                        is let through                  is lost
    status 400 and above              never here: the plan decides    complete, cut, or over its bound
    2xx event stream                  first content, end, or bound    an error event, a cut, content not in time
    2xx anything else                 complete, or over its bound     a cut
    other statuses, encoded streams   at once                         never

After it the answer passes as it comes, whole events at a time. If it breaks off, an event stream is ended with the
client protocol's own error event and never looks complete; anything else is aborted (`BrokenStream`), so that the
server breaks off the connection too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio
from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.facts import Broke, Committed, Judged
from ..asgi.gate import GateState, ResponseGate
from ..asgi.headers import decode, find
from ..asgi.types import ASGIApp, Message, Receive, Scope
from ..errors import BrokenStream, ClientGone, Ds2apiError
from ..protocols.base import Protocol, StreamWatch
from ..universal.failure import Failure, Verdict
from .answer import FailedAnswer, error_answer
from .frames import EventTail
from .judging import Findings, Trouble, cut, late, raised
from .line import ClientLine
from .plan import Failed
from .timeouts import Timeouts, Watchdog

__all__ = ["MAX_HELD_ANSWER", "MAX_HELD_EVENTS", "MAX_HELD_STREAM", "Attempt", "Lost"]

logger = logging.getLogger("ds2api_asgi.resilience")

MAX_HELD_STREAM = 256 * 1024
"""Bytes of a stream without content that are held; then it is let through as it is."""

MAX_HELD_EVENTS = 200
"""Events without content that are held; then the stream is let through as it is."""

MAX_HELD_ANSWER = 1024 * 1024
"""Bytes of an answer that is not a stream, or of an error, that are held."""

_MAX_HELD_MESSAGES = 4096
"""Messages that are held, so that one byte per message cannot cost more than the bytes do."""

_EVENT_STREAM = b"text/event-stream"

_AFTERWARDS = 1.0
"""Seconds that an app has for its clean-up after an error answer, before it is cancelled."""

_LEAVING = 0.1
"""Seconds that an app has to end by itself once it was told that the client left."""

_LAST_WORDS = 5.0
"""Seconds that a client has to take the error event at the end of a broken stream."""


class Lost(Struct, frozen=True):
    """An attempt that came to nothing.

    Attributes:
        failed: For the plan.
        answer: For the client, should the plan find nothing better.
    """

    failed: Failed
    answer: FailedAnswer


class Attempt:
    """One run of one app.

    Args:
        protocol: The protocol that the client speaks.
        exchange: The request's exchange.
        line: The client.
        timeouts: How long what may take.
        deadline: When the request as a whole must be done, on the clock of `anyio.current_time`.
        unix_time: Tells the wall clock's time, to read dates in headers.
    """

    __slots__ = (
        "_complete",
        "_dog",
        "_error_body",
        "_exchange",
        "_failure",
        "_gate",
        "_held",
        "_line",
        "_open",
        "_protocol",
        "_tail",
        "_take",
        "_timeouts",
        "_unix_time",
        "_watch",
    )

    def __init__(
        self,
        protocol: Protocol,
        exchange: Exchange,
        line: ClientLine,
        *,
        timeouts: Timeouts,
        deadline: float,
        unix_time: Callable[[], float],
    ) -> None:
        self._protocol = protocol
        self._exchange = exchange
        self._line = line
        self._timeouts = timeouts
        self._unix_time = unix_time
        self._dog = Watchdog(deadline)
        self._gate = ResponseGate(line.send, max_bytes=MAX_HELD_ANSWER, max_messages=_MAX_HELD_MESSAGES)
        self._take: Callable[[Attempt, bytes, bool], Awaitable[None]] | None = None
        self._watch: StreamWatch | None = None
        self._tail = EventTail()
        self._held = 0
        self._error_body: bytearray | None = None
        self._failure: Failure | None = None
        self._open = False
        self._complete = False

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, *, stream: bool) -> Lost | None:
        """Run the app; it has ended when this returns.

        Args:
            app: The app to ask.
            scope: Its own copy of the scope.
            receive: Its ``receive``, which reads through the line.
            stream: Whether the client asked for a stream, whose first content is due in time.

        Returns:
            None when the client has its answer, or what there was of it; else what became of the attempt.

        Raises:
            BrokenStream: The answer broke off after its start reached the client, and has no way to say so.
            ClientGone: The client left.
            Exception: What the server's ``receive`` or ``send`` raised, or the app after its complete answer.
        """
        mark = len(self._exchange)
        calls_left = self._exchange.calls_left
        if stream:
            self._dog.allow("first-content", self._timeouts.first_content)
        self._line.on_gone = self._client_left
        error: Exception | None = None
        try:
            with self._dog.scope:
                await app(scope, receive, self.send)
        except Exception as caught:  # noqa: BLE001 - what an app raises before its answer becomes one
            error = caught
        finally:
            self._line.on_gone = None
        self._pass_on(error)
        if not self._open:
            return self._lost(error, mark, calls_left)
        if not self._complete:
            await self._break_off(error)
        return None

    def _client_left(self) -> None:
        if not self._complete:
            self._dog.allow("leaving", _LEAVING)

    def _pass_on(self, error: Exception | None) -> None:
        """Raise what is not the attempt's own failure."""
        if self._line.error is not None:
            raise error or self._line.error
        if self._open and self._complete:
            if error is not None:
                raise error
        elif self._line.gone or isinstance(error, ClientGone):
            raise ClientGone

    # The answer, message by message

    async def send(self, message: Message) -> None:
        """The ``send`` of the app beneath; what an attempt that is over still says is dropped."""
        kind = message["type"]
        if kind == "http.response.body":
            if self._take is not None and not self._complete:
                await self._take(self, message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and self._take is None:
            await self._start(message)

    async def _start(self, message: Message) -> None:
        await self._gate(message)
        status = message["status"]
        headers = message.get("headers", ())
        if status >= 400:
            self._take = Attempt._take_error
            self._error_body = bytearray()
        elif not 200 <= status < 300 or (find(headers, b"content-encoding") or b"identity") != b"identity":
            self._take = Attempt._take_whole
            await self._commit(None)
        elif (find(headers, b"content-type") or b"").lower().startswith(_EVENT_STREAM):
            self._take = Attempt._take_stream
            self._watch = self._protocol.stream_watch()
        else:
            self._take = Attempt._take_whole
            self._dog.allow("total", None)

    async def _take_stream(self, data: bytes, more: bool) -> None:
        watch = self._watch
        assert watch is not None
        watch.feed(data)
        ready = self._tail.push(data)
        if not self._open:
            await self._hold(watch, ready, more)
        elif not more:
            await self._end_stream(watch, ready)
        elif ready:
            await self._line.send({"type": "http.response.body", "body": ready, "more_body": True})
            self._dog.progress(ready)
        else:
            self._dog.progress(ready)

    async def _hold(self, watch: StreamWatch, ready: bytes, more: bool) -> None:
        if watch.failure is not None:
            self._failure = watch.failure
            self._complete = True
            self._dog.scope.cancel()
            return
        if not more and not watch.terminal:
            self._dog.allow("afterwards", _AFTERWARDS)
            return
        self._held += len(ready)
        if ready:
            await self._gate({"type": "http.response.body", "body": ready, "more_body": True})
        if watch.content or watch.terminal or self._held > MAX_HELD_STREAM or self._tail.events > MAX_HELD_EVENTS:
            await self._commit(self._protocol.stream_watch)
        if not more:
            await self._end_stream(watch, b"")

    async def _end_stream(self, watch: StreamWatch, ready: bytes) -> None:
        whole = watch.terminal or watch.failure is not None
        if whole:
            self._complete = True
            ready += self._tail.rest()
        else:
            self._dog.allow("afterwards", _AFTERWARDS)
        if ready or whole:
            await self._line.send({"type": "http.response.body", "body": ready, "more_body": not whole})
        if whole:
            self._dog.release()

    async def _take_whole(self, data: bytes, more: bool) -> None:
        self._complete = not more
        await self._gate({"type": "http.response.body", "body": data, "more_body": more})
        if not self._open and (not more or self._gate.state is GateState.OPEN):
            await self._commit(None)
        if not more:
            self._dog.release()
        elif self._open:
            self._dog.progress(b"")

    async def _take_error(self, data: bytes, more: bool) -> None:
        assert self._error_body is not None
        self._error_body += data[: MAX_HELD_ANSWER - len(self._error_body)]
        if not more:
            self._complete = True
            self._dog.allow("afterwards", _AFTERWARDS)
        elif len(self._error_body) >= MAX_HELD_ANSWER:
            self._dog.scope.cancel()

    async def _commit(self, watch: Callable[[], StreamWatch] | None) -> None:
        self._open = True
        status = self._gate.status
        assert status is not None
        self._exchange.note(Committed(status=status, held=anyio.current_time() - self._exchange.started))
        self._dog.guard(self._timeouts, watch)
        await self._gate.open()

    # What becomes of an attempt that did not answer

    def _trouble(self, error: Exception | None) -> Trouble:
        if self._dog.barked and self._dog.cause != "afterwards":
            return late(self._dog.cause)
        if error is None and self._take is not None:
            return cut()
        if error is not None and not isinstance(error, Ds2apiError):
            logger.warning("an app raised in the middle of a request", exc_info=error)
        return raised(error)

    def _lost(self, error: Exception | None, mark: int, calls_left: int | None) -> Lost:
        findings = Findings(self._exchange, mark)
        status = 0 if self._error_body is None else self._gate.status or 0
        known = findings.verdict(status)
        if self._error_body is not None:
            verdict, answer = self._judge_answer(status, bytes(self._error_body), findings.unreached or known)
        elif self._failure is not None:
            verdict = known or self._classify(self._failure, decode(self._gate.headers))
            answer = error_answer(self._protocol, self._failure)
        else:
            trouble = self._trouble(error)
            verdict, answer = trouble.verdict, error_answer(self._protocol, trouble.failure)
        self._gate.shut()
        if known is None:
            self._exchange.note(Judged(by="retry", status=status, verdict=verdict))
        calls = self._count_calls(calls_left, asked=findings.empty is None)
        failed = Failed(verdict=verdict, status=answer.status, keyed=findings.keyed, empty=findings.empty, calls=calls)
        return Lost(failed, answer)

    def _judge_answer(self, status: int, body: bytes, known: Verdict | None) -> tuple[Verdict, FailedAnswer]:
        headers = list(self._gate.headers)
        whole = FailedAnswer(status, headers, body) if self._complete else None
        if known is not None and whole is not None:
            return known, whole
        decoded = decode(headers)
        failure = self._protocol.decode_error(status, decoded, body)
        return known or self._classify(failure, decoded), whole or error_answer(self._protocol, failure)

    def _classify(self, failure: Failure, headers: Mapping[str, str]) -> Verdict:
        return self._protocol.classify(failure, headers, now=self._unix_time())

    def _count_calls(self, before: int | None, *, asked: bool) -> int:
        """Charge the attempt to the request's budget, unless a retry beneath us has charged its own."""
        if before is None or self._exchange.calls_left is None:
            return int(asked)
        spent = before - self._exchange.calls_left
        if spent == 0 and asked:
            self._exchange.calls_left -= 1
            return 1
        return spent

    async def _break_off(self, error: Exception | None) -> None:
        """End an answer that has begun and will not be complete."""
        watch = self._watch
        if watch is not None and (watch.terminal or watch.failure is not None):
            # All is said that the protocol has to say; only the app's own end went wrong.
            await self._line.send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        trouble = self._trouble(error)
        self._exchange.note(Broke(reason=trouble.broke))
        if watch is not None and not self._tail.torn:
            with anyio.move_on_after(_LAST_WORDS):
                body = self._protocol.stream_error(trouble.failure)
                await self._line.send({"type": "http.response.body", "body": body, "more_body": False})
                return
        if isinstance(error, BrokenStream):
            raise error
        raise BrokenStream(trouble.broke, trouble.failure.message) from error
