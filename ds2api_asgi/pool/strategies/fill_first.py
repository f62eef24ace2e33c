"""One key after the other."""

from __future__ import annotations

import heapq
from collections.abc import Container
from random import Random

from ..ask import ANYTHING, Ask
from .strategy import Lineup, Seat

__all__ = ["FillFirst"]


class FillFirst:
    """The first key in the pool's order that can be used: one account is spent before the next is begun.

    Weights mean nothing to it. O(1) for a pick, O(log n) when a key comes or goes.
    """

    def lineup(self, rng: Random) -> Lineup:  # noqa: ARG002 - nothing is left to chance here
        """An empty lineup."""
        return _FillFirstLineup()


class _FillFirstLineup:
    __slots__ = ("_heap", "_seats", "_waiting")

    def __init__(self) -> None:
        self._seats: dict[int, Seat] = {}
        self._heap: list[int] = []
        self._waiting: set[int] = set()  # what stands in the heap, each once, members or not

    def add(self, seat: Seat) -> None:
        self._seats[seat.index] = seat
        if seat.index not in self._waiting:
            self._waiting.add(seat.index)
            heapq.heappush(self._heap, seat.index)

    def discard(self, seat: Seat) -> None:
        self._seats.pop(seat.index, None)

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:  # noqa: ARG002 - all asks are alike
        passed_over: list[int] = []
        chosen = None
        while self._heap:
            index = self._heap[0]
            if index in self._seats and index not in tried:
                chosen = self._seats[index]
                break
            heapq.heappop(self._heap)
            if index in self._seats:
                passed_over.append(index)
            else:
                self._waiting.discard(index)
        for index in passed_over:
            heapq.heappush(self._heap, index)
        return chosen

    def copy(self) -> Lineup:
        lineup = _FillFirstLineup()
        lineup._seats = self._seats.copy()
        lineup._heap = self._heap.copy()
        lineup._waiting = self._waiting.copy()
        return lineup
