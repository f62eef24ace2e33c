"""What a pool tells about itself: why no key could be had (`Empty`), and how each key is (`KeyReport`, `Headroom`)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from .health import KeyState, Lane
from .roster import Roster

__all__ = ["SOON", "Empty", "EmptyReason", "Headroom", "KeyReport", "plainly_empty", "survey", "why_empty"]

SOON = 1.0
"""Seconds; for a key that waits for another request to end, a store knows no better."""


class EmptyReason(StrEnum):
    """Why no key could be had: the least bad of all keys' reasons."""

    TRIED = "tried"  # keys are usable, but each has failed for this request
    BUSY = "busy"  # as many requests as allowed use them, or one probes
    LIMITED = "limited"  # the limits that the operator configured have no room
    COOLING = "cooling"
    EXHAUSTED = "exhausted"
    BLOCKED = "blocked"  # for this model
    DISABLED = "disabled"
    UNKNOWN = "unknown"  # what processes share cannot be reached, and nobody may go on without it


class Empty(Struct, frozen=True, kw_only=True):
    """No key could be had.

    Attributes:
        reason: Why.
        retry_after: Seconds until the first key may be usable, or None when none will be by itself.
        opens_in: Seconds until time alone may make a key usable; None: only something that happens can (a lease is
            released, an operator acts).
        in_flight: Leases of all keys now.
    """

    reason: EmptyReason
    retry_after: float | None = None
    opens_in: float | None = None
    in_flight: int = 0

    def after(self, seconds: float, *, in_flight: int) -> Empty | None:
        """The same, told later; None: it may have become another by time alone."""
        if self.opens_in is not None and seconds >= self.opens_in:
            return None
        busy = self.reason is EmptyReason.BUSY
        return Empty(
            reason=self.reason,
            retry_after=self.retry_after if busy or self.retry_after is None else self.retry_after - seconds,
            opens_in=None if self.opens_in is None else self.opens_in - seconds,
            in_flight=in_flight,
        )


class Headroom(Struct, frozen=True, kw_only=True):
    """How much of one limit is left.

    Attributes:
        of: A configured limit by its name in `RateLimits` (``"rpm"``), or what a provider counts (``"requests"``,
            ``"input-tokens"``).
        model: The model that is limited; None: the quota scope as a whole.
        limit: What is allowed; None: the provider told only what is left.
        left: What is left of it.
        resets_in: Seconds until all of it is left; None: it is now, or nobody knows.
        source: Who says so. The provider's word is what the last answer's headers said to this process.
        age: Seconds since the provider said so; None: it did not.
    """

    of: str
    model: str | None
    limit: float | None
    left: float
    resets_in: float | None
    source: Literal["configured", "provider"]
    age: float | None = None


class KeyReport(Struct, frozen=True, kw_only=True):
    """How a key is; never the key.

    Attributes:
        alias: What it is called.
        state: The worst of all its states, for whatever model.
        until: Seconds until that state's rest ends; None when it does not rest, or rests until an operator acts.
        whole: The state that it has for every model, and seconds until its rest ends or None: a key that rests for
            one model only may be used for the others.
        models: For each model with a state of its own: that state, and seconds until its rest ends or None.
        in_flight: Requests that use it now.
        leased: How often it was leased.
        served: How many of these were answered successfully.
        failed: How many of these failed by the key's fault.
        switched_off: Whether an operator took it out (`KeyPool.disable`).
        headroom: What is left of the limits of its quota scope: configured ones first.
    """

    alias: str
    state: KeyState
    until: float | None
    models: dict[str, tuple[KeyState, float | None]]
    in_flight: int
    leased: int
    served: int
    failed: int
    switched_off: bool = False
    headroom: tuple[Headroom, ...] = ()
    whole: tuple[KeyState, float | None] = (KeyState.ACTIVE, None)


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


def plainly_empty(
    roster: Roster, model: str | None, tokens: int, tried: Collection[int], *, now: float
) -> Empty | None:
    """Tell why no key could be had where that needs no look at every key; else None.

    Args:
        roster: A roster in which no key can be used for the request.
        model: What was asked for.
        tokens: How many tokens were asked for.
        tried: Indexes of keys that failed for the request.
        now: Seconds of the roster's monotonic clock.
    """
    slots = roster.traffic.in_flight
    if roster.is_at_its_most():
        return Empty(reason=EmptyReason.BUSY, retry_after=SOON, in_flight=slots)
    if any(roster.is_usable(index, model, tokens, now) for index in tried):
        return Empty(reason=EmptyReason.TRIED, in_flight=slots)
    return None


def why_empty(roster: Roster, model: str | None, tokens: int = 0, *, now: float) -> Empty:
    """Tell why no key could be had; looks at every key.

    Args:
        roster: A roster in which no key can be used for the model.
        model: What was asked for.
        tokens: How many tokens were asked for.
        now: Seconds of the roster's monotonic clock.
    """
    reason, soonest, opens = EmptyReason.DISABLED, math.inf, math.inf
    for seat in roster.seats:
        if not roster.is_allowed(seat.index, model):
            found, ready = EmptyReason.BLOCKED, math.inf
        else:
            found, ready = _obstacle(roster, seat.index, model, tokens, now)
        reason = min(reason, found, key=_REASONS.index)
        soonest = min(soonest, ready)
        if found is not EmptyReason.BUSY:
            opens = min(opens, ready)
    return Empty(
        reason=reason,
        retry_after=None if soonest == math.inf else max(soonest - now, 0.0),
        opens_in=None if opens == math.inf else max(opens - now, 0.0),
        in_flight=roster.traffic.in_flight,
    )


def _obstacle(roster: Roster, index: int, model: str | None, tokens: int, now: float) -> tuple[EmptyReason, float]:
    """What keeps a key from being used, and when that ends."""
    lanes = list(roster.lanes_of(index, model))
    worst = max((lane.state for lane in lanes), key=_ORDER.index, default=KeyState.ACTIVE)
    if worst is KeyState.DISABLED:
        # It is probed after a day, but nobody shall be told to wait for that.
        return EmptyReason.DISABLED, math.inf
    ready = max((lane.until for lane in lanes if lane.state.resting), default=now)
    gauges = list(roster.gauges_of(index, model))
    room = max((gauge.ready_at(tokens, now) for gauge in gauges), default=now)
    if worst.resting:
        return _REASON_OF_STATE[worst], max(ready, room)
    return (EmptyReason.LIMITED, room) if room > now else (EmptyReason.BUSY, now + SOON)


def survey(roster: Roster, aliases: Sequence[str], counts: Sequence[Sequence[int]], now: float) -> list[KeyReport]:
    """Describe every key, in the pool's order.

    Args:
        roster: The keys' health.
        aliases: What the keys are called.
        counts: For each key how often it was leased, served and failed.
        now: Seconds of the roster's monotonic clock.
    """
    models = list(roster.models())
    rooms = _rooms(roster, now)
    reports = []
    for seat, alias, (leased, served, failed) in zip(roster.seats, aliases, counts, strict=True):
        own: dict[str, tuple[KeyState, float | None]] = {}
        for model, lanes in models:
            found = [lanes[owner] for owner in (seat.index, roster.scope_of(seat.index)) if owner in lanes]
            state, until = _worst(found, now)
            if state is not KeyState.ACTIVE:
                own[model] = (state, until)
        whole = _worst(list(roster.lanes_of(seat.index, None)), now)
        state, until = max([whole, *own.values()], key=lambda pair: _ORDER.index(pair[0]))
        reports.append(
            KeyReport(
                alias=alias, state=state, until=until, models=own, in_flight=seat.in_flight, leased=leased,
                served=served, failed=failed, switched_off=_is_switched_off(roster, seat.index),
                headroom=tuple(rooms.get(roster.scope_of(seat.index), ())), whole=whole,
            )
        )  # fmt: skip
    return reports


def _worst(lanes: Sequence[Lane], now: float) -> tuple[KeyState, float | None]:
    state = max((lane.state for lane in lanes), key=_ORDER.index, default=KeyState.ACTIVE)
    until = max((lane.until for lane in lanes if lane.state is state and state.resting), default=math.inf)
    return state, None if until == math.inf else max(until - now, 0.0)


def _is_switched_off(roster: Roster, index: int) -> bool:
    """Only an operator takes a key out for ever."""
    lane = roster.lane(index, None)
    return lane is not None and lane.state is KeyState.DISABLED and lane.until == math.inf


def _rooms(roster: Roster, now: float) -> dict[int, list[Headroom]]:
    """What is left of the configured limits, by owner."""
    rooms: dict[int, list[Headroom]] = {}
    for (owner, model), gauge in roster.gauges().items():
        rooms.setdefault(owner, []).extend(
            Headroom(of=of, model=model, limit=limit, left=left, resets_in=resets_in, source="configured")
            for of, limit, left, resets_in in gauge.standing(now)
        )
    return rooms
