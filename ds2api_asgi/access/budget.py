"""Budgets: how much may be used in a period, whatever the pace.

Unlike a rate, a budget is whole again at the beginning of the next period and not a moment earlier. Periods begin at
multiples of their length since 1970 in UTC: those of 86,400 seconds at midnight.

Pure, like `gcra`, with the same words; the Redis store does the same in Lua.
"""

from __future__ import annotations

import math

from .gcra import Allowed, Denied

__all__ = ["Budget"]


class Budget:
    """One budget of one client.

    Args:
        amount: What may be used in a period; above 0.
        period: Seconds; above 0.
        now: Unix time.

    Attributes:
        used: What is used in the period.
        begun: When the period began.

    Raises:
        ValueError: A number that is NaN, infinite or below 0.
    """

    __slots__ = ("amount", "begun", "period", "used")

    def __init__(self, *, amount: float, period: float, now: float = 0.0) -> None:
        if not (math.isfinite(amount) and amount > 0 and math.isfinite(period) and period > 0):
            raise ValueError("an amount and a period are finite and above 0")
        self.amount = amount
        self.period = period
        self.used = 0.0
        self.begun = self._beginning(now)

    def take(self, cost: float, now: float) -> Allowed | Denied:
        """Take an amount if there is room for it; 0 asks how things stand."""
        _check(cost)
        self._turn(now)
        reset = max(0.0, self.begun + self.period - now)
        left = max(0.0, self.amount - self.used)
        if cost and not (self.used + cost <= self.amount):
            return Denied(math.inf if cost > self.amount else reset, left, reset)
        self.used += cost
        return Allowed(left - cost, reset)

    def refund(self, cost: float, now: float, *, taken: float | None = None) -> None:
        """Give an amount back.

        Args:
            cost: What was not used.
            now: Unix time.
            taken: When it was taken: what was taken in another period is not given back to this one.
        """
        _check(cost)
        self._turn(now)
        if taken is None or self._beginning(taken) >= self.begun:
            self.used = max(0.0, self.used - cost)

    def charge(self, cost: float, now: float) -> None:
        """Count an amount that was used, whether there was room for it or not."""
        _check(cost)
        self._turn(now)
        self.used += cost

    def idle(self, now: float) -> bool:
        """Whether nothing is used, so that a new state would say the same."""
        self._turn(now)
        return not self.used

    def _turn(self, now: float) -> None:
        begun = self._beginning(now)
        if begun > self.begun:  # a clock that goes back gives nothing back
            self.begun, self.used = begun, 0.0

    def _beginning(self, now: float) -> float:
        if not math.isfinite(now):
            raise ValueError("a time is finite")
        return math.floor(now / self.period) * self.period


def _check(cost: float) -> None:
    if not (math.isfinite(cost) and cost >= 0):
        raise ValueError("a cost is finite and not below 0")
