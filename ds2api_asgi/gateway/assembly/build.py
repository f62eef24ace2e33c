"""What a configuration means: the parts that a `Config` asks for, put together.

::

    Pages(Traced(Access(StatefulResponses(Router({name: Translator(Line)}))), watchers=[metrics, telemetry, live]))

A `Generation` is what one reading of the file has become. `build` makes it and touches nothing that serves: what a
generation has in common with the one before is taken from there (`Lasting`, unchanged `Line` s), and what must change
about that is done by `Generation.take_over`, when nothing can go wrong any more.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import anyio
from msgspec import Struct

from ...access import Access, Bounds, LimitStore, MemoryLimitStore, RedisLimitStore
from ...asgi.secret import Secret
from ...asgi.types import ASGIApp, Receive, Scope, Send
from ...errors import ConfigurationError
from ...observe import Journal, Metrics, Telemetry, Traced
from ...observe.cost import Pricing
from ...observe.live import Live
from ...observe.watching import Watcher, Watchers
from ...pool import KeyPool
from ...resilience import Failover
from ...resilience.breaker import BreakerState
from ...resilience.targets import BreakerReport
from ...stateful import StatefulResponses
from ...transforms.carry import CarryStore, MemoryCarryStore
from ..config import Config
from ..config.access import AccessTable
from ..config.models import TargetTable
from ..config.server import ResponsesTable
from ..console.component import Console
from ..console.standing import BreakerSeen
from ..console.standing import Generation as Standing
from ..pages import Guarded, Pages
from ..routing.router import Router
from ..routing.target_app import TargetApp
from .line import Ground, Line, line_of
from .parts import (
    checks_of,
    client_key_of,
    failover_arguments,
    prices_of,
    response_store_of,
    route_of,
    rules_of,
    transform_of,
)
from .resource import Resource

__all__ = ["Generation", "Lasting", "Sight", "build"]

_Order = tuple[tuple[str, str, str | None], ...]  # the legs of a failover: route, upstream, model

_SESSIONS: Final = b"ds2api_asgi.gateway.console"
_JOURNAL: Final = 1000  # requests whose traces are kept where no console says how many


class Sight(Protocol):
    """What parts see of the gateway that they are in."""

    started: float
    generation: int
    reloaded: float | None
    reload_error: str | None

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        ...

    @property
    def pools(self) -> dict[str, KeyPool]:
        """The key pools by their upstreams' names."""
        ...

    def breakers(self) -> list[BreakerSeen]:
        """How the breakers are."""
        ...


class _Report(Struct, frozen=True):
    """How a breaker is, as `Metrics` want it told."""

    target: str
    model: str | None
    state: BreakerState
    reopens_in: float


class Lasting(Struct, kw_only=True, eq=False):
    """What outlives the generations that use it.

    Attributes:
        journal: The traces of the last requests.
        carry: Opaque state of providers that waits for clients which drop it.
        metrics: Counters, also while the configuration asks for none: those who ask again go on counting.
        publishing: Tells other workers how things stand here; None: there are no metrics.
        telemetry: Tells OpenTelemetry; None: nobody asks.
        live: The requests that run now, for a console; None: there is none.
        watching: Those of them that watch; `watchers` is all of them.
        pricing: Tells costs; None: nobody counts.
        console: The console; None: there is none.
        limits: Where the use of clients' limits is counted.
        limits_resource: What it holds open; None: nothing.
        responses: Keeps the state of Responses; None: nobody asks.
    """

    journal: Journal
    carry: CarryStore
    metrics: Metrics | None
    publishing: Resource | None
    telemetry: Telemetry | None
    live: Live | None
    watching: list[Watcher]
    watchers: Watchers
    pricing: Pricing | None
    console: Resource | None
    limits: LimitStore
    limits_resource: Resource | None
    responses: Resource | None


class Generation:
    """One reading of the file, as parts.

    Attributes:
        config: What was read.
        lasting: What it shares with others.
        lines: The upstreams, by name.
        app: All of it.
        router: What is beneath the doors.
        resources: What is opened and closed.
        running: How many exchanges there are.
        idle: Rung when a retired generation has none any more.
    """

    def __init__(self, config: Config, lasting: Lasting, lines: dict[str, Line], sight: Sight) -> None:
        self.config = config
        self.lasting = lasting
        self.lines = lines
        self.running = 0
        self.retired = False
        self.idle = anyio.Event()
        self.app: ASGIApp
        self.router: Router
        self._sight = sight
        self._failovers: dict[_Order, Failover] = {}
        self._before: dict[_Order, Failover] = {}
        extra = (lasting.limits_resource, lasting.publishing, lasting.responses, lasting.console)
        leaves = (line.leaf for line in lines.values())
        self.resources: list[Resource] = [*leaves, *(resource for resource in extra if resource is not None)]

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one of its apps serve an exchange, which keeps it alive."""
        self.running += 1
        try:
            await app(scope, receive, send)
        finally:
            self.running -= 1
            if self.retired and not self.running:
                self.idle.set()

    def retire(self) -> None:
        """Nothing new comes to it."""
        self.retired = True
        if not self.running:
            self.idle.set()

    async def take_over(self, before: Generation) -> None:
        """Begin where another generation is: nothing that it does can fail."""
        for name, line in self.lines.items():
            old = before.lines.get(name)
            if old is not None and old is not line:
                await line.inherit(old)
        same = ("failover", "bounds", "rules")
        if all(getattr(self.config, name) == getattr(before.config, name) for name in same):
            self._before = {
                key: failover
                for key, failover in before._known_failovers().items()
                if self._leaves(key) == before._leaves(key)
            }

    def failover(self, ways: Sequence[ASGIApp]) -> ASGIApp:
        """An app of several targets'; see `Router`."""
        legs = [way.leg for way in ways if isinstance(way, TargetApp)]
        key = tuple((leg.route, leg.target.app, leg.target.model) for leg in legs)
        arguments = failover_arguments(self.config.failover, len(ways))
        rules = rules_of(self.config.rules)
        made = Failover(ways, max_body=self.config.bounds.max_body, rules=rules, **arguments)
        before = self._before.pop(key, None)
        if before is not None:
            made.inherit(before)
        if self._sight.draining:
            made.drain()
        self._failovers[key] = made
        return made

    def breakers(self) -> list[_Report]:
        """How the breakers are, by their upstreams' names."""
        found: list[_Report] = []
        for line in self.lines.values():
            if line.retry is not None:
                found += [_named(report, line.name) for report in line.retry.breakers()]
        for key, failover in self._known_failovers().items():
            found += [_named(report, key[report.target][1]) for report in failover.breakers()]
        return found

    def show(self) -> None:
        """Let those who watch tell of its keys, breakers and costs: it is the one that serves."""
        lasting, table = self.lasting, self.config.metrics
        if lasting.metrics is not None:
            pools = [line.pool for line in self.lines.values() if line.pool is not None]
            lasting.metrics.look_at(pools=pools, breakers={"gateway": self})
            if table is not None:
                lasting.metrics.adjust(max_models=table.max_models, pricing=lasting.pricing)
        for watcher in (lasting.telemetry, lasting.live):
            if watcher is not None:
                watcher.price(lasting.pricing)

    def drain(self) -> None:
        """Repeat nothing from now on."""
        if self.lasting.console is not None and isinstance(self.lasting.console.app, Console):
            self.lasting.console.app.drain()
        self.router.drain()
        for line in self.lines.values():
            if line.retry is not None:
                line.retry.drain()

    def _known_failovers(self) -> dict[_Order, Failover]:
        """Those of this generation, and those of the one before that it has not been asked for yet."""
        return {**self._before, **self._failovers}

    def _leaves(self, key: _Order) -> list[Resource | None]:
        lines = [self.lines.get(app) for _, app, _ in key]
        return [None if line is None else line.leaf for line in lines]


def build(
    config: Config,
    *,
    folder: Path,
    before: Generation | None = None,
    core: ASGIApp,
    sight: Sight,
) -> Generation:
    """Make the parts of a configuration.

    Args:
        config: The configuration.
        folder: What relative paths in it start from.
        before: The generation that serves now; nothing about it is changed.
        core: What asks the router of whatever generation serves then.
        sight: The gateway, as its parts see it.

    Raises:
        ConfigurationError: A value that cannot work; an extra that is not installed.
    """
    lasting = _lasting(config, folder, before, core, sight)
    ground = Ground(
        folder=folder,
        store=config.store,
        watchers=lasting.watchers,
        rules=config.rules,
        carry=lasting.carry,
        secret=config.carry.secret,
    )
    lines: dict[str, Line] = {}
    for name, table in config.upstreams.items():
        with _blaming(f"upstreams.{name}"):
            lines[name] = line_of(name, table, ground, None if before is None else before.lines.get(name))
    generation = Generation(config, lasting, lines, sight)
    generation.router = _router(config, generation)
    inner: ASGIApp = generation.router if lasting.responses is None else lasting.responses.app
    with _blaming("access"):
        inner = _door(config.access, config, lasting, inner)
    with _blaming("log"):
        inner = Traced(
            inner,
            header=config.log.header,
            sinks=[lasting.journal],
            usage=True,
            cost=config.cost is not None,
            prices=prices_of(config.cost),
            others=True,
            watchers=lasting.watchers,
        )
    mounts: dict[str, ASGIApp] = {}
    if config.metrics is not None and lasting.metrics is not None:
        exposition, token = lasting.metrics.exposition, config.metrics.token
        mounts[config.metrics.path] = exposition if token is None else Guarded(exposition, token)
    if config.console is not None and lasting.console is not None:
        mounts[config.console.path] = lasting.console.app
    generation.app = Pages(inner, mounts=mounts, ready=lambda: sight.ready)
    return generation


def _lasting(config: Config, folder: Path, before: Generation | None, core: ASGIApp, sight: Sight) -> Lasting:
    old = None if before is None else before.lasting
    was = None if before is None else before.config
    limits, limits_resource = _limits(config, was, old)
    with _blaming("cost"):
        pricing = None if config.cost is None else Pricing(prices_of(config.cost))
    metrics = _metrics(config, old)
    telemetry = _telemetry(config, was, old)
    live = None if config.console is None else Live() if old is None or old.live is None else old.live
    journal = _journal(config, was, old)
    watching: list[Watcher] = [one for one in (telemetry, live) if one is not None]
    if metrics is not None and config.metrics is not None:
        watching.append(metrics)
    return Lasting(
        journal=journal,
        carry=MemoryCarryStore() if old is None else old.carry,
        metrics=metrics,
        publishing=_publishing(metrics, old),
        telemetry=telemetry,
        live=live,
        watchers=Watchers(watching) if old is None or old.watching != watching else old.watchers,
        watching=watching,
        pricing=pricing,
        console=_console(config, was, old, journal, live, sight),
        limits=limits,
        limits_resource=limits_resource,
        responses=_responses(config.responses, folder, was, old, core),
    )


def _journal(config: Config, was: Config | None, old: Lasting | None) -> Journal:
    size = _journal_size(config)
    if old is not None and was is not None and size == _journal_size(was):
        return old.journal
    journal = Journal(size)
    for trace in () if old is None else reversed(list(old.journal)):
        journal(trace)
    return journal


def _journal_size(config: Config) -> int:
    return _JOURNAL if config.console is None else config.console.journal


def _metrics(config: Config, old: Lasting | None) -> Metrics | None:
    if old is not None and old.metrics is not None:
        return old.metrics
    if config.metrics is None:
        return None
    with _blaming("metrics"):
        return Metrics(max_models=config.metrics.max_models)


def _publishing(metrics: Metrics | None, old: Lasting | None) -> Resource | None:
    if metrics is None or (old is not None and old.publishing is not None):
        return None if old is None else old.publishing

    async def publish(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with metrics.publishing():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})

    return Resource(publish)


def _telemetry(config: Config, was: Config | None, old: Lasting | None) -> Telemetry | None:
    if config.telemetry is None:
        return None
    if was is not None and old is not None and was.telemetry == config.telemetry:
        return old.telemetry
    with _blaming("telemetry"):
        return Telemetry(contents=config.telemetry.contents)


def _console(
    config: Config, was: Config | None, old: Lasting | None, journal: Journal, live: Live | None, sight: Sight
) -> Resource | None:
    table = config.console
    if table is None:
        return None
    if was is not None and old is not None and was.console == table:
        return old.console
    with _blaming("console"):
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
            workers=config.server.workers,
        )
    return Resource(console)


def _limits(config: Config, was: Config | None, old: Lasting | None) -> tuple[LimitStore, Resource | None]:
    url = _limits_url(config)
    if was is not None and old is not None and _limits_url(was) == url:
        return old.limits, old.limits_resource
    if url is None:
        return MemoryLimitStore(), None
    with _blaming("store"):
        store = RedisLimitStore(url.reveal())
    return store, Resource(_nobody, closing=store.aclose)


def _limits_url(config: Config) -> Secret | None:
    """Where clients' limits are shared; None: they are not."""
    return config.store.url if config.store.type == "redis" and config.access is not None else None


def _responses(
    table: ResponsesTable | None, folder: Path, was: Config | None, old: Lasting | None, core: ASGIApp
) -> Resource | None:
    if table is None:
        return None
    if was is not None and old is not None and was.responses == table:
        return old.responses
    with _blaming("responses"):
        return Resource(StatefulResponses(core, store=response_store_of(table, folder)))


def _door(table: AccessTable | None, config: Config, lasting: Lasting, app: ASGIApp) -> ASGIApp:
    if table is None or table.open:
        return Bounds(app, **config.bounds.model_dump())
    return Access(
        app,
        keys=[client_key_of(key) for key in table.keys],
        others=table.others,
        limit_store=lasting.limits,
        checks=checks_of(config.bounds),
        preflights=False,  # nobody within answers CORS
    )


def _router(config: Config, generation: Generation) -> Router:
    lines = generation.lines
    routes = {}
    for name, table in config.models.items():
        with _blaming(f"models.{name}"):
            more = [transform_of(transform) for transform in table.transforms]
            named = [
                target.upstream if isinstance(target, TargetTable) else target.partition("/")[0]
                for target in table.targets
            ]
            own = {app: lines[app].translator(*more) for app in named if more and app in lines}
            routes[name] = route_of(table, own)
    with _blaming("failover"):  # they are made when they are needed, and that is too late to refuse one
        Failover([_nobody, _nobody], **failover_arguments(config.failover, 2))
    with _blaming("models"):
        return Router(
            {name: line.translator() for name, line in lines.items()},
            routes,
            prefixes=config.router.prefixes,
            default=config.router.default,
            per=config.router.per,
            rename_answers=config.router.rename_answers,
            failover=generation.failover,
            list_timeout=config.router.list_timeout,
            max_body=config.bounds.max_body,
        )


def _named(report: BreakerReport, target: str) -> _Report:
    return _Report(target, report.model, report.state, report.reopens_in)


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """An app without a lifespan, for what has no app of its own."""
    raise NotImplementedError


class _blaming:  # noqa: N801 - reads as a verb
    """Say in which table the trouble is."""

    def __init__(self, table: str) -> None:
        self._table = table

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ConfigurationError):
            raise ConfigurationError(f"[{self._table}] {error}") from error
