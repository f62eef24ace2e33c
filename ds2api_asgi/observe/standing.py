"""How keys, queues and breakers stand: `Standing`, which looks; `Told`, what it found; `merged`, of several processes.

Each worker of a gateway has pools of its own. Where their health lives in a store that all share, every worker knows
all of it; else each knows what itself has seen, so counts are added up, and of states the worst is told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import anyio
from msgspec import Struct, structs

from ..errors import ConfigurationError
from .labels import Labels

__all__ = [
    "BREAKER_STATES",
    "KEY_STATES",
    "SNAPSHOT_TIMEOUT",
    "BreakerTold",
    "Breakers",
    "KeyTold",
    "Pool",
    "PoolTold",
    "Standing",
    "Told",
    "merged",
]

logger = logging.getLogger("ds2api_asgi.observe")

SNAPSHOT_TIMEOUT: Final = 3.0
"""Seconds that a pool may take to tell how its keys are; Prometheus gives up after 10."""

KEY_STATES: Final = ("active", "half_open", "cooling", "exhausted", "blocked", "disabled")
"""From best to worst."""

BREAKER_STATES: Final = ("closed", "half_open", "open")
"""From best to worst."""


class Pool(Protocol):
    """What is needed of a `KeyPool`."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def waiting(self) -> int:
        """How many requests wait for a key."""
        ...

    async def snapshot(self) -> Sequence[Any]:
        """How every key is."""
        ...


class Breakers(Protocol):
    """What is needed of a `Failover`."""

    def breakers(self) -> Sequence[Any]:
        """How the breakers are."""
        ...


class KeyTold(Struct, frozen=True, kw_only=True):
    """A key; see `pool.KeyReport`."""

    alias: str
    state: str
    until: float | None
    in_flight: int
    leased: int
    served: int
    failed: int


class PoolTold(Struct, frozen=True, kw_only=True):
    """A pool.

    Attributes:
        name: What it is called.
        shared: Whether its health lives in a store that all processes share.
        up: Whether it could tell of its keys.
        waiting: Requests that wait for a key.
        keys: All of them; none where it is not up.
    """

    name: str
    shared: bool
    up: bool
    waiting: int
    keys: tuple[KeyTold, ...] = ()


class BreakerTold(Struct, frozen=True, kw_only=True):
    """A breaker, by its labels; the worst of those that share them."""

    part: str
    target: str
    model: str
    state: str


class Told(Struct, frozen=True, kw_only=True):
    """How everything stands in a process.

    Attributes:
        pools: By name, once each.
        breakers: By their labels, once each.
        when: Unix time.
    """

    pools: tuple[PoolTold, ...] = ()
    breakers: tuple[BreakerTold, ...] = ()
    when: float = 0.0


class Standing:
    """Looks how things are.

    Args:
        models: Which models have labels of their own.
    """

    def __init__(self, models: Labels) -> None:
        self._models = models
        self._pools: dict[str, Pool] = {}
        self._breakers: dict[str, Breakers] = {}

    def add_pool(self, pool: Pool) -> None:
        """See `Metrics.pool`."""
        if pool.name in self._pools:
            raise ConfigurationError(f"two pools are called {pool.name!r}")
        self._pools[pool.name] = pool

    def add_breakers(self, name: str, part: Breakers) -> None:
        """See `Metrics.breakers`."""
        if name in self._breakers:
            raise ConfigurationError(f"two failovers are called {name!r}")
        self._breakers[name] = part

    def replace(self, pools: Iterable[Pool], breakers: Mapping[str, Breakers]) -> None:
        """See `Metrics.look_at`."""
        named: dict[str, Pool] = {}
        for pool in pools:
            if named.setdefault(pool.name, pool) is not pool:
                raise ConfigurationError(f"two pools are called {pool.name!r}")
        self._pools, self._breakers = named, dict(breakers)

    async def look(self, *, now: float) -> Told:
        """Look. A pool that cannot tell is said to be down, without keys.

        Args:
            now: Unix time.
        """
        pools = [await _pool_told(name, pool) for name, pool in list(self._pools.items())]
        worst: dict[tuple[str, str, str], str] = {}
        for name, part in list(self._breakers.items()):
            for report in part.breakers():
                # Models are clients' words, and some share a label.
                label = (name, str(report.target), self._models.of(report.model, admit=False))
                worst[label] = _worse(worst.get(label), report.state.name.lower(), BREAKER_STATES)
        return Told(pools=tuple(pools), breakers=_breakers(worst), when=now)


async def _pool_told(name: str, pool: Pool) -> PoolTold:
    reports: Sequence[Any] | None = None
    try:
        with anyio.move_on_after(SNAPSHOT_TIMEOUT):
            reports = await pool.snapshot()
    except Exception:  # a store of anybody's may raise anything
        logger.exception("pool %s could not tell of its keys", name)
    keys = [
        KeyTold(
            alias=report.alias,
            state=report.state.value,
            until=report.until,
            in_flight=report.in_flight,
            leased=report.leased,
            served=report.served,
            failed=report.failed,
        )
        for report in reports or ()
    ]
    shared = bool(getattr(pool, "is_shared", False))
    return PoolTold(name=name, shared=shared, up=reports is not None, waiting=pool.waiting, keys=tuple(keys))


def merged(found: Sequence[Told]) -> Told:
    """How things stand in all processes together.

    Args:
        found: What each told, in any order.
    """
    if len(found) == 1:
        return found[0]
    pools: dict[str, PoolTold] = {}
    worst: dict[tuple[str, str, str], str] = {}
    for told in found:
        for pool in told.pools:
            known = pools.get(pool.name)
            pools[pool.name] = pool if known is None else _together(known, pool)
        for breaker in told.breakers:
            label = (breaker.part, breaker.target, breaker.model)
            worst[label] = _worse(worst.get(label), breaker.state, BREAKER_STATES)
    when = max((told.when for told in found), default=0.0)
    return Told(pools=tuple(pools[name] for name in sorted(pools)), breakers=_breakers(worst), when=when)


def _together(one: PoolTold, two: PoolTold) -> PoolTold:
    keys: dict[str, KeyTold] = {}
    for key in (*one.keys, *two.keys):
        known = keys.get(key.alias)
        keys[key.alias] = key if known is None else _key_together(known, key, shared=one.shared and two.shared)
    return PoolTold(
        name=one.name,
        shared=one.shared and two.shared,
        up=one.up and two.up,
        waiting=one.waiting + two.waiting,
        keys=tuple(keys[alias] for alias in sorted(keys)),
    )


def _key_together(one: KeyTold, two: KeyTold, *, shared: bool) -> KeyTold:
    worse = max(one, two, key=_badness)

    def count(name: str) -> int:
        counts = (int(getattr(one, name)), int(getattr(two, name)))
        return max(counts) if shared else sum(counts)

    counts = {name: count(name) for name in ("in_flight", "leased", "served", "failed")}
    return structs.replace(worse, **counts)


def _badness(key: KeyTold) -> tuple[int, float]:
    return _rank(key.state, KEY_STATES), -1.0 if key.until is None else key.until


def _rank(state: str, order: tuple[str, ...]) -> int:
    return order.index(state) if state in order else len(order)


def _worse(one: str | None, two: str, order: tuple[str, ...]) -> str:
    return two if one is None or _rank(two, order) > _rank(one, order) else one


def _breakers(worst: Mapping[tuple[str, str, str], str]) -> tuple[BreakerTold, ...]:
    return tuple(
        BreakerTold(part=part, target=target, model=model, state=worst[part, target, model])
        for part, target, model in sorted(worst)
    )
