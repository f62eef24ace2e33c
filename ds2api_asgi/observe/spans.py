"""What spans tell: `Spans` writes attributes and events of requests and of calls, by the names in `semconv`.

Requests and answers are read in their universal form; what they say is told only where contents are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from ..asgi.facts import Caller
from ..asgi.headers import Headers
from ..asgi.trace import MAX_TEXT, trace_of
from ..errors import InvalidDocument
from ..protocols import registry
from ..universal.jsontext import dumps
from ..universal.request import Request
from ..universal.response import Response
from . import semconv
from .answers import AnswerReader
from .messages import finish_reason, input_messages, instructions, output_messages, tool_definitions
from .seen import CallSeen, RequestSeen

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["MAX_READ", "Spans", "error_of", "short"]

MAX_READ: Final = 1024 * 1024
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


class Spans:
    """Writes spans.

    Args:
        error: The status of a span that failed.
        contents: Whether to tell what was asked and answered.
        max_text: Characters of one text that are told then.
    """

    def __init__(self, error: Any, *, contents: bool, max_text: int) -> None:
        self._error = error
        self._contents = contents
        self._max_text = max_text

    def request(self, span: Span, request: RequestSeen, *, began: int, cost: float | None) -> None:
        """Tell of a request that is over.

        Args:
            span: Its span.
            request: It.
            began: Unix time of its beginning, in nanoseconds.
            cost: US dollars; None: nobody knows.
        """
        if request.model is not None:
            model = short(request.model)
            span.set_attribute(semconv.REQUEST_MODEL, model)
            span.update_name(f"{semconv.operation_name(request.claim.protocol, request.claim.operation)} {model}")
        if request.status:
            span.set_attribute("http.response.status_code", request.status)
        caller = request.exchange.last(Caller)
        if caller is not None:
            span.set_attribute("ds2api.caller", short(caller.name))
        span.set_attribute("ds2api.end", request.end)
        if request.is_websocket:
            span.set_attribute("ds2api.messages.received", request.received)
            span.set_attribute("ds2api.messages.sent", request.sent)
            if request.code is not None:
                span.set_attribute("ds2api.close_code", request.code)
        span.set_attribute("ds2api.calls", request.called)
        span.set_attribute("ds2api.overhead", round(request.overhead, 6))
        if cost is not None:
            span.set_attribute("ds2api.cost", cost)
        if request.status >= 500 or request.end in ("cut", "raised"):  # 4xx is the client's error, not the server's
            span.set_attribute(semconv.ERROR_TYPE, str(request.status) if request.status >= 500 else request.end)
            span.set_status(self._error)
        before = request.began - request.exchange.started
        for step in trace_of(request.exchange).steps:
            moment = began + round((step.at - before) * 1e9)
            span.add_event(f"ds2api.{step.what}", dict(_flat(step.members)), timestamp=moment)

    def asked(self, span: Span, call: CallSeen) -> None:
        """Tell what a call asks for."""
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
            span.set_attribute(semconv.CONVERSATION, short(request.conversation))
        if not self._contents:
            return
        if request.stop is not UNSET:
            span.set_attribute(semconv.STOP_SEQUENCES, [short(stop) for stop in request.stop[:16]])
        told = {
            semconv.SYSTEM_INSTRUCTIONS: instructions(request, most=self._max_text),
            semconv.INPUT_MESSAGES: input_messages(request, most=self._max_text),
            semconv.TOOL_DEFINITIONS: tool_definitions(request),
        }
        for name, value in told.items():
            if value:
                span.set_attribute(name, dumps(value).decode())

    def answered(self, span: Span, call: CallSeen, reader: AnswerReader | None, error: str | None) -> None:
        """Tell how a call ended.

        Args:
            span: Its span.
            call: It.
            reader: What has read its answer.
            error: As `error_of` says it.
        """
        if call.status and call.unreachable is None:
            span.set_attribute("http.response.status_code", call.status)
        if call.streamed and call.first is not None:
            span.set_attribute(semconv.FIRST_CHUNK, call.first - call.began)
        if error is not None:
            span.set_attribute(semconv.ERROR_TYPE, error)
            if error != "cancelled":  # by a client that left, or for another attempt's sake
                span.set_status(self._error)
        answer = None if reader is None else reader.answer()
        if answer is not None:
            self._answer(span, answer)

    def _answer(self, span: Span, answer: Response) -> None:
        if answer.id is not UNSET:
            span.set_attribute(semconv.RESPONSE_ID, short(answer.id))
        if answer.model is not UNSET:
            span.set_attribute(semconv.RESPONSE_MODEL, short(answer.model))
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


def error_of(call: CallSeen) -> str | None:
    """What went wrong with a call, in one of a few words; None: nothing."""
    if call.unreachable is not None:
        return call.unreachable
    if call.status >= 400:
        return str(call.status)
    return None if call.end == "complete" else call.end


def _read(call: CallSeen) -> Request | None:
    """A call's request in universal form; None where it cannot be read, or would take long."""
    if call.body is None or len(call.body) > MAX_READ:
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


def short(text: str) -> str:
    """A text as far as a span has it."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
