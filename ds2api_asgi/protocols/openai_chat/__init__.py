"""OpenAI Chat Completions, and everything that speaks it: ``POST /v1/chat/completions``.

https://platform.openai.com/docs/api-reference/chat (read 2026-11-23). Decisions:

* Documents born here are written back as they were, member by member (`messages` lists the forms); everything below is
  about documents of other protocols.
* A lone text is a string, several are a list of parts: boundaries stay, and servers that know only strings are served.
* Reasoning goes as ``reasoning_content``; the dialect ``"strict"`` drops it. Signatures are dropped from requests, as
  no server here can read them; those of an answer are given to the client to carry (`carry`). An effort stands for a
  budget (`universal.effort`).
* Failed tools say so in words, media of tools follow in a user message: see `turns`.
* Cache marks of other protocols are dropped: servers of this one cache by themselves, and their marks, which only the
  newest models take, have other lifetimes.
* ``strict`` is never switched on, ``top_k`` is written only by the dialect ``"compatible"``, and a JSON schema without
  a name gets ``"response"``.
* A stream asks for usage, since other protocols always state it.
* Tools of a provider never become calls of a client; what has no place in an answer is dropped and reported.
* A client that offers only the legacy ``functions`` is answered with ``function_call``.
* ``[DONE]`` without any finish reason is believed (Snowflake); so is the end of a stream whose choices all had one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UnsetType

from ...errors import InvalidDocument
from ...universal.events import Event
from ...universal.failure import Failure, Verdict
from ...universal.fold import fold
from ...universal.jsontext import loads
from ...universal.request import Request
from ...universal.response import Response
from ..base import Claim, Context, Encoded, Limits, Operation, UpstreamRoute, WireError
from . import companions, errors, profile, request, response, routes
from .stream_decoder import StreamDecoder
from .stream_encoder import StreamEncoder
from .stream_watch import StreamWatch

__all__ = ["PROTOCOL", "OpenAIChat"]


class OpenAIChat:
    """The protocol; `protocols.base.Protocol` says what each method does."""

    name = profile.NAME
    stream_type = "text/event-stream"

    def claim(self, method: str, path: str, headers: Mapping[str, str]) -> Claim | None:
        """See `routes.claim`."""
        return routes.claim(method, path, headers)

    def route(
        self, operation: Operation, *, stream: bool, model: str | UnsetType, dialect: str
    ) -> UpstreamRoute | None:
        """See `routes.route`."""
        return routes.route(operation, stream=stream, model=model, dialect=dialect)

    def authorize(self, secret: str) -> tuple[bytes, bytes]:
        """See `routes.authorize`."""
        return routes.authorize(secret)

    def dialect(self, headers: Mapping[str, str]) -> str:
        """See `routes.dialect`."""
        return routes.dialect(headers)

    def parse(self, body: bytes) -> dict[str, Any]:
        """Read a JSON document; tool arguments are strings in it, so nothing else has to be kept.

        Raises:
            InvalidDocument: Not JSON, or not an object.
        """
        document = loads(body)
        if type(document) is not dict:
            raise InvalidDocument("", "must be an object")
        return document

    def decode_request(
        self,
        document: dict[str, Any],
        *,
        dialect: str = "",
        operation: Operation = Operation.GENERATE,  # noqa: ARG002
    ) -> Request:
        """See `request.decode_request`; no other operation has a document of its own."""
        return request.decode_request(document, dialect=dialect)

    def encode_request(self, request_: Request, *, dialect: str = "") -> Encoded:
        """See `request.encode_request`."""
        return request.encode_request(request_, dialect=dialect)

    def decode_response(self, document: dict[str, Any]) -> Response:
        """See `response.decode_response`."""
        return response.decode_response(document)

    def encode_response(self, response_: Response, context: Context) -> Encoded:
        """See `response.encode_response`."""
        return response.encode_response(response_, context)

    def decode_error(self, status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
        """See `errors.decode_error`."""
        return errors.decode_error(status, headers, body)

    def encode_error(self, failure: Failure) -> WireError:
        """See `errors.encode_error`."""
        return errors.encode_error(failure)

    def classify(self, failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
        """See `errors.classify`."""
        return errors.classify(failure, headers, now=now)

    def limits(self, headers: Mapping[str, str], *, now: float) -> Sequence[Limits]:
        """See `errors.limits`."""
        return errors.limits(headers, now=now)

    def stream_decoder(self) -> StreamDecoder:
        """See `stream_decoder.StreamDecoder`."""
        return StreamDecoder()

    def stream_encoder(self, context: Context) -> StreamEncoder:
        """See `stream_encoder.StreamEncoder`."""
        return StreamEncoder(context)

    def stream_watch(self) -> StreamWatch:
        """See `stream_watch.StreamWatch`."""
        return StreamWatch()

    def fold(self, events: Iterable[Event]) -> Response:
        """See `universal.fold.fold`."""
        return fold(events, protocol=profile.NAME)

    def stream_error(self, failure: Failure) -> bytes:
        """See `errors.stream_error`."""
        return errors.stream_error(failure)

    def encode_models(self, models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """See `companions.encode_models`."""
        return companions.encode_models(models)

    def decode_models(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        """See `companions.decode_models`."""
        return companions.decode_models(document)

    def encode_model(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """See `companions.encode_model`."""
        return companions.encode_model(model)

    def decode_model(self, document: dict[str, Any]) -> dict[str, Any]:
        """See `companions.decode_model`."""
        return companions.decode_model(document)

    def encode_token_count(self, tokens: int) -> dict[str, Any]:
        """See `companions.encode_token_count`."""
        return companions.encode_token_count(tokens)

    def decode_token_count(self, document: dict[str, Any]) -> int:
        """See `companions.decode_token_count`."""
        return companions.decode_token_count(document)


PROTOCOL = OpenAIChat()
