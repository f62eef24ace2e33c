"""How everything stands: `Standing`, the document that the page draws, made once for all who look.

It holds names, numbers and states, and neither secrets nor contents: of keys their aliases, of requests who asked what.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ... import __version__
from ...asgi.trace import MAX_TEXT, printable
from ...observe.live import Ended, Live, Running
from ...pool import Headroom
from ...universal import jsontext
from .part import KeyPart, Own, PoolPart
from .sums import whole
from .team import Heard, Team

__all__ = ["FRESH", "LONGEST", "SHARE", "Standing", "entry_document", "key_document"]

FRESH: Final = 0.5
"""Seconds for which the document is told again instead of being made anew."""

SHARE: Final = 0.05
"""Of all time that making documents may take: with ten thousand keys one takes 200 ms."""

LONGEST: Final = 5.0
"""Seconds between two documents all the same; pages take a longer silence for a broken connection."""


class Standing:
    """Makes the document.

    Args:
        own: Looks how this worker stands.
        team: Tells how the others do.
        live: The requests, whose series has those of the others as well.
        workers: How many workers there are.
        clock: Monotonic seconds.
        wall: Unix time.

    Attributes:
        interval: Seconds after which who looks on should be told again.
    """

    def __init__(
        self,
        *,
        own: Own,
        team: Team,
        live: Live | None,
        workers: int,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._own = own
        self._team = team
        self._live = live
        self._workers = workers
        self._clock = clock
        self._wall = wall
        self._made: bytes = b""
        self._made_at = -math.inf
        self._made_after = 0
        self.interval = 1.0

    async def document(self) -> bytes:
        """The document as JSON; made `FRESH` seconds ago at most."""
        now = self._clock()
        if self._made_after != self._team.switched or not 0 <= now - self._made_at < FRESH * self.interval:
            self._made_after = self._team.switched
            heard = await self._team.look()
            began = self._clock()  # to wait for others takes no CPU
            self._made = jsontext.dumps(await self._make(heard))
            self._made_at = self._clock()
            self.interval = min(max(1.0, (self._made_at - began) / SHARE), LONGEST)
        return self._made

    def forget(self) -> None:
        """Something was changed: the next document is a new one."""
        self._made_at = -math.inf

    async def key(self, pool: str, alias: str) -> dict[str, Any] | None:
        """How a key is, as the page has it; None: there is none."""
        heard = await self._team.look()
        part = whole(self._own.rest(await self._own.pools()), heard.parts)
        keys = [key for one in part.pools if one.name == pool for key in one.keys]
        return next((key_document(key) for key in keys if key.report.alias == alias), None)

    async def _make(self, heard: Heard) -> dict[str, Any]:
        part = whole(self._own.rest(await self._own.pools()), heard.parts)
        live = self._live
        others = [step for other in heard.parts for step in other.steps]
        return {
            "now": round(self._wall(), 3),
            "version": __version__,
            "started": round(part.started, 3),
            "workers": self._workers,
            "missing": heard.missing,
            "generation": part.generation.number,
            "reloaded": part.generation.reloaded,
            "reload_error": part.generation.error,
            "pools": [_pool_document(pool) for pool in part.pools],
            "breakers": [msgspec.to_builtins(breaker) for breaker in part.breakers],
            "in_flight": part.in_flight,
            "live": [entry_document(one) for one in part.running],
            "recent": [entry_document(one) for one in part.recent[:100]],
            "series": {
                "step": 5 if live is None else live.step,
                "points": [] if live is None else [msgspec.to_builtins(point) for point in live.points(others)],
            },
        }


def _pool_document(pool: PoolPart) -> dict[str, Any]:
    return {
        "name": pool.name,
        "protocol": pool.protocol,
        "strategy": pool.strategy,
        "waiting": pool.waiting,
        "problem": pool.problem,
        "workers": pool.workers,
        "keys": [key_document(key) for key in pool.keys],
    }


def key_document(key: KeyPart) -> dict[str, Any]:
    """How a key is, as the page has it."""
    report = key.report
    return {
        "alias": report.alias,
        "state": report.state.value,
        "until": _seconds(report.until),
        "whole": [report.whole[0].value, _seconds(report.whole[1])],
        "models": {
            printable(model[:MAX_TEXT]): [state.value, _seconds(until)]
            for model, (state, until) in report.models.items()
        },
        "in_flight": report.in_flight,
        "leased": report.leased,
        "served": report.served,
        "failed": report.failed,
        "switched_off": report.switched_off,
        "workers": [key.alike, key.of],
        "headroom": [_headroom_document(room) for room in report.headroom],
    }


def _headroom_document(room: Headroom) -> dict[str, Any]:
    return {
        "of": room.of,
        "model": None if room.model is None else printable(room.model[:MAX_TEXT]),
        "limit": room.limit,
        "left": room.left,
        "resets_in": _seconds(room.resets_in),
        "source": room.source,
    }


def entry_document(entry: Running | Ended) -> dict[str, Any]:
    """A request, as the page has it."""
    document: dict[str, Any] = msgspec.to_builtins(entry)
    return document


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
