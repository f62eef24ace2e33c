"""`Traced`: the outermost part, which tells the story of each request when it has ended."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ..asgi.facts import Asked, Attempted, Judged, KeyLeased, Lost
from ..asgi.headers import find, replace
from ..asgi.trace import Trace, encode_trace, printable, trace_of
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import ConfigurationError
from .cost import Price, Pricing
from .journal import Sink
from .others import Others
from .requests import Requests
from .seen import RequestSeen
from .summary import summary_of
from .watching import Watcher, Watchers

__all__ = ["REQUEST_ID", "Traced"]

logger = logging.getLogger("ds2api_asgi.trace")
_trouble = logging.getLogger("ds2api_asgi.observe")

REQUEST_ID: Final = b"x-ds2-request-id"
"""The response header in which a client is told the id of its request."""

_UPSTREAM_ID: Final = b"x-client-request-id"  # OpenAI's; others let it pass
_MAX_HEADER: Final = 400
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ID: Final = re.compile(rb"[0-9A-Za-z._/:=+-]{1,128}")
_UNSAFE: Final = re.compile(r"[^0-9A-Za-z._/-]")


class Traced:
    """Begin the exchange of each request, see it to its end, and tell what was decided on the way.

    One record per request goes to the logger ``ds2api_asgi.trace``: a readable message that ends with the trace as one
    line of JSON (which ``ds2api explain`` reads), and ``extra`` with ``ds2_id``, ``ds2_status``, ``ds2_end``,
    ``ds2_trace`` and ``ds2_request``, a `Summary`. `JsonLines` makes one JSON document of it. Neither keys nor contents
    are among them. Only requests that are a protocol's are traced, and websockets of OpenAI's, each as one request::

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
        cost: Whether to tell what answers cost in dollars (extra ``cost``, unless `prices` has all); needs `watchers`
            for the model that was used. It includes `usage`.
        prices: Prices of one's own by model; they come before the list.
        others: Whether requests that are no protocol's are logged as well, without a trace; sinks are not told of them.
        watchers: Watch from here too, and tell which upstreams were called. None: nobody does.
        trust: A request header that the id is taken from where it is fit for one (``"x-request-id"``); for a proxy in
            front that makes ids, for anybody can send one. The id then goes up as ``x-client-request-id`` and back as
            ``x-ds2-request-id``. None: the id is our own.
        clock: Monotonic seconds.
        wall: Unix time.
        ids: Makes the id of a request.

    Raises:
        ConfigurationError: A header that is not the name of one; a price below 0, or costs are asked for and
            genai-prices is not installed.
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
        cost: bool = False,
        prices: Mapping[str, Price] | None = None,
        others: bool = False,
        watchers: Watchers | None = None,
        trust: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        ids: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        for name in (header, trust):
            if name is not None and _TOKEN.fullmatch(name) is None:
                raise ConfigurationError(f"not the name of a header: {name!r}")
        if callable(sinks):
            raise ConfigurationError("sinks is one sink; give a list of sinks")
        self._trust = None if trust is None else trust.lower().encode()
        self._ids = ids
        story = _Story(
            level=level if log else None,
            header=None if header is None else header.lower().encode(),
            tells_id=header is not None or trust is not None,
            sinks=tuple(sinks),
            usage=usage or cost,
            pricing=Pricing(prices) if cost else None,
            sees_calls=watchers is not None,
            wall=wall,
            ids=ids if trust is None else None,
        )
        self.app = app
        inner = Others(app, level=level) if others and log else app
        self._requests = Requests((Watchers() if watchers is None else watchers).among(story), inner, clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch a request of a protocol; everything else passes (the ASGI interface)."""
        if self._trust is not None and scope["type"] in ("http", "websocket"):
            given = find(scope["headers"], self._trust)
            fit = given is not None and _ID.fullmatch(given) is not None
            known = given if fit and given is not None else _UNSAFE.sub("_", self._ids())[:_MAX_HEADER].encode()
            scope = {**scope, "headers": replace(scope["headers"], {_UPSTREAM_ID: known})}
        await self._requests(scope, receive, send)


class _Story(Watcher):
    """Tells of each request what there is to tell.

    Args:
        level: Of records; None: nothing is logged.
        header: For a short trace.
        tells_id: Whether clients are told the id.
        sinks: Who takes the traces.
        usage: Whether tokens are wanted.
        pricing: Tells costs; None: nobody asks.
        sees_calls: Whether somebody tells of the calls of upstreams.
        wall: Unix time.
        ids: Makes ids; None: the id stands in the scope.
    """

    def __init__(
        self,
        *,
        level: int | None,
        header: bytes | None,
        tells_id: bool,
        sinks: tuple[Sink, ...],
        usage: bool,
        pricing: Pricing | None,
        sees_calls: bool,
        wall: Callable[[], float],
        ids: Callable[[], str] | None,
    ) -> None:
        super().__init__()
        self.wants_usage = usage
        self._level = level
        self._header = header
        self._tells_id = tells_id
        self._sinks = sinks
        self._pricing = pricing
        self._sees_calls = sees_calls
        self._wall = wall
        self._ids = ids

    def began(self, request: RequestSeen) -> None:
        """Give it an id, and begin its journal."""
        claim = request.claim
        if self._ids is not None:
            known = self._ids()
        else:
            known = (find(request.scope["headers"], _UPSTREAM_ID) or b"").decode("latin-1")
        request.exchange.id = known
        request.kept[self] = self._wall()
        request.exchange.note(Asked(protocol=claim.protocol, operation=claim.operation.value, model=request.model))

    def starting(self, request: RequestSeen, message: Message) -> Message:
        """Add what clients are told."""
        if not self._tells_id:
            return message
        known = request.exchange.id or ""
        told = [(REQUEST_ID, _UNSAFE.sub("_", known)[:_MAX_HEADER].encode())]
        if self._header is not None:
            told.append((self._header, _short(request).encode()))
        return {**message, "headers": [*message.get("headers", ()), *told]}

    def ended(self, request: RequestSeen) -> None:
        """Tell log and sinks; whatever goes wrong here is not the request's."""
        try:
            trace = self._trace(request)
            if self._level is not None:
                _write(trace, self._level)
        except Exception:  # noqa: BLE001 - nothing here is the request's
            _trouble.exception("a trace could not be written")
            return
        for sink in self._sinks:
            try:
                sink(trace)
            except Exception:  # noqa: BLE001 - a sink may raise anything
                _trouble.exception("a sink of traces raised")

    def _trace(self, request: RequestSeen) -> Trace:
        return trace_of(
            request.exchange,
            id=printable(request.exchange.id or ""),
            when=request.kept[self],
            took=request.ended - request.exchange.started,
            status=request.status,
            end=request.end,
            model=request.model,
            first=None if request.first is None else request.first - request.exchange.started,
            overhead=request.overhead if self._sees_calls else None,
            cost=self._cost(request),
            received=request.received,
            sent=request.sent,
        )

    def _cost(self, request: RequestSeen) -> float | None:
        if self._pricing is None:
            return None
        return self._pricing.of_request(request)


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
        extra={
            "ds2_id": trace.id,
            "ds2_status": trace.status,
            "ds2_end": trace.end,
            "ds2_trace": line,
            "ds2_request": summary_of(trace),
        },
    )


def _short(request: RequestSeen) -> str:
    """What is known when headers go out, safe in a header: ``attempts=2;key=pool/a1;row=openai-chat.429;lost=1``."""
    found: list[str] = []
    for fact in request.exchange:
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
