"""What a pool tells about itself: why no key could be had (`Empty`), and how each key is (`KeyReport`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from .health import KeyState, Lane
from .roster import Roster

__all__ = ["Empty", "EmptyReason", "KeyReport", "survey", "why_empty"]

_SOON = 1.0  # seconds; for a key that waits for another request to end, nobody knows better


class EmptyReason(StrEnum):
    """Why no key could be had: the least bad of all keys' reasons."""

    TRIED = "tried"  # keys are usable, but each has failed for this request
    BUSY = "busy"  # as many requests as allowed use them, or one probes
    COOLING = "cooling"
    EXHAUSTED = "exhausted"
    BLOCKED = "blocked"  # for this model
    DISABLED = "disabled"


class Empty(Struct, frozen=True, kw_only=True):
    """No key could be had.

    Attributes:
        reason: Why.
        retry_after: Seconds until the first key may be usable, or None when none will be by itself.
    """

    reason: EmptyReason
    retry_after: float | None = None


class KeyReport(Struct, frozen=True, kw_only=True):
    """How a key is; never the key.

    Attributes:
        alias: What it is called.
        state: The worst of all its states, for whatever model.
        until: Seconds until that state's rest ends; None when it does not rest, or rests until an operator acts.
        models: For each model with a state of its own: that state, and seconds until its rest ends or None.
        in_flight: Requests that use it now.
        leased: How often it was leased.
        served: How many of these were answered successfully.
        failed: How many of these failed by the key's fault.
    """

    alias: str
    state: KeyState
    until: float | None
    models: dict[str, tuple[KeyState, float | None]]
    in_flight: int
    leased: int
    served: int
    failed: int


_ORDER = tuple(KeyState)
_REASON_OF_STATE = {
    KeyState.ACTIVE: EmptyReason.BUSY,  # all that can keep an active key from being picked
    KeyState.HALF_OPEN: EmptyReason.BUSY,
    KeyState.COOLING: EmptyReason.COOLING,
    KeyState.EXHAUSTED: EmptyReason.EXHAUSTED,
    KeyState.BLOCKED: EmptyReason.BLOCKED,
    KeyState.DISABLED: EmptyReason.DISABLED,
}
_REASONS = tuple(EmptyReason)


def why_empty(roster: Roster, model: str | None, *, now: float) -> Empty:
    """Tell why no key could be had; looks at every key.

    Args:
        roster: A roster in which no key can be used for the model.
        model: What was asked for.
        now: Seconds of the roster's monotonic clock.
    """
    reason, soonest = EmptyReason.DISABLED, math.inf
    for seat in roster.seats:
        if not roster.is_allowed(seat.index, model):
            found, ready = EmptyReason.BLOCKED, math.inf
        else:
            found, ready = _obstacle(roster, seat.index, model, now)
        reason = min(reason, found, key=_REASONS.index)
        soonest = min(soonest, ready)
    return Empty(reason=reason, retry_after=None if soonest == math.inf else max(soonest - now, 0.0))


def _obstacle(roster: Roster, index: int, model: str | None, now: float) -> tuple[EmptyReason, float]:
    """What keeps a key from being used, and when that ends."""
    lanes = list(roster.lanes_of(index, model))
    worst = max((lane.state for lane in lanes), key=_ORDER.index, default=KeyState.ACTIVE)
    ready = max((lane.until for lane in lanes if lane.state.resting), default=now + _SOON)
    # A disabled key is probed after a day, but nobody shall be told to wait for that.
    return _REASON_OF_STATE[worst], math.inf if worst is KeyState.DISABLED else ready


def survey(roster: Roster, aliases: Sequence[str], counts: Sequence[Sequence[int]], now: float) -> list[KeyReport]:
    """Describe every key, in the pool's order.

    Args:
        roster: The keys' health.
        aliases: What the keys are called.
        counts: For each key how often it was leased, served and failed.
        now: Seconds of the roster's monotonic clock.
    """
    models = list(roster.models())
    reports = []
    for seat, alias, (leased, served, failed) in zip(roster.seats, aliases, counts, strict=True):
        own: dict[str, tuple[KeyState, float | None]] = {}
        for model, lanes in models:
            found = [lanes[owner] for owner in (seat.index, roster.scope_of(seat.index)) if owner in lanes]
            state, until = _worst(found, now)
            if state is not KeyState.ACTIVE:
                own[model] = (state, until)
        state, until = max(
            [_worst(list(roster.lanes_of(seat.index, None)), now), *own.values()],
            key=lambda pair: _ORDER.index(pair[0]),
        )
        reports.append(
            KeyReport(
                alias=alias, state=state, until=until, models=own, in_flight=seat.in_flight, leased=leased,
                served=served, failed=failed,
            )
        )  # fmt: skip
    return reports


def _worst(lanes: Sequence[Lane], now: float) -> tuple[KeyState, float | None]:
    state = max((lane.state for lane in lanes), key=_ORDER.index, default=KeyState.ACTIVE)
    until = max((lane.until for lane in lanes if lane.state is state and state.resting), default=math.inf)
    return state, None if until == math.inf else max(until - now, 0.0)
