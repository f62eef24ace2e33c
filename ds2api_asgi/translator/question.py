"""What the app is asked for a request, and what the client is told where the app need not be asked; all without I/O."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ..asgi.credentials import caller_of
from ..asgi.exchange import Exchange
from ..asgi.headers import Headers, find
from ..asgi.path import relative_path
from ..asgi.types import Scope
from ..errors import InvalidDocument, LossRejected
from ..protocols.base import Claim, Context, Operation, Protocol, UpstreamRoute
from ..universal import jsontext
from ..universal.estimate import estimate_input_tokens
from ..universal.failure import Failure, FailureKind
from ..universal.loss import Loss, LossKind, Severity
from ..universal.request import Request
from .carrying import Carrying
from .settings import Settings
from .transformed import Transformed
from .translation import Companion, Embedding, Generation, PlainGeneration

__all__ = ["Inquiry", "Question", "Reply"]

_WITH_BODY = frozenset({Operation.GENERATE, Operation.COUNT_TOKENS, Operation.EMBED})


class Reply(Struct, frozen=True, kw_only=True):
    """What the client is told without the app.

    Attributes:
        status: HTTP status.
        document: The body.
        headers: Beside those of a JSON body.
    """

    status: int
    document: dict[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Question(Struct, frozen=True, kw_only=True):
    """What the app is asked, and what becomes of its answer.

    Attributes:
        route: How the app is asked.
        translation: What becomes of its answer.
        body: None: it is asked without one.
        peeked: The model and the word ``stream`` of the body, as `Replay.peek` would find them; None: not known.
        headers: Further headers of a good answer.
        estimate: The request whose tokens are guessed where the app cannot count them; None: it is asked for nothing
            that could be guessed.
    """

    route: UpstreamRoute
    translation: Companion | Embedding | Generation | PlainGeneration
    body: bytes | None = None
    peeked: tuple[str | None, bool | None] | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    estimate: Request | None = None


def _named(row: dict[str, Any], model: str | UnsetType) -> dict[str, Any]:
    """A model under the name that was asked for, where the answer does not repeat it."""
    return row if row.get("id") or model is UNSET else {**row, "id": model}


class Inquiry:
    """Turns one request of a client into a question to the app.

    Args:
        settings: The translator's.
        client: What the client speaks.
        claim: What it wants.
        scope: The request's scope, with its exchange.
        exchange: The request's journal.
    """

    __slots__ = ("_begun", "_claim", "_client", "_exchange", "_scope", "_settings")

    def __init__(self, settings: Settings, client: Protocol, claim: Claim, scope: Scope, exchange: Exchange) -> None:
        self._settings = settings
        self._client = client
        self._claim = claim
        self._scope = scope
        self._exchange = exchange
        self._begun = len(exchange)

    @property
    def has_body(self) -> bool:
        """Whether the operation has a body; one model may be named by the path or by a body."""
        claim = self._claim
        return claim.operation in _WITH_BODY or (claim.operation is Operation.GET_MODEL and claim.model is UNSET)

    def question(self, body: bytes) -> Question | Reply:
        """What the app is asked; a reply where the request is refused, or answered without it.

        Args:
            body: The client's; ``b""`` where the operation has none.
        """
        if not self._claim.method_allowed:
            return self._wrong_method()
        try:
            match self._claim.operation:
                case Operation.GENERATE | Operation.COUNT_TOKENS:
                    return self._document_question(body)
                case Operation.LIST_MODELS | Operation.GET_MODEL:
                    return self._models_question(body)
                case Operation.ABOUT:
                    return Reply(status=200, document=self._claim.about or {})
                case Operation.EMBED:
                    return self._embedding_question(body)
                case Operation.INFER:
                    path = relative_path(self._scope)
                    return self.refusal(FailureKind.NOT_FOUND, 404, f"{path} {self._not_spoken}")
        except LossRejected as error:
            path = error.losses[0].path  # codecs spell some refusals as their SDKs know them, by what was refused
            return self.refusal(FailureKind.INVALID, 400, f"this {self._not_spoken}: {error}", param=path)
        except InvalidDocument as error:
            return self.refusal(FailureKind.INVALID, 400, str(error), param=error.path or UNSET)

    @property
    def _not_spoken(self) -> str:
        return f"cannot be said in {self._settings.upstream.name}, which the upstream speaks"

    def _wrong_method(self) -> Reply:
        allowed = b"POST" if self.has_body or self._claim.operation is Operation.INFER else b"GET"
        method = self._scope["method"]
        return self.refusal(
            FailureKind.METHOD, 405, f"the method {method} is not allowed here", headers=((b"allow", allowed),)
        )

    @property
    def _compressed(self) -> bool:
        return find(self._scope["headers"], b"content-encoding") not in (None, b"identity")

    def _parsed(self, body: bytes) -> dict[str, Any]:
        if self._compressed:
            raise InvalidDocument("", "the body is compressed, which is not supported")
        return self._client.parse(body)

    @property
    def _dialect(self) -> str:
        """The client's."""
        said = self._claim.dialect
        return self._client.dialect(Headers(self._scope["headers"])) if said is UNSET else said

    def _decoded(self, body: bytes) -> Request:
        client, claim = self._client, self._claim
        request = client.decode_request(self._parsed(body), dialect=self._dialect, operation=claim.operation)
        return claim.complete(request)

    def _document_question(self, body: bytes) -> Question | Reply:
        now = int(self._settings.clock())
        short = self._plain_question(body, now)
        return self._long_question(body, now) if short is None else short

    def _plain_question(self, body: bytes, now: int) -> Question | None:
        """A request that is translated the short way; None: it is not plain, or there is no such way."""
        settings, claim = self._settings, self._claim
        way = settings.short_ways.get(claim.protocol)
        if way is None or claim.operation is not Operation.GENERATE or self._compressed:
            return None
        if not (UNSET is claim.model is claim.stream):
            return None
        plain = way.request(body)
        if plain is None:
            return None
        request, asked, losses = plain
        route = settings.upstream.route(claim.operation, stream=False, model=request.model, dialect=settings.dialect)
        if route is None:
            return None
        if losses:
            self._lose(losses)
        return Question(
            route=route,
            body=asked,
            peeked=(request.model, None if request.stream is UNSET else request.stream),
            headers=settings.losses.headers(losses) if losses else (),
            translation=PlainGeneration(way, now, partial(self._long_generation, body, now)),
        )

    def _long_generation(self, body: bytes, now: int) -> Generation:
        question = self._long_question(body, now, noted=True)
        assert isinstance(question, Question)
        assert isinstance(question.translation, Generation)
        return question.translation

    def _long_question(self, body: bytes, now: int, *, noted: bool = False) -> Question | Reply:
        """A request that is translated by way of the universal format.

        Args:
            body: The client's.
            now: Unix time.
            noted: Whether its losses have been dealt with.
        """
        client, upstream = self._client, self._settings.upstream
        operation = self._claim.operation
        request = self._decoded(body)
        idle = client.idle(request, now=now) if operation is Operation.GENERATE else None
        if idle is not None:
            return Reply(status=200, document=idle)
        dialect = self._settings.dialect or (request.origin.dialect if client is upstream else "")
        streams = operation is Operation.GENERATE and self._claim.asks_for_stream(
            None if request.stream is UNSET else request.stream, by_default=client.streams_by_default
        )
        if client.streams_by_default or upstream.streams_by_default:  # silence means two things: say what it means
            request = replace(request, stream=streams)
        carrying = Carrying(
            self._settings.carriage,
            client.name,
            lambda: caller_of(self._scope, client.authorize("")[0]),
            self._exchange,
            self._begun,
        )
        carried, dropped = carrying.request(request)
        transformed = Transformed(self._settings.transforms, carried)
        asked = transformed.request
        route = upstream.route(operation, stream=streams, model=asked.model, dialect=dialect)
        if route is None and operation is Operation.GENERATE:
            raise InvalidDocument("model", f"cannot be empty: {upstream.name} names it in the path")
        if route is None:
            return self.estimate(asked)
        encoded = upstream.encode_request(asked, dialect=dialect, operation=operation)
        losses = (*dropped, *transformed.losses, *encoded.losses)
        if losses and not noted:
            self._lose(losses)
        if operation is Operation.GENERATE:
            carrying.ask(encoded.document)
        context = encoded.context or Context()
        context.request = request
        context.now = now
        context.remade = bool(self._settings.transforms)
        model, said = encoded.document.get("model"), encoded.document.get("stream")
        return Question(
            estimate=asked if operation is Operation.COUNT_TOKENS else None,
            route=route,
            body=jsontext.dumps(encoded.document),
            peeked=(model if type(model) is str else None, said if type(said) is bool else None),
            headers=self._settings.losses.headers(losses) if losses else (),
            translation=Generation(upstream, client, context, transformed, carrying=carrying, streams=streams)
            if operation is Operation.GENERATE
            else Companion(lambda found: client.encode_token_count(upstream.decode_token_count(found))),
        )

    def _embedding_question(self, body: bytes) -> Question | Reply:
        client, upstream, claim = self._client, self._settings.upstream, self._claim
        if client.embeddings is None or upstream.embeddings is None:
            return self.refusal(FailureKind.NOT_FOUND, 404, f"embeddings {self._not_spoken}")
        request = client.embeddings.decode_embedding_request(self._parsed(body), dialect=self._dialect)
        if claim.model is not UNSET:  # the path has the last word, as it is what routes by
            request = replace(request, model=claim.model)
        dialect = self._settings.dialect
        route = upstream.route(Operation.EMBED, stream=False, model=request.model, dialect=dialect)
        if route is None:
            return self.refusal(FailureKind.NOT_FOUND, 404, f"embeddings {self._not_spoken}")
        encoded = upstream.embeddings.encode_embedding_request(request, dialect=dialect)
        self._lose(encoded.losses)
        return Question(
            route=route,
            body=jsontext.dumps(encoded.document),
            headers=self._settings.losses.headers(encoded.losses),
            translation=Embedding(upstream.embeddings, client.embeddings, request),
        )

    def _models_question(self, body: bytes) -> Question | Reply:
        client, upstream, claim = self._client, self._settings.upstream, self._claim
        model = self._decoded(body).model if self.has_body else claim.model
        route = upstream.route(claim.operation, stream=False, model=model, dialect=self._settings.dialect)
        if route is None:
            return self.refusal(FailureKind.NOT_FOUND, 404, f"a question for models {self._not_spoken}")
        if claim.operation is Operation.LIST_MODELS:
            translation = Companion(lambda found: client.encode_models(upstream.decode_models(found)))
        else:
            translation = Companion(lambda found: client.encode_model(_named(upstream.decode_model(found), model)))
        asked = None if route.document is None else jsontext.dumps(route.document)
        return Question(route=route, translation=translation, body=asked)

    def estimate(self, request: Request) -> Reply:
        """A count of tokens by a guess that says that it is one."""
        loss = Loss(
            path="usage.input_total",
            kind=LossKind.INVENTED,
            severity=Severity.DEGRADED,
            reason=f"{self._settings.upstream.name} does not count tokens: a local estimate",
        )
        self._lose((loss,))
        document = self._client.encode_token_count(estimate_input_tokens(request))
        headers = ((b"x-ds2-estimate", b"true"), *self._settings.losses.headers((loss,)))
        return Reply(status=200, document=document, headers=headers)

    def _lose(self, losses: tuple[Loss, ...]) -> None:
        refused = self._settings.losses.refused(losses)
        if refused:
            raise LossRejected(refused)
        self._settings.losses.note(self._exchange, losses, of="request")

    def refusal(
        self,
        kind: FailureKind,
        status: int,
        message: str,
        *,
        param: Any = UNSET,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Reply:
        """A refusal in the client's protocol.

        Args:
            kind: What is wrong.
            status: HTTP status.
            message: For whoever reads it.
            param: Path of what is wrong in the body; UNSET: it is no member of it.
            headers: Further ones.
        """
        wire = self._client.encode_error(Failure(kind=kind, status=status, message=message, param=param))
        return Reply(status=wire.status, document=wire.document, headers=(*wire.headers, *headers))
