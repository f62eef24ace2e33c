"""`Traced`: the outermost part, which tells the story of each request when it has ended."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable

from ..asgi.body import Replay
from ..asgi.claims import Claims
from ..asgi.exchange import KEY, Exchange
from ..asgi.facts import Asked, Attempted, Judged, KeyLeased, Lost
from ..asgi.headers import media_type
from ..asgi.trace import Trace, encode_trace, trace_of
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import ConfigurationError
from ..protocols import registry
from ..protocols.base import Claim, StreamWatch
from .journal import Sink

__all__ = ["Traced"]

logger = logging.getLogger("ds2api_asgi.trace")
_trouble = logging.getLogger("ds2api_asgi.observe")

_MAX_BODY = 1024 * 1024
"""Bytes of a request's body in which its model is looked for."""

_MAX_HEADER = 400
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE = re.compile(r"[^0-9A-Za-z._/-]")


class Traced:
    """Begin the exchange of each request, see it to its end, and tell what was decided on the way.

    One record per request goes to the logger ``ds2api_asgi.trace``: a readable message that ends with the trace as one
    line of JSON (which ``ds2api explain`` reads), and ``extra`` with ``ds2_id``, ``ds2_status``, ``ds2_end`` and
    ``ds2_trace``. Neither keys nor contents are among them. Only requests that are a protocol's are traced::

        app = Traced(Translator(Retry(pool), speaks="openai-chat"), sinks=[journal := Journal()])

    Args:
        app: The app to watch.
        log: Whether to log; False: the sinks alone are told.
        level: Of the log's record; failed requests are warnings at least.
        header: A response header for a short trace (``"x-ds2-trace"``), with what is known when headers go out: the
            attempts, keys by their aliases, rows, losses. With it goes ``x-ds2-request-id``. None: neither.
        sinks: Who takes the traces.
        usage: Whether the tokens that answers cost are told as well. Then a `KeyPool` within reads them off each
            answer, which takes time; what answers without a pool tells none.
        clock: Monotonic seconds.
        wall: Unix time.
        ids: Makes the id of a request.

    Raises:
        ConfigurationError: The header is not a name of one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        log: bool = True,
        level: int = logging.INFO,
        header: str | None = None,
        sinks: Iterable[Sink] = (),
        usage: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        ids: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        if header is not None and _TOKEN.fullmatch(header) is None:
            raise ConfigurationError(f"not the name of a header: {header!r}")
        self.app = app
        self._log = log
        self._level = level
        self._header = None if header is None else header.lower().encode()
        self._sinks = tuple(sinks)
        self._usage = usage
        self._clock = clock
        self._wall = wall
        self._ids = ids
        self._claims = Claims(registry.claim)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch a request of a protocol; everything else passes (the ASGI interface)."""
        claim = self._claims.of(scope) if scope["type"] == "http" else None
        if claim is None:
            await self.app(scope, receive, send)
            return
        exchange = scope.get(KEY)
        if not isinstance(exchange, Exchange):
            exchange = Exchange(started=self._clock(), clock=self._clock)
            scope = {**scope, KEY: exchange}
        exchange.wants_usage = exchange.wants_usage or self._usage
        model = claim.model if isinstance(claim.model, str) else None
        exchange.note(Asked(protocol=claim.protocol, operation=claim.operation.value, model=model))
        exchange.id = self._ids()
        watch = _Watch(exchange, claim, exchange.id, self._wall(), receive, send, self._header)
        raised: str | None = None
        try:
            await self.app(scope, watch.receive, watch.send)
        except Exception:
            raised = "raised"
            raise
        except BaseException:  # all that is no error comes from outside: cancellation, or the end of the process
            raised = "cancelled"
            raise
        finally:
            self._tell(watch, raised)

    def _tell(self, watch: _Watch, raised: str | None) -> None:
        """Tell log and sinks; whatever goes wrong here is not the request's."""
        try:
            trace = watch.trace(raised)
            if self._log:
                _write(trace, self._level)
        except Exception:  # noqa: BLE001 - nothing here is the request's
            _trouble.exception("a trace could not be written")
            return
        for sink in self._sinks:
            try:
                sink(trace)
            except Exception:  # noqa: BLE001 - a sink may raise anything
                _trouble.exception("a sink of traces raised")


def _write(trace: Trace, level: int) -> None:
    if trace.failed and level < logging.WARNING:
        level = logging.WARNING
    if not logger.isEnabledFor(level):
        return
    line = encode_trace(trace)
    logger.log(
        level,
        "%s %s %s: %d %s after %.3f s %s",
        trace.protocol,
        trace.operation,
        trace.id,
        trace.status,
        trace.end,
        trace.took,
        line,
        extra={"ds2_id": trace.id, "ds2_status": trace.status, "ds2_end": trace.end, "ds2_trace": line},
    )


class _Watch:
    """Sees one request pass."""

    __slots__ = (
        "_body",
        "_claim",
        "_complete",
        "_exchange",
        "_gone",
        "_header",
        "_id",
        "_receive",
        "_send",
        "_size",
        "_status",
        "_stream",
        "_when",
    )

    def __init__(
        self,
        exchange: Exchange,
        claim: Claim,
        id: str,  # noqa: A002 - the member's name
        when: float,
        receive: Receive,
        send: Send,
        header: bytes | None,
    ) -> None:
        self._exchange = exchange
        self._claim = claim
        self._id = id
        self._when = when
        self._receive = receive
        self._send = send
        self._header = header
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._stream: StreamWatch | None = None
        self._complete = False
        self._gone = False

    async def receive(self) -> Message:
        message: Message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = self._gone or not self._complete
        elif message.get("body") and not isinstance(self._claim.model, str):
            self._size += len(message["body"])
            if self._size <= _MAX_BODY:
                self._body.append(message["body"])
            else:
                self._body.clear()
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            protocol = registry.get(self._claim.protocol)
            if 200 <= self._status < 300 and media_type(message.get("headers", ())) == protocol.stream_type().encode():
                self._stream = protocol.stream_watch()
            if self._header is not None:
                headers = [
                    *message.get("headers", ()),
                    (b"x-ds2-request-id", _UNSAFE.sub("_", self._id)[:_MAX_HEADER].encode()),
                    (self._header, _short(self._exchange).encode()),
                ]
                message = {**message, "headers": headers}
        elif kind == "http.response.body" and self._stream is not None:
            self._stream.feed(message.get("body", b""))
        try:
            await self._send(message)
        except OSError:  # what servers raise when nobody listens any more
            self._gone = True
            raise
        if kind == "http.response.body" and not message.get("more_body", False):
            self._complete = True

    def trace(self, raised: str | None) -> Trace:
        model, _ = Replay(b"".join(self._body), self._receive).peek() if self._body else (None, None)
        return trace_of(
            self._exchange,
            id=self._id,
            when=self._when,
            status=self._status,
            end=self._end(raised),
            model=model,
        )

    def _end(self, raised: str | None) -> str:
        if not self._complete:
            if self._gone:
                return "gone"
            if raised == "cancelled":
                return raised
            return "cut" if self._status else "raised"
        if self._status >= 400:
            return "failed"
        stream = self._stream
        if raised == "raised" or (stream is not None and (stream.failure is not None or not stream.terminal)):
            return "cut"
        return "complete"


def _short(exchange: Exchange) -> str:
    """What is known when headers go out, safe in a header: ``attempts=2;key=pool/a1;row=openai-chat.429;lost=1``."""
    found: list[str] = []
    for fact in exchange:
        match fact:
            case Attempted():
                found.append(f"try={fact.number}@{fact.target}")
            case KeyLeased():
                found.append(f"key={_safe(fact.pool)}/{_safe(fact.key)}")
            case Judged():
                found.append(f"row={_safe(fact.verdict.row)}")
            case Lost():
                found.append(f"lost={fact.count}")
            case _:
                pass
    text = ";".join(found)
    return text if len(text) <= _MAX_HEADER else text[: _MAX_HEADER - 4] + ";..."


def _safe(text: str) -> str:
    return _UNSAFE.sub("_", text)[:80]
