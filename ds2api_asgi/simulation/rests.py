"""What a pool must know of its keys by the answers that it has seen: a second and simpler reading of `pool.health`.

It knows a lower bound only: a key that rests here must not be used; one that does not may rest all the same. Where the
order of two events at the same moment decides, or it is not known whether the pool has seen an answer, it says nothing.
"""

from __future__ import annotations

import math

from msgspec import Struct

from ..pool.health import LONGEST_COOLING
from .call import Call, End

__all__ = ["Lane", "Rests"]

_DOUBT, _DAY, _HOUR, _LEAST = 30.0, 86_400.0, 3_600.0, 1.0


class Lane(Struct):
    """What is limited about a key.

    Attributes:
        turned: When its state last changed.
        until: When its rest ends at the soonest; ``-inf``: it works.
        probing: The calls that began after that.
        unsure: It is not known how it is.
    """

    turned: float = -math.inf
    until: float = -math.inf
    probing: set[int] = set()
    unsure: bool = False

    @property
    def works(self) -> bool:
        """Whether it has never failed since it served last."""
        return self.until == -math.inf and not self.unsure


class Rests:
    """The keys of one pool.

    Args:
        scopes: The quota scope of each key; a key alone is one by itself.
    """

    def __init__(self, scopes: dict[str, str]) -> None:
        self._scopes = scopes
        self._lanes: dict[tuple[str, str | None], Lane] = {}
        self._proven: set[str] = set()

    def lanes(self, key: str, model: str) -> list[Lane]:
        """The lanes that a call runs through."""
        scope = f"scope {self._scopes[key]}"
        names = ((key, None), (scope, None), (scope, model))
        return [self._lanes[name] for name in names if name in self._lanes]

    def works(self, key: str, model: str, now: float) -> bool:
        """Whether nothing is known against a key, and was not a moment ago."""
        return all(lane.works and lane.turned < now for lane in self.lanes(key, model))

    def begins(self, call: Call) -> str | None:
        """A call begins; tells what is wrong with that."""
        for lane in self.lanes(call.key, call.model):
            if lane.unsure or lane.works or call.begun <= lane.turned or call.begun == lane.until:
                continue
            if call.begun < lane.until:
                return f"{call.key} is used {lane.until - call.begun:.3f} s before its rest is over"
            if lane.probing:
                return f"{call.key} is probed while call {min(lane.probing)} probes it"
            lane.probing.add(call.number)
        return None

    def serves(self, call: Call, now: float) -> None:
        """A success is told to the pool."""
        self._proven.add(call.key)
        for lane in self.lanes(call.key, call.model):
            if lane.works or lane.unsure:
                continue
            if lane.until == call.begun or lane.turned == call.begun:
                lane.unsure = True
            elif call.begun > lane.until:
                self._turn(lane, now, -math.inf)
            # else it began before the rest, and says nothing
            lane.probing.discard(call.number)

    def ends(self, call: Call, now: float) -> None:
        """A call is over."""
        for lane in self.lanes(call.key, call.model):
            lane.probing.discard(call.number)
        scope = f"scope {self._scopes[call.key]}"
        match call.end:
            case End.RATE:
                least = 0.0 if call.resets else _LEAST  # without a hint the pool may go by when limits are whole again
                self._fail(
                    (scope, call.model), call, now, least if call.hint is None else min(call.hint, LONGEST_COOLING)
                )
            case End.QUOTA:
                self._fail((scope, None), call, now, _HOUR)
            case End.DEAD:
                self._fail((call.key, None), call, now, _DOUBT if call.key in self._proven else _DAY)
            case _:
                pass

    def _fail(self, name: tuple[str, str | None], call: Call, now: float, seconds: float) -> None:
        lane = self._lanes.setdefault(name, Lane(probing=set()))
        if lane.unsure:
            return
        if now < lane.until:  # resting: the longer one counts
            lane.until = max(lane.until, now + seconds) if name[1] is not None else lane.until
        elif call.begun in (lane.turned, lane.until) or now == lane.until:
            lane.unsure = True
        elif call.begun > lane.turned:
            self._turn(lane, now, now + seconds)

    def _turn(self, lane: Lane, now: float, until: float) -> None:
        lane.turned = now
        lane.until = until
        lane.probing.clear()
