"""The key with the fewest requests in flight, of two."""

from __future__ import annotations

from random import Random

from .strategy import Lineup, Seat
from .two_choices import TwoChoices

__all__ = ["LeastUsed"]


class LeastUsed:
    """The key with the fewest requests in flight for its weight, of two chosen by chance; O(1).

    Two choices are nearly as even as looking at all keys, and, unlike it, do not send everybody to the same key when
    several processes look at once. Between equals the one that had fewer turns is chosen, then the first. A key is one
    of the two in 2 of n picks, so weights further apart than 2 to 1 are only approached; `RoundRobin` keeps them.
    """

    def lineup(self, rng: Random) -> Lineup:
        """An empty lineup."""
        return _LeastUsedLineup(rng)


class _LeastUsedLineup(TwoChoices):
    __slots__ = ()

    def _better(self, first: Seat, second: Seat) -> Seat:
        return min(first, second, key=self._load)

    def _load(self, seat: Seat) -> tuple[float, float, int]:
        return seat.in_flight / seat.weight, self._turns.of(seat.index), seat.index
