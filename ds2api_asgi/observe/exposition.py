"""`Exposition`, the endpoint that Prometheus reads: the numbers of this process, or of all workers together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from ..asgi.headers import find
from ..asgi.types import Receive, Scope, Send
from .extras import need
from .standing import BREAKER_STATES, KEY_STATES, KeyTold, Standing, Told
from .workers import Workers

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["Exposition", "families"]


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

    def tell_key(self, pool: str, report: KeyTold) -> None:
        key = (pool, report.alias)
        for state in KEY_STATES:
            self.state.add_metric((*key, state), report.state == state)
        if report.until is not None:
            self.rest.add_metric(key, report.until)
        self.in_flight.add_metric(key, report.in_flight)
        self.leases.add_metric(key, report.leased)
        self.served.add_metric(key, report.served)
        self.failed.add_metric(key, report.failed)


def families(told: Told, *, max_keys: int) -> list[Any]:
    """How things stand, as prometheus-client has it.

    Args:
        told: How they do.
        max_keys: Keys that a pool may have for each to be told.
    """
    found = _Families(need("prometheus_client.core", extra="metrics"))
    for pool in told.pools:
        found.up.add_metric((pool.name,), pool.up)
        found.queue.add_metric((pool.name,), pool.waiting)
        if not pool.up:
            continue
        states = Counter(report.state for report in pool.keys)
        for state in KEY_STATES:
            found.keys.add_metric((pool.name, state), states[state])
        for report in pool.keys if len(pool.keys) <= max_keys else ():
            found.tell_key(pool.name, report)
    for breaker in told.breakers:
        for known in BREAKER_STATES:
            found.breaker.add_metric((breaker.part, breaker.target, breaker.model, known), known == breaker.state)
    return list(vars(found).values())


class _Standing:
    """A collector of how things stood when it was looked last."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def describe(self) -> Iterable[Any]:
        """Nothing, before anything was looked up."""
        return ()

    def collect(self) -> Iterable[Any]:
        return list(self.found)


class Exposition:
    """An ASGI app that answers with the numbers, in the format that the asker prefers.

    Args:
        registry: Whose numbers, while there is one process.
        standing: What to look up first.
        max_keys: Keys that a pool may have for each to be told.
        workers: Where all workers have theirs; None: there is one process.
        wall: Unix time.

    Raises:
        ValueError: The registry has such metrics already.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        standing: Standing,
        *,
        max_keys: int,
        workers: Workers | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._standing = standing
        self._max_keys = max_keys
        self._workers = workers
        self._wall = wall
        self._encoders = need("prometheus_client.exposition", extra="metrics")
        self._new_registry = need("prometheus_client", extra="metrics").CollectorRegistry
        self._now = _Standing()
        if workers is None:
            registry.register(self._now)

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

    async def publish(self) -> Told:
        """Look how things stand here, and tell the other workers."""
        told = await self._standing.look(now=self._wall())
        if self._workers is not None:
            self._workers.write(told)
        return told

    async def _answer(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            headers = [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        told = await self.publish()
        accepts = (find(scope["headers"], b"accept") or b"").decode("latin-1")
        encode, kind = self._encoders.choose_encoder(accepts)
        if self._workers is None:
            self._now.found = families(told, max_keys=self._max_keys)
            body = encode(self._registry)
        else:
            body = await anyio.to_thread.run_sync(self._of_all, self._workers, encode)
        headers = [
            (b"content-type", kind.encode("latin-1")),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _of_all(self, workers: Workers, encode: Callable[[Any], bytes]) -> bytes:
        registry = self._new_registry()
        now = _Standing()
        now.found = families(workers.read(registry, now=self._wall()), max_keys=self._max_keys)
        registry.register(now)
        return encode(registry)
