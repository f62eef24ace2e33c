"""What scenario files write as text: durations, times of day, and quantities that vary."""

from __future__ import annotations

import math
import re
from random import Random
from typing import Any

__all__ = ["DayTime", "Moment", "Quantity", "Seconds", "decode_unit"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")


class Seconds(float):
    """A duration: ``"250ms"``, ``"30s"``, ``"1h30m"``, or a number of seconds."""

    __slots__ = ()

    @classmethod
    def decode(cls, given: object) -> Seconds:
        """Read it.

        Raises:
            ValueError: It is none.
        """
        if isinstance(given, str):
            parts = _PART.findall(given)
            if parts and "".join(number + unit for number, unit in parts) == given:
                return cls(sum(float(number) * _UNITS[unit] for number, unit in parts))
        elif isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < math.inf:
            return cls(given)
        raise ValueError(f'expected a duration such as "30s", "250ms" or "1h30m", got {given!r}')


class DayTime(float):
    """A time of day, in seconds since midnight: ``"14:00"`` or ``"14:00:30"``."""

    __slots__ = ()

    @classmethod
    def decode(cls, given: object) -> DayTime:
        """Read it.

        Raises:
            ValueError: It is none.
        """
        found = _CLOCK.fullmatch(given) if isinstance(given, str) else None
        if found is not None:
            hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
            if hours < 24 and minutes < 60 and seconds < 60:
                return cls(hours * 3600 + minutes * 60 + seconds)
        raise ValueError(f'expected a time of day such as "14:00", got {given!r}')


class Moment:
    """A moment of the simulation: a time of day, or a duration since its start.

    Args:
        seconds: Since midnight, or since the start.
        of_day: Which of both.
    """

    __slots__ = ("_of_day", "_seconds")

    def __init__(self, seconds: float, *, of_day: bool) -> None:
        self._seconds = seconds
        self._of_day = of_day

    @classmethod
    def decode(cls, given: object) -> Moment:
        """Read it.

        Raises:
            ValueError: It is neither.
        """
        if isinstance(given, str) and ":" in given:
            return cls(DayTime.decode(given), of_day=True)
        return cls(Seconds.decode(given), of_day=False)

    def since(self, start: float) -> float:
        """Seconds since the simulation's start; a time of day before it is the next day's.

        Args:
            start: When it starts, in seconds since midnight.
        """
        return (self._seconds - start) % 86_400.0 if self._of_day else self._seconds


class Quantity:
    """A number that may vary from one time to the next.

    ::

        first_token = "400ms"                          # always
        first_token = { median = "400ms", spread = 0.5 }   # lognormal; two thirds within a factor of e ** spread
        prompt_tokens = { low = 50, high = 2000 }      # anything between, each alike

    Args:
        low: The constant, the median, or the lower end.
        high: The upper end; None: there are no ends.
        spread: The standard deviation of the logarithm.
    """

    __slots__ = ("_high", "_low", "_spread")

    def __init__(self, low: float, *, high: float | None = None, spread: float = 0.0) -> None:
        self._low = low
        self._high = high
        self._spread = spread

    @classmethod
    def decode(cls, given: object) -> Quantity:
        """Read it.

        Raises:
            ValueError: It is no number, duration, or table with ``median`` and ``spread`` or ``low`` and ``high``.
        """
        if not isinstance(given, dict):
            return cls(Seconds.decode(given))
        match sorted(given):
            case ["median"] | ["median", "spread"]:
                spread = given.get("spread", 0.0)
                if not isinstance(spread, int | float) or not 0 <= spread <= 4:
                    raise ValueError(f"spread is a number from 0 to 4, not {spread!r}")
                return cls(Seconds.decode(given["median"]), spread=float(spread))
            case ["high", "low"]:
                low, high = Seconds.decode(given["low"]), Seconds.decode(given["high"])
                if low > high:
                    raise ValueError("low is above high")
                return cls(low, high=high)
            case keys:
                raise ValueError(f"a quantity has median and spread, or low and high, not {', '.join(keys) or 'none'}")

    def draw(self, rng: Random) -> float:
        """One of its values."""
        if self._high is not None:
            return rng.uniform(self._low, self._high)
        return self._low * math.exp(self._spread * rng.gauss(0.0, 1.0)) if self._spread else self._low


def decode_unit(kind: type, given: Any) -> Any:
    """The hook of `msgspec.convert` for the types above.

    Raises:
        ValueError: It is not of that kind.
    """
    if kind in (Seconds, DayTime, Moment, Quantity):
        return kind.decode(given)
    raise NotImplementedError(kind)  # what msgspec asks a hook to raise for a type that it does not know
