"""`Translator`: any client protocol in front of an ASGI app that speaks one.

It swaps ``receive``, wraps ``send`` and copies the scope, all in the request's own task: no queue, no relay, so
back-pressure and cancellation are the server's own. Requests that need no translation get the very same scope,
receive and send.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ..asgi.body import DEFAULT_MAX_BODY
from ..asgi.claims import Claims
from ..asgi.exchange import KEY, enter
from ..asgi.headers import decode, find
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import ClientGone, ConfigurationError
from ..protocols import registry
from ..protocols.base import Claim, Operation
from ..protocols.plain import short_way
from ..transforms.base import Transform
from ..transforms.carry import CarryStore, MemoryCarryStore
from ..universal.loss import LossPolicy
from .carrying import Carriage
from .losses import Losses
from .request import TranslatedRequest
from .settings import TRANSFORMED, Settings
from .strip import HISTORIES, stripped

__all__ = ["Translator"]


class Translator:
    """Speak every protocol in front of an app that speaks one.

        app = Translator(local_app, speaks="openai-chat", clients=["anthropic"])

    A client of another protocol is translated, stream or not; a client that speaks the app's own protocol in the app's
    dialect, and every request that is no client protocol's, passes with its bytes untouched. Errors are said in the
    client's protocol; an exception of the app is raised again after the client was told, so that servers log it.

    Args:
        app: The ASGI app that answers.
        speaks: The protocol it speaks: ``"openai-chat"``, ``"openai-responses"``, ``"anthropic"``, ``"gemini"``,
            ``"ollama"``.
        clients: The protocols that clients may speak; None: all that are installed.
        on_loss: What to do about what a request cannot say in the app's protocol: ``"warn"`` (the default) logs it,
            ``"allow"`` says nothing, ``"reject"`` answers 400; or a mapping by `LossKind`, or a function of all
            losses. Blocking losses are refused under all three words. Losses of answers are never refused: they are
            paid for.
        transforms: What requests, and their answers on the way back, go through: ``[TextTools()]`` for a model without
            tools, ``[ThinkTags()]`` for one that prints its thoughts. Clients that speak the app's own protocol are
            then translated too.
        dialect: The dialect of `speaks` that the app understands (``"2026-10-21"``, ``"mistral"``); ``""``: the
            protocol's default. With one, clients of the same protocol are made to fit it too.
        loss_header: Whether answers state the losses of their requests: ``x-ds2-loss: 2;max=degraded``.
        max_body: Bytes of a request that is translated; more is answered 413.
        max_answer: Bytes of a whole answer that is translated; more is answered 502.
        clock: Unix time in seconds, for documents that must state one.
        origin: Which upstream this is, when several may answer one conversation: ``"family"`` or
            ``"family/account group"`` (``"bedrock/team-blue"``). Opaque state (signed or encrypted thoughts) goes back
            to the origin that minted it only; any other's is dropped, and reported. Upstreams that read each other's
            have one origin. Then requests of clients that speak the app's own protocol are looked through, too: those
            that hold another origin's state are rid of it, all others pass with their bytes untouched. ``""``: the
            only upstream of its protocol.
        secret: Signs the capsules in which clients carry opaque state; without it they are believed as they are.
        carry_store: Where that state waits for clients that drop it; None: a store of 64 MB in this process.
        carry_store_clients: The protocols of these clients. Ollama's have nowhere to keep it and drop ids of calls,
            too; those of the others keep it themselves, so a store is used for them only when named here.

    Raises:
        ConfigurationError: A protocol is not installed or has no such dialect, or a value cannot work.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        speaks: str,
        clients: Iterable[str] | None = None,
        on_loss: LossPolicy = "warn",
        transforms: Sequence[Transform] = (),
        dialect: str = "",
        loss_header: bool = False,
        max_body: int = DEFAULT_MAX_BODY,
        max_answer: int = DEFAULT_MAX_BODY,
        clock: Callable[[], float] = time.time,
        origin: str = "",
        secret: str | bytes | None = None,
        carry_store: CarryStore | None = None,
        carry_store_clients: Iterable[str] = ("ollama",),
    ) -> None:
        if isinstance(clients, str):
            raise ConfigurationError("clients takes a list of protocol names")
        if max_body < 1 or max_answer < 1:
            raise ConfigurationError("max_body and max_answer are at least 1")
        if isinstance(carry_store_clients, str):
            raise ConfigurationError("carry_store_clients takes a list of protocol names")
        for number, transform in enumerate(transforms):
            if isinstance(transform, type) or not hasattr(transform, "begin"):
                raise ConfigurationError(f"transforms[{number}] is no transform: an object such as TextTools()")
        self.app = app
        stored = tuple(carry_store_clients)
        carriage = Carriage.of(
            speaks,
            origin,
            secret=secret,
            store=MemoryCarryStore() if carry_store is None and stored else carry_store,
            stored=stored,
        )
        upstream = registry.in_dialect(speaks, dialect)
        wanted = set(registry.names() if clients is None else clients)
        self._clients = {name: registry.get(name) for name in sorted({*wanted, speaks})}
        ways = {name: short_way(client, upstream, dialect) for name, client in self._clients.items()}
        self._settings = Settings(
            app=app,
            upstream=upstream,
            losses=Losses(on_loss, stated=loss_header),
            dialect=dialect,
            transforms=tuple(transforms),
            max_body=max_body,
            max_answer=max_answer,
            clock=clock,
            carriage=carriage,
            short_ways={
                name: way
                for name, way in ways.items()
                if way is not None and not transforms and not carriage.keeps(name)
            },
        )
        # The app's own protocol claims too: where a path is shared and no header decides, its turn may come first.
        self._claimants = tuple(name for name in registry.names() if name in wanted or name == speaks)
        self._claims = Claims(partial(registry.claim, among=self._claimants))
        self._own = Claims(self._settings.upstream.claim)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on what needs no translation."""
        claim = self._claim(scope) if scope["type"] == "http" else None
        if claim is None or self._passes(claim, scope):
            if claim is not None and self._settings.carriage.strips and claim.operation in HISTORIES:
                await stripped(self._settings, claim, scope, receive, send)
            else:
                await self.app(scope, receive, send)
            return
        outermost = KEY not in scope
        scope, exchange = enter(scope)
        client = self._clients[claim.protocol]
        request = TranslatedRequest(self._settings, client, claim, scope, exchange, receive, send)
        try:
            await request.run()
        except ClientGone:
            if not outermost:  # parts above must learn of it; a server would log it as a crash
                raise

    def _passes(self, claim: Claim, scope: Scope) -> bool:
        """Whether a request is the app's own, and nothing is to be changed in it."""
        upstream, dialect = self._settings.upstream, self._settings.dialect
        if claim.protocol != upstream.name:
            # Of what is not translated, protocols share the paths, and which of them claims first says nothing.
            own = self._own.of(scope) if claim.operation is Operation.INFER else None
            return own is not None and own.operation is Operation.INFER
        if claim.operation not in TRANSFORMED:
            return True
        return not self._settings.transforms and (not dialect or upstream.dialect(decode(scope["headers"])) == dialect)

    def _claim(self, scope: Scope) -> Claim | None:
        """Whose the request is."""
        if scope["method"] == "OPTIONS" and find(scope["headers"], b"access-control-request-method") is not None:
            return None  # a browser's preflight is for who answers CORS
        return self._claims.of(scope)
