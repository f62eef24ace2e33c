"""Several workers as one: `whole`, what their parts are together.

Requests are those of all. Of a pool whose health lives in one place, whoever looks knows the keys. Of others each
worker knows what itself has seen: counts are added up, so is what is left of configured limits, which each worker keeps
for itself; of states the worst is told, and with it how many workers have it so. Of what a provider says, its newest
word counts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import structs

from ...observe.live import MAX_SHOWN
from ...pool import Headroom, KeyReport, KeyState
from .part import BreakerSeen, Generation, KeyPart, Part, PoolPart

__all__ = ["whole"]

_STATES = tuple(KeyState)  # from best to worst
_BREAKERS = ("half_open", "open")

_Rest = tuple[KeyState, float | None]


def whole(own: Part, others: Sequence[Part]) -> Part:
    """All workers together.

    Args:
        own: How the one stands that is asked: what only one can tell is what it says.
        others: How others stand, in any order.
    """
    if not others:
        return own
    parts = [own, *others]
    named: dict[str, list[PoolPart]] = {}
    for part in parts:
        for pool in part.pools:
            named.setdefault(pool.name, []).append(pool)
    return Part(
        started=min(part.started for part in parts),
        generation=_generation([part.generation for part in parts]),
        pools=tuple([_pool(pools) for pools in named.values()]),
        breakers=_breakers(breaker for part in parts for breaker in part.breakers),
        in_flight=sum(part.in_flight for part in parts),
        running=tuple(
            heapq.nlargest(MAX_SHOWN, (one for part in parts for one in part.running), key=lambda one: one.began)
        ),
        recent=tuple(
            sorted((one for part in parts for one in part.recent), key=lambda one: one.when + one.took, reverse=True)
        ),
        steps=tuple([step for part in parts for step in part.steps]),
    )


def _generation(found: Sequence[Generation]) -> Generation:
    """One that was started later counts from 1 again."""
    newest = max(found, key=lambda one: (one.number, one.reloaded or 0.0))
    return structs.replace(newest, error=next((one.error for one in found if one.error is not None), None))


def _breakers(found: Iterable[BreakerSeen]) -> tuple[BreakerSeen, ...]:
    worst: dict[tuple[str, str | None], BreakerSeen] = {}
    for one in found:
        place = (one.target, one.model)
        worst[place] = max(worst.get(place, one), one, key=lambda one: (_rank(one.state, _BREAKERS), one.until))
    return tuple(worst.values())


def _pool(pools: Sequence[PoolPart]) -> PoolPart:
    first = pools[0]
    waiting = sum(pool.waiting for pool in pools)
    if first.shared:
        keys = [_newest_word(key, [pool.heard.get(key.report.alias, []) for pool in pools]) for key in first.keys]
        return structs.replace(first, waiting=waiting, keys=tuple(keys))
    named: dict[str, list[KeyReport]] = {}
    counted = [pool for pool in pools if not pool.shared]
    for pool in counted:
        for key in pool.keys:
            named.setdefault(key.report.alias, []).append(key.report)
    added = [_key(reports) for reports in named.values()]
    return structs.replace(first, waiting=waiting, keys=tuple(added), workers=len(counted))


def _newest_word(key: KeyPart, heard: Iterable[list[Headroom]]) -> KeyPart:
    rooms = _rooms([*key.report.headroom, *(room for rooms in heard for room in rooms)])
    return structs.replace(key, report=structs.replace(key.report, headroom=rooms))


def _key(reports: Sequence[KeyReport]) -> KeyPart:
    first = reports[0]
    off = sum(report.switched_off for report in reports)
    everywhere = _worst(report.whole for report in reports)
    models = {model for report in reports for model in report.models}
    state, until = _worst((report.state, report.until) for report in reports)
    counts: dict[str, Any] = {
        name: sum(getattr(report, name) for report in reports) for name in ("in_flight", "leased", "served", "failed")
    }
    report = KeyReport(
        alias=first.alias,
        state=state,
        until=until,
        whole=everywhere,
        models={model: _worst(one.models[model] for one in reports if model in one.models) for model in sorted(models)},
        switched_off=off > 0,
        headroom=_rooms(room for report in reports for room in report.headroom),
        **counts,
    )
    alike = off or sum(report.whole[0] is everywhere[0] for report in reports)
    return KeyPart(report=report, alike=alike, of=len(reports))


def _worst(found: Iterable[_Rest]) -> _Rest:
    """The worst state, and the end of its longest rest; one without an end is the longest."""
    return max(found, key=lambda rest: (_STATES.index(rest[0]), float("inf") if rest[1] is None else rest[1]))


def _rooms(rooms: Iterable[Headroom]) -> tuple[Headroom, ...]:
    """What is left of each limit."""
    found: dict[tuple[str, str | None, str], Headroom] = {}
    for room in rooms:
        place = (room.of, room.model, room.source)
        known = found.get(place)
        found[place] = room if known is None else _room(known, room)
    return tuple(sorted(found.values(), key=lambda room: room.source != "configured"))


def _room(one: Headroom, two: Headroom) -> Headroom:
    if one.source == "provider":
        return min(one, two, key=lambda room: float("inf") if room.age is None else room.age)
    resets = [room.resets_in for room in (one, two) if room.resets_in is not None]
    return structs.replace(
        one,
        limit=None if one.limit is None or two.limit is None else one.limit + two.limit,
        left=one.left + two.left,
        resets_in=max(resets, default=None),
    )


def _rank(state: str, order: tuple[str, ...]) -> int:
    return order.index(state) if state in order else -1
