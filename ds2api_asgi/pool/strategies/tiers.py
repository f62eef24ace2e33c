"""Tiers of priority: keys of a lower one are used only when no key of a higher one can be."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterable
from random import Random

from ..ask import ANYTHING, Ask
from .strategy import Lineup, Seat, Strategy

__all__ = ["Tiers", "by_tier", "lineup_for"]


class Tiers:
    """A lineup for each priority; the highest one with a key that was not tried picks.

    Attributes:
        order: The negative priorities of tiers with members, ascending.
    """

    __slots__ = ("_lineups", "_members", "_rng", "_strategy", "order")

    def __init__(self, strategy: Strategy, rng: Random) -> None:
        self._strategy = strategy
        self._rng = rng
        self._lineups: dict[int, Lineup] = {}
        self._members: dict[int, set[int]] = {}
        self.order: list[int] = []

    def add(self, seat: Seat) -> None:
        """Take a key in, which is not in it."""
        tier = -seat.priority
        if tier not in self._lineups:
            self._lineups[tier] = self._strategy.lineup(self._rng)
            self._members[tier] = set()
        if not self._members[tier]:
            self.order.insert(bisect_left(self.order, tier), tier)
        self._members[tier].add(seat.index)
        self._lineups[tier].add(seat)

    def discard(self, seat: Seat) -> None:
        """Take a key out, if it is in it."""
        tier = -seat.priority
        members = self._members.get(tier)
        if members is None or seat.index not in members:
            return
        members.remove(seat.index)
        self._lineups[tier].discard(seat)
        if not members:
            self.order.remove(tier)

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:
        """Choose a key; see `Lineup.pick`."""
        return by_tier((self,), tried, ask)

    def pick_of(self, tier: int, tried: Container[int], ask: Ask) -> Seat | None:
        """Choose a key of one tier, by its place in `order`."""
        return self._lineups[tier].pick(tried, ask) if self._members.get(tier) else None

    def copy(self) -> Tiers:
        """The same, independent from here on."""
        tiers = Tiers(self._strategy, self._rng)
        tiers._lineups = {tier: lineup.copy() for tier, lineup in self._lineups.items()}
        tiers._members = {tier: members.copy() for tier, members in self._members.items()}
        tiers.order = self.order.copy()
        return tiers


def by_tier(standings: Iterable[Tiers], tried: Container[int], ask: Ask) -> Seat | None:
    """Pick from several standings, the first of them first, but a higher tier of any before a lower one of any."""
    standings = tuple(standings)
    for tier in sorted({tier for tiers in standings for tier in tiers.order}):
        for tiers in standings:
            seat = tiers.pick_of(tier, tried, ask)
            if seat is not None:
                return seat
    return None


def lineup_for(strategy: Strategy, rng: Random, *, tiered: bool) -> Lineup:
    """An empty lineup of a pool whose keys have several priorities, or one."""
    return Tiers(strategy, rng) if tiered else strategy.lineup(rng)
