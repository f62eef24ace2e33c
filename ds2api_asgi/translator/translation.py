"""What becomes of an app's answer: a `Companion` and an `Embedding` one to one, a `Generation` also as a stream.

A `PlainGeneration` is the beginning of a `Generation` that need not be made, as long as all is plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import UNSET

from ..protocols.base import Context, Embeddings, Protocol, StreamDecoder, StreamEncoder
from ..protocols.plain import ShortWay
from ..universal import jsontext
from ..universal.embedding import EmbeddingRequest
from ..universal.events import Event
from ..universal.failure import Failure
from ..universal.fold import unfold
from ..universal.loss import Loss
from ..universal.response import Response
from .carrying import Carrying
from .transformed import Transformed

__all__ = ["Companion", "Embedding", "Generation", "PlainGeneration"]


class Companion:
    """A whole document by a function: model lists, token counts.

    Args:
        translate: The app's document to the client's; may raise InvalidDocument.

    Attributes:
        losses: What the answer does not say; nothing before it was translated.
        streams: Never.
    """

    losses: Sequence[Loss] = ()
    streams = False

    def __init__(self, translate: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._translate = translate

    def whole(self, document: dict[str, Any]) -> bytes | Failure:
        """The client's body for the app's document.

        Raises:
            InvalidDocument: It cannot be read.
        """
        return jsontext.dumps(self._translate(document))


class Embedding:
    """Vectors.

    Args:
        upstream: How the app says them.
        client: How the client does.
        request: The client's.

    Attributes:
        losses: What the answer does not say; nothing before it was translated.
        streams: Never.
    """

    streams = False

    def __init__(self, upstream: Embeddings, client: Embeddings, request: EmbeddingRequest) -> None:
        self.losses: Sequence[Loss] = ()
        self._upstream = upstream
        self._client = client
        self._request = request

    def whole(self, document: dict[str, Any]) -> bytes | Failure:
        """The client's body for the app's document.

        Raises:
            InvalidDocument: It cannot be read, or has not a vector for each input.
        """
        response = self._upstream.decode_embedding_response(document)
        encoded = self._client.encode_embedding_response(response, self._request)
        self.losses = encoded.losses
        return jsontext.dumps(encoded.document)


class Generation:
    """What a model generated.

    Args:
        upstream: What the app speaks.
        client: What the client speaks.
        context: What the request's encoder wants its answer to know.
        transformed: The request among the translator's transforms.
        streams: Whether the client asked for a stream; an app that answers otherwise is folded or unfolded.
        carrying: What becomes of its opaque state.

    Attributes:
        streams: As given.
        losses: What the answer does not say; nothing before it was translated.
    """

    def __init__(
        self,
        upstream: Protocol,
        client: Protocol,
        context: Context,
        transformed: Transformed,
        *,
        carrying: Carrying,
        streams: bool,
    ) -> None:
        self.streams = streams
        self.losses: Sequence[Loss] = ()
        self._upstream = upstream
        self._client = client
        self._context = context
        self._transformed = transformed
        self._carrying = carrying

    def whole(self, document: dict[str, Any]) -> bytes | Failure:
        """The client's body for the app's document; a stream when the client asked for one.

        Returns:
            The body, or the error that the document is.

        Raises:
            InvalidDocument: It cannot be read.
        """
        return self._encode(self._transformed.response(self._upstream.decode_response(document)))

    def folded(self, events: Iterable[Event]) -> bytes | Failure:
        """The client's body for the app's whole stream, as `decoder` gave it.

        Returns:
            The body, or the error that the stream ended in.
        """
        return self._encode(self._upstream.fold(events))

    def _encode(self, response: Response) -> bytes | Failure:
        if response.error is not UNSET:
            return response.error
        response, losses = self._carrying.response(response, self._context)
        if self.streams:
            encoder = self._client.stream_encoder(self._context)
            body = encoder.write(unfold(response))
            self.losses = (*encoder.losses, *losses)
            return body
        encoded = self._client.encode_response(response, self._context)
        self.losses = (*encoded.losses, *losses)
        return jsontext.dumps(encoded.document)

    @property
    def stream_type(self) -> str:
        """The content-type of the client's stream, in the dialect that it speaks."""
        request = self._context.request
        return self._client.stream_type("" if request is UNSET else request.origin.dialect)

    def decoder(self) -> StreamDecoder:
        """A decoder of the app's stream."""
        return self._transformed.decoder(self._upstream.stream_decoder())

    def encoder(self) -> StreamEncoder:
        """The encoder of the client's stream; its losses are ours."""
        encoder = self._carrying.encoder(self._client.stream_encoder(self._context), self._context)
        self.losses = encoder.losses
        return encoder


class PlainGeneration:
    """What a model generated for a plain request; a `Generation` takes its place where the answer is not plain, too.

    Args:
        way: From the client to the app and back.
        now: Unix time of the request.
        long: Makes that `Generation`.

    Attributes:
        losses: What the answer does not say; nothing before it was translated.
        streams: Never.
        long: As given.
    """

    __slots__ = ("_now", "_way", "long", "losses")

    streams = False

    def __init__(self, way: ShortWay, now: int, long: Callable[[], Generation]) -> None:
        self.losses: Sequence[Loss] = ()
        self.long = long
        self._way = way
        self._now = now

    def short(self, body: bytes) -> bytes | None:
        """The client's body for the app's; None: it is not plain."""
        answer = self._way.answer(body, self._now)
        if answer is None:
            return None
        told, self.losses = answer
        return told
