"""Where the health of keys lives: the interface, and the store that keeps it in memory.

Stores know keys by alias and never see a request's secret. Their methods are awaitable so that stores which several
processes share fit the same interface; `MemoryStore` itself never waits.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Protocol

from msgspec import Struct

from ..errors import ConfigurationError
from .ask import Ask
from .gauge import RESERVED, Spent, Taken
from .health import Event, Outcome
from .keys import Key
from .roster import Roster
from .strategies import Strategy
from .succession import GONE, Borne, succeed
from .survey import Empty, KeyReport, plainly_empty, survey, why_empty

__all__ = ["LONGEST_MODEL", "KeyStore", "Lease", "MemoryStore"]

LONGEST_MODEL = 256
"""Characters; clients choose the names of models, and names are remembered."""

_NONE: Collection[int] = frozenset()
_LONGEST_MEMORY = 64  # models of which it is remembered why no key could be had


class Lease(Struct, frozen=True, kw_only=True, gc=False):
    """The right to use a key for one attempt, until it is released.

    Attributes:
        id: Which lease it is, in its store.
        key: The key's alias.
        model: The model it was leased for, or None.
    """

    id: int
    key: str
    model: str | None = None


class KeyStore(Protocol):
    """Where the health of a pool's keys lives. One store serves one pool.

    Attributes:
        renewal: Seconds after which a lease must be renewed again and again; None: it lasts until it is released.
    """

    renewal: float | None

    def join(
        self, keys: Sequence[Key], *, strategy: Strategy, max_concurrency: int | None, max_total: int | None = None
    ) -> None:
        """Take the pool's keys; called once, by the pool's constructor.

        Args:
            keys: Checked keys. A store keeps what it needs of them, but not their secrets.
            strategy: How to choose.
            max_concurrency: How many leases a key may have at a time; None: any number.
            max_total: How many leases there may be of all keys together at a time; None: any number.

        Raises:
            ConfigurationError: It serves another pool already.
        """
        ...

    async def acquire(self, ask: Ask) -> Lease | Empty:
        """Choose a usable key and reserve it, in one step that nobody can come between.

        What is reserved: a lease of the key, of the whole pool, and of the key's quota scope as a whole and for the
        model (`Key.limits`, `Key.model_limits`: their concurrency, one request of each window of requests, `Ask.tokens`
        of each window of tokens). A key that lacks room for one of them is not usable for this request.

        When it is cancelled, nothing stays reserved.

        Args:
            ask: What the request asks for.

        Returns:
            The lease, which must be released, or why there is none.
        """
        ...

    async def report(self, lease: Lease, outcome: Outcome) -> bool:
        """Tell how the leased key did; nothing is reported when an answer says nothing of its key.

        Returns:
            Whether a failure made a key or its quota scope rest (False for what was old news).
        """
        ...

    async def release(self, lease: Lease, spent: Spent = RESERVED) -> None:
        """Give the key back; a second release of the same lease does nothing.

        Args:
            lease: What `acquire` gave.
            spent: What it cost: windows are corrected from what was reserved to that, in the part of the window in
                which it was reserved.
        """
        ...

    async def charge(self, lease: Lease, tokens: int) -> None:
        """Count tokens that a lease has spent now, over what it reserved: of a websocket, which lasts for an hour.

        Windows of tokens take them, whether there is room or not; a lease that is not held any more does nothing.

        Args:
            lease: The lease.
            tokens: How many, each time those since the last.
        """
        ...

    async def renew(self, lease: Lease) -> None:
        """Keep a lease; needed where `renewal` says so, for a process that died can no longer release its leases."""
        ...

    async def snapshot(self) -> list[KeyReport]:
        """How every key is, in the pool's order."""
        ...

    async def switch(self, alias: str, *, on: bool) -> None:
        """Take a key out until it is switched on again, or back in with a clean slate (also for its quota scope).

        Raises:
            ConfigurationError: No key has this alias.
        """
        ...


class _Held(Struct, gc=False):
    index: int
    model: str | None
    born: int
    tokens: int
    taken: Taken
    scope: int = GONE  # of a key that is gone: the number of its quota scope, if that is still there


class MemoryStore:
    """Keeps the health of keys in this process.

    Every operation is a plain synchronous section under a lock, so it serves several event loops and threads at once.

    Args:
        clock: Monotonic seconds.
        rng: Where strategies take their chance from; None: one of its own.
    """

    renewal: float | None = None

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, rng: Random | None = None) -> None:
        self._clock = clock
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, guards nothing
        self._lock = threading.Lock()
        self._aliases: dict[str, int] = {}
        self._leases: dict[int, _Held] = {}
        self._next_lease = 1
        self._empty: tuple[int, dict[tuple[object, int], tuple[float, Empty]]] = (-1, {})

    def join(
        self, keys: Sequence[Key], *, strategy: Strategy, max_concurrency: int | None, max_total: int | None = None
    ) -> None:
        """Take the pool's keys; see `KeyStore.join`."""
        if self._aliases:
            raise ConfigurationError("a store serves one pool")
        self._aliases = {key.alias: index for index, key in enumerate(keys)}
        self._names = list(self._aliases)
        self._counts = [[0, 0, 0] for _ in keys]
        self._roster = Roster(
            keys, strategy=strategy, rng=self._rng, max_concurrency=max_concurrency, max_total=max_total
        )

    def rejoin(self, heir: MemoryStore, same: Mapping[str, str]) -> None:
        """Serve another pool's keys in the place of this one's: what is known of keys that both have stays.

        Leases go on; those of keys that are gone count until they are released. See `succession`.

        Args:
            heir: The store that the other pool has joined and that has served nobody; it is used up.
            same: What keys are called in the other pool, by what they are called here.
        """
        with self._lock:
            now = self._clock()
            self._roster.wake(now)
            moves = {self._aliases[old]: heir._aliases[new] for old, new in same.items()}
            held = self._leases
            scopes = {number: self._scope_of(one) for number, one in held.items()}
            leases = succeed(
                heir._roster,
                self._roster,
                moves,
                (
                    Borne(number, one.index, scopes[number], one.model, one.tokens, one.taken)
                    for number, one in held.items()
                ),
                now,
            )
            for lease in leases:
                one = held[lease.number]
                one.index, one.taken, one.scope = lease.index, lease.taken, lease.scope
            counts = heir._counts
            for old, new in moves.items():
                counts[new] = self._counts[old]
            self._aliases, self._names, self._counts = heir._aliases, heir._names, counts
            self._roster = heir._roster
            self._empty = (-1, {})

    async def acquire(self, ask: Ask) -> Lease | Empty:
        """Choose and reserve a key; see `KeyStore.acquire`."""
        return self.acquire_now(ask)

    def acquire_now(self, ask: Ask) -> Lease | Empty:
        """What `acquire` does, for who must not give way to anybody meanwhile."""
        model, tried = ask.model, ask.tried
        if model is not None and len(model) > LONGEST_MODEL:
            model = ""
        failed = {self._aliases[alias] for alias in tried if alias in self._aliases} if tried else _NONE
        with self._lock:
            now = self._clock()
            self._roster.wake(now)
            number = self._next_lease
            picked = self._roster.pick(ask, model, failed, number, now)
            if picked is None:
                return self._why_empty(model, ask.tokens, failed, now)
            seat, taken = picked
            index = seat.index
            self._next_lease = number + 1
            self._leases[number] = _Held(index, model, self._roster.stamp, ask.tokens, taken)
            self._counts[index][0] += 1
        return Lease(id=number, key=self._names[index], model=model)

    async def report(self, lease: Lease, outcome: Outcome) -> bool:
        """Tell how the key did; see `KeyStore.report`."""
        return self.report_now(lease, outcome)

    def report_now(self, lease: Lease, outcome: Outcome) -> bool:
        """What `report` does, for who must not give way to anybody meanwhile."""
        with self._lock:
            held = self._leases.get(lease.id)
            if held is None or held.index == GONE:
                return False
            now = self._clock()
            self._roster.wake(now)
            if outcome.event is Event.TOLD:
                self._roster.spare(held.index, held.model, outcome, now=now)
                return False
            if outcome.event is Event.SERVED:
                self._counts[held.index][1] += 1
                if outcome.latency is not None:
                    self._roster.seats[held.index].time(outcome.latency)
                if self._roster.serve(held.index, held.model, outcome, born=held.born, now=now):
                    # This answer made the key recover, so what it says later is no old news.
                    held.born = self._roster.stamp
                return False
            self._counts[held.index][2] += 1
            return self._roster.fail(held.index, held.model, outcome, born=held.born, now=now)

    async def release(self, lease: Lease, spent: Spent = RESERVED) -> None:
        """Give the key back; see `KeyStore.release`."""
        self.release_now(lease, spent)

    def release_now(self, lease: Lease, spent: Spent = RESERVED) -> None:
        """What `release` does, for who must not give way to anybody meanwhile."""
        with self._lock:
            held = self._leases.pop(lease.id, None)
            if held is None:
                return
            if held.index == GONE:
                self._roster.traffic.in_flight -= 1
            else:
                self._roster.free(held.index, held.model, lease.id)
            if held.taken:
                self._roster.give_back(held.taken, tokens=held.tokens, spent=spent, now=self._clock())

    async def charge(self, lease: Lease, tokens: int) -> None:
        """Count tokens that were spent; see `KeyStore.charge`."""
        with self._lock:
            held = self._leases.get(lease.id)
            if held is not None and held.taken:
                now = self._clock()
                self._roster.wake(now)
                self._roster.charge(held.taken, tokens, now)

    async def renew(self, lease: Lease) -> None:
        """Nothing: a lease lasts until it is released."""

    async def snapshot(self) -> list[KeyReport]:
        """How every key is; see `KeyStore.snapshot`."""
        with self._lock:
            now = self._clock()
            self._roster.wake(now)
            return survey(self._roster, self._names, self._counts, now)

    async def switch(self, alias: str, *, on: bool) -> None:
        """Take a key out or in; see `KeyStore.switch`."""
        if alias not in self._aliases:
            raise ConfigurationError(f"no key has the alias {alias!r}")
        index = self._aliases[alias]
        with self._lock:
            self._roster.switch(index, on=on)

    def _scope_of(self, held: _Held) -> int:
        return held.scope if held.index == GONE else self._roster.scope_of(held.index)

    def _why_empty(self, model: str | None, tokens: int, tried: Collection[int], now: float) -> Empty:
        plain = plainly_empty(self._roster, model, tokens, tried, now=now)
        if plain is not None:
            return plain
        # A pool that is empty is asked more often than ever, and its answer stays the same until something changes.
        turns, answers = self._empty
        if turns != self._roster.turns:
            answers = {}
            self._empty = (self._roster.turns, answers)
        # Clients choose the names of models: all those of which nothing is known have one answer.
        question = self._roster.knowledge_of(model), tokens
        asked_at, empty = answers.get(question, (-math.inf, None))
        if empty is not None:
            aged = empty.after(now - asked_at, in_flight=self._roster.traffic.in_flight)
            if aged is not None:
                return aged
        empty = why_empty(self._roster, model, tokens, now=now)
        if len(answers) < _LONGEST_MEMORY:
            answers[question] = now, empty
        return empty
