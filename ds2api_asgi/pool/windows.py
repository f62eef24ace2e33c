"""Sliding windows: how much of a limit was used in the last minute or day.

A window counts in parts of equal length and forgets a part as a whole, once all of it lies further back than the
window is long. So it may say "full" by at most one part too long, and never lets more than its limit through in any
stretch of its length; a token bucket, which has room for a burst on top of its rate, would let through up to twice as
much. What was taken can be corrected while it is remembered, since tokens are known only after they were spent.

Synchronous and without a clock; the Redis store does the same in Lua.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

__all__ = ["PARTS", "Window"]

PARTS = 60
"""Parts of a window: seconds of a minute, 24 minutes of a day."""


class Window:
    """How much of one limit is used.

    Args:
        limit: What may be taken in `seconds`.
        seconds: The window's length.

    Attributes:
        used: What of the limit is taken at the moment of the last call.
    """

    __slots__ = ("_length", "_parts", "limit", "seconds", "used")

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.used = 0.0
        self._length = seconds / PARTS
        self._parts: deque[list[float]] = deque()  # [number of the part, what was taken in it], oldest first

    def ready_at(self, amount: float, now: float) -> float:
        """When there is room for an amount: `now`, or the moment at which enough is forgotten.

        An amount over the limit has room once the window is empty: it could never pass otherwise, and whether it may
        is for the provider to say.

        Args:
            amount: Requests or tokens.
            now: Seconds of any clock that never goes back.
        """
        self._forget(now)
        excess = self.used + min(amount, self.limit) - self.limit
        if excess <= 0:
            return now
        for number, taken in self._parts:
            excess -= taken
            if excess <= 0:
                return self._forgotten_at(number)
        return now  # only by rounding: nothing is left to forget

    def standing(self, now: float) -> tuple[float, float | None]:
        """What is left of the limit now, and the seconds until all of it is; None: all of it is left.

        Args:
            now: Seconds of the same clock.
        """
        self._forget(now)
        if not self.used:
            return self.limit, None
        return max(0.0, self.limit - self.used), max(0.0, self._forgotten_at(self._parts[-1][0]) - now)

    def take(self, amount: float, now: float) -> int:
        """Count an amount, whether there is room for it or not.

        Returns:
            The number of the part that it is counted in, for `correct`.
        """
        self._forget(now)
        number = math.floor(now / self._length)
        if not self._parts or self._parts[-1][0] < number:
            self._parts.append([number, 0.0])
        self._parts[-1][1] += amount
        self.used += amount
        return int(self._parts[-1][0])

    def correct(self, number: int, difference: float) -> None:
        """Change what was taken; nothing happens when it is forgotten already.

        Args:
            number: As `take` returned it.
            difference: What is added; below 0 for what was taken too much.
        """
        for part in self._parts:
            if part[0] == number:
                difference = max(difference, -part[1])
                part[1] += difference
                self.used += difference
                return

    def parts(self) -> list[tuple[int, float]]:
        """Numbers of parts, and what was taken in them, oldest first: what `recall` takes."""
        return [(int(number), taken) for number, taken in self._parts]

    def recall(self, parts: Iterable[tuple[int, float]]) -> None:
        """Let it be as it was elsewhere.

        Args:
            parts: Numbers of parts, and what was taken in them, oldest first.
        """
        self._parts = deque([number, taken] for number, taken in parts)
        self.used = sum(taken for _, taken in self._parts)

    def _forgotten_at(self, number: float) -> float:
        return (number + 1) * self._length + self.seconds

    def _forget(self, now: float) -> None:
        while self._parts and self._forgotten_at(self._parts[0][0]) <= now:
            self.used -= self._parts.popleft()[1]
        if not self._parts:
            self.used = 0.0  # what rounding left
