"""`Lasting`: what outlives the generations that use it.

What the next configuration says no differently is kept as it is: counters, traces and sessions go on. What it says
differently is made anew; nothing that serves is touched by that.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from msgspec import Struct

from ...access import LimitStore, MemoryLimitStore, RedisLimitStore
from ...asgi.secret import Secret
from ...asgi.types import ASGIApp, Receive, Scope, Send
from ...observe import Journal, Metrics, Telemetry
from ...observe.cost import Pricing
from ...observe.live import Live
from ...observe.watching import Watcher, Watchers
from ...stateful import SQLiteResponseStore, StatefulResponses
from ...transforms.carry import CarryStore, MemoryCarryStore
from ..config import Config
from ..console.component import Console
from ..console.part import Generation as Standing
from ..serving.peers import Peers
from .blaming import blaming
from .parts import prices_of, response_store_of
from .resource import Resource, nobody
from .sight import Sight

__all__ = ["Lasting", "lasting_of"]

_SESSIONS: Final = b"ds2api_asgi.gateway.console"
_JOURNAL: Final = 1000  # requests whose traces are kept where no console says how many


class Lasting(Struct, kw_only=True, eq=False):
    """What outlives the generations that use it.

    Attributes:
        config: What it was made for.
        journal: The traces of the last requests.
        carry: Opaque state of providers that waits for clients which drop it.
        metrics: Counters, also while the configuration asks for none: those who ask again go on counting.
        publishing: Tells other workers how things stand here; None: there are no metrics.
        telemetry: Tells OpenTelemetry; None: nobody asks.
        live: The requests that run now, for a console; None: there is none.
        watching: Those of them that watch; `watchers` is all of them.
        pricing: Tells costs; None: nobody counts.
        listening: Answers other workers; None: there are none.
        console: The console; None: there is none.
        limits: Where the use of clients' limits is counted.
        limits_resource: What it holds open; None: nothing.
        responses: Keeps the state of Responses; None: nobody asks.
    """

    config: Config
    journal: Journal
    carry: CarryStore
    metrics: Metrics | None
    publishing: Resource | None
    telemetry: Telemetry | None
    live: Live | None
    watching: list[Watcher]
    watchers: Watchers
    pricing: Pricing | None
    listening: Resource | None
    console: Resource | None
    limits: LimitStore
    limits_resource: Resource | None
    responses: Resource | None


def lasting_of(config: Config, *, folder: Path, before: Lasting | None, core: ASGIApp, sight: Sight) -> Lasting:
    """What lasts of a configuration.

    Args:
        config: The configuration.
        folder: What relative paths in it start from.
        before: What the generation that serves now has.
        core: What asks the router of whatever generation serves then.
        sight: The gateway, as its parts see it.

    Raises:
        ConfigurationError: A value that cannot work; an extra that is not installed.
    """
    limits, limits_resource = _limits(config, before)
    metrics = _metrics(config, before)
    telemetry = _telemetry(config, before)
    live = None if config.console is None else Live() if before is None or before.live is None else before.live
    journal = _journal(config, before)
    watching: list[Watcher] = [one for one in (telemetry, live) if one is not None]
    if metrics is not None and config.metrics is not None:
        watching.append(metrics)
    return Lasting(
        config=config,
        journal=journal,
        carry=MemoryCarryStore() if before is None else before.carry,
        metrics=metrics,
        publishing=_publishing(metrics, before),
        listening=_listening(sight.peers, before),
        telemetry=telemetry,
        live=live,
        watchers=Watchers(watching) if before is None or before.watching != watching else before.watchers,
        watching=watching,
        pricing=_pricing(config),
        console=_console(config, before, journal, live, sight),
        limits=limits,
        limits_resource=limits_resource,
        responses=_responses(config, folder, before, core),
    )


def _journal(config: Config, before: Lasting | None) -> Journal:
    size = _journal_size(config)
    if before is not None and size == _journal_size(before.config):
        return before.journal
    journal = Journal(size)
    for trace in () if before is None else reversed(list(before.journal)):
        journal(trace)
    return journal


def _journal_size(config: Config) -> int:
    return _JOURNAL if config.console is None else config.console.journal


def _metrics(config: Config, before: Lasting | None) -> Metrics | None:
    if before is not None and before.metrics is not None:
        return before.metrics
    if config.metrics is None:
        return None
    with blaming("metrics"):
        return Metrics(max_models=config.metrics.max_models)


def _publishing(metrics: Metrics | None, before: Lasting | None) -> Resource | None:
    if metrics is None or (before is not None and before.publishing is not None):
        return None if before is None else before.publishing
    return _in_context(metrics.publishing)


def _listening(peers: Peers | None, before: Lasting | None) -> Resource | None:
    if peers is None or before is not None:
        return None if before is None else before.listening
    return _in_context(peers.listening)


def _in_context(context: Callable[[], AbstractAsyncContextManager[None]]) -> Resource:
    """What goes on in a context, as a part without requests."""

    async def part(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with context():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})

    return Resource(part)


def _telemetry(config: Config, before: Lasting | None) -> Telemetry | None:
    if config.telemetry is None:
        return None
    if before is not None and before.config.telemetry == config.telemetry:
        return before.telemetry
    with blaming("telemetry"):
        return Telemetry(contents=config.telemetry.contents)


def _pricing(config: Config) -> Pricing | None:
    with blaming("cost"):
        return None if config.cost is None else Pricing(prices_of(config.cost))


def _console(
    config: Config, before: Lasting | None, journal: Journal, live: Live | None, sight: Sight
) -> Resource | None:
    table = config.console
    if table is None:
        return None
    if before is not None and before.config.console == table:
        return before.console
    with blaming("console"):
        console = Console(
            password=table.password,
            pools=lambda: sight.pools,
            journal=journal,
            live=live,
            breakers=lambda: [one for one in sight.breakers() if one.state != "closed"],
            generation=lambda: Standing(number=sight.generation, reloaded=sight.reloaded, error=sight.reload_error),
            session=table.session,
            # The same for all workers behind one port, and another one with another password.
            signing=hmac.digest(table.password.reveal().encode(), _SESSIONS, "sha256"),
            started=sight.started,
            peers=sight.peers,
        )
    return Resource(console)


def _limits(config: Config, before: Lasting | None) -> tuple[LimitStore, Resource | None]:
    place = _limits_place(config)
    if before is not None and _limits_place(before.config) == place:
        return before.limits, before.limits_resource
    if place is None:
        return MemoryLimitStore(), None
    url, timeout = place
    with blaming("store"):
        store = RedisLimitStore(url.reveal()) if timeout is None else RedisLimitStore(url.reveal(), timeout=timeout)
    return store, Resource(nobody, closing=store.aclose)


def _limits_place(config: Config) -> tuple[Secret, float | None] | None:
    """Where clients' limits are shared, and how long it may take; None: they are not."""
    store = config.store
    if store.type != "redis" or store.url is None or config.access is None:
        return None
    return store.url, store.timeout


def _responses(config: Config, folder: Path, before: Lasting | None, core: ASGIApp) -> Resource | None:
    table = config.responses
    if table is None:
        return None
    if before is not None and before.config.responses == table:
        return before.responses
    with blaming("responses"):
        store = response_store_of(table, folder)

    async def close() -> None:
        if isinstance(store, SQLiteResponseStore):
            store.close()

    return Resource(StatefulResponses(core, store=store), closing=close)
