"""A process's link to a ledger: what it knows, what it holds, and what it has not told yet.

A step is sent with everything that could wait until then, and what comes back is taken in. While the ledger cannot be
reached the link goes on with what it knows, asks again from time to time, and then reads everything anew, takes its
leases anew where they are lost, and tells the news.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from msgspec import Struct

from ...asgi.loop import cancel_scope, current_time
from ..gauge import RESERVED, Spent, Taken
from ..roster import Journal
from ..store import Lease
from .ledger import Ledger, LedgerDown, Seen, Status, Step, Take
from .mirror import Mirror

__all__ = ["FAILED", "LEASED", "SERVED", "TRIES", "Held", "Link", "Operation"]

LEASED: Final = "leased:"
SERVED: Final = "served:"
FAILED: Final = "failed:"

TRIES: Final = 100
"""Of one operation that collides with others; each collision means that another one got through."""

_RECOUNT = 1.0  # seconds after which all counts are asked for anew, along with something else
_MAX_OWED = 10_000  # leases to give back once the ledger can be reached; beyond that, their time ends them

_log = logging.getLogger("ds2api_asgi.pool")


class Held(Struct, gc=False):
    """A lease of this process.

    Attributes:
        index: The key's.
        model: What it was leased for.
        born: The moment at which it was, in turns of lanes.
        tokens: What was asked for.
        taken: What it reserved of configured limits.
        take: The same as the ledger knows it.
        deadline: The ledger's time at which it is given back.
        parts: Of windows, in which the ledger counts it.
        local: The ledger does not know of it.
    """

    index: int
    model: str | None
    born: int
    tokens: int
    taken: Taken
    take: Take
    deadline: float = math.inf
    parts: tuple[int, ...] = ()
    local: bool = True


class Operation(Struct, kw_only=True):
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


class Link:
    """A process's end of a ledger: its mirror, its leases, and what it has not told yet.

    Args:
        ledger: The back end.
        pool: What the pool is called there.
        names: Of its keys, by index.
        new_mirror: Makes a mirror of which nothing is known.
        ttl: Seconds that leases last.
        timeout: Seconds that an operation may wait for the ledger.
        retry_every: Seconds between two attempts to reach it again.
        refuses: Whether no key is leased while it cannot be reached.
        monotonic: Seconds of this process's own clock.

    Attributes:
        lock: Guards all that follows; held while nothing is waited for.
        mirror: What is known of lanes.
        held: Leases of this process, by number.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        pool: str,
        names: list[str],
        new_mirror: Callable[[], Mirror],
        ttl: float,
        timeout: float,
        retry_every: float,
        refuses: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._names = names
        self._new_mirror = new_mirror
        self._ttl = ttl
        self._timeout = timeout
        self._retry_every = retry_every
        self._refuses = refuses
        self._monotonic = monotonic
        self._begin()

    def _begin(self) -> None:
        """Begin anew, in this process: nothing that another one holds is ours."""
        self._process = os.getpid()
        self.lock = threading.Lock()
        self.mirror = self._new_mirror()
        self.held: dict[int, Held] = {}
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

    async def reach(self) -> bool:
        """Tell whether the ledger is there, and find out anew from time to time when it is not."""
        if self._process != os.getpid():
            self._begin()
        if self._connected:
            return True
        if self._down:
            with self.lock:
                if self._monotonic() < self._retry_at:
                    return False
                self._retry_at = self._monotonic() + self._retry_every  # one asks while all others go on
        try:
            await self._connect()
        except LedgerDown:
            return False
        return True

    async def ask(self, step: Step) -> Seen:
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
            with self.lock:
                self._lose(step, error)
            raise
        return seen

    def step(self, **members: Any) -> Step:
        """A step that also tells what could wait until now."""
        give = (*members.pop("give", ()), *self._owed)
        sums = tuple(self._sums.items())
        self._owed.clear()
        self._sums.clear()
        return Step(
            cursor=self.mirror.cursor,
            epoch=self.mirror.epoch,
            fresh_epoch=f"{self._session}-{next(self._steps)}",  # another one each time: a ledger may be emptied again
            ttl=self._ttl,
            give=give,
            sums=sums,
            **members,
        )

    def absorb(self, seen: Seen) -> None:
        """Take in what a step found."""
        self._absorb(seen)
        if self._down:  # it comes late, and knows nothing of what was leased alone meanwhile
            self.count_alone()

    def _absorb(self, seen: Seen) -> None:
        self._expire(seen.now)  # before the counts, which know it
        if self._ledger.clock is None:
            self._heard = seen.now, self._monotonic()
        if self.mirror.epoch not in ("", seen.epoch):
            self._connected = False  # it has been emptied, and what we know must be told
        self.mirror.absorb(seen)
        self.mirror.count(seen)
        if seen.all_counts:
            self._totals = Counter(dict(seen.sums))
            self._recount_at = self._monotonic() + _RECOUNT

    def start(self) -> tuple[float, Journal]:
        """Begin an operation on the mirror: the time, and what notes what it does."""
        now = self._now()
        self._expire(now)
        return now, self.mirror.begin(now)

    async def operate(self, operate: Callable[[float], Operation | None]) -> Operation | None:
        """Do something to lanes, and write it down; what cannot be written is kept as news."""
        shared = await self.reach()
        for _ in range(TRIES):
            with self.lock:
                now, journal = self.start()
                done = operate(now)
                if done is None:
                    return None
                records = self.mirror.written(journal, done.served)
                done.sequence = self.mirror.roster.stamp
                if not records:
                    return done
                if not shared:
                    self.mirror.keep(journal)
                    return done
                step = self.step(strict=True, needs=done.needs, records=records, stamp=done.sequence)
            try:
                seen = await self.ask(step)
            except LedgerDown:
                with self.lock:
                    self.mirror.keep(journal)
                return done
            with self.lock:
                if seen.status is not Status.DONE:
                    self.mirror.revert(journal)
                self.absorb(seen)
                if seen.status is Status.DONE:
                    done.sequence = seen.sequence
                    return done
                if seen.status is Status.GONE:
                    return None
        return None

    def next_number(self) -> int:
        """A number that is no other lease's, in no process."""
        self._last_number += 1
        return self._last_number

    def hold(self, number: int, held: Held) -> Lease:
        """Keep a lease that was made here."""
        self.held[number] = held
        self._soonest = min(self._soonest, held.deadline)
        self.count(LEASED, held.index)
        return Lease(id=number, key=self._names[held.index], model=held.model)

    def taken(self, held: Held, seen: Seen) -> None:
        """The ledger knows of a lease: a step has taken it."""
        held.local = False
        held.born, held.deadline, held.parts = seen.sequence, seen.now + self._ttl, tuple(seen.parts)

    def renewed(self, number: int, seen: Seen) -> None:
        """A step has renewed a lease."""
        held = self.held.get(number)
        if held is not None:
            held.local = False
            held.deadline = seen.now + self._ttl
            self._soonest = min(self._soonest, held.deadline)

    def free(self, number: int, held: Held, spent: Spent, now: float) -> None:
        """Give back on the mirror what a lease took."""
        self.mirror.free(held.index, held.model, number, held.taken, held.tokens, spent, now)

    def owe(self, number: int) -> None:
        """Give a lease back with the next step."""
        self._owed.append(str(number))

    def count(self, what: str, index: int) -> None:
        """Count something of a key: `LEASED`, `SERVED` or `FAILED`."""
        self._sums[f"{what}{self._names[index]}"] += 1

    def counts(self) -> list[list[int]]:
        """How often each key was leased, served and failed, as far as it is known here."""
        sums = self._totals + self._sums
        return [[sums[f"{what}{name}"] for what in (LEASED, SERVED, FAILED)] for name in self._names]

    def wants_counts(self) -> bool:
        """Tell whether it is time to ask for all counts anew, along with something else."""
        return self._monotonic() >= self._recount_at

    def count_alone(self) -> None:
        """Count only what this process holds: nobody tells of the others."""
        own = Counter(held.index for held in self.held.values())
        self.mirror.alone(self.held, own, (held.taken for held in self.held.values()))

    async def _connect(self) -> None:
        """Read everything, take our leases anew where they are lost, and tell the news.

        Raises:
            LedgerDown: It is not there.
        """
        with self.lock:
            self.start()
            self.mirror.leave(self.held)
            step = self.step(
                base=self.mirror.roster.stamp,
                renew=tuple(held.take for held in self.held.values()),
                all_counts=True,
            )
        for _ in range(TRIES):
            seen = await self.ask(step)
            with self.lock:
                self._absorb(seen)
                for take in step.renew:
                    self.renewed(int(take.id), seen)
                if step.records and seen.status is Status.DONE:
                    self.mirror.heard()
                news = self.mirror.news()
                if not news:
                    break
                step = self.step(strict=True, records=news, stamp=self.mirror.roster.stamp)
        with self.lock:
            self._connected = True
            if self._down:
                self._down = False
                _log.info("what processes share of %s can be reached again", self._pool, extra={"pool": self._pool})

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
            self.count_alone()
            _log.warning(
                "what processes share of %s cannot be reached, %s: %s",
                self._pool,
                "no key is leased" if self._refuses else "each goes on alone",
                error,
                extra={"pool": self._pool},
            )

    def _expire(self, now: float) -> None:
        """Leases of ours whose time is over are given back, as the ledger does."""
        if now < self._soonest or self._down:  # nobody can renew them now: they are taken anew afterwards
            return
        for number, held in list(self.held.items()):
            if held.deadline <= now:
                del self.held[number]
                self.free(number, held, RESERVED, now)
        self._soonest = min((held.deadline for held in self.held.values()), default=math.inf)

    def _now(self) -> float:
        """The ledger's time; where only the ledger knows it, never later than it is there."""
        if self._ledger.clock is not None:
            return self._ledger.clock()
        theirs, ours = self._heard
        return theirs + self._monotonic() - ours
