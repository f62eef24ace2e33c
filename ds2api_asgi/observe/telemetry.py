"""`Telemetry`: spans and metrics of OpenTelemetry (extra ``otel``), by its conventions for generative AI.

A request is a server span, child of the ``traceparent`` that came with it; each call of a provider is a client span
beneath. What parts decided are the server span's events, from the same facts as the decision trace, so neither keys nor
texts are among them. The names stand in `semconv`.

| attribute of our own | of a server span |
|---|---|
| `ds2api.protocol` | the client's protocol |
| `ds2api.end` | how it ended: ``complete``, ``failed``, ``cut``, ``gone``, ``raised`` |
| `ds2api.caller` | the client key's alias |
| `ds2api.calls` | calls of providers |
| `ds2api.overhead` | seconds that were neither a provider's nor the client's nor a wait on purpose |
| `ds2api.cost` | US dollars, when asked for |
| `ds2api.messages.received`, `ds2api.messages.sent`, `ds2api.close_code` | of a websocket |

A client span has `ds2api.upstream`, the upstream's name, and `ds2api.call`, the call's number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from ..asgi.facts import Used
from ..asgi.types import Message, Scope
from ..errors import ConfigurationError
from ..protocols.base import Operation
from . import semconv
from .answers import AnswerReader
from .buckets import DURATIONS, FIRST_TOKEN, PER_TOKEN
from .cost import Price, Pricing
from .extras import need
from .labels import Labels
from .seen import CallSeen, RequestSeen
from .spans import Spans, error_of, short
from .watching import Watcher

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["Telemetry"]

_TOKENS: Final = tuple(float(4**step) for step in range(14))


class _Open(Struct):
    """A span under way."""

    span: Any
    token: Any
    began: int
    reader: AnswerReader | None = None


class Telemetry(Watcher):
    """Tell OpenTelemetry of requests and calls.

    ::

        telemetry = Telemetry()
        openai = telemetry.calls(Upstream("https://api.openai.com"), name="openai", provider="openai")
        app = telemetry.requests(Translator(Retry(KeyPool(openai, ...)), speaks="openai-chat"))

    Requests and answers are read for the attributes of spans that are recorded, and only for these; that costs about
    as much as a translation. Metrics do not need it.

    Args:
        tracer_provider: Where spans go; None: the global one.
        meter_provider: Where metrics go; None: the global one.
        contents: Whether client spans tell what was asked and answered: messages, the system prompt, the names of tools
            and stop sequences. False: none of it leaves the process. None: as the environment variable
            ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says, which is no when it is not set.
        max_text: Characters of one text that are told then.
        parents: Whether a ``traceparent`` of a client is honoured; False where strangers must not link to your traces.
        max_models: How many models metrics tell apart; the others are ``"other"``.
        cost: Whether to tell what answers cost (extra ``cost``, unless `prices` has all).
        prices: Prices of one's own by model; they come before the list.
        wall: Unix time in nanoseconds.

    Raises:
        ConfigurationError: opentelemetry-api is not installed (extra ``otel``), or genai-prices is not though costs are
            asked for; a bound below 1, or a price below 0.
    """

    wants_usage = True

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        contents: bool | None = None,
        max_text: int = 1_000,
        parents: bool = True,
        max_models: int = 100,
        cost: bool = False,
        prices: Mapping[str, Price] | None = None,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()
        if max_models < 1 or max_text < 1:
            raise ConfigurationError("max_models and max_text are 1 at least")
        self._api = need("opentelemetry.trace", extra="otel")
        self._context = need("opentelemetry.context", extra="otel")
        self._propagate = need("opentelemetry.propagate", extra="otel")
        self._tracer = self._api.get_tracer("ds2api_asgi", tracer_provider=tracer_provider)
        self._contents = semconv.wants_contents(os.environ.get(semconv.CAPTURE)) if contents is None else contents
        self._spans = Spans(self._api.StatusCode.ERROR, contents=self._contents, max_text=max_text)
        self._parents = parents
        self._models = Labels(max_models)
        self._pricing = Pricing(prices) if cost else None
        self._wall = wall
        self._register(need("opentelemetry.metrics", extra="otel"), meter_provider)

    def price(self, pricing: Pricing | None) -> None:
        """Tell costs by other prices from now on; None: tell none."""
        self._pricing = pricing

    def _register(self, api: Any, provider: MeterProvider | None) -> None:
        meter = api.get_meter("ds2api_asgi", meter_provider=provider)

        def histogram(name: str, unit: str, text: str, bounds: Iterable[float]) -> Any:
            return meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=tuple(bounds))

        self._tokens = histogram(semconv.CLIENT_TOKENS, "{token}", "Tokens that answers state.", _TOKENS)
        self._call_duration = histogram(semconv.CLIENT_DURATION, "s", "Of a provider's call.", DURATIONS)
        self._call_first = histogram(semconv.CLIENT_FIRST_CHUNK, "s", "Until a stream's first bytes.", FIRST_TOKEN)
        self._duration = histogram(semconv.SERVER_DURATION, "s", "Of a client's request.", DURATIONS)
        self._first_token = histogram(semconv.SERVER_FIRST_TOKEN, "s", "Until a stream's first content.", FIRST_TOKEN)
        self._per_token = histogram(semconv.SERVER_PER_TOKEN, "s", "Of a stream's tokens after the first.", PER_TOKEN)

    # A request

    def began(self, request: RequestSeen) -> None:
        """Begin a server span; see `Watcher`, likewise the others."""
        operation = semconv.operation_name(request.claim.protocol, request.claim.operation)
        attributes = {
            "http.request.method": request.scope.get("method", "GET"),  # a websocket's handshake
            "url.path": short(request.scope["path"]),
            semconv.OPERATION: operation,
            "ds2api.protocol": request.claim.protocol,
        }
        parent = self._parent(request.scope)
        span = self._tracer.start_span(operation, parent, kind=self._api.SpanKind.SERVER, attributes=attributes)
        request.kept[self] = _Open(span=span, token=self._attach(span, parent), began=self._wall())

    def ended(self, request: RequestSeen) -> None:
        """End it, and tell the metrics of the whole."""
        answering = request.answering
        opened = request.kept.get(self)
        if isinstance(opened, _Open):
            self._context.detach(opened.token)
            span: Span = opened.span
            if span.is_recording():
                cost = None if self._pricing is None else self._pricing.of_request(request)
                self._spans.request(span, request, began=opened.began, cost=cost)
            span.end()
        self._measure(request, answering)

    def _parent(self, scope: Scope) -> Context:
        """The span around us in this process, else the one that the client names."""
        around: Context = self._context.get_current()
        if not self._parents or self._api.get_current_span(around).get_span_context().is_valid:
            return around
        wanted = {field.lower().encode() for field in self._propagate.get_global_textmap().fields}
        carrier: dict[str, str] = {}
        for name, value in scope["headers"]:
            if (key := name.lower()) in wanted:
                carrier.setdefault(key.decode("latin-1"), value.decode("latin-1"))
        if not carrier:
            return around
        named = self._api.get_current_span(self._propagate.extract(carrier))
        parent: Context = self._api.set_span_in_context(named, around)  # its baggage is a stranger's: it stays out
        return parent

    def _attach(self, span: Span, context: Context) -> Any:
        return self._context.attach(self._api.set_span_in_context(span, context))

    def _measure(self, request: RequestSeen, answering: CallSeen | None) -> None:
        served = request.served
        attributes: dict[str, Any] = {
            semconv.OPERATION: semconv.operation_name(request.claim.protocol, request.claim.operation),
            semconv.REQUEST_MODEL: self._models.of(request.model, admit=served),
        }
        if answering is not None:
            attributes[semconv.PROVIDER] = _provider(answering)
        for used in request.exchange.all(Used):
            for kind, tokens in (("input", used.input), ("output", used.output)):
                self._tokens.record(tokens, {**attributes, semconv.TOKEN_TYPE: kind})
        if request.first is not None:
            self._first_token.record(request.first - request.began, attributes)
            last = request.exchange.last(Used)
            if last is not None and last.output > 1 and served:
                self._per_token.record((request.ended - request.first) / (last.output - 1), attributes)
        if not served:
            attributes[semconv.ERROR_TYPE] = str(request.status) if request.status >= 400 else request.end
        if request.is_websocket:
            return  # it lasts as long as its client likes
        self._duration.record(request.ended - request.began, attributes)

    # A call

    def call_began(self, call: CallSeen) -> None:
        """Begin a client span."""
        operation = semconv.operation_name(call.claim.protocol, call.claim.operation)
        attributes: dict[str, Any] = {
            semconv.OPERATION: operation,
            semconv.PROVIDER: _provider(call),
            "ds2api.upstream": call.upstream,
            "ds2api.call": call.number,
        }
        if call.address is not None:
            attributes[semconv.SERVER_ADDRESS], attributes[semconv.SERVER_PORT] = call.address
        name = operation
        if call.model is not None:
            attributes[semconv.REQUEST_MODEL] = model = short(call.model)
            name = f"{operation} {model}"
        around: Context = self._context.get_current()
        opened = None if call.request is None else call.request.kept.get(self)
        if isinstance(opened, _Open):
            around = self._api.set_span_in_context(opened.span, around)
        span: Span = self._tracer.start_span(name, around, kind=self._api.SpanKind.CLIENT, attributes=attributes)
        reader = None
        if span.is_recording() and call.claim.operation is Operation.GENERATE and not call.is_websocket:
            reader = AnswerReader(call.claim.protocol, contents=self._contents)

            def tap(message: Message) -> None:
                if message["type"] == "http.response.start":
                    reader.start(message, streamed=call.streamed)
                elif message["type"] == "http.response.body":
                    reader.feed(message)

            call.taps += (tap,)
        call.kept[self] = _Open(span=span, token=self._attach(span, around), began=self._wall(), reader=reader)
        if reader is not None:
            self._spans.asked(span, call)

    def call_ended(self, call: CallSeen) -> None:
        """End it, and tell the metrics of the call."""
        error = error_of(call)
        opened = call.kept.get(self)
        if isinstance(opened, _Open):
            self._context.detach(opened.token)
            span: Span = opened.span
            if span.is_recording():
                self._spans.answered(span, call, opened.reader, error)
            span.end()
        attributes: dict[str, Any] = {
            semconv.OPERATION: semconv.operation_name(call.claim.protocol, call.claim.operation),
            semconv.PROVIDER: _provider(call),
            semconv.REQUEST_MODEL: self._models.of(call.model, admit=error is None and call.status < 300),
        }
        if call.address is not None:
            attributes[semconv.SERVER_ADDRESS], attributes[semconv.SERVER_PORT] = call.address
        if call.streamed and call.first is not None:
            self._call_first.record(call.first - call.began, attributes)
        if error is not None:
            attributes[semconv.ERROR_TYPE] = error
        if call.is_websocket:
            return
        self._call_duration.record(call.ended - call.began, attributes)


def _provider(call: CallSeen) -> str:
    return call.provider or semconv.provider_name(call.claim.protocol)
