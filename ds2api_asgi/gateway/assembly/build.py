"""What a configuration means: the parts that a `Config` asks for, put together.

::

    Pages(Traced(Access(StatefulResponses(Router({name: Translator(Line)}))), watchers=[metrics, telemetry, live]))

`build` touches nothing that serves: what a generation has in common with the one before is taken from there (`Lasting`,
unchanged `Line` s), and what must change about that is done by `Generation.take_over`, when nothing can go wrong any
more.
"""

from __future__ import annotations

from pathlib import Path

from ...access import Access, Bounds
from ...asgi.types import ASGIApp
from ...observe import Traced
from ...resilience import Failover
from ..config import Config
from ..config.access import AccessTable
from ..config.models import TargetTable
from ..pages import Guarded, Pages
from ..routing.router import Router
from .blaming import blaming
from .generation import Generation
from .lasting import Lasting, lasting_of
from .line import Ground, Line, line_of
from .parts import checks_of, client_key_of, failover_arguments, prices_of, route_of, transform_of
from .resource import nobody
from .sight import Sight

__all__ = ["build"]


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
    lasting = lasting_of(
        config, folder=folder, before=None if before is None else before.lasting, core=core, sight=sight
    )
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
        with blaming(f"upstreams.{name}"):
            lines[name] = line_of(name, table, ground, None if before is None else before.lines.get(name))
    generation = Generation(config, lasting, lines, sight)
    generation.router = _router(config, generation)
    inner: ASGIApp = generation.router if lasting.responses is None else lasting.responses.app
    with blaming("access"):
        inner = _door(config.access, config, lasting, inner)
    with blaming("log"):
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
        with blaming(f"models.{name}"):
            more = [transform_of(transform) for transform in table.transforms]
            named = [
                target.upstream if isinstance(target, TargetTable) else target.partition("/")[0]
                for target in table.targets
            ]
            own = {app: lines[app].translator(*more) for app in named if more and app in lines}
            routes[name] = route_of(table, own)
    with blaming("failover"):  # they are made when they are needed, and that is too late to refuse one
        Failover([nobody, nobody], **failover_arguments(config.failover, 2))
    with blaming("models"):
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
