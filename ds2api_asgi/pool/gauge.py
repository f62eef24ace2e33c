"""Gauges: how much of the configured limits of a quota scope, or of one of its models, is used.

A gauge reserves what a request may cost before it goes up, and is corrected to what it did cost once that is known.
So no limit is exceeded by requests that run at the same time, and a guess that was too high keeps nobody away for long.

Synchronous and without a clock, as `windows`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from .keys import Key
from .limits import NO_LIMITS, RateLimits
from .windows import Window

__all__ = ["NOTHING_SENT", "RESERVED", "Gauge", "Gauges", "Spent", "Taken", "gauges_of"]

_MINUTE, _DAY = 60.0, 86_400.0
_PERIODS = {_MINUTE: "m", _DAY: "d"}


class Spent(Struct, frozen=True, kw_only=True, gc=False):
    """What a lease turned out to cost, said when it is released.

    Attributes:
        tokens: What the answer says of request and answer together; 0: it was refused; None: nobody knows, so what was
            reserved for it stays charged.
        called: Whether an upstream may have counted the request. If not, nothing of it is charged.
    """

    tokens: int | None = None
    called: bool = True


RESERVED = Spent()
"""Nobody knows: what was reserved stays charged."""

NOTHING_SENT = Spent(tokens=0, called=False)
"""No upstream was called."""


class Gauge:
    """How much of one `RateLimits` is used.

    Args:
        limits: What is allowed.

    Attributes:
        in_flight: Requests that run now.
        closed: Whether a window was full when it was looked at last; reopened by its owner, in time.
        wake: When its owner will look again; ``inf``: nothing is planned.
    """

    __slots__ = ("_most", "_requests", "_tokens", "closed", "in_flight", "wake")

    def __init__(self, limits: RateLimits) -> None:
        self._most = math.inf if limits.concurrency is None else limits.concurrency
        self._requests = _windows(limits.rpm, limits.rpd)
        self._tokens = _windows(limits.tpm, limits.tpd)
        self.in_flight = 0
        self.closed = False
        self.wake = math.inf

    @property
    def counts_tokens(self) -> bool:
        """Whether one of its limits is of tokens."""
        return bool(self._tokens)

    @property
    def is_full(self) -> bool:
        """Whether not even the smallest request has room."""
        return self.closed or self.in_flight >= self._most

    def ready_at(self, tokens: int, now: float) -> float:
        """When every window has room for one more request of so many tokens; `now`: at once."""
        ready = now
        for window in self._requests:
            ready = max(ready, window.ready_at(1, now))
        for window in self._tokens:
            ready = max(ready, window.ready_at(max(tokens, 1), now))
        return ready

    def take(self, tokens: int, now: float) -> tuple[int, ...]:
        """Reserve a request of so many tokens.

        Returns:
            The parts of the windows that it is counted in, for `give_back`.
        """
        self.in_flight += 1
        parts = [window.take(1, now) for window in self._requests]
        parts += [window.take(tokens, now) for window in self._tokens]
        return tuple(parts)

    def charge(self, tokens: int, now: float) -> None:
        """Count tokens that a lease has spent while it lasts, whether there is room for them or not."""
        for window in self._tokens:
            window.take(tokens, now)

    def give_back(self, parts: Sequence[int], *, tokens: int, spent: Spent) -> None:
        """Correct what was reserved to what was spent.

        Args:
            parts: As `take` returned them.
            tokens: What was reserved.
            spent: What it cost.
        """
        self.in_flight -= 1
        for window, part, difference in zip(self.windows, parts, self.differences(tokens, spent), strict=True):
            if difference:
                window.correct(part, difference)

    @property
    def token_windows(self) -> int:
        """How many of its windows are of tokens."""
        return len(self._tokens)

    @property
    def most(self) -> float:
        """How many requests may run at a time."""
        return self._most

    @property
    def windows(self) -> tuple[Window, ...]:
        """Those of requests, then those of tokens: the order of `take`."""
        return (*self._requests, *self._tokens)

    def standing(self, now: float) -> list[tuple[str, float, float, float | None]]:
        """What is left: of each limit its name in `RateLimits`, the limit, the rest, and `Window.standing`'s time."""
        told: list[tuple[str, float, float, float | None]] = [
            (f"{what}p{_PERIODS[window.seconds]}", window.limit, *window.standing(now))
            for what, windows in (("r", self._requests), ("t", self._tokens))
            for window in windows
        ]
        if self._most < math.inf:
            told.append(("concurrency", self._most, max(0.0, self._most - self.in_flight), None))
        return told

    def amounts(self, tokens: int) -> tuple[int, ...]:
        """What a request of so many tokens takes of each window."""
        return (*(1 for _ in self._requests), *(tokens for _ in self._tokens))

    def differences(self, tokens: int, spent: Spent) -> tuple[int, ...]:
        """By how much each window is to be corrected.

        Args:
            tokens: What was reserved.
            spent: What it cost.
        """
        cost = spent.tokens if spent.called else 0
        difference = 0 if cost is None else cost - tokens
        return (*(0 if spent.called else -1 for _ in self._requests), *(difference for _ in self._tokens))


Gauges: TypeAlias = dict[tuple[int, str | None], Gauge]
"""By owner (the number of a quota scope) and model; None: whatever the model."""

Taken: TypeAlias = tuple[tuple[tuple[int, str | None], tuple[int, ...]], ...]
"""What a lease reserved: of which gauge, in which parts of its windows."""


def gauges_of(keys: Sequence[Key], scopes: Iterable[int]) -> Gauges:
    """The gauges that keys need; of keys without limits none.

    Args:
        keys: Checked keys.
        scopes: The number of each key's quota scope.
    """
    gauges: Gauges = {}
    for key, owner in zip(keys, scopes, strict=True):
        stated: list[tuple[str | None, RateLimits]] = [(None, key.limits), *key.model_limits.items()]
        for model, limits in stated:
            if limits != NO_LIMITS and (owner, model) not in gauges:
                gauges[owner, model] = Gauge(limits)
    return gauges


def _windows(per_minute: float | None, per_day: float | None) -> list[Window]:
    pairs = ((per_minute, _MINUTE), (per_day, _DAY))
    return [Window(limit, seconds) for limit, seconds in pairs if limit is not None]
