"""Conversations keep their keys, because providers remember the beginnings of prompts."""

from __future__ import annotations

import math
from collections.abc import Container
from random import Random

from ...errors import ConfigurationError
from ..ask import ANYTHING, Ask
from .least_used import LeastUsed
from .strategy import Lineup, Seat, Strategy
from .wheel import Wheel, seed_of

__all__ = ["Affinity"]

_STEPS = 256  # keys that a pick looks at before it leaves the choice to the inner strategy


class Affinity:
    """The same key for all turns of a conversation, while it can be used and is not much busier than the others.

    Each conversation has its own order of quota scopes, and within them of keys, by rendezvous hashing: it is served
    by the first that has room, returns when one before it is back, and nobody remembers anything, so that processes
    agree. Prompt caches belong to organisations: another key of the same scope is tried before another scope. Requests
    of no conversation are left to the inner strategy. O(1) for a pick, while some keys have room.

    Args:
        strategy: Who chooses for requests of no conversation, and where a conversation finds no key with room.
        balance: A key has room while it has no more requests in flight than this many times the average, by weight.
        floor: But so many it may always have, since the average of an idle pool is next to nothing.

    Attributes:
        wants_conversation: Tells the pool to look for conversations.
        wants_latency: Tells the pool to measure, where the inner strategy wants that.

    Raises:
        ConfigurationError: `balance` is not above 1, or `floor` is below 1.
    """

    wants_conversation = True

    def __init__(self, strategy: Strategy | None = None, *, balance: float = 1.25, floor: int = 2) -> None:
        if not (math.isfinite(balance) and balance > 1):
            raise ConfigurationError("the balance of an affinity is not above 1")
        if floor < 1:
            raise ConfigurationError("the floor of an affinity is below 1")
        self._strategy = LeastUsed() if strategy is None else strategy
        self.wants_latency = bool(getattr(self._strategy, "wants_latency", False))
        self._balance = balance
        self._floor = floor

    def lineup(self, rng: Random) -> Lineup:
        """An empty lineup."""
        return _AffinityLineup(self._strategy.lineup(rng), self._balance, self._floor)


class _AffinityLineup:
    __slots__ = ("_balance", "_floor", "_inner", "_known", "_scopes", "_seats", "_totals", "_weight", "_wheels")

    def __init__(self, inner: Lineup, balance: float, floor: int) -> None:
        self._inner = inner
        self._balance = balance
        self._floor = floor
        self._weight = 0.0
        self._seats: dict[str, Seat] = {}
        self._scopes = Wheel()
        self._totals: dict[str, float] = {}  # weight of all keys of a scope, here or away
        self._known: set[str] = set()  # the keys in it
        self._wheels: dict[str, Wheel] = {}  # their keys

    def add(self, seat: Seat) -> None:
        self._inner.add(seat)
        name = _name(seat)
        self._seats[name] = seat
        self._weight += seat.weight
        self._weigh(seat, name, seat.weight)

    def discard(self, seat: Seat) -> None:
        self._inner.discard(seat)
        name = _name(seat)
        if self._seats.pop(name, None) is None:
            return
        self._weight = self._weight - seat.weight if self._seats else 0.0
        self._weigh(seat, name, 0.0)

    def pick(self, tried: Container[int], ask: Ask = ANYTHING) -> Seat | None:
        if ask.conversation is None or not self._seats:
            return self._inner.pick(tried, ask)
        seed = seed_of(ask.conversation)
        steps = 0
        full: set[str] = set()
        for scope in self._scopes.draws(seed):
            if scope in full:
                continue
            full.add(scope)
            wheel = self._wheels.get(scope)
            seen: set[str] = set()
            for name in (scope,) if wheel is None else wheel.draws(seed ^ _WITHIN):
                if name in seen:
                    continue
                seen.add(name)
                seat = self._seats[name]
                if seat.index not in tried and self._has_room(seat):
                    return seat
                steps += 1
                if steps >= _STEPS or (wheel is not None and len(seen) == len(wheel)):
                    break
            if steps >= _STEPS or len(full) == len(self._scopes):
                break
        return self._inner.pick(tried, ask)

    def copy(self) -> Lineup:
        lineup = _AffinityLineup(self._inner.copy(), self._balance, self._floor)
        lineup._weight = self._weight
        lineup._seats = self._seats.copy()
        lineup._scopes = self._scopes.copy()
        lineup._totals = self._totals.copy()
        lineup._known = self._known.copy()
        lineup._wheels = {scope: wheel.copy() for scope, wheel in self._wheels.items()}
        return lineup

    def _has_room(self, seat: Seat) -> bool:
        busy = seat.in_flight
        if busy < self._floor:
            return True
        share = seat.weight / self._weight
        return busy < math.ceil(self._balance * (seat.traffic.in_flight + 1) * share)

    def _weigh(self, seat: Seat, name: str, weight: float) -> None:
        if not seat.scope:
            self._scopes.weigh(name, weight)
            return
        scope = f"scope {seat.scope}"
        wheel = self._wheels.setdefault(scope, Wheel())
        wheel.weigh(name, weight)
        if name not in self._known:
            self._known.add(name)
            self._totals[scope] = self._totals.get(scope, 0.0) + seat.weight
        # A scope keeps its weight while it has a key: if it weighed less without one, conversations would lose their
        # prompt caches that never met that key. Where the others then have too much to do, the balance sees to it.
        self._scopes.weigh(scope, self._totals[scope] if len(wheel) else 0.0)


_WITHIN = 0x9E3779B97F4A7C15  # so that the order of keys has nothing to do with the order of scopes


def _name(seat: Seat) -> str:
    return f"key {seat.alias or seat.index}"
