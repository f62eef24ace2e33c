"""`Metrics`: numbers for Prometheus (extra ``metrics``), counted as requests pass and read from an endpoint of its own.

Labels have few values: what clients choose is told apart only up to a bound (`Labels`), and a model first needs an
answer that succeeded, so that nonsense takes no place. No label ever holds a key or a text.

| metric | what |
|---|---|
| `ds2api_requests_total` | requests by protocol, operation, model, status class and end |
| `ds2api_requests_in_flight` | requests now |
| `ds2api_request_duration_seconds` | from first to last byte |
| `ds2api_overhead_seconds` | of that: neither provider nor client nor a wait on purpose |
| `ds2api_time_to_first_token_seconds` | of streams |
| `ds2api_time_per_output_token_seconds` | of streams that state their usage, after the first token |
| `ds2api_tokens_total` | by kind; cached and heard ones are among input, reasoned and spoken ones among output |
| `ds2api_cost_dollars_total`, `ds2api_unpriced_answers_total` | when asked for |
| `ds2api_caller_requests_total`, `ds2api_caller_tokens_total` | by the client key's alias |
| `ds2api_refusals_total` | requests that were turned away at the door |
| `ds2api_websocket_duration_seconds` | of websockets, which are requests as well, but have no other durations |
| `ds2api_websocket_messages_total`, `ds2api_websockets_closed_total` | by direction, by the code of the close |
| `ds2api_upstream_calls_total` | by upstream, status class and end |
| `ds2api_upstream_first_byte_seconds`, `ds2api_upstream_duration_seconds` | of calls |
| `ds2api_upstream_unreachable_total`, `ds2api_failures_total`, `ds2api_broken_streams_total` | what went wrong |
| `ds2api_retries_total`, `ds2api_skips_total`, `ds2api_stops_total` | attempts that were made, not made, given up |
| `ds2api_hedges_total`, `ds2api_hedges_lost_total` | second attempts beside slow ones |
| `ds2api_breaker_openings_total`, `ds2api_breaker_closings_total`, `ds2api_breaker_state` | of failovers |
| `ds2api_queue_wait_seconds`, `ds2api_queue_length`, `ds2api_pool_refusals_total` | of pools |
| `ds2api_keys` | of a pool, by state |
| `ds2api_key_leases_total`, `…_served_total`, `…_failed_total`, `…_in_flight`, `…_state`, `…_rest_seconds` | of keys |
| `ds2api_losses_total` | what translations lost |
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

from ..asgi.facts import (
    Attempted,
    BreakerClosed,
    BreakerOpened,
    Broke,
    Caller,
    Hedged,
    HedgeLost,
    Judged,
    Lost,
    PoolEmpty,
    Queued,
    Skipped,
    Stopped,
    TurnedAway,
    Unreachable,
    Used,
)
from ..errors import ConfigurationError
from .buckets import DURATIONS, FIRST_TOKEN, PER_TOKEN
from .cost import Price, Pricing
from .exposition import Exposition
from .extras import need
from .labels import Labels
from .seen import CallSeen, RequestSeen, status_class
from .standing import Breakers, Pool, Standing
from .watching import Watcher
from .workers import VARIABLE, Workers, is_multiprocess

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["Metrics"]

logger = logging.getLogger("ds2api_asgi.observe")

_OVERHEAD: Final = tuple(0.0001 * 2**step for step in range(15))
_SESSIONS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0)
_WAITS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SOUND: Final = ("audio_input", "audio_output", "audio_cached")
_KINDS: Final = ("input", "output", "cached", "reasoning", *_SOUND)


class Metrics(Watcher):
    """Count what passes, and tell Prometheus.

    ::

        metrics = Metrics()
        pool = KeyPool(metrics.calls(Upstream("https://api.openai.com"), name="openai"), protocol="openai-chat", ...)
        app = metrics.requests(Translator(Retry(pool), speaks="openai-chat"))
        metrics.pool(pool)
        host.mount("/metrics", metrics.exposition)

    `requests` goes around everything, `Access` as well, else refusals are not seen; inside of a `Traced` or around it.

    Each process counts for itself, unless ``PROMETHEUS_MULTIPROC_DIR`` names a directory when prometheus-client is
    imported (see `workers`): then every worker tells the numbers of all, and `publishing` is to run in each.

    Args:
        models: Models that have labels of their own from the beginning.
        max_models: How many models have at most; the others are ``"other"``.
        max_callers: The same of client keys' aliases.
        max_keys: Keys that a pool may have for each to be told; of a larger one only how many are in which state.
        cost: Whether to count what answers cost (extra ``cost``, unless `prices` has all).
        prices: Prices of one's own by model; they come before the list.
        registry: Where the metrics are registered; None: in one of their own.

    Attributes:
        exposition: An ASGI app that answers every GET with the numbers, whatever its path. Whom it answers is for
            others to decide.
        registry: Where the metrics are registered.

    Raises:
        ConfigurationError: prometheus-client is not installed (extra ``metrics``), or genai-prices is not though costs
            are asked for; a bound below 1, a price below 0, or a registry that has such metrics already.
    """

    wants_usage = True

    def __init__(
        self,
        *,
        models: Iterable[str] = (),
        max_models: int = 100,
        max_callers: int = 100,
        max_keys: int = 500,
        cost: bool = False,
        prices: Mapping[str, Price] | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        super().__init__()
        if max_models < 1 or max_callers < 1:
            raise ConfigurationError("max_models and max_callers are 1 at least")
        client = need("prometheus_client", extra="metrics")
        self._pricing = Pricing(prices) if cost else None
        self._dollars: Any = None  # until somebody asks for costs
        self._unpriced: Any = None
        self.registry: CollectorRegistry = client.CollectorRegistry() if registry is None else registry
        self._models = Labels(max_models, models)
        self._callers = Labels(max_callers)
        self._words = Labels(200)  # codes and reasons, of which there are few
        self._standing = Standing(self._models)
        workers = Workers(os.environ.get(VARIABLE, "")) if is_multiprocess() else None  # as prometheus-client reads it
        self._shares = workers is not None
        try:
            self._register(client)
            self.exposition = Exposition(self.registry, self._standing, max_keys=max_keys, workers=workers)
        except ValueError as error:
            raise ConfigurationError("the registry has such metrics already") from error

    def pool(self, pool: Pool) -> None:
        """Tell of a pool's keys at each scrape.

        Args:
            pool: A `KeyPool`.

        Raises:
            ConfigurationError: There is one of that name already.
        """
        self._standing.add_pool(pool)

    def breakers(self, name: str, part: Breakers) -> None:
        """Tell of a failover's breakers at each scrape.

        Args:
            name: What it is called.
            part: A `Failover`.

        Raises:
            ConfigurationError: There is one of that name already.
        """
        self._standing.add_breakers(name, part)

    def look_at(self, *, pools: Iterable[Pool] = (), breakers: Mapping[str, Breakers] | None = None) -> None:
        """Tell of these from now on, and of no others: after a configuration was read anew.

        Args:
            pools: `KeyPool` s.
            breakers: `Failover` s by what they are called.

        Raises:
            ConfigurationError: Two pools have the same name; nothing has changed then.
        """
        self._standing.replace(pools, breakers or {})

    @asynccontextmanager
    async def publishing(self, *, every: float = 1.0) -> AsyncIterator[None]:
        """Tell the other workers how things stand here, as long as the context lasts; alone, do nothing.

        Args:
            every: Seconds.
        """
        if not self._shares:
            yield
            return
        async with anyio.create_task_group() as group:
            group.start_soon(self._publish, every)
            try:
                yield
            finally:
                group.cancel_scope.cancel()

    async def _publish(self, every: float) -> None:
        while True:
            try:
                await self.exposition.publish()
            except Exception:  # nothing of this is worth the server's end
                logger.exception("the other workers cannot be told how things stand")
            await anyio.sleep(every)

    def adjust(self, *, max_models: int, pricing: Pricing | None) -> None:
        """Go on counting within another bound and by other prices.

        Args:
            max_models: How many models have labels of their own; those that have keep them.
            pricing: Tells costs; None: they are counted no more.
        """
        self._models.resize(max_models)
        self._pricing = pricing
        if pricing is not None and self._dollars is None:
            self._register_costs(need("prometheus_client", extra="metrics"))

    def _register_costs(self, client: Any) -> None:
        def counter(name: str, text: str) -> Any:
            return client.Counter(f"ds2api_{name}", text, ("model",), registry=self.registry)

        self._dollars = counter("cost_dollars", "What answers cost, in US dollars.")
        self._unpriced = counter("unpriced_answers", "Answers whose price nobody knows.")

    def _register(self, client: Any) -> None:
        def counter(name: str, text: str, *labels: str) -> Any:
            return client.Counter(f"ds2api_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: Iterable[float], *labels: str) -> Any:
            return client.Histogram(f"ds2api_{name}", text, labels, buckets=tuple(buckets), registry=self.registry)

        asked = ("protocol", "operation", "model")
        self._requests = counter("requests", "Requests of clients.", *asked, "status", "end")
        self._in_flight = client.Gauge(
            "ds2api_requests_in_flight", "Requests now.", registry=self.registry, multiprocess_mode="livesum"
        )
        self._duration = histogram("request_duration_seconds", "From first to last byte.", DURATIONS, *asked)
        self._overhead = histogram(
            "overhead_seconds", "Neither provider nor client nor a wait.", _OVERHEAD, "protocol", "operation"
        )
        self._first_token = histogram(
            "time_to_first_token_seconds", "Until a stream's first content.", FIRST_TOKEN, "protocol", "model"
        )
        self._per_token = histogram(
            "time_per_output_token_seconds", "Of a stream's tokens after the first.", PER_TOKEN, "protocol", "model"
        )
        self._tokens = counter("tokens", "Tokens that answers state.", "protocol", "model", "kind")
        if self._pricing is not None:
            self._register_costs(client)
        self._caller_requests = counter("caller_requests", "Requests by client key.", "caller", "status")
        self._caller_tokens = counter("caller_tokens", "Tokens by client key.", "caller", "kind")
        self._refusals = counter("refusals", "Requests turned away at the door.", "code", "caller")
        self._sessions = histogram("websocket_duration_seconds", "Of a websocket.", _SESSIONS, "protocol")
        self._messages = counter("websocket_messages", "Messages of websockets.", "protocol", "direction")
        self._closes = counter("websockets_closed", "Websockets by how they were closed.", "protocol", "code")
        self._calls = counter("upstream_calls", "Calls of upstreams.", "upstream", "status", "end")
        self._call_first = histogram("upstream_first_byte_seconds", "Until its body.", FIRST_TOKEN, "upstream")
        self._call_duration = histogram("upstream_duration_seconds", "Of a call.", DURATIONS, "upstream")
        self._unreachable = counter("upstream_unreachable", "Upstreams that did not answer.", "reason")
        self._failures = counter("failures", "Failed answers by whose fault it is.", "by", "fault")
        self._broken = counter("broken_streams", "Answers that broke off.", "reason")
        self._retries = counter("retries", "Attempts after the first.")
        self._skips = counter("skips", "Attempts that were not made.", "reason")
        self._stops = counter("stops", "Requests that were given up.", "by", "reason")
        self._hedges = counter("hedges", "Second attempts beside the first.")
        self._hedges_lost = counter("hedges_lost", "Attempts cut off for another's sake.", "second")
        self._openings = counter("breaker_openings", "Breakers that opened.")
        self._closings = counter("breaker_closings", "Breakers that closed.")
        self._waits = histogram("queue_wait_seconds", "Waits for a key.", _WAITS, "pool")
        self._empty = counter("pool_refusals", "Requests that got no key.", "pool", "reason")
        self._losses = counter("losses", "What translations lost.")

    def began(self, request: RequestSeen) -> None:
        """See `Watcher.began`; likewise the others."""
        del request
        self._in_flight.inc()

    def noted(self, request: RequestSeen, fact: object) -> None:
        """Count what has no model; and what a websocket used, which may go on for an hour."""
        if not isinstance(fact, Used):
            self._note(fact)
        elif request.is_websocket:
            self._count(request, fact, self._models.of(request.model, admit=True), self._caller_of(request))

    def _note(self, fact: object) -> None:
        word = self._words.of
        match fact:
            case Attempted() if fact.number > 1:
                self._retries.inc()
            case Judged():
                self._failures.labels(fact.by, fact.verdict.fault.value).inc()
            case Queued():
                self._waits.labels(word(fact.pool)).observe(fact.seconds)
            case PoolEmpty():
                self._empty.labels(word(fact.pool), word(fact.reason)).inc()
            case Hedged():
                self._hedges.inc()
            case HedgeLost():
                self._hedges_lost.labels(str(fact.second).lower()).inc()
            case Skipped():
                self._skips.labels(word(fact.reason)).inc()
            case Stopped():
                self._stops.labels(word(fact.by), word(fact.reason)).inc()
            case BreakerOpened():
                self._openings.inc()
            case BreakerClosed():
                self._closings.inc()
            case TurnedAway():
                self._refusals.labels(word(fact.code or str(fact.status)), self._callers.of(fact.caller)).inc()
            case Unreachable():
                self._unreachable.labels(word(fact.reason)).inc()
            case Broke():
                self._broken.labels(word(fact.reason)).inc()
            case Lost():
                self._losses.inc(fact.count)
            case _:
                pass

    def ended(self, request: RequestSeen) -> None:
        """Count what has one."""
        self._in_flight.dec()
        protocol, operation = request.claim.protocol, request.claim.operation.value
        model = self._models.of(request.model, admit=request.served)
        status = status_class(request.status)
        took = request.ended - request.began
        self._requests.labels(protocol, operation, model, status, request.end).inc()
        caller = self._caller_of(request)
        if caller is not None:
            self._caller_requests.labels(caller, status).inc()
        if request.is_websocket:
            self._ended_websocket(request, protocol, took)
            return
        self._duration.labels(protocol, operation, model).observe(took)
        if request.end in ("complete", "failed"):  # what a client waited for before it left, nobody told
            self._overhead.labels(protocol, operation).observe(request.overhead)
        if request.first is not None:
            self._first_token.labels(protocol, model).observe(request.first - request.began)
        output = 0
        for used in request.exchange.all(Used):
            output = used.output
            self._count(request, used, model, caller)
        if request.first is not None and output > 1 and request.end == "complete":
            self._per_token.labels(protocol, model).observe((request.ended - request.first) / (output - 1))

    def _ended_websocket(self, request: RequestSeen, protocol: str, took: float) -> None:
        self._sessions.labels(protocol).observe(took)
        self._messages.labels(protocol, "received").inc(request.received)
        self._messages.labels(protocol, "sent").inc(request.sent)
        if request.code is not None:
            self._closes.labels(protocol, self._words.of(str(request.code))).inc()

    def _caller_of(self, request: RequestSeen) -> str | None:
        caller = request.exchange.last(Caller)
        return None if caller is None else self._callers.of(caller.name)

    def _count(self, request: RequestSeen, used: Used, model: str, caller: str | None) -> None:
        for kind in _KINDS:
            tokens = getattr(used, kind)
            if not tokens and kind in _SOUND:
                continue
            self._tokens.labels(request.claim.protocol, model, kind).inc(tokens)
            if caller is not None:
                self._caller_tokens.labels(caller, kind).inc(tokens)
        if self._pricing is None:
            return
        call = request.answering
        asked = request.model if call is None or call.model is None else call.model
        cost = self._pricing.of(None if call is None else call.provider, asked, used)
        if cost is None:
            self._unpriced.labels(model).inc()
        else:
            self._dollars.labels(model).inc(float(cost.total))

    def call_ended(self, call: CallSeen) -> None:
        """Count a call."""
        status = "none" if call.unreachable is not None else status_class(call.status)
        self._calls.labels(call.upstream, status, call.end).inc()
        if call.is_websocket:
            return
        if call.first is not None and call.unreachable is None:
            self._call_first.labels(call.upstream).observe(call.first - call.began)
        self._call_duration.labels(call.upstream).observe(call.ended - call.began)
