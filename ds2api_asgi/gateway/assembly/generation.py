"""`Generation`: what one reading of a gateway's file has become."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from msgspec import Struct

from ...asgi.types import ASGIApp, Receive, Scope, Send
from ...resilience import Failover
from ...resilience.breaker import BreakerState
from ...resilience.targets import BreakerReport
from ..config import Config
from ..console.component import Console
from ..routing.router import Router
from ..routing.target_app import TargetApp
from .lasting import Lasting
from .line import Line
from .parts import failover_arguments, rules_of
from .resource import Resource
from .sight import Sight

__all__ = ["Generation"]

_Order = tuple[tuple[str, str, str | None], ...]  # the legs of a failover: route, upstream, model


class _Report(Struct, frozen=True):
    """How a breaker is, as `Metrics` want it told."""

    target: str
    model: str | None
    state: BreakerState
    reopens_in: float


class Generation:
    """One reading of the file, as parts.

    Attributes:
        config: What was read.
        lasting: What it shares with the generations before and after it.
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
        extra = (lasting.limits_resource, lasting.publishing, lasting.responses, lasting.listening, lasting.console)
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
        console = before._console
        if console is not None and console is not self._console:
            if self._console is not None:
                self._console.inherit(console)
            console.drain()  # pages that look on ask again, whoever answers then
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
        if self._sight.peers is not None:
            self._sight.peers.answer = None if self._console is None else self._console.answer

    def drain(self) -> None:
        """Repeat nothing from now on."""
        if self._console is not None:
            self._console.drain()
        self.router.drain()
        for line in self.lines.values():
            if line.retry is not None:
                line.retry.drain()

    @property
    def _console(self) -> Console | None:
        app = None if self.lasting.console is None else self.lasting.console.app
        return app if isinstance(app, Console) else None

    def _known_failovers(self) -> dict[_Order, Failover]:
        """Those of this generation, and those of the one before that it has not been asked for yet."""
        return {**self._before, **self._failovers}

    def _leaves(self, key: _Order) -> list[Resource | None]:
        lines = [self.lines.get(app) for _, app, _ in key]
        return [None if line is None else line.leaf for line in lines]


def _named(report: BreakerReport, target: str) -> _Report:
    return _Report(target, report.model, report.state, report.reopens_in)
