"""The store that several processes share: one state machine, in Python, over a ledger that keeps what it finds.

Each process has a `Mirror` of the lanes; every operation is computed on it and written on the condition that it was
up to date, so that all processes together are as one `MemoryStore` under one lock. Lanes change when keys fail, which
is seldom; what changes with each request is counted by the ledger and only guessed here, and a guess is checked when
it is used: a key that turns out to be full is told with all counts, and nobody is turned away before they were asked
for.

A successful answer that changes no lane is told together with the release, so a request costs two steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from random import Random
from typing import Literal

from ...errors import ConfigurationError
from ..ask import Ask
from ..gauge import NOTHING_SENT, RESERVED, Spent
from ..health import Event, Outcome
from ..keys import Key
from ..store import LONGEST_MODEL, Lease
from ..strategies import Strategy
from ..survey import SOON, Empty, EmptyReason, KeyReport, plainly_empty, survey, why_empty
from .ledger import Ledger, LedgerDown, Status
from .link import FAILED, SERVED, TRIES, Held, Link, Operation
from .mirror import Mirror
from .records import pool_digest

__all__ = ["DEFAULT_LEASE_TTL", "DEFAULT_RETRY", "DEFAULT_TIMEOUT", "OnFailure", "SharedStore"]

DEFAULT_LEASE_TTL = 30.0
"""Seconds that the leases of a process that died are held."""

DEFAULT_TIMEOUT = 0.5
"""Seconds that an operation may wait: longer than any healthy network takes, and not yet felt by who asks a model."""

DEFAULT_RETRY = 2.0
"""Seconds between two attempts to reach what is shared; one request at a time waits for it."""

OnFailure = Literal["local", "refuse"]

_NONE: Collection[int] = frozenset()


class SharedStore:
    """See the module; `RedisKeyStore` and `SQLiteKeyStore` are what users make.

    Args:
        ledger: The back end.
        name: What the pool is called there; None: a digest of its keys' aliases.
        lease_ttl: Seconds.
        timeout: Seconds that an operation may wait for the ledger.
        on_failure: What happens while the ledger cannot be reached: ``"local"`` goes on alone, ``"refuse"`` leases no
            keys.
        retry_every: Seconds between two attempts to reach it again.
        monotonic: Seconds of this process's own clock.
        rng: Where strategies take their chance from; None: one of its own.

    Attributes:
        renewal: Seconds after which a lease must be renewed.

    Raises:
        ConfigurationError: A time that is not positive, an unknown `on_failure`, an unusable name.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        name: str | None = None,
        lease_ttl: float = DEFAULT_LEASE_TTL,
        timeout: float = DEFAULT_TIMEOUT,
        on_failure: OnFailure = "local",
        retry_every: float = DEFAULT_RETRY,
        monotonic: Callable[[], float] = time.monotonic,
        rng: Random | None = None,
    ) -> None:
        for what, seconds in (("lease_ttl", lease_ttl), ("timeout", timeout), ("retry_every", retry_every)):
            if not 0 < seconds < math.inf:
                raise ConfigurationError(f"{what} is not a positive number of seconds")
        if on_failure not in ("local", "refuse"):
            raise ConfigurationError(f'on_failure is "local" or "refuse", not {on_failure!r}')
        if name is not None and (not name or not name.isprintable() or set(name) & set(" {}")):
            raise ConfigurationError(f"the name {name!r} is empty, or holds white space or braces")
        self.renewal: float | None = lease_ttl / 3
        self._ledger = ledger
        self._name = name
        self._ttl = lease_ttl
        self._timeout = timeout
        self._refuses = on_failure == "refuse"
        self._retry_every = retry_every
        self._monotonic = monotonic
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, guards nothing
        self._aliases: dict[str, int] = {}

    def join(
        self, keys: Sequence[Key], *, strategy: Strategy, max_concurrency: int | None, max_total: int | None = None
    ) -> None:
        """Take the pool's keys; see `KeyStore.join`."""
        if self._aliases:
            raise ConfigurationError("a store serves one pool")
        self._aliases = {key.alias: index for index, key in enumerate(keys)}
        self._names = list(self._aliases)
        pool = pool_digest(keys) if self._name is None else self._name
        self._ledger.open(pool)

        def new_mirror() -> Mirror:
            return Mirror(keys, strategy=strategy, rng=self._rng, max_concurrency=max_concurrency, max_total=max_total)

        self._link = Link(
            self._ledger,
            pool=pool,
            names=self._names,
            new_mirror=new_mirror,
            ttl=self._ttl,
            timeout=self._timeout,
            retry_every=self._retry_every,
            refuses=self._refuses,
            monotonic=self._monotonic,
        )

    async def acquire(self, ask: Ask) -> Lease | Empty:
        """Choose and reserve a key; see `KeyStore.acquire`."""
        link = self._link
        model = _storable(ask.model)
        failed = {self._aliases[alias] for alias in ask.tried if alias in self._aliases} if ask.tried else _NONE
        shared = await link.reach()
        certain = False  # all counts were told with the last step
        for _ in range(TRIES):
            with link.lock:
                if not shared and self._refuses:
                    return Empty(reason=EmptyReason.UNKNOWN, retry_after=self._retry_every)
                now, journal = link.start()
                number = link.next_number()
                picked = link.mirror.roster.pick(ask, model, failed, number, now)
                if picked is None:
                    if certain or not shared:
                        return self._why_empty(model, ask.tokens, failed, now)
                    step = link.step(all_counts=True)
                else:
                    seat, taken = picked
                    take = link.mirror.take(number, seat.index, taken, ask.tokens, journal)
                    held = Held(seat.index, model, link.mirror.roster.stamp, ask.tokens, taken, take)
                    if not shared:
                        link.mirror.keep(journal)
                        return link.hold(number, held)
                    step = link.step(
                        strict=True,
                        take=take,
                        records=link.mirror.written(journal),
                        stamp=link.mirror.roster.stamp,
                        all_counts=link.wants_counts(),
                    )
            try:
                seen = await link.ask(step)
            except LedgerDown:
                shared = False
                if picked is None or self._refuses:
                    continue
                with link.lock:  # it may have been taken; it is given back then, or kept as ours when all is read anew
                    link.mirror.keep(journal)
                    lease = link.hold(number, held)
                    link.count_alone()
                    return lease
            with link.lock:
                if picked is not None and seen.status is Status.DONE:
                    link.taken(held, seen)
                    lease = link.hold(number, held)
                    link.absorb(seen)
                    return lease
                if picked is not None:
                    link.free(number, held, NOTHING_SENT, now)
                link.absorb(seen)
                certain = seen.all_counts
        return Empty(reason=EmptyReason.BUSY, retry_after=SOON)

    async def report(self, lease: Lease, outcome: Outcome) -> bool:
        """Tell how the key did; see `KeyStore.report`."""
        link = self._link
        served = outcome.event is Event.SERVED
        told = outcome.event is Event.TOLD

        def operate(now: float) -> Operation | None:
            nonlocal told
            held = link.held.get(lease.id)
            if held is None:
                return None
            index, roster = held.index, link.mirror.roster
            if not told:
                told = True
                link.count(SERVED if served else FAILED, index)
            changed = False
            if outcome.event is Event.TOLD:
                roster.spare(index, held.model, outcome, now=now)
            elif served:
                if outcome.latency is not None:
                    roster.seats[index].time(outcome.latency)
                changed = roster.serve(index, held.model, outcome, born=held.born, now=now)
            else:
                changed = roster.fail(index, held.model, outcome, born=held.born, now=now)
            needs = "" if held.local else str(lease.id)
            return Operation(changed=changed, served=index if served else None, needs=needs)

        done = await link.operate(operate)
        if done is None or not done.changed or not served:
            return done is not None and done.changed
        with link.lock:
            held = link.held.get(lease.id)
            if held is not None:
                # This answer made the key recover, so what it says later is no old news.
                held.born = max(held.born, done.sequence)
        return False

    async def release(self, lease: Lease, spent: Spent = RESERVED) -> None:
        """Give the key back; see `KeyStore.release`."""
        link = self._link
        shared = await link.reach()
        with link.lock:
            now, _ = link.start()
            held = link.held.pop(lease.id, None)
            if held is None:
                return
            link.free(lease.id, held, spent, now)
            if not shared:
                link.owe(lease.id)
                return
            corrections = link.mirror.corrections(held.taken, held.parts, held.tokens, spent)
            step = link.step(give=(str(lease.id),), corrections=corrections)
        with suppress(LedgerDown):  # it is owed then
            seen = await link.ask(step)
            with link.lock:
                link.absorb(seen)

    async def charge(self, lease: Lease, tokens: int) -> None:
        """Count tokens that were spent; see `KeyStore.charge`."""
        link = self._link
        shared = await link.reach()
        with link.lock:
            now, _ = link.start()
            held = link.held.get(lease.id)
            if held is None or not held.taken:
                return
            link.mirror.roster.charge(held.taken, tokens, now)
            if not shared:
                return
            number = link.next_number()
            step = link.step(take=link.mirror.charged(number, held.taken, tokens))
        with suppress(LedgerDown):
            seen = await link.ask(step)
            with link.lock:
                link.absorb(seen)
                link.owe(number)

    async def renew(self, lease: Lease) -> None:
        """Keep a lease; see `KeyStore.renew`."""
        link = self._link
        if not await link.reach():
            return
        with link.lock:
            link.start()
            held = link.held.get(lease.id)
            if held is None:
                return
            step = link.step(renew=(held.take,))
        with suppress(LedgerDown):
            seen = await link.ask(step)
            with link.lock:
                link.absorb(seen)
                link.renewed(lease.id, seen)

    async def snapshot(self) -> list[KeyReport]:
        """How every key is, for all processes together; see `KeyStore.snapshot`.

        What was leased, served and failed may lag behind by the requests that other processes have in flight.
        """
        link = self._link
        seen = None
        if await link.reach():
            with link.lock:
                step = link.step(all_counts=True)
            with suppress(LedgerDown):
                seen = await link.ask(step)
        with link.lock:
            if seen is not None:
                link.absorb(seen)
            now, _ = link.start()
            return survey(link.mirror.roster, self._names, link.counts(), now)

    async def switch(self, alias: str, *, on: bool) -> None:
        """Take a key out or in; see `KeyStore.switch`."""
        if alias not in self._aliases:
            raise ConfigurationError(f"no key has the alias {alias!r}")
        index = self._aliases[alias]

        def operate(now: float) -> Operation:  # noqa: ARG001 - whenever it is
            self._link.mirror.roster.switch(index, on=on)
            return Operation(changed=True)

        await self._link.operate(operate)

    def _why_empty(self, model: str | None, tokens: int, tried: Collection[int], now: float) -> Empty:
        roster = self._link.mirror.roster
        plain = plainly_empty(roster, model, tokens, tried, now=now)
        return why_empty(roster, model, tokens, now=now) if plain is None else plain


def _storable(model: str | None) -> str | None:
    """What a model is remembered under: names that are too long, or no text, are all one."""
    if model is None or (len(model) <= LONGEST_MODEL and model.isascii()):
        return model
    if len(model) > LONGEST_MODEL:
        return ""
    try:
        model.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return ""
    return model
