"""One attempt with a leased key: the answer is watched as it passes, and tells how the key is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from ..asgi.exchange import Exchange
from ..asgi.facts import Judged
from ..asgi.headers import decode, find
from ..asgi.masking import Mask
from ..asgi.types import Message, Send
from ..protocols.base import Operation, Protocol, StreamWatch
from ..protocols.hidden import MAX_JUDGED, AnswerJudge, judge_of
from ..universal.failure import Failure
from .health import Event, Outcome
from .keys import Secret
from .outcome import outcome_of, soft_rest
from .store import KeyStore, Lease

__all__ = ["MAX_ERROR_BODY", "Attempt"]

MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error answer that are read to tell what it means; all of them pass."""

_SERVED = Outcome(event=Event.SERVED)

_log = logging.getLogger("ds2api_asgi.pool")


class Attempt:
    """Watches one answer.

    A key has served when a 2xx answer ends, or earlier, when content passes in a stream: a stream may begin with 200
    and an error, and a whole answer may be one. An answer that breaks off before says nothing of the key.

    Args:
        pool: The pool's name, for facts and logs.
        protocol: How answers are read.
        secret: The key itself.
        operation: What is asked for.
        store: Who is told.
        lease: What was leased.
        exchange: Where verdicts are noted.
        wall: Unix time.
    """

    def __init__(
        self,
        *,
        pool: str,
        protocol: Protocol,
        secret: Secret,
        operation: Operation,
        store: KeyStore,
        lease: Lease,
        exchange: Exchange,
        wall: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._protocol = protocol
        self._secret = secret
        self._operation = operation
        self._store = store
        self._lease = lease
        self._exchange = exchange
        self._wall = wall
        self._status = 0
        self._raw_headers: Iterable[tuple[bytes, bytes]] = ()
        self._body = bytearray()
        self._mask: Mask | None = None
        self._stream: StreamWatch | None = None
        self._judge_whole: AnswerJudge | None = None
        self._served = False
        self._judged = False

    def watch(self, send: Send) -> Send:
        """Wrap a ``send``; every message passes at once, and unchanged but for our key in an error answer.

        It is looked at before it passes: who knows that an answer is complete finds the pool already knowing it.
        """

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._begin(message)
            elif message["type"] == "http.response.body":
                if not self._judged:
                    await self._look(message.get("body", b""), last=not message.get("more_body", False))
                if self._mask is not None:
                    message = self._mask(message)
            await send(message)

        return watched

    async def conclude(self) -> None:
        """The attempt is over: an error of which nobody wanted to read the rest is judged by what there is of it."""
        if self._status >= 400 and not self._judged:
            await self._judge_answer()

    def _begin(self, message: Message) -> None:
        self._status = message["status"]
        if self._status >= 400:
            self._mask = Mask(self._secret.reveal())
        self._raw_headers = headers = message.get("headers", ())
        if self._is_success() and (find(headers, b"content-encoding") or b"identity") == b"identity":
            kind = (find(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
            if kind == self._protocol.stream_type().encode():
                self._stream = self._protocol.stream_watch()
            else:
                self._judge_whole = judge_of(self._protocol, kind)

    async def _look(self, chunk: bytes, *, last: bool) -> None:
        if self._status >= 400:
            self._body += chunk[: MAX_ERROR_BODY - len(self._body)]
            if last or len(self._body) == MAX_ERROR_BODY:
                await self._judge_answer()
            return
        if self._stream is not None:
            self._stream.feed(chunk)
            if self._stream.failure is not None:
                await self._judge(self._stream.failure, status=0)
                return
        elif self._judge_whole is not None and (failure := self._hidden(self._judge_whole, chunk, last=last)):
            await self._judge(failure, status=0)
            return
        if not self._served and self._is_success() and (last or (self._stream is not None and self._stream.content)):
            self._served = True
            soft = soft_rest(self._protocol.limits(decode(self._raw_headers), now=self._wall()))
            await self._store.report(self._lease, _SERVED if soft is None else Outcome(event=Event.SERVED, soft=soft))

    def _hidden(self, judge: AnswerJudge, chunk: bytes, *, last: bool) -> Failure | None:
        """The error that a whole answer is under its success status, as far as one can be told."""
        self._body += chunk
        if len(self._body) > MAX_JUDGED:
            self._judge_whole = None
            self._body.clear()
            return None
        return judge(bytes(self._body)) if last else None

    def _is_success(self) -> bool:
        return 200 <= self._status < 300

    async def _judge_answer(self) -> None:
        failure = self._protocol.decode_error(self._status, decode(self._raw_headers), bytes(self._body))
        await self._judge(failure, status=self._status)

    async def _judge(self, failure: Failure, *, status: int) -> None:
        self._judged = True
        now = self._wall()
        verdict = self._protocol.classify(failure, decode(self._raw_headers), now=now)
        self._exchange.note(Judged(by="pool", status=status, verdict=verdict, pool=self._pool, key=self._lease.key))
        outcome = outcome_of(verdict, wall=now)
        if outcome is not None and outcome.event is Event.FORBIDDEN and self._operation is not Operation.GENERATE:
            # Of embeddings, or for a key that may not list models: nobody's chat with that model may suffer for it.
            return
        if outcome is not None and await self._store.report(self._lease, outcome):
            _log.warning(
                "%s: the upstream refused %s: %s",
                self._pool,
                self._lease.key,
                verdict.row,
                extra={"pool": self._pool, "key": self._lease.key, "row": verdict.row, "status": status},
            )
