"""One attempt with a leased key: the answer is watched as it passes, and tells how the key is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.facts import Judged, Unreachable, Used
from ..asgi.headers import decode, may_state_limits, readable_type
from ..asgi.masking import Mask
from ..asgi.types import Message, Send
from ..protocols.base import Limits, Operation, Protocol, StreamWatch
from ..protocols.hidden import MAX_JUDGED, AnswerJudge, judge_of
from ..protocols.inference import is_document_type, watch_of
from ..protocols.metering import Meter
from ..protocols.verdict import judged
from ..universal.failure import Failure, Row
from .cost import Costs
from .gauge import NOTHING_SENT, RESERVED, Spent
from .health import Event, Outcome
from .heard import Heard
from .keys import Secret
from .outcome import outcome_of, served_of, told_of
from .store import Lease
from .waiting import WaitingRoom

__all__ = ["MAX_ERROR_BODY", "Attempt", "Terms"]

MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error answer that are read to tell what it means; all of them pass."""

_log = logging.getLogger("ds2api_asgi.pool")


class Terms(Struct, frozen=True, kw_only=True):
    """What all attempts of a pool share.

    Attributes:
        pool: The pool's name, for facts and logs.
        protocol: How answers are read.
        stream_type: The media type of its streams.
        room: Who is told, and where others wait for what an answer may have made usable.
        costs: What requests cost.
        heard: What providers say of their limits.
        counts: Whether the keys have limits of tokens, so that every answer is metered.
        wall: Unix time.
        clock: Monotonic seconds, where a strategy wants to know how long answers take; else None.
        rules: The user's own rows.
    """

    pool: str
    protocol: Protocol
    stream_type: bytes
    room: WaitingRoom
    costs: Costs
    heard: Heard
    counts: bool
    wall: Callable[[], float]
    clock: Callable[[], float] | None = None
    rules: Sequence[Row] = ()


class Attempt:
    """Watches one answer.

    A key has served when a 2xx answer ends, or earlier, when content passes in a stream: a stream may begin with 200
    and an error, and a whole answer may be one. An answer that breaks off before says nothing of the key.

    Args:
        terms: The pool's.
        secret: The key itself.
        operation: What a model is asked for; None: it is about what accounts keep, so that nothing is told of a key but
            that it is refused.
        lease: What was leased.
        exchange: Where verdicts are noted.
        send: Where the answer goes.
        tokens: What was reserved for it.
    """

    __slots__ = (
        "_begun",
        "_body",
        "_exchange",
        "_judge_whole",
        "_judged",
        "_lease",
        "_mark",
        "_mask",
        "_meter",
        "_operation",
        "_raw_headers",
        "_send",
        "_served",
        "_status",
        "_stream",
        "_terms",
        "_tokens",
        "_used",
    )

    def __init__(
        self,
        terms: Terms,
        secret: Secret,
        operation: Operation | None,
        lease: Lease,
        exchange: Exchange,
        send: Send,
        *,
        tokens: int = 0,
    ) -> None:
        self._terms = terms
        self._begun = 0.0 if terms.clock is None else terms.clock()
        self._operation = operation
        self._lease = lease
        self._exchange = exchange
        self._send = send
        self._status = 0
        self._raw_headers: Iterable[tuple[bytes, bytes]] = ()
        self._body = bytearray()
        self._mask = Mask(secret.reveal())
        self._stream: StreamWatch | None = None
        self._judge_whole: AnswerJudge | None = None
        self._served = False
        self._judged = False
        self._tokens = tokens
        self._mark = len(exchange)
        self._meter: Meter | None = None
        self._used: Used | None = None

    async def send(self, message: Message) -> None:
        """Take a message; each passes at once, and unchanged but for our key.

        It is looked at before it passes: who knows that an answer is complete finds the pool already knowing it.
        """
        kind = message["type"]
        if kind == "http.response.body":
            chunk, last = message.get("body", b""), not message.get("more_body", False)
            if self._meter is not None:
                self._weigh(self._meter, chunk, last=last)
            if self._status >= 400:
                await self._look_at_error(chunk, last=last)
            elif not self._judged:
                if (stream := self._stream) is not None:  # every delta comes along here
                    stream.feed(chunk)
                    failure = stream.failure
                else:
                    failure = self._failure_in(chunk, last=last)
                if failure is not None:
                    await self._judge(failure, status=0)
                elif not self._served and (last or (stream is not None and stream.content)) and self._is_success():
                    await self._terms.room.report(self._lease, self._success())
            message = self._mask(message)
        elif kind == "http.response.start":
            self._begin(message)
        await self._send(message)

    async def opened(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """A websocket was opened with the key, and its first event is none of an error."""
        self._status = 200
        self._raw_headers = headers
        await self._terms.room.report(self._lease, self._success())

    async def hear(self, error: bytes | None) -> None:
        """Take what a websocket says: an error document, or None for all else.

        The first error counts, and after `opened` the first that is the key's fault: sessions live on with others.
        """
        if error is None or self._judged:
            return
        terms = self._terms
        failure = terms.protocol.decode_error(0, {}, error)
        verdict = judged(terms.protocol, failure, {}, now=terms.wall(), rules=terms.rules)
        if not self._served or outcome_of(verdict, wall=terms.wall()) is not None:
            await self._judge(failure, status=0)

    async def count(self, used: Used | None) -> None:
        """Take what a part of an open websocket has cost, or None for nothing; windows have it at once."""
        if used is None:
            return
        self._exchange.note(used)
        if self._terms.counts and used.total:
            await self._terms.room.charge(self._lease, used.total)

    @property
    def counts(self) -> bool:
        """Whether anybody wants to know what it costs."""
        return self._terms.counts or self._exchange.wants_usage

    @property
    def unread(self) -> bool:
        """Whether it is an error of which nobody wanted to read the rest."""
        return self._status >= 400 and not self._judged

    async def conclude(self) -> None:
        """The attempt is over: an `unread` error is judged by what there is of it."""
        if self.unread:
            await self._judge_answer()

    @property
    def metered(self) -> bool:
        """Whether its usage is still being read."""
        return self._meter is not None

    def spent(self) -> Spent:
        """What it cost, by what is known when it is over."""
        unreachable = next(self._exchange.since(self._mark, Unreachable), None)
        if unreachable is not None:
            return RESERVED if unreachable.processed else NOTHING_SENT
        if self._meter is not None:  # it broke off; what it said until then is not all that it cost
            self._note_usage(self._meter)
            return RESERVED
        if self._used is not None:
            return Spent(tokens=self._used.total)
        refused = self._status >= 400 or (self._judged and not self._served)
        return Spent(tokens=0) if refused else RESERVED

    def _weigh(self, meter: Meter, chunk: bytes, *, last: bool) -> None:
        meter.feed(chunk)
        if last:
            self._meter = None
            self._note_usage(meter)

    def _note_usage(self, meter: Meter) -> None:
        self._meter = None
        self._used = used = meter.close()
        if used is not None:
            self._terms.costs.learn(used.total)
            self._exchange.note(used)

    def _begin(self, message: Message) -> None:
        self._status = message["status"]
        self._raw_headers = headers = message.get("headers", ())
        if self._operation is None:
            self._served = True
            return
        kind = readable_type(headers) if self._is_success() else None
        if kind is not None:
            streams = kind == self._terms.stream_type
            counted = self._terms.counts or self._exchange.wants_usage
            if counted and (streams or is_document_type(self._operation, kind)):
                self._meter = Meter(stream=streams)
            if streams:
                self._stream = watch_of(self._terms.protocol, self._operation)
            else:
                self._judge_whole = judge_of(self._terms.protocol, kind)

    async def _look_at_error(self, chunk: bytes, *, last: bool) -> None:
        if self._judged:
            return
        self._body += chunk[: MAX_ERROR_BODY - len(self._body)]
        if last or len(self._body) == MAX_ERROR_BODY:
            await self._judge_answer()

    def _failure_in(self, chunk: bytes, *, last: bool) -> Failure | None:
        """The error that a whole answer with a success status turns out to be with its last part, if it does."""
        judge = self._judge_whole
        if judge is None:
            return None
        self._body += chunk
        if len(self._body) > MAX_JUDGED:
            self._judge_whole = None
            self._body.clear()
            return None
        return judge(bytes(self._body)) if last else None

    def _success(self) -> Outcome:
        self._served = True
        clock = self._terms.clock
        limits, tokens = self._limits()
        return served_of(limits, tokens=tokens, latency=None if clock is None else clock() - self._begun)

    def _limits(self) -> tuple[Sequence[Limits], float]:
        """What the headers say of the key's limits, and how many tokens the next request may cost."""
        if not may_state_limits(self._raw_headers):
            return (), 0.0
        terms = self._terms
        limits = terms.protocol.limits(decode(self._raw_headers), now=terms.wall())
        terms.heard.take(self._lease.key, self._lease.model, limits)
        return limits, max(self._tokens, terms.costs.average)

    def _is_success(self) -> bool:
        return 200 <= self._status < 300

    async def _judge_answer(self) -> None:
        if next(self._exchange.since(self._mark, Unreachable), None) is not None:
            self._judged = True  # the answer is our own: nobody was reached who could have spoken of the key
            return
        failure = self._terms.protocol.decode_error(self._status, decode(self._raw_headers), bytes(self._body))
        await self._judge(failure, status=self._status)

    def _concerns_models(self, event: Event) -> bool:
        """Whether others shall be kept from the key for it: nobody's chat may suffer for what is no chat's affair."""
        if self._operation is None:
            return event is Event.REFUSED
        return event is not Event.FORBIDDEN or self._operation is Operation.GENERATE

    async def _judge(self, failure: Failure, *, status: int) -> None:
        self._judged = True
        terms, key = self._terms, self._lease.key
        now = terms.wall()
        verdict = judged(terms.protocol, failure, decode(self._raw_headers), now=now, rules=terms.rules)
        self._exchange.note(Judged(by="pool", status=status, verdict=verdict, pool=terms.pool, key=key))
        limits, tokens = self._limits()
        outcome = outcome_of(verdict, wall=now)
        if outcome is None:
            outcome = told_of(limits, tokens=tokens)
        if outcome is not None and not self._concerns_models(outcome.event):
            return
        if outcome is not None and await terms.room.report(self._lease, outcome):
            _log.warning(
                "%s: the upstream refused %s: %s",
                terms.pool,
                key,
                verdict.row,
                extra={"pool": terms.pool, "key": key, "row": verdict.row, "status": status},
            )
