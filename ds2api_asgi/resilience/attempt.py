"""One attempt: one app run once, until the client has its answer or the attempt is lost without a trace.

An answer that breaks off after it was let through (see `passage`) cannot be taken back. An event stream is then ended
with the client protocol's own error event and never looks complete; anything else is aborted (`BrokenStream`), so that
the server breaks off the connection too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import anyio
from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.facts import Broke, Judged
from ..asgi.headers import RawHeaders, decode
from ..asgi.types import ASGIApp, Receive, Scope
from ..errors import BrokenStream, ClientGone, Ds2apiError, TransportError
from ..protocols.ending import stream_error
from ..protocols.verdict import judged, rule_for
from ..universal.failure import Failure, Verdict
from .alive import KeepAlive
from .answer import FailedAnswer, error_answer, is_document
from .asked import Asked
from .judging import Findings, Trouble, cut, late, raised
from .line import ClientLine
from .passage import Passage
from .plan import Failed
from .timeouts import Timeouts, Watchdog

__all__ = ["Attempt", "Lost"]

logger = logging.getLogger("ds2api_asgi.resilience")

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
        asked: The request.
        exchange: The attempt's.
        line: The client.
        dog: Watches over the time it takes.
        timeouts: How long what may take.
        alive: Sends comments to the client meanwhile; None: nobody does.

    Attributes:
        beaten: Whether another attempt has answered.
        broken: The verdict on an answer that broke off, or was an error, after it was let through; else None.
    """

    __slots__ = (
        "_asked",
        "_calls_left",
        "_dog",
        "_exchange",
        "_line",
        "_mark",
        "_passage",
        "_timeouts",
        "beaten",
        "broken",
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
        self._exchange = exchange
        self._line = line
        self._timeouts = timeouts
        self._mark = len(exchange)
        self._calls_left = exchange.calls_left
        self._dog = dog
        self.beaten = False
        self.broken: Verdict | None = None
        self._passage = Passage(asked, exchange, line, dog, timeouts, alive=alive)
        if alive is not None:
            alive.allowed = True

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> Lost | None:
        """Run the app; it has ended when this returns.

        Args:
            app: The app to ask.
            scope: Its own copy of the scope.
            receive: Its ``receive``, which reads through the line.

        Returns:
            None when the client has its answer, or what there was of it, or when the attempt was beaten; else what
            became of the attempt.

        Raises:
            BrokenStream: The answer broke off after its start reached the client, and has no way to say so.
            ClientGone: The client left.
            Exception: What the server's ``receive`` or ``send`` raised, or the app after its complete answer.
        """
        if self._asked.stream:
            first = self._timeouts.first_content
            assert not callable(first)
            self._dog.allow("first-content", first)
        self._line.on_gone = self._client_left
        error: Exception | None = None
        try:
            with self._dog.scope:
                await app(scope, receive, self._passage.send)
        except Exception as caught:  # noqa: BLE001 - what an app raises before its answer becomes one
            error = caught
        finally:
            self._line.on_gone = None
            self._line.heard(out=False)
        if self.beaten:
            return None
        self._pass_on(error)
        if not self._passage.open:
            return self._lost(error)
        if not self._passage.complete or self._line.sending:
            await self._break_off(error)
        watch = self._passage.watch
        if watch is not None and watch.failure is not None:
            self.broken = self._ruled(None, watch.failure, decode(self._passage.headers))
        return None

    @property
    def headers(self) -> RawHeaders:
        """Those of the answer; none before it started."""
        return self._passage.headers

    def beat(self) -> None:
        """End it: another attempt has answered."""
        self.beaten = True
        self._dog.scope.cancel()

    def _client_left(self) -> None:
        if not self._passage.complete:
            self._dog.allow("leaving", _LEAVING)

    def _pass_on(self, error: Exception | None) -> None:
        """Raise what is not the attempt's own failure."""
        if self._line.error is not None:
            raise error or self._line.error
        if self._passage.open and self._passage.complete:
            if error is not None:
                raise error
        elif self._line.gone or isinstance(error, ClientGone):
            raise ClientGone

    def _trouble(self, error: Exception | None) -> Trouble:
        if self._dog.barked and self._dog.cause != "afterwards":
            return late(self._dog.cause)
        if error is None and self._passage.started:
            return cut()
        return raised(error)

    def _lost(self, error: Exception | None) -> Lost:
        if error is not None and not isinstance(error, Ds2apiError):
            logger.warning("an app raised instead of an answer, or after an error answer", exc_info=error)
        passage = self._passage
        findings = Findings(self._exchange, self._mark)
        status = 0 if passage.error_body is None else passage.status
        known = findings.verdict(status)
        if passage.error_body is not None:
            verdict, answer = self._judge_answer(bytes(passage.error_body), findings.unreached or known)
        elif passage.failure is not None:
            verdict = self._ruled(known, passage.failure, decode(passage.headers))
            answer = error_answer(self._asked.protocol, passage.failure)
        else:
            trouble = self._trouble(error)
            verdict, answer = trouble.verdict, error_answer(self._asked.protocol, trouble.failure)
        if verdict is not known:
            self._exchange.note(Judged(by="retry", status=status, verdict=verdict))
        processed = findings.processed and not (isinstance(error, TransportError) and not error.processed)
        failed = Failed(
            verdict=verdict,
            status=answer.status,
            keyed=findings.keyed,
            empty=findings.empty,
            calls=self._count_calls(asked=findings.asked),
            processed=processed,
        )
        return Lost(failed, answer)

    def _judge_answer(self, body: bytes, known: Verdict | None) -> tuple[Verdict, FailedAnswer]:
        status, headers = self._passage.status, self._passage.headers
        # A proxy's page is no error of the protocol; the client is told in its own.
        readable = self._asked.head or is_document(body)
        whole = FailedAnswer(status, headers, body) if self._passage.complete and readable else None
        if known is not None and whole is not None and not self._asked.terms.rules:
            return known, whole
        decoded = decode(headers)
        protocol = self._asked.protocol
        failure = protocol.decode_error(status, decoded, body)
        return self._ruled(known, failure, decoded), whole or error_answer(protocol, failure)

    def _ruled(self, known: Verdict | None, failure: Failure, headers: Mapping[str, str]) -> Verdict:
        terms = self._asked.terms
        if known is not None and rule_for(failure, terms.rules) is None:
            return known
        return judged(self._asked.protocol, failure, headers, now=terms.wall(), rules=terms.rules)

    def _count_calls(self, *, asked: bool) -> int:
        """Charge the attempt to the request's budget, unless a retry beneath us has charged its own."""
        before, left = self._calls_left, self._exchange.calls_left
        if before is None or left is None:
            return int(asked)
        if before == left and asked:
            self._exchange.calls_left = left - 1
            return 1
        return before - left

    async def _break_off(self, error: Exception | None) -> None:
        """End an answer that has begun and will not be complete."""
        passage = self._passage
        if passage.ended and passage.extensible:  # only the app's own end went wrong
            await self._line.send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        trouble = self._trouble(error)
        if not self._line.sending:  # else it is the client that does not read
            self.broken = trouble.verdict
        if next(self._exchange.since(self._mark, Broke), None) is None:  # the upstream part notes its own
            self._exchange.note(Broke(reason=trouble.broke))
        if passage.extensible:
            with anyio.move_on_after(_LAST_WORDS):
                body = stream_error(self._asked.protocol, passage.watch, trouble.failure)
                await self._line.send({"type": "http.response.body", "body": body, "more_body": False})
                return
        if isinstance(error, BrokenStream):
            raise error
        raise BrokenStream(trouble.broke, trouble.failure.message) from error
