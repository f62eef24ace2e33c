"""What an answer means for the key it was asked with: verdicts and rate limit headers, read as `Outcome` s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from ..protocols.base import Limits
from ..universal.failure import Fault, KeyAction, Verdict
from .health import LONGEST_COOLING, Event, Outcome

__all__ = ["is_the_keys_fault", "outcome_of", "soft_rest"]


def is_the_keys_fault(verdict: Verdict) -> bool:
    """Tell whether another key could do better: the key was refused, over a rate, or out of quota."""
    return verdict.fault in (Fault.KEY, Fault.RATE, Fault.QUOTA)


def outcome_of(verdict: Verdict, *, wall: float) -> Outcome | None:
    """Tell what a verdict means for the key.

    Args:
        verdict: What follows from the failed answer.
        wall: Unix time, to read the verdict's date.

    Returns:
        The outcome, or None: whoever's fault it was, not the key's (a client's 400 must never change a key).
    """
    if not is_the_keys_fault(verdict):
        return None
    dated = None if verdict.until is None else _sane(verdict.until - wall)
    match verdict.key:
        case KeyAction.NONE:
            return None
        case KeyAction.COOL:
            hint = _sane(verdict.hint)
            return Outcome(event=Event.RATE, seconds=dated if hint is None else hint)
        case KeyAction.EXHAUST:
            # Only a date counts: beside a used up quota, retry-after tells of the rate limit and would be seconds.
            return Outcome(event=Event.QUOTA, seconds=dated)
        case KeyAction.DISABLE:
            return Outcome(event=Event.REFUSED)
        case KeyAction.BLOCK_MODEL:
            return Outcome(event=Event.FORBIDDEN)
        case _:
            assert_never(verdict.key)


def soft_rest(limits: Sequence[Limits]) -> float | None:
    """Tell how long to prefer other keys: until every limit of which nothing is left is whole again.

    Args:
        limits: What an answer's headers said.

    Returns:
        Seconds, one hour at most, or None when something is left of each limit.
    """
    if not limits:
        return None
    resets = [_sane(limit.reset_after) for limit in limits if limit.remaining is not None and limit.remaining <= 0]
    longest = max((reset for reset in resets if reset is not None), default=0.0)
    return min(longest, LONGEST_COOLING) or None


def _sane(seconds: float | None) -> float | None:
    """Hints come from afar: not a number, infinite and negative ones are none."""
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None
