"""The world: providers and clients of a scenario around our own parts, run from beginning to end."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Any

import anyio
from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.types import ASGIApp
from ..errors import ConfigurationError
from ..pool import Key, KeyPool, KeyReport, Secret
from ..resilience import Failover, Retry, RetryPolicy
from ..translator import Translator
from . import scenario
from .attempt import Attempt
from .call import Ears
from .client import RequestEnd, Sdk
from .loop import VirtualLoop, new_loop, run
from .provider import ProviderApp, secret_of
from .request import draw_request
from .settings import settings_of

__all__ = ["DRAIN", "MIDNIGHT", "Observer", "Pooled", "World", "simulate"]

MIDNIGHT = 1_767_225_600.0
"""Unix time of the midnight before every simulation: that of 1 January 2026."""

_QUEUE_TIMEOUT: float = getattr(inspect.signature(KeyPool).parameters.get("queue_timeout"), "default", 0.0) or 0.0

DRAIN = 1_200.0
"""Seconds after the end in which what is under way may end; then even the most patient client leaves."""


class Observer(Ears):
    """Who is told of everything; does nothing."""

    def starts(self, world: World) -> None:
        """Everything is built and nothing has happened."""

    def asks(self, attempt: Attempt) -> None:
        """A client is about to make an HTTP request."""

    def answered(self, attempt: Attempt) -> None:
        """It is over."""

    def concluded(self, request: RequestEnd) -> None:
        """A client has what it wanted, or has given up."""

    def sampled(self, provider: str, keys: Sequence[KeyReport]) -> None:
        """How a pool's keys are, from time to time."""

    def finished(self, provider: str, keys: Sequence[KeyReport]) -> None:
        """Everything is over; how a pool's keys are then."""


class _Everybody(Observer):
    """Tells several observers.

    Args:
        observers: In this order.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        for name in ("starts", "asks", "answered", "concluded", "sampled", "finished", "begins", "content", "ends"):
            setattr(self, name, partial(_tell, [getattr(observer, name) for observer in observers]))


def _tell(methods: Sequence[Callable[..., None]], *what: Any) -> None:
    for method in methods:
        method(*what)


class Pooled(Struct, frozen=True, kw_only=True):
    """A provider and our pool of its keys.

    Attributes:
        settings: The scenario's.
        app: The provider.
        pool: None: it needs no keys.
        max_concurrency: Requests that may use one of its keys at a time; None: any number.
        max_total: Requests that may use all of them at a time; None: any number.
        queue_timeout: Seconds that a request may wait for a key at most.
    """

    settings: scenario.Provider
    app: ProviderApp
    pool: KeyPool | None
    max_concurrency: int | None
    max_total: int | None
    queue_timeout: float


class World:
    """One run of a scenario.

    Args:
        plan: The scenario.
        seed: Instead of the scenario's.
        observers: Who is told of everything.
        samples: How often keys are looked at in the duration; 0: never.

    Attributes:
        loop: Whose time it is.
        providers: By name.
        app: What the clients ask.
        deadline: Seconds that a request may take; ``inf``: no part bounds it.

    Raises:
        ConfigurationError: A setting that a part refuses.
    """

    loop: VirtualLoop
    app: ASGIApp

    def __init__(
        self,
        plan: scenario.Scenario,
        *,
        seed: int | None = None,
        observers: Sequence[Observer] = (),
        samples: int = 200,
    ) -> None:
        self.plan = plan
        self.seed = plan.seed if seed is None else seed
        self.providers: dict[str, Pooled] = {}
        self._observer: Observer = _Everybody(observers)
        self._samples = samples
        self._numbers = count(1)
        self._requests = count(1)
        self.build(new_loop())  # refuses what cannot be built before anything is waited for

    def run(self) -> None:
        """Run it.

        Raises:
            Deadlock: Something waits for what will never come.
            Livelock: No time passes any more.
            Leftovers: Tasks were left behind.
        """
        run(self._main, seed=self.seed if self.plan.shuffle else None)

    def wall(self) -> float:
        """Unix time."""
        return MIDNIGHT + self.plan.start + self.loop.time()

    def rng(self, purpose: str) -> Random:
        """A source of chance of its own, so that one part's draws do not move another's."""
        return Random(f"{self.seed}/{purpose}")  # noqa: S311 - simulates

    def build(self, loop: VirtualLoop) -> None:
        """Build our parts around the providers."""
        self.loop = loop
        self.deadline = math.inf
        self._calls = count(1)
        for settings in self.plan.providers:
            self.providers[settings.name] = self._pooled(settings, self.plan.providers.index(settings))
        apps = [self._retried(number, pooled) for number, pooled in enumerate(self.providers.values())]
        plan = self.plan
        terms: dict[str, Any] = {
            "protocol": plan.protocol,
            "clock": loop.time,
            "wall": self.wall,
            "rng": self.rng("retry"),
        }
        app = apps[0]
        if plan.retry is not None:
            own = settings_of(Retry if len(apps) == 1 else Failover, plan.retry, "retry")
            self.deadline = own.get("deadline", RetryPolicy().deadline)
            app = Retry(apps[0], **own, **terms) if len(apps) == 1 else Failover(apps, **own, **terms)
        if any(group.protocol not in (None, plan.protocol) for group in plan.clients):
            app = Translator(app, speaks=plan.protocol, clock=self.wall)
        self.app = app

    def _pooled(self, settings: scenario.Provider, number: int) -> Pooled:
        loop, plan = self.loop, self.plan
        app = ProviderApp(
            settings, start=plan.start, clock=loop.time, rng=self.rng(f"provider/{settings.name}"),
            numbers=lambda: next(self._calls), ears=self._observer,
        )  # fmt: skip
        if not settings.keys:
            return Pooled(
                settings=settings, app=app, pool=None, max_concurrency=None, max_total=None, queue_timeout=0.0
            )
        own = settings_of(KeyPool, settings.pool, f"providers[{number}].pool")
        keys = [
            Key(
                secret=Secret(secret_of(settings.name, name)), alias=name, weight=keys.weight, quota_scope=keys.scope,
                models=None if keys.models is None else frozenset(keys.models), priority=keys.priority,
                limits=keys.limits(),
            )
            for keys in settings.keys
            for name in keys.names()
        ]  # fmt: skip
        try:
            pool = KeyPool(
                app, protocol=plan.protocol, keys=keys, name=settings.name, clock=loop.time, wall=self.wall,
                rng=self.rng(f"pool/{settings.name}"), **own,
            )  # fmt: skip
        except ConfigurationError as error:
            raise ConfigurationError(f"providers[{number}]: {error}") from None
        return Pooled(
            settings=settings,
            app=app,
            pool=pool,
            max_concurrency=own.get("max_concurrency"),
            max_total=own.get("max_total"),
            queue_timeout=own.get("queue_timeout", _QUEUE_TIMEOUT),
        )

    def _retried(self, number: int, pooled: Pooled) -> ASGIApp:
        app: ASGIApp = pooled.app if pooled.pool is None else pooled.pool
        if pooled.settings.retry is None:
            return app
        own = settings_of(Retry, pooled.settings.retry, f"providers[{number}].retry")
        return Retry(
            app, protocol=self.plan.protocol, clock=self.loop.time, wall=self.wall,
            rng=self.rng(f"retry/{pooled.settings.name}"), **own,
        )  # fmt: skip

    async def _main(self, loop: VirtualLoop) -> None:
        self.build(loop)
        self._observer.starts(self)
        async with anyio.create_task_group() as group:
            for clients in self.plan.clients:
                group.start_soon(self._clients, clients)
            if self._samples:
                group.start_soon(self._sample)
        for name, pooled in self.providers.items():
            self._observer.finished(name, [] if pooled.pool is None else await pooled.pool.snapshot())

    async def _sample(self) -> None:
        step = self.plan.duration / self._samples
        for _ in range(self._samples):
            for name, pooled in self.providers.items():
                if pooled.pool is not None:
                    self._observer.sampled(name, await pooled.pool.snapshot())
            await anyio.sleep(step)

    async def _clients(self, group: scenario.Clients) -> None:
        rng = self.rng(f"clients/{group.name}")
        begin = group.begin.since(self.plan.start)
        async with anyio.create_task_group() as tasks:
            if group.count:
                for number in range(group.count):
                    own = self.rng(f"clients/{group.name}/{number}")
                    tasks.start_soon(self._closed, group, begin, own)
                return
            await anyio.sleep(begin + rng.expovariate(group.rate))
            made = 0
            while self.loop.time() < self.plan.duration and (group.requests is None or made < group.requests):
                tasks.start_soon(self._ask, group, Random(rng.getrandbits(64)))  # noqa: S311 - simulates
                made += 1
                await anyio.sleep(rng.expovariate(group.rate))

    async def _closed(self, group: scenario.Clients, begin: float, rng: Random) -> None:
        await anyio.sleep(begin + group.think.draw(rng) * rng.random())
        made = 0
        while self.loop.time() < self.plan.duration and (group.requests is None or made < group.requests):
            await self._ask(group, rng)
            made += 1
            await anyio.sleep(group.think.draw(rng))

    async def _ask(self, group: scenario.Clients, rng: Random) -> None:
        request = draw_request(group, self.plan.protocol, next(self._requests), rng)
        sdk = Sdk(
            self.loop,
            self.app,
            attempts=lambda: next(self._numbers),
            began=self._observer.asks,
            done=self._done,
            rng=rng,
        )
        self._observer.concluded(await sdk.ask(request, end=self.plan.duration + DRAIN))

    def _done(self, attempt: Attempt) -> None:
        self._observer.answered(attempt)
        attempt.exchange = Exchange(started=0.0)  # the old one observes through us: a cycle


def simulate(plan: scenario.Scenario, *observers: Observer, seed: int | None = None, samples: int = 200) -> None:
    """Run a scenario and tell the observers; as for `World`."""
    World(plan, seed=seed, observers=observers, samples=samples).run()
