"""How everything stands: `Standing`, the document that the page draws, made once for all who look.

It holds names, numbers and states, and neither secrets nor contents: of keys their aliases, of requests who asked what.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from ... import __version__
from ...asgi.trace import MAX_TEXT, printable
from ...observe.live import Ended, Live, Running
from ...pool import Headroom, KeyPool, KeyReport
from ...universal import jsontext

__all__ = [
    "FRESH",
    "LONGEST",
    "PATIENCE",
    "SHARE",
    "BreakerSeen",
    "Generation",
    "Standing",
    "entry_document",
    "key_document",
]

FRESH: Final = 0.5
"""Seconds for which the document is told again instead of being made anew."""

SHARE: Final = 0.05
"""Of all time that making documents may take: with ten thousand keys one takes 200 ms."""

LONGEST: Final = 5.0
"""Seconds between two documents all the same; pages take a longer silence for a broken connection."""

PATIENCE: Final = 2.0
"""Seconds that a pool may take to tell of its keys; a store of several processes can be out of reach."""


class Generation(Struct, frozen=True, kw_only=True):
    """Which configuration runs.

    Attributes:
        number: 1 for the one that the gateway started with.
        reloaded: Unix time at which it was taken over; None: at the start.
        error: Why the last attempt to take over another one changed nothing; None: it did, or there was none.
    """

    number: int = 1
    reloaded: float | None = None
    error: str | None = None


class BreakerSeen(Struct, frozen=True, kw_only=True):
    """A breaker that is not closed.

    Attributes:
        target: What it keeps requests from, by name (``"claude"``).
        model: The model that it is about; None: all.
        state: ``"open"`` or ``"half_open"``.
        until: Seconds until a request may pass.
    """

    target: str
    model: str | None
    state: str
    until: float


class Standing:
    """Makes the document.

    Args:
        pools: The pools by name, asked each time.
        breakers: The breakers that are not closed, asked each time.
        live: The requests.
        generation: Which configuration runs, asked each time.
        started: Unix time at which the gateway started.
        workers: How many processes serve; the requests and traces are those of this one.
        clock: Monotonic seconds.
        wall: Unix time.

    Attributes:
        interval: Seconds after which who looks on should be told again.
    """

    def __init__(
        self,
        *,
        pools: Callable[[], Mapping[str, KeyPool]],
        breakers: Callable[[], Iterable[BreakerSeen]],
        live: Live | None,
        generation: Callable[[], Generation],
        started: float,
        workers: int,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._pools = pools
        self._breakers = breakers
        self._live = live
        self._generation = generation
        self._started = started
        self._workers = workers
        self._clock = clock
        self._wall = wall
        self._made: bytes = b""
        self._made_at = -math.inf
        self.interval = 1.0

    async def document(self) -> bytes:
        """The document as JSON; made `FRESH` seconds ago at most."""
        now = self._clock()
        if not 0 <= now - self._made_at < FRESH * self.interval:
            self._made = jsontext.dumps(await self._make())
            self._made_at = self._clock()
            self.interval = min(max(1.0, (self._made_at - now) / SHARE), LONGEST)
        return self._made

    def forget(self) -> None:
        """Something was changed: the next document is a new one."""
        self._made_at = -math.inf

    async def _make(self) -> dict[str, Any]:
        pools: dict[str, dict[str, Any]] = {}

        async def survey(name: str, pool: KeyPool) -> None:
            pools[name] = await _pool_document(name, pool)

        found = dict(self._pools())
        async with anyio.create_task_group() as group:
            for name, pool in found.items():
                group.start_soon(survey, name, pool)
        generation = self._generation()
        live = self._live
        return {
            "now": round(self._wall(), 3),
            "version": __version__,
            "started": round(self._started, 3),
            "workers": self._workers,
            "generation": generation.number,
            "reloaded": generation.reloaded,
            "reload_error": generation.error,
            "pools": [pools[name] for name in found],
            "breakers": [msgspec.to_builtins(breaker) for breaker in self._breakers()],
            "in_flight": 0 if live is None else live.in_flight,
            "live": [] if live is None else [entry_document(one) for one in live.running()],
            "recent": [] if live is None else [entry_document(one) for one in live.recent()[:100]],
            "series": {
                "step": 5 if live is None else live.step,
                "points": [] if live is None else [msgspec.to_builtins(point) for point in live.points()],
            },
        }


async def _pool_document(name: str, pool: KeyPool) -> dict[str, Any]:
    reports: list[KeyReport] = []
    problem: str | None = "its store did not answer in time"
    try:
        with anyio.move_on_after(PATIENCE):
            reports = await pool.snapshot()
            problem = None
    except Exception as error:  # noqa: BLE001 - a store of one's own may raise anything, and the page shall say so
        problem = f"its store raised {type(error).__name__}"
    return {
        "name": name,
        "protocol": pool.protocol.name,
        "strategy": pool.strategy,
        "waiting": pool.waiting,
        "problem": problem,
        "keys": [key_document(report) for report in reports],
    }


def key_document(report: KeyReport) -> dict[str, Any]:
    """How a key is, as the page has it."""
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
