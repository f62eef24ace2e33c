"""What an answer means for the key it was asked with: verdicts and rate limit headers, read as `Outcome` s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from ..protocols.base import Limits
from ..universal.failure import Fault, KeyAction, Verdict
from .health import LONGEST_COOLING, Event, Outcome

__all__ = ["SERVED", "is_the_keys_fault", "outcome_of", "served_of", "told_of"]


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


SERVED = Outcome(event=Event.SERVED)
"""A success of which the provider said nothing more, or that there is plenty left."""


def served_of(limits: Sequence[Limits], *, tokens: float, latency: float | None = None) -> Outcome:
    """Tell what a successful answer's rate limit headers mean for the key.

    Args:
        limits: What the headers said.
        tokens: How many tokens the next request may cost.
        latency: Seconds until content came, where somebody measured.

    Returns:
        The outcome.
    """
    if not limits and latency is None:
        return SERVED
    soft, left = _little(limits, tokens)
    if soft is None and left is None and latency is None:
        return SERVED
    return Outcome(event=Event.SERVED, soft=soft, left=left, latency=latency)


def told_of(limits: Sequence[Limits], *, tokens: float) -> Outcome | None:
    """Tell what the rate limit headers of an answer mean that is no success, and not the key's fault.

    Args:
        limits: What the headers said.
        tokens: How many tokens the next request may cost.

    Returns:
        The outcome, or None: they said nothing.
    """
    soft, left = _little(limits, tokens)
    return None if soft is None and left is None else Outcome(event=Event.TOLD, soft=soft, left=left)


def _little(limits: Sequence[Limits], tokens: float) -> tuple[float | None, tuple[float, float] | None]:
    """Read `Outcome.soft` and `Outcome.left` off the limits.

    A limit of tokens that has no room for one request more is spared until its reset. Whether few requests are left
    depends on how many are on their way, which only the store knows, so that goes into `Outcome.left`.
    """
    soft: float = 0.0
    left: tuple[float, float] | None = None
    for limit in limits:
        reset = _sane(limit.reset_after)
        if limit.remaining is None or reset is None:
            continue
        reset = min(reset, LONGEST_COOLING)
        if limit.dimension == "requests":
            left = limit.remaining, reset
        if limit.remaining <= (tokens if limit.dimension.endswith("tokens") else 0):
            soft = max(soft, reset)
    return soft or None, left


def _sane(seconds: float | None) -> float | None:
    """Hints come from afar: not a number, infinite and negative ones are none."""
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None
