"""`Router`: an app over apps, by the model that a request names.

What a name means is looked up once (`routes.Table`). Bodies are peeked at, not parsed, and where a name or a member is
to be changed, only its own bytes are (`splice`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import UNSET

from ...asgi.body import DEFAULT_MAX_BODY, read_body
from ...asgi.claims import Claims
from ...asgi.denial import deny
from ...asgi.exchange import KEY, Exchange, enter
from ...asgi.headers import form_type, is_urlencoded
from ...asgi.lifespan import lifespan_of
from ...asgi.respond import respond
from ...asgi.types import ASGIApp, Receive, Scope, Send
from ...errors import BodyTooLarge, ClientGone, ConfigurationError, FramingError, InvalidDocument
from ...framing.form import may_be_pairs_of, read_fields
from ...pool.conversation import conversation_of
from ...protocols import registry
from ...protocols.base import Claim, Operation, Protocol
from ...resilience import Failover
from ...universal import jsontext
from ...universal.failure import FailureKind
from .model_lists import Kept, collect, merged
from .needs import needs_of
from .renamed_socket import RenamedSocket
from .routes import Found, Leg, Routed, RouteLike, Table
from .target_app import ASKED, Asked, TargetApp, fail

__all__ = ["Router"]

_NAMING: Final = frozenset(
    {Operation.GENERATE, Operation.COUNT_TOKENS, Operation.EMBED, Operation.GET_MODEL, Operation.INFER}
)
_NO_MODEL: Final = "the request names no model"
_SHARES: Final = float(1 << 128)  # a conversation's digest has 32 hexadecimal digits


class Router:
    """Send each request to the apps that its model's name means.

    ::

        Router(
            {"openai": openai, "claude": claude},
            {
                "smart": ["claude/claude-opus-5", "openai/gpt-6"],
                "gpt-*": "openai",
            },
        )

    Clients may speak any protocol that the apps understand; put a `Translator` around one that speaks another. A model
    of several targets goes to one of those of the lowest priority, by their weights, and to the others in their order
    if that fails. Requests that name no model (files, moderations), WebSockets without one and requests of no protocol
    go to the app `default`. Lists of models are those of all apps, and the routes'. The lifespan goes to all apps. Each
    target that is asked is noted as a fact `Routed`, each change by rules as `Ruled`.

    Args:
        apps: By name, without ``/`` and ``*``.
        routes: What clients' names mean: a target (``"openai/gpt-6"``; ``"openai"``: as the client says it), several,
            or a `Route`. A name may have ``*`` for any characters.
        prefixes: Whether ``openai/gpt-6`` means the app ``openai``, where no route of that name is.
        default: The name of the app for requests that name no model; None: they are answered 404, or 400 where a model
            should have been named.
        per: What the weights are about: with ``"conversation"`` all turns of one stay with a target, as long as they
            can be told apart; with ``"request"`` each request is drawn for.
        rename_answers: Whether answers say the name that the client asked for instead of the upstream's.
        failover: Makes an app of several targets' (each a `TargetApp`, in the order in which they are to be asked);
            None: a `Failover`.
        list_timeout: Seconds that an app has to list its models.
        max_body: Bytes of a request's body; larger ones are answered with 413.
        rng: Draws targets; None: a fresh one.

    Raises:
        ConfigurationError: No apps, a target without an app, a circle of fallbacks, a name or a weight that cannot be
            one, rules about ``model`` or ``stream``, or another value that cannot work.
    """

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        routes: Mapping[str, RouteLike] | None = None,
        *,
        prefixes: bool = True,
        default: str | None = None,
        per: str = "conversation",
        rename_answers: bool = False,
        failover: Callable[[Sequence[ASGIApp]], ASGIApp] | None = None,
        list_timeout: float = 10.0,
        max_body: int = DEFAULT_MAX_BODY,
        rng: Random | None = None,
    ) -> None:
        if per not in ("conversation", "request"):
            raise ConfigurationError('per is "conversation" or "request"')
        if not list_timeout > 0 or max_body < 1:
            raise ConfigurationError("list_timeout is more than 0 seconds, and max_body at least 1")
        if default is not None and default not in apps:
            raise ConfigurationError(f"default: there is no app {default!r}")
        self._apps = dict(apps)
        self._table = Table(self._apps, routes or {}, prefixes=prefixes)
        self._prefixes = prefixes
        self._default = None if default is None else self._apps[default]
        self._per_conversation = per == "conversation"
        self._rename_answers = rename_answers
        self._failover = failover or _failover
        self._list_timeout = list_timeout
        self._max_body = max_body
        self._rng = rng or Random()  # noqa: S311 - shares are no secret
        self._claims = Claims(registry.claim)
        # One app for each order of legs that can come up: bounded by the legs of all routes, times eight for what
        # requests may need.
        self._orders: dict[tuple[Leg, ...], ASGIApp] = {}

    def drain(self) -> None:
        """Repeat nothing from now on: the server is to end soon. What is under way goes on."""
        for app in self._orders.values():
            if isinstance(app, Failover):
                app.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a request where it belongs; take part in a lifespan."""
        match scope["type"]:
            case "http":
                outermost = KEY not in scope
                scope, exchange = enter(scope)
                try:
                    await self._http(scope, exchange, receive, send)
                except ClientGone:
                    if not outermost:  # parts above must learn of it; a server would log it as a crash
                        raise
            case "lifespan":
                await lifespan_of(self._apps.values(), scope, receive, send, ending=self.drain)
            case "websocket":
                await self._websocket(scope, receive, send)
            case _ if self._default is not None:
                await self._default(scope, receive, send)
            case _:
                pass

    async def _http(self, scope: Scope, exchange: Exchange, receive: Receive, send: Send) -> None:
        claim = self._claims.of(scope)
        if claim is None or claim.operation is Operation.ABOUT or not claim.method_allowed:
            await self._unrouted(claim, scope, receive, send)
            return
        protocol = registry.get(claim.protocol)
        if claim.operation is Operation.LIST_MODELS:
            await self._list(protocol, scope, exchange, receive, send)
            return
        if claim.operation not in _NAMING:
            await self._unrouted(claim, scope, receive, send)
            return
        body = b""
        if claim.model is UNSET:
            try:
                receive = await read_body(receive, limit=self._max_body)
            except BodyTooLarge as error:
                await fail(protocol, scope, send, FailureKind.TOO_LARGE, str(error))
                return
            if claim.operation is Operation.INFER and _may_name_another(receive.body, scope):
                words = "the body may be read as a form of pairs: say content-type: application/json"
                await fail(protocol, scope, send, FailureKind.INVALID, words, status=415)
                return
            body, model = receive.body, receive.peek(scope["headers"])[0]
        else:
            model = claim.model
        if not model:
            form = form_type(scope["headers"]) if claim.model is UNSET else None
            # One that cannot be read may name an alias, which would mean nothing to the default app.
            if self._default is not None and (form is None or _unnamed(body, form) == _NO_MODEL):
                await self._default(scope, receive, send)
            else:
                words = _unnamed(body, form) if claim.model is UNSET else _NO_MODEL
                await fail(protocol, scope, send, FailureKind.INVALID, words)
            return
        found = self._table.find(model)
        if found is None:
            words = f"the model {model[:100]!r} does not exist here"
            await fail(protocol, scope, send, FailureKind.NOT_FOUND, words)
            return
        asked = Asked(claim=claim, model=model, own=found.model)
        scope = {**scope, ASKED: asked}
        if claim.operation is Operation.GET_MODEL:
            await self._one(protocol, asked, found, scope, receive, send)
            return
        legs = found.way.legs
        if len(legs) > 1 or legs[0].target.can is not None:
            try:
                receive = await read_body(receive, limit=self._max_body)
            except BodyTooLarge as error:
                await fail(protocol, scope, send, FailureKind.TOO_LARGE, str(error))
                return
            body = receive.body
            if any(leg.target.can is not None for leg in legs):
                needs = needs_of(protocol, claim, scope, body)
                legs = tuple([leg for leg in legs if leg.target.can is None or needs <= leg.target.can])
                if not legs:
                    words = f"no target of the model {model[:100]!r} has {', '.join(sorted(needs))}"
                    await fail(protocol, scope, send, FailureKind.INVALID, words)
                    return
        await self._app(self._order(legs, claim, scope, body))(scope, receive, send)

    async def _unrouted(self, claim: Claim | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is no question for a model."""
        head = scope["method"] == "HEAD"
        if self._default is not None:
            await self._default(scope, receive, send)
        elif claim is None:
            document = {"error": {"type": "not_found", "message": "there is nothing at this path"}}
            await respond(send, status=404, document=document, head=head)
        elif not claim.method_allowed:
            words = f"the method {scope['method']} is not allowed here"
            await fail(registry.get(claim.protocol), scope, send, FailureKind.METHOD, words)
        elif claim.about is not None:
            await respond(send, status=200, document=claim.about, head=head)
        else:
            words = "there is no default app for requests that name no model"
            await fail(registry.get(claim.protocol), scope, send, FailureKind.NOT_FOUND, words)

    def _order(self, legs: tuple[Leg, ...], claim: Claim, scope: Scope, body: bytes) -> tuple[Leg, ...]:
        """The legs in the order in which they are asked: one of the first tier by weight, then all others."""
        if len(legs) == 1:
            return legs
        sharing = _sharing(legs)
        first = sharing[0] if len(sharing) == 1 else _drawn(sharing, self._point(claim, scope, body))
        return (first, *(leg for leg in legs if leg is not first))

    def _point(self, claim: Claim, scope: Scope, body: bytes) -> float:
        """From 0 up to 1; the same one for all turns of a conversation."""
        if self._per_conversation:
            digest = conversation_of(claim.protocol, scope["headers"], body)
            if digest is not None:
                return int(digest, 16) / _SHARES
        return self._rng.random()

    def _app(self, legs: tuple[Leg, ...]) -> ASGIApp:
        app = self._orders.get(legs)
        if app is None:
            asked = [self._asking(leg) for leg in legs]
            app = self._orders[legs] = asked[0] if len(asked) == 1 else self._failover(asked)
        return app

    def _asking(self, leg: Leg) -> TargetApp:
        renames = self._rename_answers if leg.rename is None else leg.rename
        return TargetApp(leg.app or self._apps[leg.target.app], leg, rename_answers=renames, max_body=self._max_body)

    async def _list(self, protocol: Protocol, scope: Scope, exchange: Exchange, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await fail(protocol, scope, send, FailureKind.METHOD, "lists are asked for with GET")
            return
        rows = await collect(self._apps, protocol, scope, receive, exchange, self._list_timeout)
        document = protocol.encode_models(merged(self._table, rows, prefixes=self._prefixes))
        await respond(send, status=200, document=document, head=scope["method"] == "HEAD")

    async def _one(
        self, protocol: Protocol, asked: Asked, found: Found, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer about one model: what its first target's app says, under the name that was asked for."""
        leg = found.way.legs[0]
        kept = Kept()
        await self._asking(leg)({**scope, "method": _unheaded(scope)}, receive, kept)
        document = kept.document()
        if document is None:
            if asked.model in self._table.ways or kept.status not in (401, 403, 404):
                document = protocol.encode_model({"id": asked.model, "owned_by": leg.target.app})
            else:
                words = f"the model {asked.model[:100]!r} does not exist here"
                await fail(protocol, scope, send, FailureKind.NOT_FOUND, words)
                return
        else:
            for name, prefix in (("id", ""), ("name", "models/")):
                if isinstance(document.get(name), str) and (name == "id" or protocol.name == "gemini"):
                    document = {**document, name: prefix + asked.model}
        await respond(send, status=200, document=document, head=scope["method"] == "HEAD")

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """By the model in the query (OpenAI Realtime), else the default app's."""
        pairs = (scope.get("query_string") or b"").split(b"&")
        at = next((index for index, pair in enumerate(pairs) if pair.startswith(b"model=")), None)
        if at is not None:
            named = unquote_to_bytes(pairs[at][len(b"model=") :]).decode("utf-8", "replace")
            found = self._table.find(named)
            if found is not None:
                leg = _drawn(_sharing(found.way.legs), self._rng.random())
                model = leg.target.model or found.model
                if model != named:
                    pairs[at] = b"model=" + quote(model, safe="").encode()
                scope, exchange = enter({**scope, "query_string": b"&".join(pairs)})
                exchange.note(Routed(model=named, target=leg.target.app, upstream_model=model))
                if model != named:
                    renames = self._rename_answers if leg.rename is None else leg.rename
                    socket = RenamedSocket(receive, send, asked=named, model=model, answers=renames)
                    receive, send = socket.receive, socket.send
                await self._apps[leg.target.app](scope, receive, send)
                return
        if self._default is not None:
            await self._default(scope, receive, send)
            return
        await receive()
        error = {"type": "not_found", "message": "the request names no model that is known here"}
        headers = ((b"content-type", b"application/json"),)
        await deny(scope, send, status=404, headers=headers, body=jsontext.dumps({"error": error}))


def _sharing(legs: Sequence[Leg]) -> list[Leg]:
    """Those of the lowest priority that share what comes by their weights; those without wait for others to fail."""
    weighted = [leg for leg in legs if leg.target.weight > 0] or list(legs[:1])
    return [leg for leg in weighted if leg.tier == weighted[0].tier]


def _drawn(sharing: Sequence[Leg], point: float) -> Leg:
    """One of them, by a number from 0 up to 1."""
    point *= sum(leg.target.weight for leg in sharing)
    for leg in sharing:
        point -= leg.target.weight
        if point < 0:
            return leg
    return sharing[-1]


def _failover(apps: Sequence[ASGIApp]) -> ASGIApp:
    return Failover(apps, max_calls=max(6, len(apps)))


def _unheaded(scope: Scope) -> str:
    return "GET" if scope["method"] == "HEAD" else str(scope["method"])


def _may_name_another(body: bytes, scope: Scope) -> bool:
    """Whether an app that reads forms may find a model in a body which its JSON does not name."""
    return is_urlencoded(scope["headers"]) and may_be_pairs_of(body, ("model",))


def _unnamed(body: bytes, form: bytes | None) -> str:
    """Why a document, or a form of this type, names no model."""
    try:
        if form is None:
            jsontext.loads(body)
        else:
            read_fields(body, form, ("model", "stream"))  # as a body's `peek` does
    except (InvalidDocument, FramingError) as error:
        return f"the body: {error}"
    return _NO_MODEL
