"""An answer on its way to the client: held at the gate, let through (the commit), and passed on.

    the answer                        is let through                  is lost
    status 400 and above              never here: the plan decides    complete, cut, or over its bound
    2xx event stream                  first content, end, or bound    an error event, a cut, content not in time
    2xx JSON array that is a stream   as an event stream              as an event stream
    2xx anything else                 complete, or over its bound     a cut; no document, or one that is an error
                                                                      (`protocols.hidden`)
    2xx that is to be no document     its first bytes                 a cut before them, or a page
    (`protocols.inference`)
    1xx and 3xx                       never                           at once: nobody here was to go elsewhere
    encoded, or to a HEAD request     at once                         never

Of a stream that was let through whole events pass, so that one can always be appended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..asgi.exchange import Exchange
from ..asgi.facts import Committed
from ..asgi.gate import Gate, GateState
from ..asgi.headers import RawHeaders, find, media_type, readable_type, replace
from ..asgi.types import Message
from ..protocols.base import Protocol, StreamWatch
from ..protocols.hidden import MAX_JUDGED, AnswerJudge, judge_of
from ..protocols.inference import is_document_type, is_page
from ..universal.failure import Failure, FailureKind
from .alive import KeepAlive
from .answer import is_document
from .asked import Asked
from .frames import FRAMINGS, ArrayTail, EventTail
from .line import ClientLine
from .timeouts import Timeouts, Watchdog

__all__ = ["MAX_HELD_ANSWER", "MAX_HELD_EVENTS", "MAX_HELD_STREAM", "Passage"]

MAX_HELD_STREAM = 256 * 1024
"""Bytes of a stream without content that are held; then it is let through as it is."""

MAX_HELD_EVENTS = 200
"""Events without content that are held; then the stream is let through as it is."""

MAX_HELD_ANSWER = 1024 * 1024
"""Bytes of an answer that is not a stream, or of an error, that are held."""

_MAX_HELD_MESSAGES = 4096
"""Messages that are held, so that one byte per message cannot cost more than the bytes do."""

_MAX_BLANK = 1024
"""Bytes of space in front of a body that may be an array."""

_AFTERWARDS = 1.0
"""Seconds that an app has for its clean-up after an answer that is lost, before it is cancelled."""


class Passage:
    """The ``send`` of one attempt.

    Args:
        asked: The request.
        exchange: Where the commit is noted.
        line: The client.
        dog: Watches over the attempt; is told how the answer comes on.
        timeouts: How long what may take.
        alive: Sends comments to the client meanwhile; None: nobody does.

    Attributes:
        open: Whether the answer was let through.
        complete: Whether all is there: the whole answer, the whole error, or the event that makes it one.
        error_body: What there is of the body of an error answer; None when it is no error answer.
        failure: The error that came before any content went out: an event of a stream, or all of a body.
        watch: Watches a stream; None when it is no stream.
    """

    __slots__ = (
        "_alive",
        "_asked",
        "_blank",
        "_documents",
        "_dog",
        "_exchange",
        "_gate",
        "_held",
        "_judge",
        "_line",
        "_start_message",
        "_tail",
        "_take",
        "_timeouts",
        "complete",
        "error_body",
        "failure",
        "open",
        "watch",
    )

    def __init__(
        self,
        asked: Asked,
        exchange: Exchange,
        line: ClientLine,
        dog: Watchdog,
        timeouts: Timeouts,
        *,
        alive: KeepAlive | None = None,
    ) -> None:
        self._asked = asked
        self._alive = alive
        self._start_message: Message | None = None  # until it is known what follows it,
        self._blank = b""  # and the space that has followed so far
        self._exchange = exchange
        self._line = line
        self._dog = dog
        self._timeouts = timeouts
        self._gate = Gate(max_bytes=MAX_HELD_ANSWER, max_messages=_MAX_HELD_MESSAGES)
        self._tail: EventTail | ArrayTail  # comes with the watch
        self._held = 0
        self._documents: bool | None = True  # whether a whole answer is to be one; None: its first bytes tell
        self._judge: AnswerJudge | None = None  # of a whole answer that may be an error under a success status
        # How to take a part of the body; a plain function, since a bound method would make us garbage in a cycle.
        self._take: Callable[[Passage, bytes, bool], Awaitable[None]] | None = None
        self.watch: StreamWatch | None = None
        self.error_body: bytearray | None = None
        self.failure: Failure | None = None
        self.open = False
        self.complete = False

    @property
    def started(self) -> bool:
        """Whether the app has started an answer."""
        return self._take is not None

    @property
    def status(self) -> int:
        """The answer's HTTP status; 0 before its start."""
        return self._gate.status or 0

    @property
    def headers(self) -> RawHeaders:
        """The answer's headers."""
        return list(self._gate.headers)

    @property
    def extensible(self) -> bool:
        """Whether an event can be appended to what has passed."""
        return self.watch is not None and not self._tail.torn and not self._line.sending

    @property
    def said(self) -> bool:
        """Whether all has passed that the protocol has to say: its end, or an error event."""
        watch = self.watch
        if watch is None:
            return False
        return watch.failure is not None or (watch.ended if self._tail.closes else watch.terminal)

    @property
    def ended(self) -> bool:
        """Whether the protocol's last word has passed, so that even a broken connection has cut nothing off."""
        return self.watch is not None and (self.watch.ended or self.watch.failure is not None)

    async def send(self, message: Message) -> None:
        """Take a message of the app; what it still says after the end is dropped."""
        kind = message["type"]
        if kind == "http.response.body":
            if self._take is not None and not self.complete:
                await self._take(self, message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and self._take is None:
            await self._start(message)

    async def _start(self, message: Message) -> None:
        status: int = message["status"]
        headers = message.get("headers", ())
        kind = readable_type(headers)
        commit = False
        if status >= 400:
            self._take = Passage._take_error
            self.error_body = bytearray()
        elif not 200 <= status < 300:
            self._give_up(f"the upstream answered with status {status}, which is no answer")
        elif self._alive is not None and not self._suits(self._alive, kind):
            self._give_up("the upstream's answer is no stream")
        elif kind is None or self._asked.head:
            self._take = Passage._take_whole
            commit = True
        elif (framing := FRAMINGS.get(kind)) is not None:
            message = self._begin_stream(message, EventTail(framing))
        elif self._asked.stream and kind in _array_types(self._asked.protocol):
            self._take = Passage._take_first
            self._start_message = message
            return
        else:
            self._begin_whole(kind)
        await self._pass(message)
        if commit:
            await self._commit(None)

    def _give_up(self, problem: str) -> None:
        """What comes is no answer of the protocol; nobody reads on."""
        self._take = Passage._take_whole
        self.failure = Failure(kind=FailureKind.BAD_GATEWAY, message=problem)
        self.complete = True
        self._dog.scope.cancel()

    def _suits(self, alive: KeepAlive, kind: bytes | None) -> bool:
        """Whether an answer can follow what the client has already; to one that is no stream no comment comes."""
        alive.allowed = kind == alive.content_type
        return alive.allowed or not alive.begun

    def _begin_stream(self, start: Message, tail: EventTail | ArrayTail) -> Message:
        """Expect a stream after this start; return how it is to be said."""
        self._take = Passage._take_stream
        self.watch, self._tail = self._asked.watch(), tail
        if self._dog.cause == "first-content":
            self._dog.prolong(self._asked.prolonged(self._asked.clock.now()))
        if find(start["headers"], b"content-length") is None:
            return start
        # It would forbid the error event of a broken stream.
        return {**start, "headers": replace(start["headers"], {b"content-length": None})}

    def _begin_whole(self, kind: bytes) -> None:
        self._take = Passage._take_whole
        self._judge = judge_of(self._asked.protocol, kind)
        self._documents = is_document_type(self._asked.operation, kind)
        self._dog.allow("total", None)

    async def _take_first(self, data: bytes, more: bool) -> None:
        """Take the beginning of what may be an array; its first byte tells."""
        start = self._start_message
        assert start is not None
        data = self._blank + data
        first = data.lstrip()[:1]
        if not first and more and len(data) <= _MAX_BLANK:
            self._blank = data
            return
        if first == b"[":
            start = self._begin_stream(start, ArrayTail())
        else:
            self._begin_whole(media_type(start["headers"]))
        self._start_message = None
        await self._pass(start)
        take = self._take
        assert take is not None
        await take(self, data, more)

    async def _pass(self, message: Message) -> None:
        for passed in self._gate.push(message):
            await self._line.send(passed)

    async def _take_stream(self, data: bytes, more: bool) -> None:
        watch = self.watch
        assert watch is not None
        ready = self._tail.push(data)
        if self._alive is not None:
            self._alive.allowed = not self._tail.torn
        # The watch sees what may pass and no more, lest an end count that the client never gets.
        if more:
            if ready:
                watch.feed(ready)
            if self.open:  # every delta comes along here
                if ready:
                    await self._line.send({"type": "http.response.body", "body": ready, "more_body": True})
                self._dog.progress(ready)
                return
        else:
            rest = self._tail.rest()  # the last event of a stream may lack its blank line
            watch.feed(ready + rest)
            ready += rest if self.said else b""
        if self.open:
            await self._end_stream(ready)
        else:
            await self._hold(watch, ready, more)

    async def _hold(self, watch: StreamWatch, ready: bytes, more: bool) -> None:
        if watch.failure is not None:
            self.failure = watch.failure
            self.complete = True
            self._dog.scope.cancel()
            return
        if not more and not self.said:
            self._heard_out()
            return
        self._held += len(ready)
        if ready:
            await self._pass({"type": "http.response.body", "body": ready, "more_body": True})
        if watch.content or watch.terminal or self._held > MAX_HELD_STREAM or self._tail.events > MAX_HELD_EVENTS:
            self._tail.counting = False
            await self._commit(self._asked.watch)
        if not more:
            await self._end_stream(b"")

    async def _end_stream(self, ready: bytes) -> None:
        whole = self.said
        if whole:
            self.complete = True
        else:
            self._heard_out()
        if ready or whole:
            await self._line.send({"type": "http.response.body", "body": ready, "more_body": not whole})
        if whole:
            self._dog.release()

    async def _take_whole(self, data: bytes, more: bool) -> None:
        message = {"type": "http.response.body", "body": data, "more_body": more}
        if self._documents is None and not self.open:
            self._documents = is_page(self._gate.body + data, whole=not more)
        if more:
            await self._pass(message)
            if not self.open and (self._gate.state is GateState.OPEN or (data and self._documents is False)):
                await self._commit(None)
            if self.open:
                self._dog.progress(b"")
            return
        self.complete = True
        if not self.open:
            self.failure = self._failure_of(self._gate.body + data)
            if self.failure is not None:
                self._heard_out()
                return
            await self._commit(None)
        await self._line.send(message)
        self._dog.release()

    def _failure_of(self, body: bytes) -> Failure | None:
        """What is wrong with a whole answer; None when it is one."""
        failure = None if self._judge is None or len(body) > MAX_JUDGED else self._judge(body)
        if failure is None and self._documents and not is_document(body):
            failure = Failure(kind=FailureKind.BAD_GATEWAY, message="the upstream's answer is no document")
        return failure

    async def _take_error(self, data: bytes, more: bool) -> None:
        assert self.error_body is not None
        self.error_body += data[: MAX_HELD_ANSWER - len(self.error_body)]
        if not more:
            self.complete = True
            self._heard_out()
        elif len(self.error_body) >= MAX_HELD_ANSWER:
            self._dog.scope.cancel()

    def _heard_out(self) -> None:
        """The app has said all, and the client does not know."""
        self._dog.allow("afterwards", _AFTERWARDS)
        self._line.heard(out=True)

    async def _commit(self, watch: Callable[[], StreamWatch] | None) -> None:
        self.open = True
        self._exchange.note(Committed(status=self.status, held=self._exchange.clock() - self._exchange.started))
        if self.complete:
            self._dog.answered()
        else:
            self._dog.guard(self._timeouts, watch)
        for message in self._gate.open():
            await self._line.send(message)


def _array_types(protocol: Protocol) -> frozenset[bytes]:
    """The content-types of a protocol's streams that are no events: those of arrays."""
    types = {protocol.stream_type(dialect).encode() for dialect in getattr(protocol, "dialects", ())}
    return frozenset(types - FRAMINGS.keys())
