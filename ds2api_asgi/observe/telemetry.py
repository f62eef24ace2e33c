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

from msgspec import UNSET, Struct

from ..asgi.facts import Caller, Used
from ..asgi.headers import Headers
from ..asgi.trace import MAX_TEXT, trace_of
from ..asgi.types import Message, Scope
from ..errors import ConfigurationError, InvalidDocument
from ..protocols import registry
from ..protocols.base import Operation
from ..universal.jsontext import dumps
from ..universal.request import Request
from ..universal.response import Response
from . import semconv
from .answers import AnswerReader
from .cost import Price, Pricing
from .extras import need
from .labels import Labels
from .messages import finish_reason, input_messages, instructions, output_messages, tool_definitions
from .seen import CallSeen, RequestSeen
from .watching import Watcher

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["Telemetry"]

_DURATIONS: Final = tuple(0.01 * 2**step for step in range(14))
_TOKENS: Final = tuple(float(4**step) for step in range(14))
_FIRST_TOKEN: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10, 30, 60)
_PER_TOKEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

_MAX_READ: Final = 1024 * 1024
"""Bytes of a request that is read for its span's attributes."""

_SETTINGS: Final = {
    semconv.MAX_TOKENS: "max_output_tokens",
    semconv.TEMPERATURE: "temperature",
    semconv.TOP_P: "top_p",
    semconv.TOP_K: "top_k",
    semconv.FREQUENCY_PENALTY: "frequency_penalty",
    semconv.PRESENCE_PENALTY: "presence_penalty",
    semconv.REQUEST_SEED: "seed",
    semconv.REQUEST_CHOICES: "candidates",
    semconv.REQUEST_STREAM: "stream",
}
_USAGE: Final = {
    semconv.INPUT_TOKENS: "input_total",
    semconv.OUTPUT_TOKENS: "output_total",
    semconv.CACHE_READ: "cache_read",
    semconv.CACHE_CREATION: "cache_write",
    semconv.REASONING_TOKENS: "reasoning",
}


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
        self._max_text = max_text
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
        self._call_duration = histogram(semconv.CLIENT_DURATION, "s", "Of a provider's call.", _DURATIONS)
        self._call_first = histogram(semconv.CLIENT_FIRST_CHUNK, "s", "Until a stream's first bytes.", _FIRST_TOKEN)
        self._duration = histogram(semconv.SERVER_DURATION, "s", "Of a client's request.", _DURATIONS)
        self._first_token = histogram(semconv.SERVER_FIRST_TOKEN, "s", "Until a stream's first content.", _FIRST_TOKEN)
        self._per_token = histogram(semconv.SERVER_PER_TOKEN, "s", "Of a stream's tokens after the first.", _PER_TOKEN)

    # A request

    def began(self, request: RequestSeen) -> None:
        """Begin a server span; see `Watcher`, likewise the others."""
        operation = semconv.operation_name(request.claim.protocol, request.claim.operation)
        attributes = {
            "http.request.method": request.scope.get("method", "GET"),  # a websocket's handshake
            "url.path": _short(request.scope["path"]),
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
                self._describe(span, request)
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

    def _describe(self, span: Span, request: RequestSeen) -> None:
        if request.model is not None:
            model = _short(request.model)
            span.set_attribute(semconv.REQUEST_MODEL, model)
            span.update_name(f"{semconv.operation_name(request.claim.protocol, request.claim.operation)} {model}")
        if request.status:
            span.set_attribute("http.response.status_code", request.status)
        caller = request.exchange.last(Caller)
        if caller is not None:
            span.set_attribute("ds2api.caller", _short(caller.name))
        span.set_attribute("ds2api.end", request.end)
        if request.is_websocket:
            span.set_attribute("ds2api.messages.received", request.received)
            span.set_attribute("ds2api.messages.sent", request.sent)
            if request.code is not None:
                span.set_attribute("ds2api.close_code", request.code)
        span.set_attribute("ds2api.calls", request.called)
        span.set_attribute("ds2api.overhead", round(request.overhead, 6))
        cost = None if self._pricing is None else self._pricing.of_request(request)
        if cost is not None:
            span.set_attribute("ds2api.cost", cost)
        if request.status >= 500 or request.end in ("cut", "raised"):  # 4xx is the client's error, not the server's
            span.set_attribute(semconv.ERROR_TYPE, str(request.status) if request.status >= 500 else request.end)
            span.set_status(self._api.StatusCode.ERROR)
        before = request.began - request.exchange.started
        for step in trace_of(request.exchange).steps:
            moment = request.kept[self].began + round((step.at - before) * 1e9)
            span.add_event(f"ds2api.{step.what}", dict(_flat(step.members)), timestamp=moment)

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
            attributes[semconv.REQUEST_MODEL] = model = _short(call.model)
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
            self._describe_request(span, call)

    def call_ended(self, call: CallSeen) -> None:
        """End it, and tell the metrics of the call."""
        error = _error_of(call)
        opened = call.kept.get(self)
        if isinstance(opened, _Open):
            self._context.detach(opened.token)
            span: Span = opened.span
            if span.is_recording():
                self._describe_call(span, call, opened.reader, error)
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

    def _describe_request(self, span: Span, call: CallSeen) -> None:
        request = _read(call)
        if request is None:
            return
        for name, member in _SETTINGS.items():
            value = getattr(request, member)
            if value is not UNSET and isinstance(value, (bool, int, float)):
                span.set_attribute(name, value)
        if request.output_format is not UNSET:
            span.set_attribute(semconv.OUTPUT_TYPE, "text" if request.output_format.kind == "text" else "json")
        if isinstance(request.conversation, str):
            span.set_attribute(semconv.CONVERSATION, _short(request.conversation))
        if not self._contents:
            return
        if request.stop is not UNSET:
            span.set_attribute(semconv.STOP_SEQUENCES, [_short(stop) for stop in request.stop[:16]])
        told = {
            semconv.SYSTEM_INSTRUCTIONS: instructions(request, most=self._max_text),
            semconv.INPUT_MESSAGES: input_messages(request, most=self._max_text),
            semconv.TOOL_DEFINITIONS: tool_definitions(request),
        }
        for name, value in told.items():
            if value:
                span.set_attribute(name, dumps(value).decode())

    def _describe_call(self, span: Span, call: CallSeen, reader: AnswerReader | None, error: str | None) -> None:
        if call.status and call.unreachable is None:
            span.set_attribute("http.response.status_code", call.status)
        if call.streamed and call.first is not None:
            span.set_attribute(semconv.FIRST_CHUNK, call.first - call.began)
        if error is not None:
            span.set_attribute(semconv.ERROR_TYPE, error)
            if error != "cancelled":  # by a client that left, or for another attempt's sake
                span.set_status(self._api.StatusCode.ERROR)
        answer = None if reader is None else reader.answer()
        if answer is not None:
            self._describe_answer(span, answer)

    def _describe_answer(self, span: Span, answer: Response) -> None:
        if answer.id is not UNSET:
            span.set_attribute(semconv.RESPONSE_ID, _short(answer.id))
        if answer.model is not UNSET:
            span.set_attribute(semconv.RESPONSE_MODEL, _short(answer.model))
        stops = [candidate.stop for candidate in answer.candidates]
        reasons = [finish_reason(stop.reason) for stop in stops if stop is not UNSET]
        if reasons:
            span.set_attribute(semconv.FINISH_REASONS, reasons)
        if answer.usage is not UNSET:
            for name, member in _USAGE.items():
                tokens = getattr(answer.usage, member)
                if tokens is not UNSET:
                    span.set_attribute(name, tokens)
        if self._contents and answer.candidates:
            messages = output_messages(answer, most=self._max_text)
            span.set_attribute(semconv.OUTPUT_MESSAGES, dumps(messages).decode())


def _provider(call: CallSeen) -> str:
    return call.provider or semconv.provider_name(call.claim.protocol)


def _error_of(call: CallSeen) -> str | None:
    """What went wrong with a call, in one of a few words; None: nothing."""
    if call.unreachable is not None:
        return call.unreachable
    if call.status >= 400:
        return str(call.status)
    return None if call.end == "complete" else call.end


def _read(call: CallSeen) -> Request | None:
    """A call's request in universal form; None where it cannot be read, or would take long."""
    if call.body is None or len(call.body) > _MAX_READ:
        return None
    protocol = registry.get(call.claim.protocol)
    dialect = protocol.dialect(Headers(call.scope["headers"]))
    try:
        return call.claim.complete(protocol.decode_request(protocol.parse(call.body), dialect=dialect))
    except InvalidDocument:
        return None


def _flat(members: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """A step's members as attributes, which do not nest."""
    for name, value in members.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", [str(one) for one in value]
        elif value is not None:
            yield f"{prefix}{name}", value


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
