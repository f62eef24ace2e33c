"""The better of two keys that chance chose: nearly as good as looking at all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container
from random import Random

from ..ask import ANYTHING, Ask
from .strategy import Lineup, Seat
from .turns import Turns

__all__ = ["TwoChoices"]


class TwoChoices(ABC):
    """Picks the better of two keys that chance chose; what is better, subclasses say."""

    __slots__ = ("_places", "_rng", "_seats", "_turns")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._turns = Turns()
        self._seats: list[Seat] = []
        self._places: dict[int, int] = {}  # index of a key -> where it stands in _seats

    def add(self, seat: Seat) -> None:
        """Take a key in, which is not in it."""
        self._turns.enter(seat.index)
        self._places[seat.index] = len(self._seats)
        self._seats.append(seat)

    def discard(self, seat: Seat) -> None:
        """Take a key out, if it is in it."""
        place = self._places.pop(seat.index, None)
        if place is None:
            return
        last = self._seats.pop()
        if last is not seat:
            self._seats[place] = last
            self._places[last.index] = place

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:  # noqa: ARG002 - all asks are alike
        """Choose a key; see `Lineup.pick`."""
        size = len(self._seats)
        if not size:
            return None
        start = int(self._rng.random() * size)
        first = self._untried(start, size, tried)
        if first is None:
            return None
        second = self._untried((start + 1 + self._rng.randrange(size - 1)) % size, size, tried) if size > 1 else first
        chosen = first if second is None or second is first else self._better(first, second)
        self._turns.take(chosen)
        return chosen

    def copy(self) -> Lineup:
        """The same, independent from here on."""
        lineup: TwoChoices = self.__class__(self._rng)
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

    @abstractmethod
    def _better(self, first: Seat, second: Seat) -> Seat:
        """The better of two different keys."""
