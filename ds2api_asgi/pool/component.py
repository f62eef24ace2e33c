"""`KeyPool`: an ASGI app around an app that leases a key for each request and learns from each answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from random import Random

import anyio
from msgspec import UNSET

from ..asgi.body import DEFAULT_MAX_BODY, read_body
from ..asgi.claims import Claims
from ..asgi.exchange import Exchange, enter
from ..asgi.facts import Judged, KeyLeased, PoolEmpty
from ..asgi.headers import replace
from ..asgi.respond import respond
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import BodyTooLarge, ClientGone, ConfigurationError
from ..protocols import registry
from ..protocols.base import Operation, Protocol
from ..universal.failure import Failure, FailureKind, KeyAction
from .ask import Ask
from .attempt import Attempt, Terms
from .credentials import with_credential
from .keys import Key, as_keys
from .outcome import is_the_keys_fault
from .selection import Strategy, strategy_named
from .store import KeyStore, Lease, MemoryStore
from .survey import Empty, EmptyReason, KeyReport

__all__ = ["KeyPool"]

_RELEASE_TIMEOUT = 5.0  # seconds; a store that cannot be reached must not keep a request for longer


class KeyPool:
    """Asks an app with one of several keys, and keeps keys that fail away from it for as long as they would.

    Requests that the protocol claims get a key in the protocol's own header; the credentials that came with them go no
    further. All other requests, websockets and lifespan reach the app untouched and without a key. Answers pass at
    once. When no key can be used, the pool answers by itself, as the protocol says rate limited, out of quota or
    overloaded, with ``retry-after`` when it is known. It never retries: a `Retry` around it draws another key for each
    attempt.

        app = Retry(KeyPool(Upstream("https://api.anthropic.com"), protocol="anthropic", keys=[KEY_1, KEY_2]))

    Args:
        app: The app to ask.
        protocol: What the app speaks: a name or a protocol.
        keys: Plain secrets, or `Key` s.
        strategy: ``"least-used"``, ``"round-robin"`` or a strategy of your own.
        name: What facts and logs call the pool; two pools that meet in one request need different names.
        max_concurrency: Requests that may use a key at a time; None: any number.
        store: Where the health of the keys lives; None: in this process.
        max_body: Bytes; a request's model stands in its body, which is therefore read first.
        clock: Monotonic seconds, for the store in this process.
        wall: Unix time, to read the dates that providers send.
        rng: Where the strategy takes its chance from, for the store in this process.

    Raises:
        ConfigurationError: No keys, an empty or unusable one, one twice, an unknown protocol or strategy, a
            `max_concurrency` below 1, or a store that serves another pool.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        protocol: Protocol | str,
        keys: Iterable[Key | str],
        strategy: Strategy | str = "least-used",
        name: str = "pool",
        max_concurrency: int | None = None,
        store: KeyStore | None = None,
        max_body: int = DEFAULT_MAX_BODY,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: Random | None = None,
    ) -> None:
        if max_concurrency is not None and max_concurrency < 1:
            raise ConfigurationError("max_concurrency is below 1")
        if isinstance(keys, str):
            raise ConfigurationError("keys is one string; give a list of keys")
        checked = as_keys(keys)
        self.app = app
        self.name = name
        self.protocol = registry.get(protocol) if isinstance(protocol, str) else protocol
        self._claims = Claims(self.protocol.claim)
        self._secrets = {key.alias: key.secret for key in checked}
        self._store = MemoryStore(clock=clock, rng=rng) if store is None else store
        self._store.join(
            checked,
            strategy=strategy_named(strategy) if isinstance(strategy, str) else strategy,
            max_concurrency=max_concurrency,
        )
        # What never waits cannot be interrupted, and a shield costs as much as all else that a pool does.
        self._store_waits = type(self._store) is not MemoryStore
        self._max_body = max_body
        self._terms = Terms(pool=name, protocol=self.protocol, store=self._store, wall=wall)

    def __repr__(self) -> str:
        return f"<KeyPool {self.name!r} of {len(self._secrets)} {self.protocol.name} keys>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a key, or pass it on (the ASGI interface)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        claim = self._claims.of(scope)
        if claim is None or not claim.method_allowed:
            await self.app(scope, receive, send)
            return
        model = None if claim.model is UNSET else claim.model
        if model is None and scope["method"] not in ("GET", "HEAD"):  # servers need not deliver a body for those
            try:
                body = await read_body(receive, limit=self._max_body)
            except ClientGone:
                return
            except BodyTooLarge as error:
                await self._refuse(scope, send, Failure(kind=FailureKind.TOO_LARGE, status=413, message=str(error)))
                return
            model, _ = body.peek()
            receive = body
        scope, exchange = enter(scope)
        await self._attempt(scope, receive, send, exchange, model, claim.operation)

    async def snapshot(self) -> list[KeyReport]:
        """How every key is, in the order in which they were given."""
        return await self._store.snapshot()

    async def disable(self, alias: str) -> None:
        """Take a key out until `enable`.

        Raises:
            ConfigurationError: No key has this alias.
        """
        await self._store.switch(alias, on=False)

    async def enable(self, alias: str) -> None:
        """Take a key back in, with everything forgotten that kept it or its quota scope from work.

        Raises:
            ConfigurationError: No key has this alias.
        """
        await self._store.switch(alias, on=True)

    async def _attempt(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        exchange: Exchange,
        model: str | None,
        operation: Operation,
    ) -> None:
        lease = await self._lease(exchange, model)
        if isinstance(lease, Empty):
            exchange.note(PoolEmpty(pool=self.name, reason=lease.reason.value, retry_after=lease.retry_after))
            await self._refuse(scope, send, _failure_of(lease), _advice_of(lease))
            return
        secret = self._secrets[lease.key]
        attempt = Attempt(self._terms, secret, operation, lease, exchange, send)
        try:
            exchange.note(KeyLeased(pool=self.name, key=lease.key))
            header = self.protocol.authorize(secret.reveal())
            await self.app(with_credential(scope, header, lease.key), receive, attempt.send)
        finally:
            if self._store_waits:
                with anyio.move_on_after(_RELEASE_TIMEOUT, shield=True):
                    await self._give_back(attempt, lease)
            else:
                await self._give_back(attempt, lease)

    async def _give_back(self, attempt: Attempt, lease: Lease) -> None:
        try:
            if attempt.unread:
                await attempt.conclude()
        finally:
            await self._store.release(lease)

    async def _lease(self, exchange: Exchange, model: str | None) -> Lease | Empty:
        failed = {
            fact.key: fact.verdict
            for fact in exchange
            if isinstance(fact, Judged)
            and fact.pool == self.name
            and fact.key is not None
            and (is_the_keys_fault(fact.verdict) or not fact.verdict.same_key)
        }
        lease = await self._store.acquire(Ask(model=model, tried=frozenset(failed)))
        if isinstance(lease, Empty) and lease.reason is EmptyReason.TRIED:
            # Who waited until a rate limited key had rested may have that same key again, when there is no other.
            spent = [key for key, why in failed.items() if why.key is not KeyAction.COOL or not why.same_key]
            lease = await self._store.acquire(Ask(model=model, tried=frozenset(spent)))
            if isinstance(lease, Empty) and all(why.key is KeyAction.BLOCK_MODEL for why in failed.values()):
                return Empty(reason=EmptyReason.BLOCKED)
        return lease

    async def _refuse(
        self, scope: Scope, send: Send, failure: Failure, advice: dict[bytes, bytes | None] | None = None
    ) -> None:
        wire = self.protocol.encode_error(failure)
        headers = replace(wire.headers, advice or {})
        await respond(send, status=wire.status, document=wire.document, headers=headers, head=scope["method"] == "HEAD")


_KINDS: dict[EmptyReason, tuple[FailureKind, int, str]] = {
    EmptyReason.TRIED: (FailureKind.RATE, 429, "Every upstream key that can be used has failed for this request."),
    EmptyReason.BUSY: (FailureKind.RATE, 429, "All upstream keys are in use."),
    EmptyReason.LIMITED: (FailureKind.RATE, 429, "The configured limits of all upstream keys are reached."),
    EmptyReason.COOLING: (FailureKind.RATE, 429, "All upstream keys are rate limited."),
    EmptyReason.EXHAUSTED: (FailureKind.BILLING, 429, "All upstream keys are out of quota."),
    EmptyReason.BLOCKED: (FailureKind.NOT_FOUND, 404, "No upstream key may use this model."),
    EmptyReason.DISABLED: (FailureKind.OVERLOADED, 503, "No upstream key is in service."),
}


def _failure_of(empty: Empty) -> Failure:
    kind, status, message = _KINDS[empty.reason]
    return Failure(
        kind=kind,
        status=status,
        message=message,
        retry_after=UNSET if empty.retry_after is None else empty.retry_after,
    )


def _advice_of(empty: Empty) -> dict[bytes, bytes | None]:
    """Headers that tell client libraries when to come back: OpenAI's and Anthropic's retry twice by themselves."""
    advice: dict[bytes, bytes | None] = {}
    if empty.retry_after is not None:
        advice[b"retry-after"] = b"%d" % math.ceil(empty.retry_after)
        advice[b"retry-after-ms"] = b"%d" % math.ceil(empty.retry_after * 1000)
    if empty.reason not in (EmptyReason.BUSY, EmptyReason.LIMITED, EmptyReason.COOLING):
        advice[b"x-should-retry"] = b"false"
    return advice
