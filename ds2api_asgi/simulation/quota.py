"""How simulated providers count their limits: each in one of the ways that real ones do.

They differ where it hurts: a fixed window lets a whole minute's requests through at 14:00:59 and again at 14:01:00, a
bucket refuses the second request of the same second, and a sliding window gives back exactly what was taken a minute
ago. The pool's own windows are another code on purpose, for these are what it is measured against.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol, assert_never, cast

__all__ = ["MINUTE", "Meter", "meter"]

MINUTE = 60.0


class Meter(Protocol):
    """Counts one limit."""

    limit: float

    def wait(self, amount: float, now: float) -> float:
        """Seconds until there is room for an amount; 0.0: there is."""
        ...

    def take(self, amount: float, now: float) -> None:
        """Count an amount for which there is room."""
        ...

    def left(self, now: float) -> float:
        """What is left."""
        ...

    def reset(self, now: float) -> float:
        """Seconds until all is left again."""
        ...


class _Fixed:
    """Minutes by the clock."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._minute = -1
        self._used = 0.0

    def _turn(self, now: float) -> None:
        minute = math.floor(now / MINUTE)
        if minute != self._minute:
            self._minute, self._used = minute, 0.0

    def wait(self, amount: float, now: float) -> float:
        self._turn(now)
        return 0.0 if self._used + amount <= self.limit else self.reset(now)

    def take(self, amount: float, now: float) -> None:
        self._turn(now)
        self._used += amount

    def left(self, now: float) -> float:
        self._turn(now)
        return self.limit - self._used

    def reset(self, now: float) -> float:
        return (math.floor(now / MINUTE) + 1) * MINUTE - now


class _Sliding:
    """Any minute."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._taken: deque[tuple[float, float]] = deque()
        self._used = 0.0

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + MINUTE <= now:
            self._used -= self._taken.popleft()[1]

    def wait(self, amount: float, now: float) -> float:
        self._forget(now)
        excess = self._used + amount - self.limit
        if excess <= 0:
            return 0.0
        for when, taken in self._taken:
            excess -= taken
            if excess <= 0:
                return when + MINUTE - now
        return MINUTE

    def take(self, amount: float, now: float) -> None:
        self._forget(now)
        self._taken.append((now, amount))
        self._used += amount

    def left(self, now: float) -> float:
        self._forget(now)
        return self.limit - self._used

    def reset(self, now: float) -> float:
        self._forget(now)
        return self._taken[-1][0] + MINUTE - now if self._taken else 0.0


class _Bucket:
    """Filled up steadily; holds a tenth of a minute's."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._size = max(1.0, limit / 10)
        self._level = self._size
        self._at = 0.0

    def _fill(self, now: float) -> None:
        self._level = min(self._size, self._level + (now - self._at) * self.limit / MINUTE)
        self._at = now

    def wait(self, amount: float, now: float) -> float:
        self._fill(now)
        missing = min(amount, self._size) - self._level
        return 0.0 if missing <= 1e-9 else missing * MINUTE / self.limit

    def take(self, amount: float, now: float) -> None:
        self._fill(now)
        self._level -= amount

    def left(self, now: float) -> float:
        self._fill(now)
        return self._level

    def reset(self, now: float) -> float:
        self._fill(now)
        return (self._size - self._level) * MINUTE / self.limit


def meter(window: str, limit: float) -> Meter:
    """A meter for one limit.

    Args:
        window: As in `scenario.Provider.window`.
        limit: A minute.
    """
    match window:
        case "fixed":
            return _Fixed(limit)
        case "sliding":
            return _Sliding(limit)
        case "bucket":
            return _Bucket(limit)
        case _:
            assert_never(cast("None", window))  # type: ignore[arg-type]
