"""What a pool knows about one model: which lanes concern it, and how each key stands there."""

from __future__ import annotations

from enum import StrEnum

from .health import Lane
from .strategies import Lineup, Seat

__all__ = ["USABLE", "Book", "Standing"]


class Standing(StrEnum):
    """Whether a key can be used for a model now."""

    READY = "ready"
    SOFT = "soft"  # usable, but nothing is left of one of its limits
    PROBE = "probe"  # the next request decides whether it works again
    OUT = "out"


USABLE: tuple[Standing, ...] = (Standing.READY, Standing.SOFT, Standing.PROBE)
"""Each has a lineup."""


class Book:
    """What is known about one model.

    Attributes:
        model: Its name; None: requests that name no model; ``""``: every model without a book of its own.
        lanes: By owner: a key's index, or the number of a quota scope.
        lineups: Keys by standing.
        standings: Each key's standing, by index.
    """

    __slots__ = ("lanes", "lineups", "model", "standings")

    def __init__(self, model: str | None, lineups: dict[Standing, Lineup], standings: list[Standing]) -> None:
        self.model = model
        self.lanes: dict[int, Lane] = {}
        self.lineups = lineups
        self.standings = standings

    def branch(self, model: str) -> Book:
        """A book for a model that shared this one."""
        lineups = {standing: lineup.copy() for standing, lineup in self.lineups.items()}
        return Book(model, lineups, self.standings.copy())

    def move(self, seat: Seat, standing: Standing) -> bool:
        """Put a key where it stands now; tells whether that is elsewhere than before."""
        before = self.standings[seat.index]
        if before is standing:
            return False
        if before is not Standing.OUT:
            self.lineups[before].discard(seat)
        if standing is not Standing.OUT:
            self.lineups[standing].add(seat)
        self.standings[seat.index] = standing
        return True
