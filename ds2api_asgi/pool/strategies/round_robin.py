"""Each key in turn."""

from __future__ import annotations

import heapq
from collections.abc import Container
from random import Random

from ..ask import ANYTHING, Ask
from .strategy import Lineup, Seat
from .turns import Turns

__all__ = ["RoundRobin"]


class RoundRobin:
    """Each key in turn; a key of weight 2 has two turns where the others have one, evenly spread.

    Stride scheduling over a heap: deterministic, O(log n) for a pick on average over many. There is no strategy that
    throws weighted dice: it would keep the same weights, only less exactly.
    """

    def lineup(self, rng: Random) -> Lineup:  # noqa: ARG002 - nothing is left to chance here
        """An empty lineup."""
        return _RoundRobinLineup()


class _RoundRobinLineup:
    __slots__ = ("_heap", "_seats", "_turns")

    def __init__(self) -> None:
        self._turns = Turns()
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
