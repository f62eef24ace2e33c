"""How one worker stands: `Part`, as workers tell it each other, and `Own`, which looks.

It holds names, numbers and states, and neither secrets nor contents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import anyio
from msgspec import Struct, field

from ...observe.live import Ended, Live, Running
from ...observe.series import Step
from ...pool import Headroom, KeyPool, KeyReport

__all__ = ["PATIENCE", "BreakerSeen", "Generation", "KeyPart", "Own", "Part", "PoolPart"]

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


class KeyPart(Struct, frozen=True, kw_only=True):
    """A key.

    Attributes:
        report: How it is.
        alike: How many workers have it so: switched off, or in that state for every model.
        of: Out of how many; 1 where all have their health in one place.
    """

    report: KeyReport
    alike: int = 1
    of: int = 1


class PoolPart(Struct, frozen=True, kw_only=True):
    """A pool.

    Attributes:
        name: What it is called.
        protocol: What it speaks.
        strategy: How it chooses.
        waiting: Requests that wait for a key.
        shared: Whether all workers have its health in one place.
        problem: Why there are no keys; None: there are.
        keys: All of them.
        heard: What providers said to this worker, by alias, where `keys` are for the asker to look at himself.
        workers: How many workers' counts are added up in it.
    """

    name: str
    protocol: str
    strategy: str
    waiting: int
    shared: bool
    problem: str | None = None
    keys: tuple[KeyPart, ...] = ()
    heard: dict[str, list[Headroom]] = field(default_factory=dict)
    workers: int = 1


class Part(Struct, frozen=True, kw_only=True):
    """A worker, or several.

    Attributes:
        started: Unix time at which the first of them did.
        generation: Which configuration runs.
        pools: By name, once each.
        breakers: Those that are not closed.
        in_flight: How many requests run.
        running: The newest of them, newest first.
        recent: Those that ended, newest first.
        steps: What the last minutes count.
    """

    started: float
    generation: Generation
    pools: tuple[PoolPart, ...]
    breakers: tuple[BreakerSeen, ...]
    in_flight: int
    running: tuple[Running, ...]
    recent: tuple[Ended, ...]
    steps: tuple[Step, ...]


class Own:
    """Looks how this worker stands.

    Args:
        pools: The pools by name, asked each time.
        breakers: The breakers that are not closed, asked each time.
        live: The requests; None: nobody watches them.
        generation: Which configuration runs, asked each time.
        started: Unix time at which the gateway started.
    """

    def __init__(
        self,
        *,
        pools: Callable[[], Mapping[str, KeyPool]],
        breakers: Callable[[], Iterable[BreakerSeen]],
        live: Live | None,
        generation: Callable[[], Generation],
        started: float,
    ) -> None:
        self._pools = pools
        self._breakers = breakers
        self._live = live
        self._generation = generation
        self._started = started

    async def pools(self, *, shared: bool = True) -> tuple[PoolPart, ...]:
        """The pools.

        Args:
            shared: Also the keys whose health all workers have in one place.
        """
        parts: dict[str, PoolPart] = {}

        async def survey(name: str, pool: KeyPool) -> None:
            parts[name] = await _pool_part(name, pool, keys=shared or not pool.is_shared)

        found = dict(self._pools())
        async with anyio.create_task_group() as group:
            for name, pool in found.items():
                group.start_soon(survey, name, pool)
        return tuple(parts[name] for name in found)

    def rest(self, pools: tuple[PoolPart, ...]) -> Part:
        """Everything else, with the pools."""
        live = self._live
        return Part(
            started=self._started,
            generation=self._generation(),
            pools=pools,
            breakers=tuple(self._breakers()),
            in_flight=0 if live is None else live.in_flight,
            running=() if live is None else tuple(live.running()),
            recent=() if live is None else tuple(live.recent()),
            steps=() if live is None else tuple(live.steps()),
        )


async def _pool_part(name: str, pool: KeyPool, *, keys: bool) -> PoolPart:
    reports: list[KeyReport] = []
    problem: str | None = None
    if keys:
        problem = "its store did not answer in time"
        try:
            with anyio.move_on_after(PATIENCE):
                reports = await pool.snapshot()
                problem = None
        except Exception as error:  # noqa: BLE001 - a store of one's own may raise anything, and the page shall say so
            problem = f"its store raised {type(error).__name__}"
    return PoolPart(
        name=name,
        protocol=pool.protocol.name,
        strategy=pool.strategy,
        waiting=pool.waiting,
        shared=pool.is_shared,
        problem=problem,
        keys=tuple([KeyPart(report=report) for report in reports]),
        heard={} if keys else pool.heard(),
    )
