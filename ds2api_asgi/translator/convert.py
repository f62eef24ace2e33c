"""`convert`: one document or stream from one protocol to another, with no web at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ..errors import ConfigurationError, InvalidDocument
from ..protocols import registry
from ..protocols.base import Context, Operation, Protocol, UpstreamRoute
from ..universal import jsontext
from ..universal.loss import Loss
from ..universal.request import Request
from .carrying import Carriage, Carrying

__all__ = ["Converted", "Kind", "convert"]

Kind = Literal["request", "response", "stream", "error"]


class Converted(Struct, frozen=True, kw_only=True):
    """What a document became.

    Attributes:
        body: The document in the target protocol, as JSON bytes (a stream: its bytes).
        losses: What it does not say any more, in document order.
        context: Of a request: what the way back of its answer needs to know, see `convert`.
        route: Of a request: how an upstream is asked with it. Where the path names the model and tells streams from
            answers (Gemini), the body alone does not say all that the request said:
            ``/v1beta/models/gemini-3-pro:streamGenerateContent`` with the query ``alt=sse``. None where the path
            must name a model and there is none.
    """

    body: bytes
    losses: tuple[Loss, ...] = ()
    context: Context | None = None
    route: UpstreamRoute | None = None

    @property
    def document(self) -> Any:
        """The body, parsed.

        Raises:
            InvalidDocument: The body is a stream.
        """
        return jsontext.loads(self.body)


def convert(
    body: bytes | str | Mapping[str, Any],
    *,
    kind: Kind,
    source: str,
    target: str,
    source_dialect: str = "",
    target_dialect: str = "",
    model: str | None = None,
    stream: bool | None = None,
    context: Context | None = None,
    now: int | None = None,
) -> Converted:
    """Convert a document from one protocol to another.

        convert(b'{"model": "m", ...}', kind="request", source="anthropic", target="openai-chat")

    Args:
        body: The document: JSON text or bytes, or a parsed object; for ``kind="stream"`` the stream's bytes.
        kind: What it is: ``"request"``, ``"response"``, ``"stream"`` or ``"error"``. A response that is an error
            becomes the target's error document, and the stream of a failure ends in the target's error event.
        source: The protocol it is in: ``"anthropic"``, ``"openai-chat"``.
        target: The protocol it should be in.
        source_dialect: The source protocol's dialect; ``""``: its default.
        target_dialect: The target protocol's dialect; ``""``: its default.
        model: Of a request that does not name its model, since the path does (Gemini).
        stream: Of a request that does not say whether its answer is a stream, since the path does (Gemini).
        context: For a response or stream: the ``context`` of its request's conversion, which gives tool names and
            call ids back as the client spelled them. It may be used many times.
        now: Unix time for documents that must state one and whose source has none; None: the present.

    Returns:
        The document and what it lost. Nothing is refused: what to do about losses is the caller's affair.

    Raises:
        InvalidDocument: The body is not a document of this kind.
        ConfigurationError: A protocol is not installed or has no such dialect, or the kind is none of the four.
    """
    reader, writer = registry.in_dialect(source, source_dialect), registry.in_dialect(target, target_dialect)
    if kind not in ("request", "response", "stream", "error"):
        raise ConfigurationError(f"kind must be request, response, stream or error, not {kind!r}")
    data = _bytes(body, kind)
    if kind == "request":
        request = reader.decode_request(reader.parse(data), dialect=source_dialect)
        request = _completed(request, model=model, stream=stream)
        return _convert_request(reader, writer, request, target_dialect)
    if kind == "error":
        failure = reader.decode_error(UNSET, {}, data)
        return Converted(body=jsontext.dumps(writer.encode_error(failure).document))
    now = int(time.time()) if now is None else now
    context = Context(now=now) if context is None else replace(context, now=now)
    return (_convert_response if kind == "response" else _convert_stream)(reader, writer, data, context)


def _completed(request: Request, *, model: str | None, stream: bool | None) -> Request:
    if model is not None and request.model is UNSET:
        request = replace(request, model=model)
    if stream is not None and request.stream is UNSET:
        request = replace(request, stream=stream)
    return request


def _convert_request(reader: Protocol, writer: Protocol, request: Request, target_dialect: str) -> Converted:
    if reader.streams_by_default != writer.streams_by_default and request.stream is UNSET:
        request = replace(request, stream=reader.streams_by_default)  # silence means two things: say what it means
    carried, losses = _carrying(writer, reader).request(request)
    encoded = writer.encode_request(carried, dialect=target_dialect)
    context = encoded.context or Context()
    context.request = request
    streams = writer.streams_by_default if request.stream is UNSET else request.stream
    route = writer.route(Operation.GENERATE, stream=streams, model=request.model, dialect=target_dialect)
    body = jsontext.dumps(encoded.document)
    return Converted(body=body, losses=(*losses, *encoded.losses), context=context, route=route)


def _carrying(upstream: Protocol, client: Protocol) -> Carrying:
    """Opaque state as translators have it that were told nothing."""
    return Carrying(Carriage.of(upstream.name), client.name, str)


def _convert_response(reader: Protocol, writer: Protocol, data: bytes, context: Context) -> Converted:
    response = reader.decode_response(reader.parse(data))
    if response.error is not UNSET:
        return Converted(body=jsontext.dumps(writer.encode_error(response.error).document))
    response, losses = _carrying(reader, writer).response(response, context)
    encoded = writer.encode_response(response, context)
    return Converted(body=jsontext.dumps(encoded.document), losses=(*encoded.losses, *losses))


def _convert_stream(reader: Protocol, writer: Protocol, data: bytes, context: Context) -> Converted:
    decoder = reader.stream_decoder()
    encoder = _carrying(reader, writer).encoder(writer.stream_encoder(context), context)
    body = encoder.write(decoder.feed(data)) + encoder.write(decoder.close())
    return Converted(body=body, losses=tuple(encoder.losses))


def _bytes(body: bytes | str | Mapping[str, Any], kind: Kind) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if kind == "stream" or not isinstance(body, Mapping):
        raise InvalidDocument("", "a stream is bytes" if kind == "stream" else "a document is JSON text or an object")
    try:
        return jsontext.dumps(dict(body))
    except TypeError:
        raise InvalidDocument("", "the object holds a value that JSON has no form for") from None
