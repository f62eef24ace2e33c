"""The last minutes in steps: `Series`, how many requests ended, how long they took, and what they said.

Durations are counted in classes, each 8 % wider than the last, so that a percentile is told within 4 % and a step never
takes more memory than there are classes, however many requests there were.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from ..errors import ConfigurationError

__all__ = ["Point", "Series", "Step"]

_SHORTEST: Final = 0.001  # seconds; what is shorter is told as this
_RATIO: Final = 1.08
_LAST: Final = 196  # an hour


class Point(Struct, frozen=True, kw_only=True):
    """One step.

    Attributes:
        at: Unix time of its beginning.
        requests: How many ended in it.
        failed: How many of these did not end as they should.
        p50: Seconds that half of those took at most which ended well; None: there are none.
        p95: Likewise, of 95 of 100.
        first_p50: Seconds to the first content of half of the streams.
        output: Tokens that were answered.
    """

    at: float
    requests: int = 0
    failed: int = 0
    p50: float | None = None
    p95: float | None = None
    first_p50: float | None = None
    output: int = 0


class Step(Struct):
    """What one step counts: what several processes counted can be added up, for durations are counted in classes.

    Attributes:
        number: Which step since 1970.
        requests: As in `Point`; likewise those that are called alike.
        took: How many took so long, by class.
        first: How many had their first content after so long, by class.
    """

    number: int
    requests: int = 0
    failed: int = 0
    output: int = 0
    took: dict[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)


class Series:
    """Counts requests by the step in which they ended.

    Args:
        step: Seconds.
        steps: How many are kept.

    Raises:
        ConfigurationError: A step that is not above 0, or less than one of them.
    """

    def __init__(self, *, step: float = 5.0, steps: int = 120) -> None:
        if not (0 < step < math.inf) or steps < 1:
            raise ConfigurationError("a series has a step above 0 seconds, and one step at least")
        self.step = step
        self._steps = steps
        self._kept: deque[Step] = deque(maxlen=steps)

    def add(
        self, now: float, *, took: float | None, failed: bool = False, first: float | None = None, output: int = 0
    ) -> None:
        """A request ended.

        Args:
            now: Unix time; a clock that goes back stands still here.
            took: Seconds; None: how long it took says nothing.
            failed: Whether it did not end as it should; how long it took is not counted then.
            first: Seconds to its first content, of streams.
            output: Tokens of the answer.
        """
        number = math.floor(now / self.step)
        if not self._kept or self._kept[-1].number < number:
            self._kept.append(Step(number))
        step = self._kept[-1]
        step.requests += 1
        step.failed += failed
        step.output += output
        if took is not None and not failed:
            _count(step.took, took)
        if first is not None:
            _count(step.first, first)

    def steps(self) -> list[Step]:
        """What was counted, oldest first; nothing may be changed in it."""
        return list(self._kept)

    def points(self, now: float, others: Iterable[Step] = ()) -> list[Point]:
        """Every step up to now, oldest first; steps without requests are among them.

        Args:
            now: Unix time.
            others: What other series of such steps counted.
        """
        last = math.floor(now / self.step)
        if self._kept:
            last = max(last, self._kept[-1].number)
        found = {step.number: step for step in self._kept}
        for step in others:
            known = found.get(step.number)
            found[step.number] = step if known is None else _together(known, step)
        return [self._point(number, found.get(number)) for number in range(last - self._steps + 1, last + 1)]

    def _point(self, number: int, step: Step | None) -> Point:
        at = round(number * self.step, 3)
        if step is None:
            return Point(at=at)
        return Point(
            at=at,
            requests=step.requests,
            failed=step.failed,
            p50=_percentile(step.took, 0.5),
            p95=_percentile(step.took, 0.95),
            first_p50=_percentile(step.first, 0.5),
            output=step.output,
        )


def _together(one: Step, two: Step) -> Step:
    return Step(
        number=one.number,
        requests=one.requests + two.requests,
        failed=one.failed + two.failed,
        output=one.output + two.output,
        took=dict(Counter(one.took) + Counter(two.took)),
        first=dict(Counter(one.first) + Counter(two.first)),
    )


def _count(classes: dict[int, int], seconds: float) -> None:
    number = 0
    if seconds > _SHORTEST:
        number = min(_LAST, math.ceil(math.log(seconds / _SHORTEST, _RATIO)))
    classes[number] = classes.get(number, 0) + 1


def _percentile(classes: dict[int, int], share: float) -> float | None:
    """The middle of the class in which the smallest value lies that so large a share does not exceed."""
    if not classes:
        return None
    rank = math.ceil(share * sum(classes.values()))
    for number, count in sorted(classes.items()):
        rank -= count
        if rank <= 0:
            return _middle(number)
    raise AssertionError("unreachable")


def _middle(number: int) -> float:
    return _SHORTEST if number == 0 else round(_SHORTEST * _RATIO ** (number - 0.5), 6)
