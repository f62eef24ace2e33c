"""`KeyPool`: an ASGI app around an app that leases a key for each request and learns from each answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

import anyio
from msgspec import structs

from ..asgi.body import DEFAULT_MAX_BODY, Replay, read_body
from ..asgi.claims import Claims
from ..asgi.denial import deny
from ..asgi.exchange import Exchange, enter
from ..asgi.facts import AccountGroup, Attempted, Caller, Judged, KeyLeased, PoolEmpty, Queued, Queueing
from ..asgi.headers import form_type, replace
from ..asgi.loop import current_time
from ..asgi.path import query, relative_path
from ..asgi.respond import respond
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..asgi.unwrapped import unwrapped
from ..errors import BodyTooLarge, ClientGone, ConfigurationError
from ..protocols import registry
from ..protocols.base import Operation, Protocol
from ..protocols.openai_shared.sockets import is_realtime, model_asked
from ..protocols.resources import resources_of
from ..universal import jsontext
from ..universal.failure import Failure, FailureKind, KeyAction, Row, Verdict
from .ask import Ask
from .attempt import Attempt, Terms
from .conversation import conversation_of
from .cost import Costs, cost_of
from .credentials import with_credential
from .errand import Errand, errand_of
from .gauge import RESERVED
from .handshake import MAX_HANDSHAKES, Handshake, Line, nowhere
from .heard import Heard
from .keys import Key, as_keys
from .limits import NO_LIMITS
from .makers import Lesson, Makers
from .outcome import is_the_keys_fault
from .refusal import advice_of, failure_of
from .store import KeyStore, Lease, MemoryStore
from .strategies import Strategy, strategy_named
from .survey import Empty, EmptyReason, Headroom, KeyReport
from .trial import KeyTrial, try_key
from .waiting import RELEASE_TIMEOUT, Visit, WaitingRoom

__all__ = ["TRY_TIMEOUT", "KeyPool"]

TRY_TIMEOUT = 15.0
"""Seconds that a key has to answer when it is tried out."""


class KeyPool:
    """Asks an app with one of several keys, and keeps keys that fail away from it for as long as they would.

    Requests that the protocol claims get a key in the protocol's own header, and with `resources` those about what
    accounts keep (files, batches, stored responses) as well; the credentials that came with them go no further. All
    other requests, other websockets and lifespan reach the app untouched and without a key. Answers pass at once.

    What an account made exists in no other one: a request that names a file, a batch or a response of which the pool
    knows the account (its keys' `Key.quota_scope`, or the key alone) gets a key of that account, or none. It knows what
    it has seen made, listed or read in this process.

    A websocket of OpenAI's Realtime gets a key for its life, by the model in its query. Its first event is waited for
    (a second at most) before it is accepted: a key that is refused until then is replaced by another, up to four in
    all. What its responses cost counts towards the key's limits as it is told.

    When no key can be used now but one will be soon, the request waits for it: callers take turns by their shares
    (`asgi.facts.Caller`), and a key that comes free goes to the first of them that can use it. Nobody waits where a
    failover has another app to ask. When no key can be used in time, the pool answers by itself, as the protocol says
    rate limited, out of quota or overloaded, with ``retry-after`` when it is known. It never retries: a `Retry` around
    it draws another key for each attempt.

        app = Retry(KeyPool(Upstream("https://api.anthropic.com"), protocol="anthropic", keys=[KEY_1, KEY_2]))

    Args:
        app: The app to ask.
        protocol: What the app speaks: a name or a protocol.
        keys: Plain secrets, or `Key` s.
        strategy: ``"least-used"``, ``"round-robin"``, ``"fill-first"``, ``"latency"``, ``"affinity"`` or a strategy of
            your own (see `Strategy`).
        name: What facts and logs call the pool; two pools that meet in one request need different names.
        max_concurrency: Requests that may use a key at a time; None: any number.
        max_total: Requests that the upstream may have at a time, over all keys; None: any number.
        queue_timeout: Seconds that a request waits for a key at most; 0: never.
        max_queue: Requests that may wait at a time; one more is refused at once.
        store: Where the health of the keys lives; None: in this process.
        resources: Whether requests about what accounts keep get a key, too. Then whoever may use the pool may list,
            read and delete what is kept, and begin work that nobody counts (batches, fine-tuning).
        conversation_header: The name of a header that tells the conversation of a request, before all else that does;
            read only for strategies that want it (``"affinity"``).
        max_body: Bytes; a request's model stands in its body, which is therefore read first.
        rules: Rows of your own, which come before the protocol's; see `rule`.
        clock: Monotonic seconds: of waits and latencies, and of the store in this process.
        wall: Unix time, to read the dates that providers send.
        rng: Where the strategy takes its chance from, for the store in this process; and how looks at another store
            are spread.

    Attributes:
        strategy: What the strategy is called.

    Raises:
        ConfigurationError: No keys, an empty or unusable one, one twice, an unknown protocol or strategy, a
            `max_concurrency` or `max_total` below 1, a `queue_timeout` or `max_queue` below 0, limits that
            contradict each other, or a store that serves another pool.
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
        max_total: int | None = None,
        queue_timeout: float = 10.0,
        max_queue: int = 1_000,
        store: KeyStore | None = None,
        resources: bool = False,
        conversation_header: str | None = None,
        max_body: int = DEFAULT_MAX_BODY,
        rules: Iterable[Row] = (),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: Random | None = None,
    ) -> None:
        for label, most in (("max_concurrency", max_concurrency), ("max_total", max_total)):
            if most is not None and most < 1:
                raise ConfigurationError(f"{label} is below 1")
        if not 0 <= queue_timeout < math.inf:
            raise ConfigurationError("queue_timeout is not a number of 0 or more")
        if max_queue < 0:
            raise ConfigurationError("max_queue is below 0")
        if store is not None and not hasattr(store, "acquire"):
            raise ConfigurationError("store is no store of keys, such as SQLiteKeyStore(path)")
        checked = as_keys(keys)
        self.app = app
        self.name = name
        self.protocol = registry.get(protocol) if isinstance(protocol, str) else protocol
        self._claims = Claims(self.protocol.claim)
        self._secrets = {key.alias: key.secret for key in checked}
        self._store = MemoryStore(clock=clock, rng=rng) if store is None else store
        chosen = strategy_named(strategy) if isinstance(strategy, str) else strategy
        self.strategy = strategy if isinstance(strategy, str) else type(strategy).__name__
        self._wants_conversation = bool(getattr(chosen, "wants_conversation", False))
        self._conversation_header = None if conversation_header is None else conversation_header.lower().encode()
        # Where all keys are of one account, nobody needs to be told which; a key beside labelled ones is alone in its.
        labels = {key.quota_scope for key in checked}
        self._groups = {key.alias: key.quota_scope or key.alias for key in checked} if len(labels) > 1 else {}
        accounts = {key.alias: key.quota_scope or key.alias for key in checked}
        kept = resources_of(self.protocol)
        self._resources = kept if resources else None
        self._makers: Makers | None = None
        if kept is not None and len(set(accounts.values())) > 1:
            self._makers = Makers(accounts, kept)
        self._accounts = accounts
        self._meant_for = {
            key.alias: min(models) for key in checked if (models := (key.models or frozenset(key.model_limits)))
        }
        self._heard = Heard(accounts, clock=clock)
        self._store.join(
            checked,
            strategy=chosen,
            max_concurrency=max_concurrency,
            max_total=max_total,
        )
        # What never waits cannot be interrupted, and a shield costs as much as all else that a pool does.
        self._store_waits = type(self._store) is not MemoryStore
        self._max_body = max_body
        self._clock = clock
        self._queue_timeout = queue_timeout
        self._room = WaitingRoom(self._store, most=max_queue, clock=clock, rng=rng)
        limits = [limits for key in checked for limits in (key.limits, *key.model_limits.values())]
        self._has_limits = any(limit != NO_LIMITS for limit in limits)
        self._counts = any(limit.tpm is not None or limit.tpd is not None for limit in limits)
        self._terms = Terms(
            pool=name,
            protocol=self.protocol,
            stream_type=self.protocol.stream_type().encode(),
            room=self._room,
            costs=Costs(),
            heard=self._heard,
            counts=self._counts,
            wall=wall,
            clock=clock if getattr(chosen, "wants_latency", False) else None,
            rules=tuple(rules),
        )

    def __repr__(self) -> str:
        return f"<KeyPool {self.name!r} of {len(self._secrets)} {self.protocol.name} keys>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a key, or pass it on (the ASGI interface)."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        errand = errand_of(self._claims.of(scope), self._resources, scope)
        if errand is None:
            await self.app(scope, receive, send)
            return
        body = receive if isinstance(receive, Replay) else None
        if errand.tells and (errand.model is None or self._looks_into_bodies):
            body = await self._read(scope, receive, send)
            if body is None:
                return
            receive = body
        ask = self._ask(errand, scope, body)
        lesson: Lesson | None = None
        if self._makers is not None:
            said = b"" if body is None else body.body
            lesson = self._makers.lesson(errand, said)
            others = self._makers.excluded(errand, said, model=ask.model)
            if others:
                ask = structs.replace(ask, tried=others)
        scope, exchange = enter(scope)
        asks = self._asks(exchange, ask)
        leased = await self._room.enter(asks)
        if not isinstance(leased, Empty):
            await self._attempt(scope, receive, send, exchange, leased, errand, ask.tokens, lesson)
            return
        patience = self._patience(exchange)
        if patience <= 0:
            left = await self._room.enter_past(asks, leased)
            visit = Visit(found=self._room.advised(left, len(self._room)) if isinstance(left, Empty) else left)
        else:
            if body is None and not errand.bodiless:
                body = await self._read(scope, receive, send)
                if body is None:
                    return
                receive = body
            exchange.note(Queueing(pool=self.name))
            try:
                visit = await self._room.wait(
                    asks, leased, seconds=patience, receive=None if body is None else body.rest
                )
            except ClientGone:
                return
            if visit.waited is not None:
                exchange.note(Queued(pool=self.name, seconds=visit.waited, position=visit.position))
        if isinstance(visit.found, Empty):
            await self._give_up(scope, send, exchange, visit)
        else:
            await self._attempt(scope, receive, send, exchange, visit.found, errand, ask.tokens, lesson)

    @property
    def _looks_into_bodies(self) -> bool:
        """Whether requests are read whose model is known without."""
        return self._counts or self._wants_conversation or bool(self._makers)

    def _ask(self, errand: Errand, scope: Scope, body: Replay | None) -> Ask:
        """What a request asks for, by its path and, where it was read, its body."""
        if body is None:
            return Ask(model=errand.model)
        model = body.peek(scope["headers"])[0] if errand.model is None and errand.tells else errand.model
        tokens = self._cost(errand, scope, body) if self._counts else 0
        if not self._wants_conversation:
            return Ask(model=model, tokens=tokens)
        header = self._conversation_header
        conversation = conversation_of(self.protocol.name, scope["headers"], body.body, header=header)
        return Ask(model=model, tokens=tokens, conversation=conversation)

    def _cost(self, errand: Errand, scope: Scope, body: Replay) -> int:
        """What a request may cost in tokens; 0 where there is no text to guess from."""
        if errand.operation is None or not errand.tells:
            return 0
        if errand.operation is not Operation.INFER:
            return cost_of(body.body)
        return cost_of(body.body, usual=0) if form_type(scope["headers"]) is None else 0

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and is_realtime(self.protocol.name, relative_path(scope)):
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = Line(receive)
        if not await line.connected():
            return
        scope, exchange = enter(scope)
        failed: Handshake | None = None
        for _ in range(MAX_HANDSHAKES):
            asks = self._asks(exchange, Ask(model=model_asked(query(scope))))[:1]
            try:
                visit = await self._wait(exchange, asks, line)
            except ClientGone:
                return
            if isinstance(visit.found, Empty):
                if failed is None:
                    await self._give_up(scope, send, exchange, visit)
                break
            failed = await self._shake(scope, exchange, visit.found, line, send)
            if line.gone or not failed.another:
                break
        if failed is not None and not line.gone:
            await failed.tell()

    async def _shake(self, scope: Scope, exchange: Exchange, lease: Lease, line: Line, send: Send) -> Handshake:
        """One attempt at a websocket; over when it was refused, or when its life is over."""
        secret = self._secrets[lease.key]
        attempt = Attempt(self._terms, secret, Operation.GENERATE, lease, exchange, nowhere)
        handshake = Handshake(scope, exchange, send, secret.reveal())

        began = self._clock()
        try:
            inner = handshake.inner(self._keyed(scope, exchange, lease))
            app = self._app(lease)
            await handshake.run(attempt, lambda send: app(inner, line.attempt(), send))
        finally:
            await self._give_back(attempt, lease, began)
        return handshake

    async def _wait(self, exchange: Exchange, asks: tuple[Ask, ...], line: Line) -> Visit:
        """A key for a websocket; waited for where that can help.

        Raises:
            ClientGone: The client left.
        """
        found = await self._room.enter(asks)
        if not isinstance(found, Empty):
            return Visit(found=found)
        patience = self._patience(exchange)
        if patience <= 0:
            left = await self._room.enter_past(asks, found)
            return Visit(found=self._room.advised(left, len(self._room)) if isinstance(left, Empty) else left)
        exchange.note(Queueing(pool=self.name))
        visit = await self._room.wait(asks, found, seconds=patience, receive=line.later)
        if visit.waited is not None:
            exchange.note(Queued(pool=self.name, seconds=visit.waited, position=visit.position))
        return visit

    async def snapshot(self) -> list[KeyReport]:
        """How every key is, in the order in which they were given."""
        reports = await self._store.snapshot()
        heard = self.heard()
        return [
            structs.replace(report, headroom=(*report.headroom, *heard[report.alias]))
            if report.alias in heard
            else report
            for report in reports
        ]

    def heard(self) -> dict[str, list[Headroom]]:
        """What providers told this process is left of their limits, by the aliases of keys; `snapshot` has it too."""
        rooms = self._heard.headroom()
        return {alias: rooms[self._accounts[alias]] for alias in self._secrets if self._accounts[alias] in rooms}

    @property
    def is_shared(self) -> bool:
        """Whether the health of its keys lives where other processes see it, so that each of them knows all of it."""
        return self._store.renewal is not None

    @property
    def waiting(self) -> int:
        """How many requests wait for a key now."""
        return len(self._room)

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
        self._room.changed()

    async def inherit(self, other: KeyPool) -> None:
        """Take another pool's place: with what it knows of keys that both have, its queue, and its leases.

        A key is the same whose secret is, whatever it is called: its health, its use of limits, its counts and its
        requests in flight go over, new keys are fresh, and what is gone is forgotten. The other pool may go on with the
        requests that it has; from now on both lease keys out of one hand. What several processes share stays in their
        store, under the aliases of the keys; an alias that means another secret now begins anew there.

        Args:
            other: A pool of the same upstream. This one must not have served yet.
        """
        names = {secret: alias for alias, secret in self._secrets.items()}
        same = {alias: names[secret] for alias, secret in other._secrets.items() if secret in names}
        if self._makers is not None and other._makers is not None:
            self._makers.inherit(other._makers, same)
        self._heard.inherit(other._heard, same)
        mine, theirs = self._store, other._store
        if isinstance(mine, MemoryStore) and isinstance(theirs, MemoryStore):
            self._introduce_to(other)
            theirs.rejoin(mine, same)
            self._store = theirs
            self._room, room = other._room, self._room
            self._terms = structs.replace(self._terms, room=self._room, costs=other._terms.costs)
            self._room.resize(room.most)
        else:
            for alias, secret in self._secrets.items():
                if other._secrets.get(alias, secret) != secret:
                    await mine.switch(alias, on=True)

    def _introduce_to(self, other: KeyPool) -> None:
        """Let another pool know the keys that it will lease from now on."""
        other._secrets = {**other._secrets, **self._secrets}
        other._groups = self._groups
        other._accounts = {**other._accounts, **self._accounts}
        other._heard = self._heard
        other._terms = structs.replace(other._terms, heard=self._heard)
        if other._makers is not None:
            other._makers = self._makers

    async def try_key(self, alias: str, *, model: str | None = None, timeout: float = TRY_TIMEOUT) -> KeyTrial:
        """Try a key out with one request, whatever its state, and tell nobody but the caller how it did.

        The list of models is asked for, which costs nothing. Where there is none, or the key may not see it, a model
        that the key is meant for (`Key.models`, `Key.model_limits`) is asked for a few tokens. No lease is taken, so
        neither limits nor the queue count it.

        Args:
            alias: The key's.
            model: A model to ask instead.
            timeout: Seconds.

        Raises:
            ConfigurationError: No key has this alias.
        """
        if alias not in self._secrets:
            raise ConfigurationError(f"no key has the alias {alias!r}")
        return await try_key(
            self.app,
            self.protocol,
            self._secrets[alias],
            alias,
            model=model,
            fallback=self._meant_for.get(alias),
            timeout=timeout,
            rules=self._terms.rules,
            clock=self._clock,
            wall=self._terms.wall,
        )

    async def _attempt(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        exchange: Exchange,
        lease: Lease,
        errand: Errand,
        tokens: int,
        lesson: Lesson | None,
    ) -> None:
        if self._makers is not None and lesson is not None:
            send = self._makers.learning(lease.key, lesson, send)
        secret = self._secrets[lease.key]
        attempt = Attempt(self._terms, secret, errand.operation, lease, exchange, send, tokens=tokens)
        began = self._clock()
        try:
            await self._app(lease)(self._keyed(scope, exchange, lease), receive, attempt.send)
        finally:
            await self._give_back(attempt, lease, began)

    def _keyed(self, scope: Scope, exchange: Exchange, lease: Lease) -> Scope:
        """The scope with the key in its place."""
        exchange.note(KeyLeased(pool=self.name, key=lease.key))
        group = self._groups.get(lease.key)
        if group is not None:
            exchange.note(AccountGroup(group=group))
        return with_credential(scope, self.protocol.authorize(self._secrets[lease.key].reveal()), lease.key)

    def _app(self, lease: Lease) -> ASGIApp:
        """The app, which keeps the lease as long as it runs."""
        every = self._store.renewal
        return self.app if every is None else partial(self._run_renewed, lease, every)

    async def _run_renewed(self, lease: Lease, every: float, scope: Scope, receive: Receive, send: Send) -> None:

        async def renew() -> None:
            while True:
                await anyio.sleep(every)
                await self._store.renew(lease)

        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(renew)
                await self.app(scope, receive, send)
                group.cancel_scope.cancel()

    async def _give_back(self, attempt: Attempt, lease: Lease, began: float) -> None:
        """The attempt is over, whatever came of it."""
        if self._store_waits:
            with anyio.move_on_after(RELEASE_TIMEOUT, shield=True):
                await self._release(attempt, lease, began)
        else:
            await self._release(attempt, lease, began)

    async def _release(self, attempt: Attempt, lease: Lease, began: float) -> None:
        try:
            if attempt.unread:
                await attempt.conclude()
        finally:
            spent = attempt.spent() if self._has_limits or attempt.metered else RESERVED
            await self._room.release(lease, spent, held=self._clock() - began)

    def _asks(self, exchange: Exchange, ask: Ask) -> tuple[Ask, ...]:
        """What to ask for; the second when all keys that could be used have failed for this request.

        Who waited until a rate limited key had rested may have that same key again, when there is no other.
        """
        if not len(exchange):  # nobody said anything yet
            return (ask,)
        caller = exchange.last(Caller)
        if caller is not None:
            ask = structs.replace(ask, caller=caller.name, share=caller.share)
        failed = self._failed(exchange)
        if not failed:
            return (ask,)
        spent = [key for key, why in failed.items() if why.key is not KeyAction.COOL or not why.same_key]
        return tuple(structs.replace(ask, tried=ask.tried.union(tried)) for tried in (failed, spent))

    def _failed(self, exchange: Exchange) -> dict[str, Verdict]:
        return {
            fact.key: fact.verdict
            for fact in exchange
            if isinstance(fact, Judged)
            and fact.pool == self.name
            and fact.key is not None
            and (is_the_keys_fault(fact.verdict) or not fact.verdict.same_key)
        }

    def _patience(self, exchange: Exchange) -> float:
        """How long a request may wait for a key, in seconds."""
        attempted = exchange.last(Attempted)
        if attempted is not None and attempted.elsewhere:
            return 0.0  # another app may answer at once
        left = exchange.deadline - current_time() if exchange.deadline < math.inf else math.inf
        return min(self._queue_timeout, left)

    async def _give_up(self, scope: Scope, send: Send, exchange: Exchange, visit: Visit) -> None:
        assert isinstance(visit.found, Empty)
        empty = visit.found
        if empty.reason is EmptyReason.TRIED:
            failed = self._failed(exchange).values()
            if failed and all(why.key is KeyAction.BLOCK_MODEL for why in failed):
                empty = Empty(reason=EmptyReason.BLOCKED)
        exchange.note(
            PoolEmpty(
                pool=self.name,
                reason=empty.reason.value,
                retry_after=empty.retry_after,
                waited=visit.waited is not None,
            )
        )
        await self._refuse(scope, send, failure_of(empty), advice_of(empty))

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> Replay | None:
        """The request's body; None: the client left, or was told that it is too large."""
        try:
            return await read_body(receive, limit=self._max_body)
        except ClientGone:
            return None
        except BodyTooLarge as error:
            await self._refuse(scope, send, Failure(kind=FailureKind.TOO_LARGE, status=413, message=str(error)))
            return None

    async def _refuse(
        self, scope: Scope, send: Send, failure: Failure, advice: dict[bytes, bytes | None] | None = None
    ) -> None:
        wire = self.protocol.encode_error(failure)
        headers = replace(wire.headers, advice or {})
        if scope["type"] == "websocket":
            await deny(scope, send, status=wire.status, headers=headers, body=jsontext.dumps(wire.document))
            return
        await respond(send, status=wire.status, document=wire.document, headers=headers, head=scope["method"] == "HEAD")
