"""`Exposition`, the endpoint that Prometheus reads, and what is looked up for it: how keys, queues and breakers are."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from ..asgi.headers import find
from ..asgi.types import Receive, Scope, Send
from ..errors import ConfigurationError
from .extras import need
from .labels import Labels

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["SNAPSHOT_TIMEOUT", "Breakers", "Exposition", "Pool", "Standing"]

logger = logging.getLogger("ds2api_asgi.observe")

SNAPSHOT_TIMEOUT: Final = 3.0
"""Seconds that a pool may take to tell how its keys are; Prometheus gives up after 10."""

_KEY_STATES: Final = ("active", "half_open", "cooling", "exhausted", "blocked", "disabled")
_BREAKER_STATES: Final = ("closed", "half_open", "open")  # from best to worst


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


class Standing:
    """How things are now: a collector of prometheus-client that tells what `look` has found.

    Args:
        models: Which models have labels of their own.
        max_keys: Keys that a pool may have for each to be told.
    """

    def __init__(self, models: Labels, *, max_keys: int) -> None:
        self._models = models
        self._max_keys = max_keys
        self._pools: dict[str, Pool] = {}
        self._breakers: dict[str, Breakers] = {}
        self._found: list[Any] = []

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

    def describe(self) -> Iterable[Any]:
        """What is told, as far as that is known before anything is looked up; nothing (prometheus-client asks)."""
        return ()

    def collect(self) -> Iterable[Any]:
        """What was found last (prometheus-client asks)."""
        return list(self._found)

    async def look(self) -> None:
        """Look again. A pool that cannot tell is said to be down, and its keys are left out."""
        core = need("prometheus_client.core", extra="metrics")
        found = _Families(core)
        for name, pool in self._pools.items():
            reports = await _snapshot(name, pool)
            found.up.add_metric((name,), reports is not None)
            found.queue.add_metric((name,), pool.waiting)
            if reports is None:
                continue
            states = Counter(report.state.value for report in reports)
            for state in _KEY_STATES:
                found.keys.add_metric((name, state), states[state])
            for report in reports if len(reports) <= self._max_keys else ():
                _tell_key(found, name, report)
        for name, part in self._breakers.items():
            for (target, model), state in self._worst(part).items():
                for known in _BREAKER_STATES:
                    found.breaker.add_metric((name, str(target), model, known), known == state)
        self._found = found.all()

    def _worst(self, part: Breakers) -> dict[tuple[int, str], str]:
        """The worst state of each label: models are clients' words, and some share one."""
        worst: dict[tuple[int, str], str] = {}
        for report in part.breakers():
            label = (report.target, self._models.of(report.model, admit=False))
            state = report.state.name.lower()
            worst[label] = max(worst.get(label, state), state, key=_BREAKER_STATES.index)
        return worst


class _Families:
    """Metrics that are made anew for each scrape."""

    def __init__(self, core: Any) -> None:
        def gauge(name: str, text: str, *labels: str) -> Any:
            return core.GaugeMetricFamily(f"ds2api_{name}", text, labels=labels)

        def counter(name: str, text: str) -> Any:
            return core.CounterMetricFamily(f"ds2api_{name}", text, labels=("pool", "key"))

        self.up = gauge("pool_up", "Whether the pool could tell of its keys.", "pool")
        self.queue = gauge("queue_length", "Requests that wait for a key.", "pool")
        self.keys = gauge("keys", "Keys by the worst of their states.", "pool", "state")
        self.state = gauge("key_state", "1 for the worst state of a key.", "pool", "key", "state")
        self.rest = gauge("key_rest_seconds", "Until that state ends; absent where only people end it.", "pool", "key")
        self.in_flight = gauge("key_in_flight", "Requests that use a key.", "pool", "key")
        self.leases = counter("key_leases", "How often a key was leased.")
        self.served = counter("key_served", "Leases that were answered.")
        self.failed = counter("key_failed", "Leases that failed by the key's fault.")
        self.breaker = gauge("breaker_state", "1 for a breaker's state.", "part", "target", "model", "state")

    def all(self) -> list[Any]:
        return list(vars(self).values())


def _tell_key(found: _Families, pool: str, report: Any) -> None:
    key = (pool, report.alias)
    for state in _KEY_STATES:
        found.state.add_metric((*key, state), report.state.value == state)
    if report.until is not None:
        found.rest.add_metric(key, report.until)
    found.in_flight.add_metric(key, report.in_flight)
    found.leases.add_metric(key, report.leased)
    found.served.add_metric(key, report.served)
    found.failed.add_metric(key, report.failed)


async def _snapshot(name: str, pool: Pool) -> Sequence[Any] | None:
    try:
        with anyio.move_on_after(SNAPSHOT_TIMEOUT):
            return await pool.snapshot()
    except Exception:  # a store of anybody's may raise anything
        logger.exception("pool %s could not tell of its keys", name)
    return None


class Exposition:
    """An ASGI app that answers with the numbers of a registry, in the format that the asker prefers.

    Args:
        registry: Whose numbers.
        standing: What to look up first.
    """

    def __init__(self, registry: CollectorRegistry, standing: Standing) -> None:
        self._registry = registry
        self._standing = standing
        self._encoders = need("prometheus_client.exposition", extra="metrics")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD (the ASGI interface); take part in a lifespan, refuse websockets."""
        match scope["type"]:
            case "http":
                await self._answer(scope, send)
            case "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1003})
            case _:
                pass

    async def _answer(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            headers = [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await self._standing.look()
        accepts = (find(scope["headers"], b"accept") or b"").decode("latin-1")
        encode, kind = self._encoders.choose_encoder(accepts)
        body = encode(self._registry)
        headers = [
            (b"content-type", kind.encode("latin-1")),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
