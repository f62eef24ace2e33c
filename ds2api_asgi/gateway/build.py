"""What a configuration means: the parts that a `Config` asks for, put together.

::

    Pages(Traced(Metrics(Telemetry(Access(StatefulResponses(Router({name: Translator(Line)})))))))

A `Generation` is what one reading of the file has become. `build` makes it and touches nothing that serves: what a
generation has in common with the one before is taken from there (`Lasting`, unchanged `Line` s), and what must change
about that is done by `Generation.take_over`, when nothing can go wrong any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
from msgspec import Struct

from ..access import Access, Bounds, LimitStore, MemoryLimitStore, RedisLimitStore
from ..asgi.secret import Secret
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import ConfigurationError
from ..observe import Journal, Metrics, Telemetry, Traced
from ..resilience import Failover
from ..resilience.targets import BreakerReport
from ..stateful import StatefulResponses
from ..transforms.carry import CarryStore, MemoryCarryStore
from .config import Config
from .config.access import AccessTable
from .config.models import TargetTable
from .config.server import ResponsesTable
from .line import Ground, Line, line_of
from .pages import Guarded, Pages
from .parts import (
    checks_of,
    client_key_of,
    failover_arguments,
    prices_of,
    response_store_of,
    route_of,
    transform_of,
)
from .resource import Resource
from .router import Router
from .target_app import TargetApp

__all__ = ["Breaker", "Generation", "Lasting", "build"]

_Order = tuple[tuple[str, str, str | None], ...]  # the legs of a failover: route, upstream, model

_JOURNAL: Final = 1000  # requests whose traces are kept where no console says how many


class Breaker(Struct, frozen=True, kw_only=True):
    """How a breaker of a gateway is.

    Attributes:
        target: The upstream's name.
        model: The model that it is about; None: all of them.
        state: As `BreakerReport.state`.
        reopens_in: Seconds until a request may pass.
    """

    target: str
    model: str | None
    state: Any
    reopens_in: float


class Lasting(Struct, kw_only=True, eq=False):
    """What outlives the generations that use it.

    Attributes:
        journal: The traces of the last requests.
        carry: Opaque state of providers that waits for clients which drop it.
        metrics: Counters, also while the configuration asks for none: those who ask again go on counting.
        telemetry: Tells OpenTelemetry; None: nobody asks.
        limits: Where the use of clients' limits is counted.
        limits_resource: What it holds open; None: nothing.
        responses: Keeps the state of Responses; None: nobody asks.
    """

    journal: Journal
    carry: CarryStore
    metrics: Metrics | None
    telemetry: Telemetry | None
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

    def __init__(self, config: Config, lasting: Lasting, lines: dict[str, Line], draining: Callable[[], bool]) -> None:
        self.config = config
        self.lasting = lasting
        self.lines = lines
        self.running = 0
        self.retired = False
        self.idle = anyio.Event()
        self.app: ASGIApp
        self.router: Router
        self._draining = draining
        self._failovers: dict[_Order, Failover] = {}
        self._before: dict[_Order, Failover] = {}
        extra = [resource for resource in (lasting.limits_resource, lasting.responses) if resource is not None]
        self.resources: list[Resource] = [*(line.leaf for line in lines.values()), *extra]

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
        if self.config.failover == before.config.failover:
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
        made = Failover(ways, max_body=self.config.bounds.max_body, **arguments)
        before = self._before.pop(key, None)
        if before is not None:
            made.inherit(before)
        if self._draining():
            made.drain()
        self._failovers[key] = made
        return made

    def breakers(self) -> list[Breaker]:
        """How the breakers are that are not closed, or have something to tell."""
        found: list[Breaker] = []
        for line in self.lines.values():
            if line.retry is not None:
                found += [_named(report, line.name) for report in line.retry.breakers()]
        for key, failover in self._known_failovers().items():
            found += [_named(report, key[report.target][1]) for report in failover.breakers()]
        return found

    def drain(self) -> None:
        """Repeat nothing from now on."""
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
    ready: Callable[[], bool],
    draining: Callable[[], bool],
) -> Generation:
    """Make the parts of a configuration.

    Args:
        config: The configuration.
        folder: What relative paths in it start from.
        before: The generation that serves now; nothing about it is changed.
        core: What asks the router of whatever generation serves then.
        ready: Whether requests are welcome.
        draining: Whether the end has begun.

    Raises:
        ConfigurationError: A value that cannot work; an extra that is not installed.
    """
    lasting = _lasting(config, folder, before, core)
    metrics = lasting.metrics if config.metrics is not None else None
    ground = Ground(
        folder=folder,
        store=config.store,
        metrics=metrics,
        telemetry=lasting.telemetry,
        carry=lasting.carry,
        secret=config.carry.secret,
    )
    lines: dict[str, Line] = {}
    for name, table in config.upstreams.items():
        with _blaming(f"upstreams.{name}"):
            lines[name] = line_of(name, table, ground, None if before is None else before.lines.get(name))
    generation = Generation(config, lasting, lines, draining)
    generation.router = _router(config, generation)
    inner: ASGIApp = generation.router if lasting.responses is None else lasting.responses.app
    with _blaming("access"):
        inner = _door(config.access, config, lasting, inner)
    if lasting.telemetry is not None:
        inner = lasting.telemetry.requests(inner)
    if metrics is not None:
        inner = metrics.requests(inner)
    with _blaming("log"):
        inner = Traced(inner, header=config.log.header, sinks=[lasting.journal], usage=True)
    mounts: dict[str, ASGIApp] = {}
    if metrics is not None and config.metrics is not None:
        token = config.metrics.token
        mounts[config.metrics.path] = metrics.exposition if token is None else Guarded(metrics.exposition, token)
    generation.app = Pages(inner, mounts=mounts, ready=ready)
    return generation


def _lasting(config: Config, folder: Path, before: Generation | None, core: ASGIApp) -> Lasting:
    old = None if before is None else before.lasting
    was = None if before is None else before.config
    limits, limits_resource = _limits(config, was, old)
    return Lasting(
        journal=_journal(config, was, old),
        carry=MemoryCarryStore() if old is None else old.carry,
        metrics=_metrics(config, old),
        telemetry=_telemetry(config, was, old),
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
        return Metrics(
            max_models=config.metrics.max_models, cost=config.cost is not None, prices=prices_of(config.cost)
        )


def _telemetry(config: Config, was: Config | None, old: Lasting | None) -> Telemetry | None:
    if config.telemetry is None:
        return None
    if was is not None and old is not None and (was.telemetry, was.cost) == (config.telemetry, config.cost):
        return old.telemetry
    with _blaming("telemetry"):
        return Telemetry(
            contents=config.telemetry.contents, cost=config.cost is not None, prices=prices_of(config.cost)
        )


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
    if table is None:
        return Bounds(app, **config.bounds.model_dump())
    return Access(
        app,
        keys=[client_key_of(key) for key in table.keys],
        others=table.others,
        limit_store=lasting.limits,
        checks=checks_of(config.bounds),
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


def _named(report: BreakerReport, target: Any) -> Breaker:
    return Breaker(target=str(target), model=report.model, state=report.state, reopens_in=report.reopens_in)


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
