"""How many turns each key had, so that they can be shared out evenly."""

from __future__ import annotations

from .strategy import Seat

__all__ = ["Turns"]


class Turns:
    """Who had how many turns, each counted as 1 / weight: the fewer, the sooner it is due.

    The count of a key that was away is lifted to that of the last one picked, so that it does not get all requests
    until it has caught up.
    """

    __slots__ = ("_level", "_taken")

    def __init__(self) -> None:
        self._taken: dict[int, float] = {}
        self._level = 0.0

    def enter(self, index: int) -> float:
        """A key comes, or comes back."""
        taken = max(self._taken.get(index, 0.0), self._level)
        self._taken[index] = taken
        return taken

    def of(self, index: int) -> float:
        """The turns of a key, each by its weight."""
        return self._taken[index]

    def take(self, seat: Seat) -> float:
        """A key has a turn; returns its turns with this one."""
        before = self._taken[seat.index]
        if before > self._level:
            self._level = before
        after = self._taken[seat.index] = before + 1.0 / seat.weight
        return after

    def copy(self) -> Turns:
        """The same, independent from here on."""
        turns = Turns()
        turns._taken = self._taken.copy()
        turns._level = self._level
        return turns
