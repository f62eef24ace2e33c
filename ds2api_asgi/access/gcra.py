"""The generic cell rate algorithm, with refunds: how much of a rate is used, in one number.

The number (ITU-T I.371 calls it the theoretical arrival time) is when all that was taken will have been earned at the
steady rate. It may lie ahead of now by as long as a full burst takes to be earned.

```
        now                          tat        now + burst/rate
  -------|============================|----------------|------>
          what is taken and not earned  what is left
```

Never more than ``burst + rate * t`` is taken in any stretch of t seconds. A refund moves the number back; one that
comes when all has been earned already gives nothing, for nothing is saved up beyond a burst. Charging what was spent
without asking may move it past the burst: that debt is earned before anything else can be taken.

Pure: the state goes in and comes out, and the time is told. The Redis store does the same in Lua.
"""

from __future__ import annotations

import math

from msgspec import Struct

__all__ = ["Allowed", "Denied", "Gcra"]


class Allowed(Struct, frozen=True, gc=False):
    """It was taken.

    Attributes:
        remaining: What could be taken besides, at once.
        reset: Seconds until nothing of the burst is used any more.
    """

    remaining: float
    reset: float


class Denied(Struct, frozen=True, gc=False):
    """It was not taken, and nothing was changed.

    Attributes:
        retry_after: Seconds until the same could be taken; ``inf`` when it is more than the burst, so that waiting
            never helps.
        remaining: What could be taken now.
        reset: Seconds until nothing of the burst is used any more.
    """

    retry_after: float
    remaining: float
    reset: float


class Gcra:
    """One limit on one client.

    Args:
        rate: What is earned in a second; above 0.
        burst: What may be taken at once; above 0.
        now: Seconds of any clock.

    Attributes:
        tat: The one number: when all that was taken will have been earned, in seconds of that clock.

    Raises:
        ValueError: A rate, burst or cost that is NaN, infinite or below 0 (below or at 0 for rate and burst).
    """

    __slots__ = ("_now", "burst", "rate", "tat")

    def __init__(self, *, rate: float, burst: float, now: float = 0.0) -> None:
        if not (math.isfinite(rate) and rate > 0 and math.isfinite(burst) and burst > 0):
            raise ValueError("a rate and a burst are finite and above 0")
        self.rate = rate
        self.burst = burst
        self.tat = now
        self._now = now

    def take(self, cost: float, now: float) -> Allowed | Denied:
        """Take an amount if there is room for it.

        Args:
            cost: Of the limit's unit: requests or tokens; 0 asks how things stand.
            now: Seconds; a clock that goes back stands still here.
        """
        cost = _amount(cost)
        now = self._time(now)
        tat = max(self.tat, now)
        after = tat + cost / self.rate
        wait = after - now - self.burst / self.rate
        # A rounding error of the clock (1e-7 s at Unix times) must not deny what has just been earned.
        if cost > self.burst or (cost and wait > 1e-6):
            left, reset = self._standing(tat, now)
            return Denied(math.inf if cost > self.burst else wait, left, reset)
        self.tat = after
        return Allowed(*self._standing(after, now))

    def refund(self, cost: float, now: float) -> None:
        """Give an amount back that was taken and not used."""
        self._time(now)
        self.tat -= _amount(cost) / self.rate

    def charge(self, cost: float, now: float) -> None:
        """Count an amount that was used, whether there was room for it or not."""
        self.tat = max(self.tat, self._time(now)) + _amount(cost) / self.rate

    def idle(self, now: float) -> bool:
        """Whether all has been earned, so that a new state would say the same."""
        return self.tat <= self._time(now)

    def _standing(self, tat: float, now: float) -> tuple[float, float]:
        used = max(0.0, tat - now)
        return max(0.0, self.burst - used * self.rate), used

    def _time(self, now: float) -> float:
        if not math.isfinite(now):
            raise ValueError("a time is finite")
        self._now = max(self._now, now)
        return self._now


def _amount(cost: float) -> float:
    if not (math.isfinite(cost) and cost >= 0):
        raise ValueError("a cost is finite and not below 0")
    return cost
