"""How fast a target answers: one estimate for all who ask.

Whoever repeats asks whether there is time (`Pace.half`), a hedge when an attempt is slow (`Pace.quantile`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ["SAMPLES", "Pace"]

SAMPLES: Final = 64
"""Times that are remembered, where nobody needs more."""

_FEWEST: Final = 8
_EVERY: Final = 16
"""So many new times, and the quantile is looked up again: sorting costs as much as a small request."""


class Pace:
    """The last times to the first content of a stream, or to the end of anything else.

    Args:
        samples: How many are remembered.
    """

    __slots__ = ("_new", "_quantile", "_times")

    def __init__(self, samples: int = SAMPLES) -> None:
        self._times: deque[float] = deque(maxlen=samples)
        self._new = 0
        self._quantile = math.inf

    def learn(self, seconds: float) -> None:
        """An attempt took so long."""
        self._times.append(seconds)
        self._new += 1

    def half(self) -> float:
        """Seconds that half of the attempts took at most; 0 while there are too few to tell."""
        times = self._times
        return sorted(times)[len(times) // 2] if len(times) >= _FEWEST else 0.0

    def quantile(self, part: float, *, fewest: int) -> float:
        """Seconds that a part of the attempts took at most.

        Args:
            part: Above 0 and at most 1; of one `Pace` always the same, for the answer is kept for a while.
            fewest: Times without which there is nothing to tell; then it is infinite.
        """
        if len(self._times) < fewest:
            return math.inf
        if self._quantile == math.inf or self._new >= _EVERY:
            self._new = 0
            self._quantile = sorted(self._times)[math.ceil(part * len(self._times)) - 1]
        return self._quantile
