"""One request of a client that does not speak the app's protocol, from its claim to the end of its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ..asgi.body import Replay, read_body
from ..asgi.credentials import caller_of
from ..asgi.exchange import Exchange
from ..asgi.headers import Headers, find
from ..asgi.path import relative_path
from ..asgi.respond import respond
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..asgi.unwrapped import unwrapped
from ..errors import BodyTooLarge, ClientGone, InvalidDocument, LossRejected
from ..protocols.alive import keep_alive_of
from ..protocols.base import Claim, Context, Operation, Protocol, UpstreamRoute
from ..protocols.plain import ShortWay
from ..transforms.base import Transform
from ..universal import jsontext
from ..universal.estimate import estimate_input_tokens
from ..universal.failure import Failure, FailureKind
from ..universal.loss import Loss, LossKind, Severity
from ..universal.request import Request
from .answer import Answer
from .carrying import Carriage, Carrying
from .losses import Losses
from .scope import upstream_scope
from .transformed import Transformed
from .translation import Companion, Embedding, Generation, PlainGeneration

__all__ = ["TRANSFORMED", "Settings", "TranslatedRequest"]

TRANSFORMED = frozenset({Operation.GENERATE, Operation.COUNT_TOKENS})
"""Operations that transforms have to do with."""

_WITH_BODY = frozenset({Operation.GENERATE, Operation.COUNT_TOKENS, Operation.EMBED})


class Settings(Struct, frozen=True, kw_only=True):
    """What all requests of a `Translator` share; see there."""

    app: ASGIApp
    upstream: Protocol
    losses: Losses
    dialect: str
    transforms: tuple[Transform, ...]
    max_body: int
    max_answer: int
    clock: Callable[[], float]
    carriage: Carriage
    short_ways: Mapping[str, ShortWay] = {}


class _Reply(Struct, frozen=True, kw_only=True):
    """An answer that the app is not asked for."""

    status: int
    document: dict[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


class _Question(Struct, frozen=True, kw_only=True):
    """What the app is asked, and what becomes of its answer."""

    route: UpstreamRoute
    translation: Companion | Embedding | Generation | PlainGeneration
    body: bytes | None = None
    peeked: tuple[str | None, bool | None] | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    estimate: Request | None = None


async def _send_head(send: Send, message: Message) -> None:
    """Send what answers HEAD: headers as for GET, and no body (some servers would write it)."""
    await send({**message, "body": b""} if message["type"] == "http.response.body" else message)


def _named(row: dict[str, Any], model: str | UnsetType) -> dict[str, Any]:
    """A model under the name that was asked for, where the answer does not repeat it."""
    return row if row.get("id") or model is UNSET else {**row, "id": model}


class _Presence:
    """A ``receive`` that remembers that the client left."""

    __slots__ = ("_receive", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False

    async def __call__(self) -> Message:
        message: Message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
        return message


class TranslatedRequest:
    """Asks the app in its own protocol and answers the client in the client's.

    Args:
        settings: The translator's.
        client: What the client speaks.
        claim: What it wants.
        scope: The request's scope, with its exchange.
        exchange: The request's journal.
        receive: The client's.
        send: The client's.
    """

    def __init__(
        self,
        settings: Settings,
        client: Protocol,
        claim: Claim,
        scope: Scope,
        exchange: Exchange,
        receive: Receive,
        send: Send,
    ) -> None:
        self._settings = settings
        self._client = client
        self._claim = claim
        self._scope = scope
        self._exchange = exchange
        self._receive = receive
        self._send = partial(_send_head, send) if scope["method"] == "HEAD" else send
        self._begun = len(exchange)

    async def run(self) -> None:
        """Serve it.

        Raises:
            ClientGone: The client left before it had its answer.
            Exception: What the server's ``receive`` and ``send`` raise; what the app raises, after the client was told.
        """
        try:
            body = await self._body()
        except BodyTooLarge as error:
            await self._reply(self._refusal(FailureKind.TOO_LARGE, 413, str(error)))
            return
        try:
            question = self._question(body)
        except Exception:
            await self._reply(self._refusal(FailureKind.SERVER, 500, "the request could not be translated"))
            raise
        if isinstance(question, _Reply):
            await self._reply(question)
        else:
            await self._ask(question)

    async def _body(self) -> bytes:
        """The body; nothing is read of a request that has none or is refused without it."""
        if not self._has_body or not self._claim.method_allowed:
            return b""
        limit = self._settings.max_body
        length = find(self._scope["headers"], b"content-length") or b""
        if length.isdigit() and int(length[:20]) > limit:
            raise BodyTooLarge(limit)
        replay = await read_body(self._receive, limit=limit)
        self._receive = replay
        return replay.take()

    @property
    def _has_body(self) -> bool:
        """Whether the operation has a body; one model may be named by the path or by a body."""
        claim = self._claim
        return claim.operation in _WITH_BODY or (claim.operation is Operation.GET_MODEL and claim.model is UNSET)

    def _question(self, body: bytes) -> _Question | _Reply:
        if not self._claim.method_allowed:
            return self._wrong_method()
        try:
            match self._claim.operation:
                case Operation.GENERATE | Operation.COUNT_TOKENS:
                    return self._document_question(body)
                case Operation.LIST_MODELS | Operation.GET_MODEL:
                    return self._models_question(body)
                case Operation.ABOUT:
                    return _Reply(status=200, document=self._claim.about or {})
                case Operation.EMBED:
                    return self._embedding_question(body)
                case Operation.INFER:
                    path = relative_path(self._scope)
                    return self._refusal(FailureKind.NOT_FOUND, 404, f"{path} {self._not_spoken}")
        except LossRejected as error:
            path = error.losses[0].path  # codecs spell some refusals as their SDKs know them, by what was refused
            return self._refusal(FailureKind.INVALID, 400, f"this {self._not_spoken}: {error}", param=path)
        except InvalidDocument as error:
            return self._refusal(FailureKind.INVALID, 400, str(error), param=error.path or UNSET)

    @property
    def _not_spoken(self) -> str:
        return f"cannot be said in {self._settings.upstream.name}, which the upstream speaks"

    def _wrong_method(self) -> _Reply:
        allowed = b"POST" if self._has_body or self._claim.operation is Operation.INFER else b"GET"
        method = self._scope["method"]
        return self._refusal(
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

    def _document_question(self, body: bytes) -> _Question | _Reply:
        now = int(self._settings.clock())
        short = self._plain_question(body, now)
        return self._long_question(body, now) if short is None else short

    def _plain_question(self, body: bytes, now: int) -> _Question | None:
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
        return _Question(
            route=route,
            body=asked,
            peeked=(request.model, None if request.stream is UNSET else request.stream),
            headers=settings.losses.headers(losses) if losses else (),
            translation=PlainGeneration(way, now, partial(self._long_generation, body, now)),
        )

    def _long_generation(self, body: bytes, now: int) -> Generation:
        question = self._long_question(body, now, noted=True)
        assert isinstance(question, _Question)
        assert isinstance(question.translation, Generation)
        return question.translation

    def _long_question(self, body: bytes, now: int, *, noted: bool = False) -> _Question | _Reply:
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
            return _Reply(status=200, document=idle)
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
            return self._estimate(asked)
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
        return _Question(
            estimate=asked if operation is Operation.COUNT_TOKENS else None,
            route=route,
            body=jsontext.dumps(encoded.document),
            peeked=(model if type(model) is str else None, said if type(said) is bool else None),
            headers=self._settings.losses.headers(losses) if losses else (),
            translation=Generation(upstream, client, context, transformed, carrying=carrying, streams=streams)
            if operation is Operation.GENERATE
            else Companion(lambda found: client.encode_token_count(upstream.decode_token_count(found))),
        )

    def _embedding_question(self, body: bytes) -> _Question | _Reply:
        client, upstream, claim = self._client, self._settings.upstream, self._claim
        if client.embeddings is None or upstream.embeddings is None:
            return self._refusal(FailureKind.NOT_FOUND, 404, f"embeddings {self._not_spoken}")
        request = client.embeddings.decode_embedding_request(self._parsed(body), dialect=self._dialect)
        if claim.model is not UNSET:  # the path has the last word, as it is what routes by
            request = replace(request, model=claim.model)
        dialect = self._settings.dialect
        route = upstream.route(Operation.EMBED, stream=False, model=request.model, dialect=dialect)
        if route is None:
            return self._refusal(FailureKind.NOT_FOUND, 404, f"embeddings {self._not_spoken}")
        encoded = upstream.embeddings.encode_embedding_request(request, dialect=dialect)
        self._lose(encoded.losses)
        return _Question(
            route=route,
            body=jsontext.dumps(encoded.document),
            headers=self._settings.losses.headers(encoded.losses),
            translation=Embedding(upstream.embeddings, client.embeddings, request),
        )

    def _models_question(self, body: bytes) -> _Question | _Reply:
        client, upstream, claim = self._client, self._settings.upstream, self._claim
        model = self._decoded(body).model if self._has_body else claim.model
        route = upstream.route(claim.operation, stream=False, model=model, dialect=self._settings.dialect)
        if route is None:
            return self._refusal(FailureKind.NOT_FOUND, 404, f"a question for models {self._not_spoken}")
        if claim.operation is Operation.LIST_MODELS:
            translation = Companion(lambda found: client.encode_models(upstream.decode_models(found)))
        else:
            translation = Companion(lambda found: client.encode_model(_named(upstream.decode_model(found), model)))
        asked = None if route.document is None else jsontext.dumps(route.document)
        return _Question(route=route, translation=translation, body=asked)

    async def _estimated(self, request: Request) -> bool:
        """Answer with an estimate, unless a guess is a loss that must not be."""
        try:
            reply = self._estimate(request)
        except LossRejected:
            return False
        await self._reply(reply)
        return True

    def _estimate(self, request: Request) -> _Reply:
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
        return _Reply(status=200, document=document, headers=headers)

    def _lose(self, losses: tuple[Loss, ...]) -> None:
        refused = self._settings.losses.refused(losses)
        if refused:
            raise LossRejected(refused)
        self._settings.losses.note(self._exchange, losses, of="request")

    async def _ask(self, question: _Question) -> None:
        settings = self._settings
        presence = _Presence(self._receive)
        receive: Receive = presence
        if question.body is not None or self._has_body:  # the client's has been read: nobody must wait for it
            receive = Replay(question.body or b"", presence, peeked=question.peeked)
        answer = Answer(
            self._send,
            settings.upstream,
            self._client,
            question.translation,
            limit=settings.max_answer,
            headers=question.headers,
            otherwise=None if question.estimate is None else partial(self._estimated, question.estimate),
        )
        if question.translation.streams and keep_alive_of(self._client):
            self._exchange.observe(answer.observe)
        scope = upstream_scope(
            self._scope, client=self._client, upstream=settings.upstream, route=question.route, body=question.body
        )
        try:
            with unwrapped():
                await settings.app(scope, receive, answer)
        except Exception as error:
            if answer.complete and isinstance(error, ClientGone):
                pass  # it heard that nobody waits any more, which is true
            elif (presence.gone and not answer.complete) or not await answer.broke(error):
                raise
        else:
            if presence.gone and not answer.complete:
                raise ClientGone  # an app that heard of it may return as it likes
            await answer.ended()
        settings.losses.note(self._exchange, answer.losses, of="answer")

    def _refusal(
        self,
        kind: FailureKind,
        status: int,
        message: str,
        *,
        param: Any = UNSET,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> _Reply:
        wire = self._client.encode_error(Failure(kind=kind, status=status, message=message, param=param))
        return _Reply(status=wire.status, document=wire.document, headers=(*wire.headers, *headers))

    async def _reply(self, reply: _Reply) -> None:
        head = self._scope["method"] == "HEAD"
        await respond(self._send, status=reply.status, document=reply.document, headers=reply.headers, head=head)
