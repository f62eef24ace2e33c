"""The store that several processes share: one state machine, in Python, over a ledger that keeps what it finds.

Each process has a `Mirror` of the lanes; every operation is computed on it and written on the condition that it was
up to date, so that all processes together are as one `MemoryStore` under one lock. Lanes change when keys fail, which
is seldom; what changes with each request is counted by the ledger and only guessed here, and a guess is checked when
it is used: a key that turns out to be full is told with all counts, and nobody is turned away before they were asked
for.

A successful answer that changes no lane is told together with the release, so a request costs two steps.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any, Literal

from msgspec import Struct

from ...asgi.loop import cancel_scope, current_time
from ...errors import ConfigurationError
from ..ask import Ask
from ..gauge import NOTHING_SENT, RESERVED, Spent, Taken
from ..health import Event, Outcome
from ..keys import Key
from ..roster import Journal
from ..store import LONGEST_MODEL, Lease
from ..strategies import Strategy
from ..survey import SOON, Empty, EmptyReason, KeyReport, plainly_empty, survey, why_empty
from .ledger import Ledger, LedgerDown, Seen, Status, Step, Take
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

_LEASED, _SERVED, _FAILED = "leased:", "served:", "failed:"
_TRIES = 100  # of one operation that collides with others; each collision means that another one got through
_RECOUNT = 1.0  # seconds after which all counts are asked for anew, along with something else
_MAX_OWED = 10_000  # leases to give back once the ledger can be reached; beyond that, their time ends them
_NONE: Collection[int] = frozenset()

_log = logging.getLogger("ds2api_asgi.pool")


class _Held(Struct, gc=False):
    index: int
    model: str | None
    born: int
    tokens: int
    taken: Taken
    take: Take
    deadline: float = math.inf  # the ledger's time at which it is given back
    parts: tuple[int, ...] = ()  # of windows, in which the ledger counts it
    local: bool = True  # the ledger does not know of it


class _Operation(Struct, kw_only=True):
    """What was done to lanes.

    Attributes:
        changed: Something changed.
        served: The key that served in it.
        needs: The lease that must be there, or ``""``.
        sequence: The moment at which it was done.
    """

    changed: bool
    served: int | None = None
    needs: str = ""
    sequence: int = 0


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

    _last_number: int
    _recount_at: float

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
        self._on_failure = on_failure
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
        self._pool = pool_digest(keys) if self._name is None else self._name
        self._ledger.open(self._pool)

        def new_mirror() -> Mirror:
            return Mirror(keys, strategy=strategy, rng=self._rng, max_concurrency=max_concurrency, max_total=max_total)

        self._new_mirror: Callable[[], Mirror] = new_mirror
        self._begin()

    async def acquire(self, ask: Ask) -> Lease | Empty:
        """Choose and reserve a key; see `KeyStore.acquire`."""
        model = _storable(ask.model)
        failed = {self._aliases[alias] for alias in ask.tried if alias in self._aliases} if ask.tried else _NONE
        shared = await self._reach()
        certain = False  # all counts were told with the last step
        for _ in range(_TRIES):
            with self._lock:
                if not shared and self._on_failure == "refuse":
                    return Empty(reason=EmptyReason.UNKNOWN, retry_after=self._retry_every)
                now, journal = self._start()
                number = self._last_number = self._last_number + 1
                picked = self._mirror.roster.pick(ask, model, failed, number, now)
                if picked is None:
                    if certain or not shared:
                        return self._why_empty(model, ask.tokens, failed, now)
                    step = self._step(all_counts=True)
                else:
                    seat, taken = picked
                    take = self._mirror.take(number, seat.index, taken, ask.tokens, journal)
                    held = _Held(seat.index, model, self._mirror.roster.stamp, ask.tokens, taken, take)
                    if not shared:
                        self._mirror.keep(journal)
                        return self._hold(number, held)
                    step = self._step(
                        strict=True,
                        take=take,
                        records=self._mirror.written(journal),
                        stamp=self._mirror.roster.stamp,
                        all_counts=self._monotonic() >= self._recount_at,
                    )
            try:
                seen = await self._ask(step)
            except LedgerDown:
                shared = False
                if picked is None or self._on_failure == "refuse":
                    continue
                with self._lock:  # it may have been taken; it is given back then, or kept as ours when all is read anew
                    self._mirror.keep(journal)
                    lease = self._hold(number, held)
                    self._count_alone()
                    return lease
            with self._lock:
                if picked is not None and seen.status is not Status.DONE:
                    self._free(number, held, NOTHING_SENT, now)
                self._absorb(seen)
                certain = seen.all_counts
                if picked is not None and seen.status is Status.DONE:
                    held.local = False
                    held.born, held.deadline, held.parts = seen.sequence, seen.now + self._ttl, tuple(seen.parts)
                    return self._hold(number, held)
        return Empty(reason=EmptyReason.BUSY, retry_after=SOON)

    async def report(self, lease: Lease, outcome: Outcome) -> bool:
        """Tell how the key did; see `KeyStore.report`."""
        served = outcome.event is Event.SERVED
        told = outcome.event is Event.TOLD

        def operate(now: float) -> _Operation | None:
            nonlocal told
            held = self._held.get(lease.id)
            if held is None:
                return None
            index, roster = held.index, self._mirror.roster
            if not told:
                told = True
                self._sums[f"{_SERVED if served else _FAILED}{self._names[index]}"] += 1
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
            return _Operation(changed=changed, served=index if served else None, needs=needs)

        done = await self._operate(operate)
        if done is None or not done.changed or not served:
            return done is not None and done.changed
        with self._lock:
            held = self._held.get(lease.id)
            if held is not None:
                # This answer made the key recover, so what it says later is no old news.
                held.born = max(held.born, done.sequence)
        return False

    async def release(self, lease: Lease, spent: Spent = RESERVED) -> None:
        """Give the key back; see `KeyStore.release`."""
        shared = await self._reach()
        with self._lock:
            now, _ = self._start()
            held = self._held.pop(lease.id, None)
            if held is None:
                return
            self._free(lease.id, held, spent, now)
            if not shared:
                self._owed.append(str(lease.id))
                return
            corrections = self._mirror.corrections(held.taken, held.parts, held.tokens, spent)
            step = self._step(give=(str(lease.id),), corrections=corrections)
        with suppress(LedgerDown):  # it is owed then
            seen = await self._ask(step)
            with self._lock:
                self._absorb(seen)

    async def charge(self, lease: Lease, tokens: int) -> None:
        """Count tokens that were spent; see `KeyStore.charge`."""
        shared = await self._reach()
        with self._lock:
            now, _ = self._start()
            held = self._held.get(lease.id)
            if held is None or not held.taken:
                return
            self._mirror.roster.charge(held.taken, tokens, now)
            if not shared:
                return
            number = self._last_number = self._last_number + 1
            step = self._step(take=self._mirror.charged(number, held.taken, tokens))
        with suppress(LedgerDown):
            seen = await self._ask(step)
            with self._lock:
                self._absorb(seen)
                self._owed.append(str(number))

    async def renew(self, lease: Lease) -> None:
        """Keep a lease; see `KeyStore.renew`."""
        if not await self._reach():
            return
        with self._lock:
            self._start()
            held = self._held.get(lease.id)
            if held is None:
                return
            step = self._step(renew=(held.take,))
        with suppress(LedgerDown):
            seen = await self._ask(step)
            with self._lock:
                self._absorb(seen)
                self._renewed(lease.id, seen)

    async def snapshot(self) -> list[KeyReport]:
        """How every key is, for all processes together; see `KeyStore.snapshot`.

        What was leased, served and failed may lag behind by the requests that other processes have in flight.
        """
        seen = None
        if await self._reach():
            with self._lock:
                step = self._step(all_counts=True)
            with suppress(LedgerDown):
                seen = await self._ask(step)
        with self._lock:
            if seen is not None:
                self._absorb(seen)
            now, _ = self._start()
            sums = self._totals + self._sums
            counts = [[sums[f"{what}{name}"] for what in (_LEASED, _SERVED, _FAILED)] for name in self._names]
            return survey(self._mirror.roster, self._names, counts, now)

    async def switch(self, alias: str, *, on: bool) -> None:
        """Take a key out or in; see `KeyStore.switch`."""
        if alias not in self._aliases:
            raise ConfigurationError(f"no key has the alias {alias!r}")
        index = self._aliases[alias]

        def operate(now: float) -> _Operation:  # noqa: ARG001 - whenever it is
            self._mirror.roster.switch(index, on=on)
            return _Operation(changed=True)

        await self._operate(operate)

    def _begin(self) -> None:
        """Begin anew, in this process: nothing that another one holds is ours."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._mirror = self._new_mirror()
        self._held: dict[int, _Held] = {}
        self._soonest = math.inf  # no lease of ours ends before
        self._steps = count()
        session = secrets.randbits(30)  # so that ids are nobody else's
        self._session = f"{session:x}"
        self._last_number = session << 32
        self._connected = False
        self._down = False
        self._retry_at = -math.inf
        self._recount_at = -math.inf
        self._heard = (time.time(), self._monotonic())  # the ledger's clock, and ours at that moment
        self._owed: deque[str] = deque(maxlen=_MAX_OWED)
        self._sums: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()

    def _start(self) -> tuple[float, Journal]:
        """Begin an operation on the mirror: the time, and what notes what it does."""
        now = self._now()
        self._expire(now)
        return now, self._mirror.begin(now)

    def _expire(self, now: float) -> None:
        """Leases of ours whose time is over are given back, as the ledger does."""
        if now < self._soonest or self._down:  # nobody can renew them now: they are taken anew afterwards
            return
        for number, held in list(self._held.items()):
            if held.deadline <= now:
                del self._held[number]
                self._free(number, held, RESERVED, now)
        self._soonest = min((held.deadline for held in self._held.values()), default=math.inf)

    def _now(self) -> float:
        """The ledger's time; where only the ledger knows it, never later than it is there."""
        if self._ledger.clock is not None:
            return self._ledger.clock()
        theirs, ours = self._heard
        return theirs + self._monotonic() - ours

    async def _operate(self, operate: Callable[[float], _Operation | None]) -> _Operation | None:
        """Do something to lanes, and write it down; what cannot be written is kept as news."""
        shared = await self._reach()
        for _ in range(_TRIES):
            with self._lock:
                now, journal = self._start()
                done = operate(now)
                if done is None:
                    return None
                records = self._mirror.written(journal, done.served)
                done.sequence = self._mirror.roster.stamp
                if not records:
                    return done
                if not shared:
                    self._mirror.keep(journal)
                    return done
                step = self._step(strict=True, needs=done.needs, records=records, stamp=done.sequence)
            try:
                seen = await self._ask(step)
            except LedgerDown:
                with self._lock:
                    self._mirror.keep(journal)
                return done
            with self._lock:
                if seen.status is not Status.DONE:
                    self._mirror.revert(journal)
                self._absorb(seen)
                if seen.status is Status.DONE:
                    done.sequence = seen.sequence
                    return done
                if seen.status is Status.GONE:
                    return None
        return None

    async def _reach(self) -> bool:
        """Tell whether the ledger is there, and find out anew from time to time when it is not."""
        if self._process != os.getpid():
            self._begin()
        if self._connected:
            return True
        if self._down:
            with self._lock:
                if self._monotonic() < self._retry_at:
                    return False
                self._retry_at = self._monotonic() + self._retry_every  # one asks while all others go on
        try:
            await self._connect()
        except LedgerDown:
            return False
        return True

    async def _connect(self) -> None:
        """Read everything, take our leases anew where they are lost, and tell the news.

        Raises:
            LedgerDown: It is not there.
        """
        with self._lock:
            self._start()
            self._mirror.leave(self._held)
            step = self._step(
                base=self._mirror.roster.stamp,
                renew=tuple(held.take for held in self._held.values()),
                all_counts=True,
            )
        for _ in range(_TRIES):
            seen = await self._ask(step)
            with self._lock:
                self._absorb(seen)
                for take in step.renew:
                    self._renewed(int(take.id), seen)
                if step.records and seen.status is Status.DONE:
                    self._mirror.heard()
                news = self._mirror.news()
                if not news:
                    break
                step = self._step(strict=True, records=news, stamp=self._mirror.roster.stamp)
        with self._lock:
            self._connected = True
            if self._down:
                self._down = False
                _log.info("what processes share of %s can be reached again", self._pool, extra={"pool": self._pool})

    async def _ask(self, step: Step) -> Seen:
        """Do a step of the ledger, whole even when we are cancelled, but not for longer than the timeout.

        Raises:
            LedgerDown: It cannot be reached.
        """
        try:
            seen = self._ledger.at_once(step)
            if seen is None:
                scope = cancel_scope(deadline=current_time() + self._timeout)
                scope.shield = True
                with scope:
                    seen = await self._ledger.step(step)
            if seen is None:
                raise LedgerDown(f"no answer for {self._timeout} seconds")  # noqa: TRY301 - as if it had said so
        except BaseException as error:
            with self._lock:
                self._lose(step, error)
            raise
        return seen

    def _lose(self, step: Step, error: BaseException) -> None:
        """A step may have been done or not: its lease is given back, and everything is read anew."""
        self._connected = False
        for id_ in step.give:
            self._owed.append(id_)
        if step.take is not None:
            self._owed.append(step.take.id)
        self._sums.update(dict(step.sums))
        if not isinstance(error, LedgerDown):
            return  # cancelled by somebody who does not know of shields
        self._retry_at = self._monotonic() + self._retry_every
        if not self._down:
            self._down = True
            self._count_alone()
            _log.warning(
                "what processes share of %s cannot be reached, %s: %s",
                self._pool,
                "each goes on alone" if self._on_failure == "local" else "no key is leased",
                error,
                extra={"pool": self._pool},
            )

    def _count_alone(self) -> None:
        own = Counter(held.index for held in self._held.values())
        self._mirror.alone(self._held, own, (held.taken for held in self._held.values()))

    def _absorb(self, seen: Seen) -> None:
        """Take in what a step found."""
        self._expire(seen.now)  # before the counts, which know it
        if self._ledger.clock is None:
            self._heard = seen.now, self._monotonic()
        if self._mirror.epoch not in ("", seen.epoch):
            self._connected = False  # it has been emptied, and what we know must be told
        self._mirror.absorb(seen)
        self._mirror.count(seen)
        if seen.all_counts:
            self._totals = Counter(dict(seen.sums))
            self._recount_at = self._monotonic() + _RECOUNT

    def _step(self, **members: Any) -> Step:
        """A step that also tells what could wait until now."""
        give = (*members.pop("give", ()), *self._owed)
        sums = tuple(self._sums.items())
        self._owed.clear()
        self._sums.clear()
        return Step(
            cursor=self._mirror.cursor,
            epoch=self._mirror.epoch,
            fresh_epoch=f"{self._session}-{next(self._steps)}",  # another one each time: a ledger may be emptied again
            ttl=self._ttl,
            give=give,
            sums=sums,
            **members,
        )

    def _hold(self, number: int, held: _Held) -> Lease:
        self._held[number] = held
        self._soonest = min(self._soonest, held.deadline)
        name = self._names[held.index]
        self._sums[f"{_LEASED}{name}"] += 1
        return Lease(id=number, key=name, model=held.model)

    def _free(self, number: int, held: _Held, spent: Spent, now: float) -> None:
        self._mirror.free(held.index, held.model, number, held.taken, held.tokens, spent, now)

    def _renewed(self, number: int, seen: Seen) -> None:
        held = self._held.get(number)
        if held is not None:
            held.local = False
            held.deadline = seen.now + self._ttl
            self._soonest = min(self._soonest, held.deadline)

    def _why_empty(self, model: str | None, tokens: int, tried: Collection[int], now: float) -> Empty:
        roster = self._mirror.roster
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
