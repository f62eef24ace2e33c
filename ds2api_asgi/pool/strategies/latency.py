"""The key that answers soonest, of two."""

from __future__ import annotations

import math
from random import Random

from .strategy import MEMORY, Lineup, Seat
from .two_choices import TwoChoices

__all__ = ["Latency"]


class Latency:
    """The key that is expected to answer sooner, of two chosen by chance; O(1).

    What is expected is the time until content came lately, times the requests that would then be in flight, by weight.
    A worse time counts at once and a better one by and by (Finagle's peak EWMA), and what nobody has measured for some
    seconds is forgotten, so that slow keys are tried again. A key that has not answered yet is tried when it is idle,
    and weighs as much as the other while it is busy. The time of a whole answer is all of its time: in a pool that
    serves streams and whole answers alike, times tell less.

    Attributes:
        wants_latency: Tells the pool to measure.
    """

    wants_latency = True

    def lineup(self, rng: Random) -> Lineup:
        """An empty lineup."""
        return _LatencyLineup(rng)


class _LatencyLineup(TwoChoices):
    __slots__ = ()

    def _better(self, first: Seat, second: Seat) -> Seat:
        one, other = _expected(first), _expected(second)
        if not one and first.in_flight:
            one = other
        elif not other and second.in_flight:
            other = one
        if not one and not other:  # nothing is known of either
            one = other = 1.0
        return min((self._rank(first, one), first), (self._rank(second, other), second), key=lambda ranked: ranked[0])[
            1
        ]

    def _rank(self, seat: Seat, latency: float) -> tuple[float, float, int]:
        return latency * (seat.in_flight + 1) / seat.weight, self._turns.of(seat.index), seat.index


def _expected(seat: Seat) -> float:
    return seat.latency * math.exp((seat.timed - seat.traffic.now) / MEMORY) if seat.latency else 0.0
