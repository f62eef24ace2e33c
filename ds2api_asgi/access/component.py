"""`Access`: an ASGI app around an app, that lets in who shows a client key and keeps everybody to their limits.

The order is what protects: what came before the body is bounded first, then the key is found, and only then is the body
read, bounded and looked at, the model checked, the limits taken from. A stranger costs a digest and a look-up.
"""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Final, Literal, get_args

from ..asgi.body import Replay
from ..asgi.claims import Claims
from ..asgi.credentials import shown, without_credentials
from ..asgi.exchange import KEY, Exchange, enter
from ..asgi.facts import Caller, TurnedAway, Used
from ..asgi.headers import replace
from ..asgi.path import query, relative_path
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import ClientGone, ConfigurationError
from ..protocols import registry
from ..protocols.base import Claim, Operation
from ..protocols.openai_shared.sockets import is_realtime
from ..universal.failure import FailureKind
from .admitted import Admitted
from .asked import USUAL_OUTPUT, estimate
from .bounds import BODILESS, Checks, form_of, is_preflight
from .client_key import ClientKey, digest_of
from .key_lookup import ClientKeys, KeyLookup, as_lookup
from .limit_store import LimitStore, MemoryLimitStore
from .model_list import ModelList
from .permission import Permission
from .realtime import Realtime, check_query
from .refusal import Refused, protocol_of, refuse, refuse_websocket
from .socket import Socket
from .turnstile import OnStoreError, Turnstile

__all__ = ["Access", "Others"]

Others = Literal["key", "pass", "refuse"]
"""What happens to a request that no protocol claims."""

_RESPONSES: Final = re.compile(r"(?:/v1)?/(?:responses(?:/.*)?|realtime)", re.DOTALL)
"""Responses that are kept for a client, and Realtime: no protocol's own paths, and nobody else's matter."""
_SOCKET: Final = re.compile(r"(?:/v1)?/responses")

_COSTS_TOKENS: Final = frozenset({Operation.GENERATE, Operation.EMBED, Operation.INFER})
_PERMISSIONS: Final = 1_024  # keys whose allow-lists are remembered as they are matched
_CHALLENGE: Final = ((b"www-authenticate", b"Bearer"),)

_log = logging.getLogger("ds2api_asgi.access")


class Access:
    """Lets requests in that show a client key, as far as the key's models and limits go.

        app = Access(
            Translator(Retry(pool), speaks="openai-chat"),
            keys=[
                ClientKey("sha256:9f86d081884c7d65…", name="alice", limits=ClientLimits(rpm=60, tpm=100_000)),
                ClientKey("sha256:60303ae22b998861…", name="bob", models=["gpt-5*"]),
            ],
        )

    A key may stand wherever clients of any protocol put it: ``authorization: Bearer``, ``x-api-key``, ``api-key``,
    ``x-goog-api-key``, ``?key=``, or a websocket's subprotocol. It goes no further. What parts within are told is the
    fact `Caller`: the key's name and share. Everything is refused in the client's own protocol, with the header
    ``x-ds2-refused: local``: 401 without a good key, 403 for a model that the key may not use (404 where it is only
    looked at; lists of models are filtered), 429 when a limit is reached, and for what `Bounds` refuses as it does.
    Answers state the key's limits in the headers of the client's provider, and then no others.

    Who is let in is decided by what routes: the path relative to where this part is mounted, never by ``host`` or a
    forwarding header. **Around a whole app** that mounts LLM routes beneath a prefix of its own, this part does not
    know those routes: put it on what is mounted there. A browser's CORS preflight, which carries no key, passes.

    Websockets on ``/responses`` are held to models and limits message by message, as requests are. Other websockets
    cost one request; OpenAI's Realtime is held to models in its query and in its messages, and costs, once it is over,
    the tokens that a `KeyPool` within was told of. Requests that no protocol claims cost one request, and with ``POST``
    the tokens that their answers state. A key with an allow-list may only use such requests without a body or with one
    that names an allowed model, and no websockets but these two. Work that goes on when its answer is over
    (``background``) costs what its request seemed to cost.

    Args:
        app: The ASGI app to ask.
        keys: `ClientKey` s, plain keys or digests; or something with ``find`` (`KeyLookup`), to look them up elsewhere.
        others: What happens to requests that no protocol claims. ``"key"`` (the default): they need a key as well,
            since an app may do costly things on any path. ``"pass"``: they reach the app with nothing checked and
            nothing changed, for an app that has pages of its own. ``"refuse"``: they are answered 404.
        protocols: The protocols whose requests are known; None: all that are installed.
        forward: Whether the client's key goes on to the app, for apps that know the same keys.
        limit_store: Where the use of limits is counted; None: in this process.
        on_store_error: What happens while the store of limits cannot be asked: ``"serve"`` without limits, or
            ``"refuse"`` with 503. Either is logged once a minute.
        checks: Bounds other than the defaults of `Bounds`.
        preflights: Whether a browser's CORS preflight passes without a key. It is for who answers CORS within; where
            nobody does, strangers would reach an upstream.
        wall: Unix time in seconds, for keys that expire and for dates in headers.

    Raises:
        ConfigurationError: No keys, one that cannot work, one twice, or an unknown protocol or word.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Iterable[ClientKey | str] | KeyLookup,
        others: Others = "key",
        protocols: Iterable[str] | None = None,
        forward: bool = False,
        limit_store: LimitStore | None = None,
        on_store_error: OnStoreError = "serve",
        checks: Checks | None = None,
        preflights: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if others not in get_args(Others):
            raise ConfigurationError(f"others is one of {', '.join(get_args(Others))}")
        if on_store_error not in get_args(OnStoreError):
            raise ConfigurationError(f"on_store_error is one of {', '.join(get_args(OnStoreError))}")
        if isinstance(protocols, str):
            raise ConfigurationError("protocols takes a list of protocol names")
        self.app = app
        self._lookup = as_lookup(keys)
        self._others = others
        self._forward = forward
        self._checks = Checks() if checks is None else checks
        self._preflights = preflights
        self._wall = wall
        self._turnstile = Turnstile(
            MemoryLimitStore() if limit_store is None else limit_store, on_store_error=on_store_error
        )
        names = registry.names() if protocols is None else tuple(protocols)
        for name in names:
            registry.get(name)
        self._claims = Claims(partial(registry.claim, among=names))
        self._permission = lru_cache(_PERMISSIONS)(Permission)

    def __repr__(self) -> str:
        return f"<Access for {self._lookup!r}>" if isinstance(self._lookup, ClientKeys) else "<Access>"

    def replace(self, keys: Iterable[ClientKey | str] | KeyLookup) -> None:
        """Take other keys from now on, all at once; requests that were let in go on, and limits that clients used stay.

        Raises:
            ConfigurationError: As when made; the old keys then stay.
        """
        self._lookup = as_lookup(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in or turn it away (the ASGI interface)."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        outermost = KEY not in scope
        claim: Claim | None = None
        try:
            self._checks.head(scope)
            if self._preflights and kind == "http" and is_preflight(scope):
                await self.app(scope if self._forward else without_credentials(scope), receive, send)
                return
            claim = self._claim(scope)
            if claim is None and self._others == "pass" and not _RESPONSES.fullmatch(relative_path(scope)):
                await self.app(scope, receive, send)
                return
            key = await self._key(scope)
            scope, exchange = enter(scope if self._forward else without_credentials(scope))
            exchange.note(Caller(name=key.name, share=key.share))
            if kind == "http":
                await self._http(key, claim, scope, exchange, receive, send)
            else:
                await self._websocket(key, scope, exchange, receive, send)
        except Refused as refused:
            await self._refuse(refused, claim, scope, receive, send)
        except ClientGone:
            if not outermost:  # parts above must learn of it; a server would log it as a crash
                raise

    async def _http(
        self, key: ClientKey, claim: Claim | None, scope: Scope, exchange: Exchange, receive: Receive, send: Send
    ) -> None:
        permission = self._permission(key)
        body: Replay | None = None
        if _has_body(scope) and (claim is not None or permission.limited):
            receive = body = await self._checks.body(claim, scope, receive)
        permission.check(claim, None if body is None else body.body, form_of(claim, scope))
        protocol = protocol_of(claim, scope)
        if permission.lists(claim):
            send = ModelList(send, protocol, permission.sees)
            scope = _uncompressed(scope)
        tokens, seems = self._estimate(key, claim, scope, body)
        if seems is not None:
            exchange.wants_usage = True
            scope = _uncompressed(scope)  # what an app within compresses cannot be counted
        admission = await self._turnstile.enter(key, tokens)
        admitted = Admitted(admission, protocol, exchange, send, wall=self._wall, seems=seems)
        try:
            await self.app(scope, receive, admitted.send if admitted.watches else send)
        finally:
            await self._turnstile.leave(admission, admitted.tokens)

    async def _websocket(self, key: ClientKey, scope: Scope, exchange: Exchange, receive: Receive, send: Send) -> None:
        if _SOCKET.fullmatch(relative_path(scope)):
            socket = Socket(
                self._turnstile,
                self._checks,
                self._permission(key),
                key,
                exchange,
                receive,
                send,
                still_good=partial(self._still_good, key),
            )
            await socket.run(self.app, scope)
            return
        permission, limits = self._permission(key), key.limits
        talks = is_realtime("openai-chat", relative_path(scope))
        if permission.limited:
            if not talks:
                raise Refused(
                    FailureKind.PERMISSION, 403, "This client key is for certain models, and this names none."
                )
            check_query(permission, query(scope))
            receive = Realtime(self._checks, permission, key.name, exchange, receive, send).receive
        counts = talks and not (limits.tpm is None and limits.tpd is None and limits.budget is None)
        exchange.wants_usage = exchange.wants_usage or counts
        admission = await self._turnstile.enter(key, 1 if counts else 0)  # with none left, nobody begins to talk
        try:
            await self.app(scope, receive, send)
        finally:
            used = sum(fact.total for fact in exchange.all(Used)) if counts else None
            await self._turnstile.leave(admission, used)

    def _claim(self, scope: Scope) -> Claim | None:
        claim = self._claims.of(scope if scope["type"] == "http" else {**scope, "method": "POST"})
        if claim is None and self._others == "refuse" and not _RESPONSES.fullmatch(relative_path(scope)):
            raise Refused(FailureKind.NOT_FOUND, 404, "There is nothing here.", code="not_found")
        return claim

    def _estimate(
        self, key: ClientKey, claim: Claim | None, scope: Scope, body: Replay | None
    ) -> tuple[int, int | None]:
        """What a request may cost in tokens, and what of that is its own; (0, None): no tokens."""
        limits = key.limits
        if limits.tpm is None and limits.tpd is None and limits.budget is None:
            return 0, None
        if claim is None:  # it may be a generation that nobody here knows: of a video, of a summary
            return (1, 1) if scope["method"] == "POST" else (0, None)
        if claim.operation not in _COSTS_TOKENS or body is None or not claim.method_allowed:
            return 0, None
        if form_of(claim, scope) is not None:
            return 1, 1  # sound and pictures are no text to guess from
        seems = estimate(body.body, generates=False)
        if claim.operation is Operation.EMBED:
            return seems, seems
        usual = 0 if claim.operation is Operation.INFER else USUAL_OUTPUT
        return estimate(body.body, generates=True, usual=usual), seems

    async def _key(self, scope: Scope) -> ClientKey:
        """Whose request it is.

        Raises:
            Refused: Nobody's whom we know.
        """
        tokens = shown(scope)
        refused = _unknown("The client key is not known here." if tokens else "No client key was sent.")
        for token in tokens:
            key = await self._found(digest_of(token))
            if key is None:
                continue
            if key.opens(self._wall()):
                return key
            refused = _unknown("The client key is disabled or has expired.")
        raise refused

    async def _found(self, digest: str) -> ClientKey | None:
        """The key with this digest.

        Raises:
            Refused: It cannot be looked up.
        """
        try:
            key = await self._lookup.find(digest)
        except Exception:  # noqa: BLE001 - whatever a user's database raises; nobody is let in for it
            _log.exception("client keys cannot be looked up")
            raise Refused(FailureKind.OVERLOADED, 503, "Client keys cannot be looked up now.") from None
        # Whoever looks up by less than the whole digest (a prefix, another case) lets nobody in.
        known = _NOBODY if key is None else key
        return key if hmac.compare_digest(known.digest, digest) else None

    async def _still_good(self, key: ClientKey) -> bool:
        found = await self._found(key.digest)
        return found is not None and found.opens(self._wall())

    async def _refuse(self, refused: Refused, claim: Claim | None, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope.get(KEY)
        code = refused.failure.code or ""
        if isinstance(exchange, Exchange):
            caller = exchange.last(Caller)
            exchange.note(TurnedAway(status=refused.status, code=code, caller=caller.name if caller else ""))
        _log.info("turned a request away: %d %s", refused.status, code)
        protocol = protocol_of(claim, scope)
        if scope["type"] == "http":
            await refuse(protocol, refused, scope, send, now=self._wall())
        else:
            await refuse_websocket(protocol, refused, scope, receive, send, now=self._wall())


_NOBODY: Final = ClientKey("sha256:" + "0" * 64, name="nobody")


def _unknown(message: str) -> Refused:
    return Refused(FailureKind.AUTH, 401, message, headers=_CHALLENGE)


def _uncompressed(scope: Scope) -> Scope:
    """A request whose answer will not be compressed."""
    return {**scope, "headers": replace(scope["headers"], {b"accept-encoding": b"identity"})}


def _has_body(scope: Scope) -> bool:
    """Whether a request may have a body; servers need not deliver one for those that have none."""
    method: str = scope["method"]
    if method in BODILESS:
        return False
    # Over HTTP/2 no header need tell of one.
    return method in ("POST", "PUT", "PATCH") or any(
        name.lower() in (b"transfer-encoding", b"content-length") for name, _ in scope["headers"]
    )
