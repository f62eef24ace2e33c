"""What a protocol is to the rest of the library: one `Protocol` object per package, found by name in `registry`.

Codecs are synchronous and do no I/O; clock and ids are injected. Documents are plain JSON values as
`universal.jsontext.loads` gives them, so ``decode`` takes a ``dict`` and ``encode`` gives one. Decoding transcribes:
nothing is merged, hoisted, re-ordered or defaulted. Encoding normalises to what the target accepts and reports what it
could not say as `Loss`. What the sides of a protocol exchange is in `exchanged`, and is imported from here.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from ..universal.embedding import EmbeddingRequest, EmbeddingResponse
from ..universal.events import Event
from ..universal.failure import Failure, Verdict
from ..universal.loss import Loss
from ..universal.request import Request
from ..universal.response import Response
from .exchanged import Claim, Context, Encoded, Limits, Operation, UpstreamRoute, WireError

__all__ = [
    "Claim",
    "Companions",
    "Context",
    "Embeddings",
    "Encoded",
    "Errors",
    "Limits",
    "Operation",
    "Protocol",
    "Requests",
    "Responses",
    "Routes",
    "StreamDecoder",
    "StreamEncoder",
    "StreamWatch",
    "UpstreamRoute",
    "Verdicts",
    "WireError",
]


class StreamDecoder(typing.Protocol):
    """Bytes of an upstream's stream in, universal events out; any chunking gives the same events."""

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes; return every event that they complete. Garbage becomes an `Error` event, never an exception."""
        ...

    def close(self) -> list[Event]:
        """The stream ended. Returns what was held back, and an `Error` (truncated) when its terminal never came."""
        ...


class StreamEncoder(typing.Protocol):
    """Universal events in, bytes of the client's stream out."""

    losses: list[Loss]

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes for these events, all that can be said by now (``b""`` when nothing can)."""
        ...


class StreamWatch(typing.Protocol):
    """Watches a stream pass by untouched, in the protocol's own bytes; cheap enough to leave on.

    Attributes:
        content: A content-bearing event has passed: from here on the stream is committed.
        terminal: All that makes an answer complete has passed: enough for a stream that ends well.
        ended: The protocol's last word has passed and nothing may follow it: enough even for a stream whose
            connection broke. Differs from `terminal` where servers leave the last word out (``[DONE]``).
        failure: The error event that passed, if one did.
    """

    content: bool
    terminal: bool
    ended: bool
    failure: Failure | None

    def feed(self, data: bytes) -> None:
        """Look at bytes on their way."""
        ...


class Routes(typing.Protocol):
    """Which requests are a protocol's, how an upstream is asked, and how a key is shown."""

    def claim(self, method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:
        """Tell whether a request is this protocol's.

        Args:
            method: ``"POST"``.
            path: Relative to where we are mounted, as `asgi.path.relative_path` gives it.
            headers: Lower-case names; a repeated header's values joined with ``", "``.
            query: Without the question mark, as it was encoded.

        Returns:
            The claim, or None when the path is not one of the protocol's.
        """
        ...

    def route(
        self, operation: Operation, *, stream: bool, model: str | UnsetType, dialect: str
    ) -> UpstreamRoute | None:
        """How to ask an upstream; None when the protocol has no such operation, or many ways (`Operation.INFER`)."""
        ...

    def authorize(self, secret: str) -> tuple[bytes, bytes]:
        """The header that carries an API key upstream: ``(b"x-api-key", b"sk-…")``."""
        ...

    def dialect(self, headers: Mapping[str, str]) -> str:
        """The dialect a client speaks, from its headers (``"2023-06-01"``); ``""`` where there is only one."""
        ...


class Requests(typing.Protocol):
    """The request document."""

    def parse(self, body: bytes) -> dict[str, Any]:
        """Read a JSON document, keeping the text of what must survive verbatim (tool arguments).

        Raises:
            InvalidDocument: Not JSON, or not an object.
        """
        ...

    def decode_request(
        self, document: dict[str, Any], *, dialect: str = "", operation: Operation = Operation.GENERATE
    ) -> Request:
        """A request document to universal form.

        Args:
            document: From `parse`.
            dialect: From `dialect`.
            operation: `Operation.COUNT_TOKENS` documents may leave out what only an answer needs; those of
                `Operation.GET_MODEL` only name a model, where a body does that.

        Returns:
            The request.

        Raises:
            InvalidDocument: A value of the wrong type, or a required one missing; names the path.
        """
        ...

    def encode_request(
        self, request: Request, *, dialect: str = "", operation: Operation = Operation.GENERATE
    ) -> Encoded:
        """Universal form to a request document; losses tell what it could not say."""
        ...


class Responses(typing.Protocol):
    """The answer document."""

    def decode_response(self, document: dict[str, Any]) -> Response:
        """An answer document to universal form; what it does not know is kept, never refused.

        Raises:
            InvalidDocument: It is not an answer of this protocol at all.
        """
        ...

    def encode_response(self, response: Response, context: Context) -> Encoded:
        """Universal form to an answer document."""
        ...


class Errors(typing.Protocol):
    """Errors, in place of an answer and in the middle of a stream."""

    def decode_error(self, status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
        """An error answer (or an error inside a stream: status UNSET) to universal form; total on garbage."""
        ...

    def encode_error(self, failure: Failure) -> WireError:
        """Universal form to an error answer."""
        ...

    def stream_error(self, failure: Failure) -> bytes:
        """The bytes that say a failure in the middle of a stream, which ends after them without its success end."""
        ...


class Verdicts(typing.Protocol):
    """What follows from errors and from rate limit headers."""

    def classify(self, failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
        """What follows from a failure (resilience: whose fault, where to retry, what happens to the key).

        Args:
            failure: From `decode_error`.
            headers: The answer's headers, lower-case names.
            now: Unix time, to read dates.
        """
        ...

    def limits(self, headers: Mapping[str, str], *, now: float) -> Sequence[Limits]:
        """The rate limits that an answer's headers state."""
        ...

    def encode_limits(self, found: Sequence[Limits], *, now: float) -> tuple[tuple[bytes, bytes], ...]:
        """The headers by which an answer states rate limits (what `limits` reads); none where it has none.

        Args:
            found: At most one of each dimension.
            now: Unix time, to write dates.
        """
        ...


class Companions(typing.Protocol):
    """What clients ask beside answers: models and token counts."""

    def encode_models(self, models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A model list in this protocol's shape, from ``{"id": …, "created": …, "owned_by": …}`` rows."""
        ...

    def decode_models(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        """A model list of this protocol as rows (the inverse of `encode_models`)."""
        ...

    def encode_model(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """One model in this protocol's shape."""
        ...

    def decode_model(self, document: dict[str, Any]) -> dict[str, Any]:
        """One model of this protocol as a row."""
        ...

    def encode_token_count(self, tokens: int) -> dict[str, Any]:
        """A token count in this protocol's shape."""
        ...

    def decode_token_count(self, document: dict[str, Any]) -> int:
        """The count that this protocol's answer states."""
        ...


class Embeddings(typing.Protocol):
    """Texts that become vectors."""

    def decode_embedding_request(self, document: dict[str, Any], *, dialect: str = "") -> EmbeddingRequest:
        """A request document to universal form.

        Args:
            document: From `Requests.parse`.
            dialect: As the claim or the headers tell it: paths of one protocol may differ in their words.

        Raises:
            InvalidDocument: A value of the wrong type, or a required one missing; names the path.
        """
        ...

    def encode_embedding_request(self, request: EmbeddingRequest, *, dialect: str = "") -> Encoded:
        """Universal form to a request document; losses tell what it could not say."""
        ...

    def decode_embedding_response(self, document: dict[str, Any]) -> EmbeddingResponse:
        """An answer document to universal form.

        Raises:
            InvalidDocument: It has no vectors.
        """
        ...

    def encode_embedding_response(
        self, response: EmbeddingResponse, request: EmbeddingRequest | UnsetType = UNSET
    ) -> Encoded:
        """Universal form to an answer document.

        Args:
            response: Born anywhere.
            request: The client's; UNSET when an answer is converted alone.

        Raises:
            InvalidDocument: It has not a vector for each input, or one that is none.
        """
        ...


@typing.runtime_checkable
class Protocol(Routes, Requests, Responses, Errors, Verdicts, Companions, typing.Protocol):
    """A wire protocol: its paths, its codec, its errors, its companions.

    It is the sum of its sides, each of which a module of the protocol's package is (`codec.Codec` puts them together).
    Third parties implement this and register it under the entry point group ``ds2api_asgi.protocols``.

    Attributes:
        name: What configuration calls it: ``"openai-chat"``, ``"anthropic"``.
        streams_by_default: What a request means that does not say whether its answer comes as a stream.
        dialects: The dialects that can be asked of an upstream; ``""`` is the default one.
        embeddings: How texts become vectors; None: the protocol has no such thing.
    """

    name: str
    streams_by_default: bool
    dialects: tuple[str, ...]
    embeddings: Embeddings | None

    def idle(self, request: Request, *, now: int) -> dict[str, Any] | None:
        """What answers a request that asks nothing of a model (an empty prompt loads it); None: a model is asked.

        Args:
            request: A client's.
            now: Unix time.
        """
        ...

    def stream_type(self, dialect: str = "") -> str:
        """The content-type of its streams, in the client's dialect: ``"text/event-stream"``."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A fresh decoder for one stream."""
        ...

    def stream_encoder(self, context: Context) -> StreamEncoder:
        """A fresh encoder for one stream."""
        ...

    def stream_watch(self) -> StreamWatch:
        """A fresh watch for one stream."""
        ...

    def fold(self, events: Iterable[Event]) -> Response:
        """The answer that a stream of universal events adds up to."""
        ...
