"""`Translator`: any client protocol in front of an ASGI app that speaks one.

It swaps ``receive``, wraps ``send`` and copies the scope, all in the request's own task: no queue, no relay, so
back-pressure and cancellation are the server's own. Requests that need no translation get the very same scope,
receive and send.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import UNSET

from ..asgi.body import DEFAULT_MAX_BODY, Replay, read_body
from ..asgi.exchange import enter
from ..asgi.facts import Lost
from ..asgi.headers import CREDENTIALS, decode, replace
from ..asgi.path import relative_path, with_path
from ..asgi.respond import respond
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import BodyTooLarge, ClientGone, ConfigurationError, InvalidDocument, LossRejected
from ..protocols import registry
from ..protocols.base import Claim, Context, Operation, Protocol, UpstreamRoute
from ..universal import jsontext
from ..universal.estimate import estimate_input_tokens
from ..universal.failure import Failure, FailureKind
from ..universal.loss import Loss, LossKind, LossPolicy, Severity, blocking
from ..universal.request import Request
from .answer import Answer, AnswerTranslation, GenerationAnswer

__all__ = ["Translator"]

logger = logging.getLogger("ds2api_asgi.translator")

_MAX_NOTED_PATHS = 32
_SEVERITIES = tuple(Severity)
# What the client said to its own provider; the upstream's protocol says its own.
_CLIENT_HEADERS = (*CREDENTIALS, b"anthropic-version", b"anthropic-beta", b"openai-beta", b"accept", b"accept-encoding")


class Translator:
    """Speak every protocol in front of an app that speaks one.

        app = Translator(local_app, speaks="openai-chat", clients=["anthropic"])

    A client of another protocol is translated, stream or not; a client that speaks the app's own protocol, and every
    request that is no client protocol's, passes with its bytes untouched. Errors are said in the client's protocol.

    Args:
        app: The ASGI app that answers.
        speaks: The protocol it speaks: ``"openai-chat"``, ``"anthropic"``.
        clients: The protocols that clients may speak; None: all that are installed.
        on_loss: What to do about what a request cannot say in the app's protocol: ``"warn"`` (the default) logs it,
            ``"allow"`` says nothing, ``"reject"`` answers 400; or a mapping by `LossKind`, or a function of all
            losses. Blocking losses are refused under all three words.
        dialect: The dialect of `speaks` that the app understands (``"2026-10-21"``); ``""``: the protocol's default.
        loss_header: Whether answers to translated requests state their losses: ``x-ds2-loss: 2;max=degraded``.
        max_body: Bytes of a request that is translated; more is answered 413.
        max_answer: Bytes of a whole answer that is translated; more is answered 502.
        clock: Unix time, for documents that must state one.

    Raises:
        ConfigurationError: A protocol is not installed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        speaks: str,
        clients: Iterable[str] | None = None,
        on_loss: LossPolicy = "warn",
        dialect: str = "",
        loss_header: bool = False,
        max_body: int = DEFAULT_MAX_BODY,
        max_answer: int = DEFAULT_MAX_BODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(clients, str):
            raise ConfigurationError("clients takes a list of protocol names")
        if isinstance(on_loss, str) and on_loss not in ("allow", "warn", "reject"):
            raise ConfigurationError(f"on_loss must be allow, warn or reject, not {on_loss!r}")
        self.app = app
        self._upstream = registry.get(speaks)
        self._clients = {name: registry.get(name) for name in (registry.names() if clients is None else clients)}
        self._on_loss = on_loss
        self._dialect = dialect
        self._loss_header = loss_header
        self._max_body = max_body
        self._max_answer = max_answer
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on what needs no translation."""
        claim = None
        if scope["type"] == "http":
            headers = decode(scope["headers"])
            claim = registry.claim(scope["method"], relative_path(scope), headers, among=self._clients)
        if claim is None or claim.protocol == self._upstream.name:
            await self.app(scope, receive, send)
            return
        client = self._clients[claim.protocol]
        try:
            await self._translate(claim, client, headers, scope, receive, send)
        except ClientGone:
            return
        except BodyTooLarge as error:
            await _refuse(send, client, FailureKind.TOO_LARGE, 413, str(error))
        except LossRejected as error:
            await _refuse(send, client, FailureKind.INVALID, 400, f"cannot be said to this upstream: {error}")
        except InvalidDocument as error:
            await _refuse(send, client, FailureKind.INVALID, 400, str(error), param=error.path or UNSET)

    async def _translate(
        self, claim: Claim, client: Protocol, headers: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        if not claim.method_allowed:
            await _refuse(send, client, FailureKind.METHOD, 405, f"{scope['method']} is not allowed here")
            return
        match claim.operation:
            case Operation.GENERATE | Operation.COUNT_TOKENS:
                await self._translate_document(claim, client, headers, scope, receive, send)
            case Operation.LIST_MODELS | Operation.GET_MODEL:
                await self._translate_models(claim, client, scope, receive, send)
            case Operation.EMBED:
                message = (
                    f"the upstream speaks {self._upstream.name}, which has no embeddings that {client.name} can use"
                )
                await _refuse(send, client, FailureKind.NOT_FOUND, 404, message)

    async def _translate_document(
        self, claim: Claim, client: Protocol, headers: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        upstream = self._upstream
        replay = await read_body(receive, limit=self._max_body)
        request = client.decode_request(
            client.parse(replay.body), dialect=client.dialect(headers), operation=claim.operation
        )
        streams = request.stream is True
        route = upstream.route(claim.operation, stream=streams, model=request.model, dialect=self._dialect)
        if route is None:
            await self._estimate(client, request, send)
            return
        encoded = upstream.encode_request(request, dialect=self._dialect)
        refused = blocking(encoded.losses, self._on_loss)
        if refused:
            raise LossRejected(refused)
        scope = self._note(scope, encoded.losses)
        context = encoded.context or Context()
        context.request = request
        context.now = int(self._clock())
        body = jsontext.dumps(encoded.document)
        answer = (
            GenerationAnswer(upstream, client, context, streams=streams)
            if claim.operation is Operation.GENERATE
            else AnswerTranslation(lambda found: client.encode_token_count(upstream.decode_token_count(found)))
        )
        await self._ask(
            route,
            Replay(body, replay),
            scope,
            send,
            client,
            answer,
            headers=self._loss_headers(encoded.losses),
            body=body,
        )

    async def _translate_models(
        self, claim: Claim, client: Protocol, scope: Scope, receive: Receive, send: Send
    ) -> None:
        upstream = self._upstream
        route = upstream.route(claim.operation, stream=False, model=claim.model, dialect=self._dialect)
        if route is None:
            await _refuse(send, client, FailureKind.NOT_FOUND, 404, "the upstream has no list of models")
            return
        answer = (
            AnswerTranslation(lambda found: client.encode_models(upstream.decode_models(found)))
            if claim.operation is Operation.LIST_MODELS
            else AnswerTranslation(lambda found: client.encode_model(upstream.decode_model(found)))
        )
        await self._ask(route, receive, scope, send, client, answer)

    async def _estimate(self, client: Protocol, request: Request, send: Send) -> None:
        """Answer a count of tokens by a guess, and say that it is one."""
        loss = Loss(
            path="usage.input_total",
            kind=LossKind.INVENTED,
            severity=Severity.DEGRADED,
            reason=f"{self._upstream.name} does not count tokens: a local estimate",
        )
        if blocking((loss,), self._on_loss):
            raise LossRejected((loss,))
        document = client.encode_token_count(estimate_input_tokens(request))
        await respond(send, status=200, document=document, headers=((b"x-ds2-estimate", b"true"),))

    async def _ask(
        self,
        route: UpstreamRoute,
        receive: Receive,
        scope: Scope,
        send: Send,
        client: Protocol,
        answer: AnswerTranslation,
        *,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        body: bytes = b"",
    ) -> None:
        scope = with_path(scope, route.path, route.query)
        scope["method"] = route.method
        scope["headers"] = self._upstream_headers(scope["headers"], route, body)
        wrapped = Answer(send, self._upstream, client, answer, limit=self._max_answer, headers=headers)
        try:
            await self.app(scope, receive, wrapped.send)
        except Exception as error:
            if not await wrapped.broke(error):
                raise
        else:
            await wrapped.ended()

    def _upstream_headers(
        self, headers: list[tuple[bytes, bytes]], route: UpstreamRoute, body: bytes
    ) -> list[tuple[bytes, bytes]]:
        changes: dict[bytes, bytes | None] = dict.fromkeys(_CLIENT_HEADERS)
        changes[b"content-length"] = b"%d" % len(body) if body else None
        changes[b"content-type"] = b"application/json" if body else None
        changes[b"content-encoding"] = changes[b"transfer-encoding"] = None
        changes[b"accept-encoding"] = b"identity"
        secret = _credential(headers)
        if secret:
            name, value = self._upstream.authorize(secret)
            changes[name] = value
        changes.update(route.headers)
        return replace(headers, changes)

    def _note(self, scope: Scope, losses: tuple[Loss, ...]) -> Scope:
        if not losses:
            return scope
        scope, exchange = enter(scope)
        paths = tuple(loss.path for loss in losses[:_MAX_NOTED_PATHS])
        exchange.note(Lost(count=len(losses), paths=paths))
        if self._on_loss == "warn":
            logger.warning(
                "translation to %s lost %d of a request's values",
                self._upstream.name,
                len(losses),
                extra={"losses": [f"{loss.path}: {loss.kind.value}" for loss in losses[:_MAX_NOTED_PATHS]]},
            )
        return scope

    def _loss_headers(self, losses: tuple[Loss, ...]) -> tuple[tuple[bytes, bytes], ...]:
        if not losses or not self._loss_header:
            return ()
        worst = max(losses, key=lambda loss: _SEVERITIES.index(loss.severity)).severity.value
        return ((b"x-ds2-loss", f"{len(losses)};max={worst}".encode()),)


def _credential(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The API key that a client sent, in whichever header; ``""`` when it sent none."""
    for name, value in headers:
        key = name.lower()
        if key in CREDENTIALS:
            text = value.decode("latin-1")
            return text[7:].strip() if key == b"authorization" and text[:7].lower() == "bearer " else text
    return ""


async def _refuse(
    send: Send, client: Protocol, kind: FailureKind, status: int, message: str, param: Any = UNSET
) -> None:
    wire = client.encode_error(Failure(kind=kind, status=status, message=message, param=param))
    await respond(send, status=wire.status, document=wire.document, headers=wire.headers)
