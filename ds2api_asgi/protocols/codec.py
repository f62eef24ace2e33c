"""`Codec`: a protocol put together from the modules of its package, each of which is one side of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ..universal.events import Event
from ..universal.failure import Row
from ..universal.fold import fold
from ..universal.request import Request
from ..universal.response import Response
from .base import (
    Companions,
    Context,
    Embeddings,
    Encoded,
    Errors,
    Operation,
    Requests,
    Responses,
    Routes,
    StreamDecoder,
    StreamEncoder,
    StreamWatch,
    Verdicts,
)
from .hidden import AnswerJudge
from .namespaces import spelled_out
from .plain import Plain
from .resources import Resources

__all__ = ["Codec"]


class Codec:
    """A `base.Protocol`; a type checker sees that each module has what its side demands.

    Args:
        name: What configuration calls the protocol.
        routes: The module of this name; the next five likewise.
        request: See `base.Requests`.
        response: See `base.Responses`.
        errors: See `base.Errors`.
        verdicts: See `base.Verdicts`.
        companions: See `base.Companions`.
        stream_decoder: Makes a decoder for one stream.
        stream_encoder: Makes an encoder for one stream.
        stream_watch: Makes a watch for one stream.
        stream_type: The content-type of streams.
        stream_types: That of dialects with another.
        streams_by_default: See `base.Protocol`.
        embeddings: See `base.Protocol`.
        idle: See `base.Protocol`; None: each request asks a model.
        settle: What a folded stream needs to be the answer that a document would have been; None: nothing.
        dialects: See `base.Protocol.dialects`.
        keep_alive: See `alive.KeepsAlive`.
        answer_error: See `hidden.HidesErrors`; None: no server of this protocol hides errors.
        resources: What accounts keep; None: nothing.
        plain: See `plain.Plain`; None: the protocol has no short way.
        inference_watch: See `inference.HasInferenceStreams`; None: there are no such streams.
    """

    def __init__(
        self,
        *,
        name: str,
        routes: Routes,
        request: Requests,
        response: Responses,
        errors: Errors,
        verdicts: Verdicts,
        companions: Companions,
        stream_decoder: Callable[[], StreamDecoder],
        stream_encoder: Callable[[Context], StreamEncoder],
        stream_watch: Callable[[], StreamWatch],
        stream_type: str = "text/event-stream",
        stream_types: Mapping[str, str] | None = None,
        streams_by_default: bool = False,
        embeddings: Embeddings | None = None,
        idle: Callable[[Request, int], dict[str, Any] | None] | None = None,
        settle: Callable[[Response], Response] | None = None,
        dialects: Iterable[str] = ("",),
        keep_alive: bytes = b"",
        answer_error: AnswerJudge | None = None,
        resources: Resources | None = None,
        plain: Plain | None = None,
        inference_watch: Callable[[], StreamWatch] | None = None,
    ) -> None:
        self.name = name
        self.rows: Sequence[Row] = getattr(verdicts, "ROWS", ())
        self.streams_by_default = streams_by_default
        self.dialects = tuple(dialects)
        self.keep_alive = keep_alive
        self.answer_error = answer_error
        self.resources = resources
        self.plain = plain
        self.inference_watch = inference_watch
        self.embeddings = embeddings
        self.claim = routes.claim
        self.route = routes.route
        self.authorize = routes.authorize
        self.dialect = routes.dialect
        self.parse = request.parse
        self.decode_request = request.decode_request
        self._encode_request = request.encode_request
        self.decode_response = response.decode_response
        self.encode_response = response.encode_response
        self.decode_error = errors.decode_error
        self.encode_error = errors.encode_error
        self.stream_error = errors.stream_error
        self.classify = verdicts.classify
        self.limits = verdicts.limits
        self.encode_limits = verdicts.encode_limits
        self.decode_models = companions.decode_models
        self.encode_models = companions.encode_models
        self.decode_model = companions.decode_model
        self.encode_model = companions.encode_model
        self.decode_token_count = companions.decode_token_count
        self.encode_token_count = companions.encode_token_count
        self.stream_decoder = stream_decoder
        self.stream_encoder = stream_encoder
        self.stream_watch = stream_watch
        self._stream_type = stream_type
        self._stream_types = dict(stream_types or {})
        self._idle = idle
        self._settle = settle

    def __repr__(self) -> str:
        return f"Codec({self.name!r})"

    def idle(self, request: Request, *, now: int) -> dict[str, Any] | None:
        """See `base.Protocol.idle`."""
        return None if self._idle is None else self._idle(request, now)

    def stream_type(self, dialect: str = "") -> str:
        """See `base.Protocol.stream_type`."""
        return self._stream_types.get(dialect, self._stream_type)

    def encode_request(
        self, request: Request, *, dialect: str = "", operation: Operation = Operation.GENERATE
    ) -> Encoded:
        """See `base.Requests.encode_request`; namespaces of tools are spelled out for protocols that have none."""
        if request.origin.protocol == self.name or request.tools is UNSET:
            return self._encode_request(request, dialect=dialect, operation=operation)
        plain, losses = spelled_out(request)
        encoded = self._encode_request(plain, dialect=dialect, operation=operation)
        if not losses:
            return encoded
        if encoded.context is not None:
            encoded.context.request = request
        return replace(encoded, losses=(*losses, *encoded.losses))

    def fold(self, events: Iterable[Event]) -> Response:
        """See `base.Protocol.fold`."""
        response = fold(events, protocol=self.name)
        return response if self._settle is None else self._settle(response)
