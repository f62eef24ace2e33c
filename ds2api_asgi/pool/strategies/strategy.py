"""The interface of strategies, and what they know of keys.

A `Strategy` makes `Lineup` s; a lineup holds the keys (`Seat` s) that may be used at the moment and picks one. Pools
keep one lineup for each standing, tier and model, add and discard keys as their health changes, and so a pick never
looks at keys that rest: it costs O(log n) at most, and one step more for each key that was tried before.
"""

from __future__ import annotations

import math
from collections.abc import Container
from random import Random
from typing import Protocol

from msgspec import Struct, field

from ..ask import ANYTHING, Ask

__all__ = ["MEMORY", "Lineup", "Seat", "Strategy", "Traffic"]

MEMORY = 10.0
"""Seconds in which what is known of a key's latency loses two thirds of its worth; the decay of Finagle's peak EWMA."""


class Traffic(Struct, gc=False):
    """What all keys of a pool have in common.

    Attributes:
        in_flight: Requests that use any of them now.
        now: The store's monotonic clock, in seconds, when it was read last.
    """

    in_flight: int = 0
    now: float = 0.0


class Seat(Struct, kw_only=True, eq=False):
    """What a strategy may know of a key.

    Attributes:
        index: Its position in the pool; the last tie-break.
        weight: Its share compared with the others'.
        in_flight: Requests that use it now; the pool counts them.
        alias: What it is called; the same in every process, and after keys before it were taken out.
        scope: Its quota scope, within which providers share prompt caches; ``""``: it is alone.
        priority: Its tier; a lineup holds seats of one tier only.
        latency: Seconds that it takes until content comes, lately; 0: it has not answered yet.
        timed: When `latency` was measured, on the clock of `traffic`.
        traffic: What it shares with the pool's other keys.
    """

    index: int
    weight: float = 1.0
    in_flight: int = 0
    alias: str = ""
    scope: str = ""
    priority: int = 0
    latency: float = 0.0
    timed: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)

    def take(self) -> None:
        """One more request uses it."""
        self.in_flight += 1
        self.traffic.in_flight += 1

    def free(self) -> None:
        """One request less uses it."""
        self.in_flight -= 1
        self.traffic.in_flight -= 1

    def time(self, seconds: float) -> None:
        """Content came after so many seconds: worse news counts at once, better news in the course of `MEMORY`."""
        now = self.traffic.now
        if seconds < self.latency:
            kept = math.exp((self.timed - now) / MEMORY)
            seconds = self.latency * kept + seconds * (1 - kept)
        self.latency = seconds
        self.timed = now


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
    """Makes lineups. Strategies hold settings only, so that one object may serve many pools.

    One that looks at `Ask.conversation` says so by an attribute ``wants_conversation = True``, one that looks at
    `Seat.latency` by ``wants_latency = True``; pools look for neither otherwise. A whole one of your own, which
    uses the key that was used longest ago:

        class Rested:
            def lineup(self, rng):
                return RestedLineup()

        class RestedLineup:
            def __init__(self, seats=()):
                self.seats = dict(seats)  # kept in the order of their last use

            def add(self, seat):
                self.seats[seat.index] = seat

            def discard(self, seat):
                self.seats.pop(seat.index, None)

            def pick(self, tried, ask=ANYTHING):
                for index, seat in self.seats.items():
                    if index not in tried:
                        self.seats[index] = self.seats.pop(index)  # to the end
                        return seat
                return None

            def copy(self):
                return RestedLineup(self.seats)

        KeyPool(app, protocol="anthropic", keys=keys, strategy=Rested())
    """

    def lineup(self, rng: Random) -> Lineup:
        """An empty lineup.

        Args:
            rng: Where its chance comes from.
        """
        ...
