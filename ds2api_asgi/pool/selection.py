"""Strategies: which of the usable keys is used next.

A `Strategy` makes `Lineup` s; a lineup holds the keys (`Seat` s) that may be used at the moment and picks one. Pools
keep one lineup for each standing and model, add and discard keys as their health changes, and so a pick never looks at
keys that rest: it costs O(log n) at most, and one step more for each key that was tried before.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container
from random import Random
from typing import Protocol

from msgspec import Struct

from ..errors import ConfigurationError
from .ask import ANYTHING, Ask

__all__ = ["LeastUsed", "Lineup", "RoundRobin", "Seat", "Strategy", "strategy_named"]


class Seat(Struct, kw_only=True, eq=False, gc=False):
    """What a strategy may know of a key.

    Attributes:
        index: Its position in the pool; the last tie-break.
        weight: Its share compared with the others'.
        in_flight: Requests that use it now; the pool counts them.
    """

    index: int
    weight: float = 1.0
    in_flight: int = 0


class Lineup(Protocol):
    """Keys that may be used now."""

    def add(self, seat: Seat) -> None:
        """Take a key in, which is not in it."""
        ...

    def discard(self, seat: Seat) -> None:
        """Take a key out, if it is in it."""
        ...

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:
        """Choose a key and count it as used.

        Args:
            tried: Indexes of keys that must not be chosen.
            ask: What the request asks for.

        Returns:
            The key, which stays in the lineup; None when every key in it was tried.
        """
        ...

    def copy(self) -> Lineup:
        """The same keys with the same memory of turns, independent from here on."""
        ...


class Strategy(Protocol):
    """Makes lineups. Strategies hold settings only, so that one object may serve many pools."""

    def lineup(self, rng: Random) -> Lineup:
        """An empty lineup.

        Args:
            rng: Where its chance comes from.
        """
        ...


class _Turns:
    """Who had how many turns, each counted as 1 / weight: the fewer, the sooner it is due.

    The count of a key that was away is lifted to that of the last one picked, so that it does not get all requests
    until it has caught up.
    """

    __slots__ = ("_level", "_taken")

    def __init__(self) -> None:
        self._taken: dict[int, float] = {}
        self._level = 0.0

    def enter(self, index: int) -> float:
        taken = max(self._taken.get(index, 0.0), self._level)
        self._taken[index] = taken
        return taken

    def of(self, index: int) -> float:
        return self._taken[index]

    def take(self, seat: Seat) -> float:
        before = self._taken[seat.index]
        if before > self._level:
            self._level = before
        after = self._taken[seat.index] = before + 1.0 / seat.weight
        return after

    def copy(self) -> _Turns:
        turns = _Turns()
        turns._taken = self._taken.copy()
        turns._level = self._level
        return turns


class RoundRobin:
    """Each key in turn; a key of weight 2 has two turns where the others have one, evenly spread.

    Stride scheduling over a heap: deterministic, O(log n) for a pick on average over many.
    """

    def lineup(self, rng: Random) -> Lineup:  # noqa: ARG002 - nothing is left to chance here
        """An empty lineup."""
        return _RoundRobinLineup()


class _RoundRobinLineup:
    __slots__ = ("_heap", "_seats", "_turns")

    def __init__(self) -> None:
        self._turns = _Turns()
        self._seats: dict[int, Seat] = {}
        self._heap: list[tuple[float, int]] = []

    def add(self, seat: Seat) -> None:
        self._seats[seat.index] = seat
        heapq.heappush(self._heap, (self._turns.enter(seat.index), seat.index))
        self._tidy()

    def discard(self, seat: Seat) -> None:
        self._seats.pop(seat.index, None)
        self._tidy()

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:  # noqa: ARG002 - all asks are alike
        passed_over: list[tuple[float, int]] = []
        chosen = None
        while self._heap and chosen is None:
            entry = heapq.heappop(self._heap)
            taken, index = entry
            seat = self._seats.get(index)
            if seat is None or taken != self._turns.of(index):
                continue  # left behind by a key that went, or came back
            if index in tried:
                passed_over.append(entry)
            else:
                chosen = seat
                heapq.heappush(self._heap, (self._turns.take(seat), index))
        for entry in passed_over:
            heapq.heappush(self._heap, entry)
        return chosen

    def _tidy(self) -> None:
        """Drop the entries that keys left behind, once they are the greater part."""
        if len(self._heap) > 2 * len(self._seats) + 64:
            self._heap = [(self._turns.of(index), index) for index in self._seats]
            heapq.heapify(self._heap)

    def copy(self) -> Lineup:
        lineup = _RoundRobinLineup()
        lineup._turns = self._turns.copy()
        lineup._seats = self._seats.copy()
        lineup._heap = self._heap.copy()
        return lineup


class LeastUsed:
    """The key with the fewest requests in flight for its weight, of two chosen by chance; O(1).

    Two choices are nearly as even as looking at all keys, and, unlike it, do not send everybody to the same key when
    several processes look at once. Between equals the one that had fewer turns is chosen, then the first. A key is one
    of the two in 2 of n picks, so weights further apart than 2 to 1 are only approached; `RoundRobin` keeps them.
    """

    def lineup(self, rng: Random) -> Lineup:
        """An empty lineup."""
        return _LeastUsedLineup(rng)


class _LeastUsedLineup:
    __slots__ = ("_places", "_rng", "_seats", "_turns")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._turns = _Turns()
        self._seats: list[Seat] = []
        self._places: dict[int, int] = {}  # index of a key -> where it stands in _seats

    def add(self, seat: Seat) -> None:
        self._turns.enter(seat.index)
        self._places[seat.index] = len(self._seats)
        self._seats.append(seat)

    def discard(self, seat: Seat) -> None:
        place = self._places.pop(seat.index, None)
        if place is None:
            return
        last = self._seats.pop()
        if last is not seat:
            self._seats[place] = last
            self._places[last.index] = place

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:  # noqa: ARG002 - all asks are alike
        size = len(self._seats)
        if not size:
            return None
        start = int(self._rng.random() * size)
        first = self._untried(start, size, tried)
        if first is None:
            return None
        second = self._untried((start + 1 + self._rng.randrange(size - 1)) % size, size, tried) if size > 1 else first
        chosen = first if second is None or second is first else min(first, second, key=self._load)
        self._turns.take(chosen)
        return chosen

    def copy(self) -> Lineup:
        lineup = _LeastUsedLineup(self._rng)
        lineup._turns = self._turns.copy()
        lineup._seats = self._seats.copy()
        lineup._places = self._places.copy()
        return lineup

    def _untried(self, start: int, size: int, tried: Container[int]) -> Seat | None:
        """The first key from this place on that was not tried: as many steps as tried keys stand in the way."""
        for step in range(size):
            seat = self._seats[(start + step) % size]
            if seat.index not in tried:
                return seat
        return None

    def _load(self, seat: Seat) -> tuple[float, float, int]:
        return seat.in_flight / seat.weight, self._turns.of(seat.index), seat.index


def strategy_named(name: str) -> Strategy:
    """The strategy that configuration calls ``"round-robin"`` or ``"least-used"``.

    Raises:
        ConfigurationError: There is no such strategy.
    """
    known: dict[str, Callable[[], Strategy]] = {"least-used": LeastUsed, "round-robin": RoundRobin}
    if name not in known:
        raise ConfigurationError(f"unknown key strategy {name!r}: one of {', '.join(known)}")
    return known[name]()
