"""Where the use of limits is counted: the interface, and the store in this process.

A request takes from all its limits at once or from none, and gets a lease; when it ends, `settle` puts right what it
took and ends the lease. The lease is named by who asks, so that an ask whose answer was lost (the task was cancelled,
the connection broke) can be settled as well: what never was taken is not given back.
"""

from __future__ import annotations

import time
import typing
from collections.abc import Callable, Sequence

from msgspec import Struct

from .budget import Budget
from .client_limits import Limit
from .gcra import Allowed, Gcra

__all__ = ["LimitStore", "MemoryLimitStore", "Standing", "Take", "Taken"]


class Take(Struct, frozen=True, gc=False):
    """What is to be taken from one limit.

    Attributes:
        limit: The limit.
        cost: How much.
    """

    limit: Limit
    cost: float


class Standing(Struct, frozen=True, gc=False):
    """How one limit stands.

    Attributes:
        limit: The limit.
        remaining: What is left.
        reset: Seconds until it is whole again.
        retry_after: Seconds until what was asked of it could be taken; 0.0 when it had room.
    """

    limit: Limit
    remaining: float
    reset: float
    retry_after: float = 0.0


class Taken(Struct, frozen=True):
    """What became of an ask.

    Attributes:
        standings: How the limits stand now, in the order in which they were asked.
        granted: Whether all was taken; else nothing was.
        busy: Whether too many requests were under way; the limits were then not looked at for room.
        at: When, in seconds of the store's clock.
    """

    standings: tuple[Standing, ...]
    granted: bool
    busy: bool = False
    at: float = 0.0


class LimitStore(typing.Protocol):
    """Counts what clients use; several processes may share one that is not in memory.

    Every method may raise OSError when the store cannot be reached (ConnectionError and TimeoutError are such).
    """

    async def take(self, client: str, lease: str, takes: Sequence[Take], concurrency: int | None) -> Taken:
        """Take from all limits of a client and begin a lease, or do nothing.

        Args:
            client: Whose limits: the client's name.
            lease: A name for the lease that nobody else uses.
            takes: At most one of each limit; a cost above a limit's amount has no room, ever.
            concurrency: How many leases the client may have at a time; None: any number.
        """
        ...

    async def settle(self, client: str, lease: str, taken: Sequence[Take], used: Sequence[float], at: float) -> None:
        """End a lease, and put right what it took; nothing happens when there is no such lease.

        Args:
            client: As in `take`.
            lease: As in `take`.
            taken: As in `take`.
            used: What should have been taken, one for each of `taken`.
            at: From `Taken`; 0.0 when it is not known.
        """
        ...


_SWEEP_EVERY = 1_000  # asks


class MemoryLimitStore:
    """Counts in this process. What is forgotten when it ends: all.

    With several workers each counts for itself: divide the limits by their number, or share a `RedisLimitStore`.

    Clients that use nothing are forgotten, so it grows with those that do.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, str], Gcra | Budget] = {}
        self._leases: dict[str, set[str]] = {}
        self._asks = 0
        self._last = 0.0

    def __len__(self) -> int:
        return len(self._counts) + len(self._leases)

    async def take(self, client: str, lease: str, takes: Sequence[Take], concurrency: int | None) -> Taken:
        """See `LimitStore.take`."""
        now = self._now()
        self._sweep(now)
        leases = self._leases.get(client, ())
        counts = [self._count(client, take.limit, now) for take in takes]
        if concurrency is not None and len(leases) >= concurrency:
            standings = tuple(_standing(take.limit, count, 0.0, now) for take, count in zip(takes, counts, strict=True))
            return Taken(standings, granted=False, busy=True, at=now)
        tries = [_standing(take.limit, count, take.cost, now) for take, count in zip(takes, counts, strict=True)]
        if any(one.retry_after for one in tries):
            for take, count, one in zip(takes, counts, tries, strict=True):
                if not one.retry_after:
                    count.refund(take.cost, now)
            standings = tuple(
                Standing(one.limit, now_stands.remaining, now_stands.reset, one.retry_after)
                for one, count in zip(tries, counts, strict=True)
                for now_stands in (_standing(one.limit, count, 0.0, now),)
            )
            return Taken(standings, granted=False, at=now)
        self._leases.setdefault(client, set()).add(lease)
        for take, count in zip(takes, counts, strict=True):
            self._counts[client, take.limit.name] = count
        return Taken(tuple(tries), granted=True, at=now)

    async def settle(self, client: str, lease: str, taken: Sequence[Take], used: Sequence[float], at: float) -> None:
        """See `LimitStore.settle`."""
        leases = self._leases.get(client)
        if leases is None or lease not in leases:
            return
        leases.discard(lease)
        if not leases:
            del self._leases[client]
        now = self._now()
        for take, amount in zip(taken, used, strict=True):
            if amount != take.cost:
                count = self._count(client, take.limit, now)
                _correct(count, amount - take.cost, now, at or now)
                self._counts[client, take.limit.name] = count

    def _now(self) -> float:
        self._last = max(self._last, self._clock())
        return self._last

    def _count(self, client: str, limit: Limit, now: float) -> Gcra | Budget:
        """The count of a limit; what is new is not yet remembered. A limit that was changed keeps what was used."""
        rate = limit.amount / limit.seconds
        known = self._counts.get((client, limit.name))
        if isinstance(known, Budget):
            known.amount = limit.amount
            return known
        if isinstance(known, Gcra):
            known.rate, known.burst = rate, limit.amount
            return known
        if limit.budget:
            return Budget(amount=limit.amount, period=limit.seconds, now=now)
        return Gcra(rate=rate, burst=limit.amount, now=now)

    def _sweep(self, now: float) -> None:
        self._asks += 1
        if self._asks % _SWEEP_EVERY == 0:
            for key in [key for key, count in self._counts.items() if count.idle(now)]:
                del self._counts[key]


def _standing(limit: Limit, count: Gcra | Budget, cost: float, now: float) -> Standing:
    result = count.take(cost, now)
    wait = 0.0 if isinstance(result, Allowed) else result.retry_after
    return Standing(limit, result.remaining, result.reset, wait)


def _correct(count: Gcra | Budget, difference: float, now: float, at: float) -> None:
    if difference > 0:
        count.charge(difference, now)
    elif isinstance(count, Budget):
        count.refund(-difference, now, taken=at)
    else:
        count.refund(-difference, now)
