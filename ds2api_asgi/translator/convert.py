"""`convert`: one document or stream from one protocol to another, with no web at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct

from ..errors import ConversionError
from ..protocols import registry
from ..protocols.base import Context, Protocol
from ..universal import jsontext
from ..universal.loss import Loss

__all__ = ["Converted", "Kind", "convert"]

Kind = Literal["request", "response", "stream", "error"]


class Converted(Struct, frozen=True, kw_only=True):
    """What a document became.

    Attributes:
        body: The document in the target protocol, as JSON bytes (a stream: its bytes).
        losses: What it does not say any more, in document order.
    """

    body: bytes
    losses: tuple[Loss, ...] = ()

    @property
    def document(self) -> Any:
        """The body, parsed; for a stream there is none.

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
    now: int | None = None,
) -> Converted:
    """Convert a document from one protocol to another.

        convert(b'{"model": "m", "max_tokens": 9, "messages": []}', kind="request", source="anthropic", target="openai-chat")

    Args:
        body: The document: JSON text or bytes, or a parsed object; for ``kind="stream"`` the stream's bytes.
        kind: What it is: ``"request"``, ``"response"``, ``"stream"`` or ``"error"``.
        source: The protocol it is in: ``"anthropic"``, ``"openai-chat"``.
        target: The protocol it should be in.
        source_dialect: The source protocol's dialect; ``""``: its default.
        target_dialect: The target protocol's dialect; ``""``: its default.
        now: Unix time for documents that must state one and whose source has none; None: the present.

    Returns:
        The document and what it lost. Nothing is refused: what to do about losses is the caller's affair.

    Raises:
        InvalidDocument: The body is not a document of this kind.
        ConfigurationError: A protocol is not installed.
    """
    reader, writer = registry.get(source), registry.get(target)
    data = _bytes(body)
    context = Context(now=int(time.time()) if now is None else now)
    match kind:
        case "request":
            request = reader.decode_request(reader.parse(data), dialect=source_dialect)
            encoded = writer.encode_request(request, dialect=target_dialect)
            return Converted(body=jsontext.dumps(encoded.document), losses=encoded.losses)
        case "response":
            response = reader.decode_response(reader.parse(data))
            if response.error is not UNSET:
                return Converted(body=jsontext.dumps(writer.encode_error(response.error).document))
            encoded = writer.encode_response(response, context)
            return Converted(body=jsontext.dumps(encoded.document), losses=encoded.losses)
        case "stream":
            return _convert_stream(data, reader, writer, context)
        case "error":
            failure = reader.decode_error(UNSET, {}, data)
            return Converted(body=jsontext.dumps(writer.encode_error(failure).document))
        case _:
            raise ConversionError(f"kind must be request, response, stream or error, not {kind!r}")


def _convert_stream(data: bytes, reader: Protocol, writer: Protocol, context: Context) -> Converted:
    decoder, encoder = reader.stream_decoder(), writer.stream_encoder(context)
    body = encoder.write(decoder.feed(data)) + encoder.write(decoder.close())
    return Converted(body=body, losses=tuple(encoder.losses))


def _bytes(body: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return jsontext.dumps(dict(body))
