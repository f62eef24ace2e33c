"""Succession: what a roster knows of keys, taken over by a roster of other keys, in one step.

A pool whose configuration changes keeps what its keys have been through. What belongs to a key goes to the same secret,
whatever it is called now; what belongs to a quota scope goes to the scope of the same label, or else of its keys'
former ones:

| of | goes over | from |
|---|---|---|
| a key | its lanes, its latency, that it has served, its counts, its requests in flight | the same secret |
| a quota scope | its lanes (of several the worst), what was used of its windows (their sum) | see above |
| a lease | its key, and its place in every gauge that its key has now | the lease |

Keys that are gone take what was known of them along; their requests still count as the pool's until they end. Limits
that are new know of the requests that are in flight, and of none before.

Synchronous, without clock and lock, like the roster itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from .gauge import Gauge, Taken
from .health import KeyState, Lane
from .roster import Roster

__all__ = ["GONE", "Borne", "succeed"]

GONE = -1
"""The index of a key that is no more, in leases of it."""

_ORDER = tuple(KeyState)
_Place = tuple[int, str | None]  # the owner of a lane or a gauge, and its model
_Kind = tuple[int, float]  # of a window: what a request without tokens takes of it, and its seconds


class Borne(Struct, frozen=True):
    """A lease, as far as it concerns rosters.

    Attributes:
        number: Its id.
        index: Its key's, or `GONE`.
        scope: The owner number of its key's quota scope.
        model: What it was leased for.
        tokens: What was asked for.
        taken: What it has reserved of gauges.
    """

    number: int
    index: int
    scope: int
    model: str | None
    tokens: int
    taken: Taken


def succeed(heir: Roster, old: Roster, same: Mapping[int, int], leases: Iterable[Borne], now: float) -> list[Borne]:
    """Let a roster, of which nothing has been picked, be what another one has become.

    Args:
        heir: The new one.
        old: The other, which has been woken; it must not be used any more.
        same: New indexes of keys that both have, by their old ones.
        leases: All that are held.
        now: Seconds of the rosters' monotonic clock.

    Returns:
        The leases as they concern the heir, in the same order.
    """
    heir.stamp = old.stamp
    heir.wake(now)
    for before, index in same.items():
        heir.seats[index].latency = old.seats[before].latency
        heir.seats[index].timed = old.seats[before].timed
        if old.is_proven(before):
            heir.prove(index)
    heirs = _scopes(heir, old, same)
    borne = list(leases)
    moved = [_moved(lease, heir, same, heirs) for lease in borne]
    _put_gauges(heir, old, heirs, now)
    placed = [_placed(lease, after, heir, old, now) for lease, after in zip(borne, moved, strict=True)]
    _hold(heir, placed)
    probing = {lease.number for lease in placed if lease.index != GONE}
    for place, lane in _lanes(old, same, heirs):
        heir.put(*place, replace(lane, probe=lane.probe if lane.probe in probing else None))
    return placed


def _scopes(heir: Roster, old: Roster, same: Mapping[int, int]) -> dict[int, tuple[int, ...]]:
    """Owner numbers of the heir's quota scopes, with those of the old ones that they come from."""
    labels = {seat.scope: old.scope_of(seat.index) for seat in old.seats if seat.scope}
    came = {index: before for before, index in same.items()}
    heirs: dict[int, tuple[int, ...]] = {}
    for seat in heir.seats:
        owner = heir.scope_of(seat.index)
        if seat.scope in labels:
            heirs[owner] = (labels[seat.scope],)
        elif seat.index in came:
            heirs[owner] = tuple(dict.fromkeys((*heirs.get(owner, ()), old.scope_of(came[seat.index]))))
    return heirs


def _lanes(old: Roster, same: Mapping[int, int], heirs: Mapping[int, Sequence[int]]) -> Iterator[tuple[_Place, Lane]]:
    """Where lanes go, the models that were asked for last at the end; of several for one place the worst."""
    goes: dict[int, list[int]] = {before: [index] for before, index in same.items()}
    for owner, sources in heirs.items():
        for source in sources:
            goes.setdefault(source, []).append(owner)
    found: dict[_Place, Lane] = {}
    for owner, model, lane in old.lanes():
        for place in ((new, model) for new in goes.get(owner, ())):
            known = found.get(place)
            if known is None or _badness(lane) > _badness(known):
                found[place] = lane
    return iter(found.items())


def _badness(lane: Lane) -> tuple[int, float, float]:
    return _ORDER.index(lane.state), lane.until, lane.soft_until


def _moved(lease: Borne, heir: Roster, same: Mapping[int, int], heirs: Mapping[int, Sequence[int]]) -> Borne:
    index = same.get(lease.index, GONE)
    if index != GONE:
        return replace(lease, index=index, scope=heir.scope_of(index))
    # The scope of a key that is gone is still there if it has a label, and its other keys share what it has used.
    alive = [owner for owner, sources in heirs.items() if lease.scope in sources]
    return replace(lease, index=GONE, scope=alive[0] if alive else GONE)


def _put_gauges(heir: Roster, old: Roster, heirs: Mapping[int, Sequence[int]], now: float) -> None:
    for (owner, model), gauge in heir.gauges().items():
        parts: dict[_Kind, dict[int, float]] = {kind: {} for kind in _kinds(gauge)}
        for source in heirs.get(owner, ()):
            before = old.gauges().get((source, model))
            for kind, window in () if before is None else zip(_kinds(before), before.windows, strict=True):
                for number, taken in window.parts() if kind in parts else ():
                    parts[kind][number] = parts[kind].get(number, 0.0) + taken
        heir.gauge_recalled(owner, model, [sorted(parts[kind].items()) for kind in _kinds(gauge)], now)


def _placed(lease: Borne, after: Borne, heir: Roster, old: Roster, now: float) -> Borne:
    """A lease with its parts of the heir's gauges; what it has in none yet, it takes now."""
    taken: list[tuple[_Place, tuple[int, ...]]] = []
    for model in (None,) if lease.model is None else (None, lease.model):
        gauge = heir.gauges().get((after.scope, model))
        if gauge is None:
            continue
        known: dict[_Kind, int] = {}
        for place, numbers in lease.taken:
            if place[1] == model:
                known |= dict(zip(_kinds(old.gauges()[place]), numbers, strict=True))
        amounts = gauge.amounts(lease.tokens)
        numbers = tuple(
            known[kind] if kind in known else window.take(amount, now)
            for kind, window, amount in zip(_kinds(gauge), gauge.windows, amounts, strict=True)
        )
        taken.append(((after.scope, model), numbers))
    return replace(after, taken=tuple(taken))


def _hold(heir: Roster, leases: Sequence[Borne]) -> None:
    """Count what is in flight."""
    gauges = Counter(place for lease in leases for place, _ in lease.taken)
    for place, number in gauges.items():
        heir.gauge_held(*place, number)
    for index, number in Counter(lease.index for lease in leases).items():
        if index == GONE:
            heir.traffic.in_flight += number
        else:
            heir.hold(index, number)
    for owner, model in heir.gauges():
        heir.gauge_looked(owner, model)


def _kinds(gauge: Gauge) -> list[_Kind]:
    return [(amount, window.seconds) for amount, window in zip(gauge.amounts(0), gauge.windows, strict=True)]
