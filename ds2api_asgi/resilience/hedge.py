"""When a second attempt is begun beside a slow first one; without any I/O.

An attempt that takes longer than 95 of 100 others did is more likely stuck than about to answer ("The Tail at Scale",
Dean and Barroso, 2013). Both attempts are paid for, so a hedge is an exception: there must be enough to compare with,
only a share of all requests may have one, none has while a rate limit is near, and all are paid from the same budget as
repeats (`steps.Steps.enter_beside`).

| question | where |
|---|---|
| is the request one that may be asked twice at a time? | `is_stateless` |
| after how many seconds? | `Hedging.due` |
| may there be one now? | `Hedging.may`, then `Hedging.spend` |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from ..errors import ConfigurationError
from ..protocols.base import Limits
from .pace import Pace

__all__ = ["Hedge", "Hedging", "is_stateless"]

_NEAR: Final = 0.1
"""The part of a rate limit that is left when it is near."""

_RESTING: Final = 10.0
"""Seconds without hedges after a rate limit that does not say for how long."""

_SAVED: Final = 10.0
"""Hedges that may be saved up in quiet times, so that not all of a bad minute's requests have one."""


class Hedge(Struct, frozen=True, kw_only=True):
    """Ask a second time where the first attempt is slow, and give the client what has content first.

    Attributes:
        quantile: Of a target's times to the first content: an attempt that takes longer is slow.
        least: Seconds before which no attempt is slow.
        samples: Times without which nothing is.
        share: The part of all requests that may have a second attempt.
        window: How many times are kept.
    """

    quantile: float = 0.95
    least: float = 1.0
    samples: int = 50
    share: float = 0.05
    window: int = 512

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: A quantile or share outside of 0 to 1, a negative time, no samples, or fewer kept.
        """
        for name in ("quantile", "share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigurationError(f"{name} of a hedge must be above 0 and at most 1")
        if not 0 <= self.least < math.inf:
            raise ConfigurationError("least of a hedge must be 0 seconds or more")
        if not 1 <= self.samples <= self.window:
            raise ConfigurationError("samples of a hedge must be at least 1 and at most the window")


class Hedging:
    """What one engine knows of rate limits and of the hedges it has spent.

    Args:
        hedge: The settings, checked.
    """

    __slots__ = ("_credit", "_hedge", "_resting")

    def __init__(self, hedge: Hedge) -> None:
        self._hedge = hedge
        self._credit = 0.0
        self._resting = -math.inf

    def asked(self) -> None:
        """A request has come that might have a hedge."""
        self._credit = min(_SAVED, self._credit + self._hedge.share)

    def limited(self, now: float, seconds: float | None = None) -> None:
        """A rate limit was met, or is near.

        Args:
            now: Monotonic seconds.
            seconds: For how long it holds, where that is known.
        """
        self._resting = max(self._resting, now + (_RESTING if seconds is None else min(seconds, 3600.0)))

    def stated(self, limits: Sequence[Limits], now: float) -> None:
        """What an answer's headers say of rate limits."""
        for limit in limits:
            if limit.limit and limit.remaining is not None and limit.remaining <= _NEAR * limit.limit:
                self.limited(now, limit.reset_after)

    def due(self, pace: Pace) -> float | None:
        """After how many seconds an attempt is slow; None while there is too little to compare with, or no credit.

        Args:
            pace: How fast its target answers such requests.
        """
        if self._credit < 1:
            return None
        slow = pace.quantile(self._hedge.quantile, fewest=self._hedge.samples)
        return max(self._hedge.least, slow) if slow < math.inf else None

    def may(self, now: float) -> bool:
        """Whether a hedge may begin now."""
        return self._credit >= 1 and now >= self._resting

    def spend(self) -> None:
        """A hedge has begun."""
        self._credit -= 1


class _State(Struct):
    store: Any = None
    background: Any = None
    previous_response_id: Any = None
    conversation: Any = None
    thread: Any = None
    container: Any = None


_decoder = msgspec.json.Decoder(_State)
_STORE_BY_DEFAULT: Final = frozenset({"openai-responses"})


def is_stateless(protocol: str, body: bytes) -> bool:
    """Whether a request for an answer leaves nothing behind at the provider, and needs nothing of what is there.

    Args:
        protocol: The name of its protocol.
        body: A JSON document; what is none is not known to be stateless.
    """
    try:
        state = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if state.previous_response_id or state.conversation or state.thread or state.container or state.background:
        return False
    return state.store is False or (not state.store and protocol not in _STORE_BY_DEFAULT)
