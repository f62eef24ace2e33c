"""Which models go where: routes by exact name, wildcard and prefix, the most specific first.

| a client asks | and there is | which asks |
|---|---|---|
| ``smart`` | ``{"smart": "claude/claude-opus-5"}`` | the app ``claude`` for ``claude-opus-5`` |
| ``gpt-6`` | ``{"gpt-*": "openai"}`` | the app ``openai`` for ``gpt-6`` |
| ``openai/gpt-6`` | an app ``openai``, and prefixes are on | the app ``openai`` for ``gpt-6`` |

An exact name comes before all patterns; of patterns the one with more characters that are no ``*`` counts, then the one
with fewer ``*``, then the first. Names are exact to the case; one that is nobody's is tried again without Gemini's
``models/`` and Ollama's ``:latest``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, Final, TypeAlias

from msgspec import Struct, field, structs

from ...asgi.types import ASGIApp
from ...errors import ConfigurationError
from ...universal import jsontext

__all__ = [
    "CAPABILITIES",
    "LONGEST",
    "OWN_MEMBERS",
    "Found",
    "Leg",
    "Route",
    "RouteLike",
    "Routed",
    "Ruled",
    "Rules",
    "Table",
    "Target",
    "Way",
]

CAPABILITIES: Final = frozenset({"vision", "tools", "reasoning"})
LONGEST: Final = 256
"""Characters of a model's name; longer ones are nobody's, and would be slow to match."""

_REMEMBERED: Final = 1024  # names; clients choose them, so there is a bound
OWN_MEMBERS: Final = frozenset({"model", "stream"})  # what a router and the parts beneath decide by


class Target(Struct, frozen=True, kw_only=True):
    """Where a model's requests may go.

    Attributes:
        app: The name of an app of the router.
        model: The model to ask it for; None: the one that the client named.
        weight: Its share among the targets of its priority; 0: only asked where others fail.
        priority: Lower ones are asked first.
        can: Of `CAPABILITIES`, those that it has: a request that needs another one does not go to it. None: undeclared,
            everything goes to it.
    """

    app: str
    model: str | None = None
    weight: float = 1.0
    priority: int = 0
    can: frozenset[str] | None = None


class Rules(Struct, frozen=True, kw_only=True):
    """What becomes of a request's own members, in the spelling of the client's protocol.

    Attributes:
        default: Members that are added where they are missing.
        override: Members that get this value, whatever the client said.
        remove: Members that go.
    """

    default: dict[str, Any] = field(default_factory=dict)
    override: dict[str, Any] = field(default_factory=dict)
    remove: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.default or self.override or self.remove)


class Route(Struct, frozen=True, kw_only=True):
    """What a model's name means.

    Attributes:
        targets: Where its requests go; ``"openai/gpt-6"`` is a target, too.
        fallbacks: Names of other routes, whose targets are asked after these.
        rules: What becomes of its requests' members, but for requests that went to a fallback: that has its own.
        rename_answers: Whether answers say the name that was asked for; None: as the router says.
        listed: Whether lists of models have it.
        apps: Apps that are asked in place of the router's, by the same names: with transforms of this route's own. They
            stand around what the router's stand around, so their lifespan is not run.
    """

    targets: tuple[Target | str, ...]
    fallbacks: tuple[str, ...] = ()
    rules: Rules = Rules()
    rename_answers: bool | None = None
    listed: bool = True
    apps: Mapping[str, ASGIApp] = field(default_factory=dict)


RouteLike: TypeAlias = Route | Target | str | Sequence[Target | str]


class Routed(Struct, frozen=True, kw_only=True, gc=False):
    """A fact: a request was sent on its way. One is noted for every target that is asked.

    Attributes:
        model: What the client asked for.
        target: The name of the app.
        upstream_model: What the app is asked for.
    """

    model: str
    target: str
    upstream_model: str


class Ruled(Struct, frozen=True, kw_only=True):
    """A fact: rules changed members of a request.

    Attributes:
        removed: Names of those that are gone.
        overridden: Names of those that have our value.
        defaulted: Names of those that were missing.
    """

    removed: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    defaulted: tuple[str, ...] = ()


class Leg(Struct, frozen=True, kw_only=True, eq=False):
    """A target as a part of one route's way: fallbacks' targets are legs, too.

    Attributes:
        target: The target.
        tier: Its place in the order; legs of one tier share by weight.
        rules: Those of the route that it comes from.
        rename: Whether answers are renamed; None: as the router says.
        route: The name of the route that it comes from.
        app: The route's own; None: the router's.
    """

    target: Target
    tier: tuple[int, int]
    rules: Rules
    rename: bool | None
    route: str = ""
    app: ASGIApp | None = None


class Way(Struct, frozen=True, kw_only=True, eq=False):
    """A route, resolved: its legs in the order in which they are asked.

    Attributes:
        name: The route's, as configuration has it.
        legs: At least one.
        listed: Whether lists have its name.
    """

    name: str
    legs: tuple[Leg, ...]
    listed: bool = True


class Found(Struct, frozen=True, kw_only=True, eq=False):
    """What a name means.

    Attributes:
        way: Where its requests go.
        model: What a target without a model of its own is asked for.
    """

    way: Way
    model: str


class Table:
    """All routes of a router.

    Args:
        apps: The names of its apps.
        routes: By the name or the pattern that clients ask for.
        prefixes: Whether ``app/model`` means the model of that app.

    Attributes:
        ways: The routes, by name.

    Raises:
        ConfigurationError: See `Router`.
    """

    def __init__(self, apps: Iterable[str], routes: Mapping[str, RouteLike], *, prefixes: bool) -> None:
        self._apps = tuple(apps)
        if not self._apps:
            raise ConfigurationError("a router needs at least one app")
        for name in self._apps:
            if not name or "/" in name or "*" in name:
                raise ConfigurationError(f"the name of an app has neither / nor *, and is not empty: {name!r}")
        for name in routes:
            if not name or len(name) > LONGEST:
                raise ConfigurationError(f"the name of a route has 1 to {LONGEST} characters: {name[:40]!r}")
            if name.count("*") > 4:
                raise ConfigurationError(f"the name of a route has at most four stars: {name!r}")
        self._routes = {name: self._route(name, route) for name, route in routes.items()}
        self.ways = {name: self._way(name, route) for name, route in self._routes.items()}
        patterns = [(name, self.ways[name], "") for name in self.ways if "*" in name]
        if prefixes:
            patterns += [
                (f"{app}/*", self._way(f"{app}/*", Route(targets=(Target(app=app),), listed=False)), f"{app}/")
                for app in self._apps
                if f"{app}/*" not in self.ways
            ]
        patterns.sort(key=lambda entry: (entry[0].count("*") - len(entry[0]), entry[0].count("*")))
        self._patterns = [(_pattern(name), way, prefix) for name, way, prefix in patterns]
        self._remembered = lru_cache(_REMEMBERED)(self._find)

    def find(self, model: str) -> Found | None:
        """What a name means; None: nothing."""
        return self._remembered(model) if 0 < len(model) <= LONGEST else None

    def _find(self, model: str) -> Found | None:
        plain = model.removeprefix("models/").removesuffix(":latest")
        return self._match(model) or (self._match(plain) if plain != model else None)

    def _match(self, model: str) -> Found | None:
        way = self.ways.get(model) if "*" not in model else None
        if way is not None:
            return Found(way=way, model=model)
        for pattern, way, prefix in self._patterns:
            if pattern.fullmatch(model):
                return Found(way=way, model=model[len(prefix) :])
        return None

    def _route(self, name: str, route: RouteLike) -> Route:
        if isinstance(route, (str, Target)):
            route = Route(targets=(route,))
        elif not isinstance(route, Route):
            route = Route(targets=tuple(route))
        rules = route.rules
        if OWN_MEMBERS & {*rules.default, *rules.override, *rules.remove}:
            raise ConfigurationError(f"the route {name!r}: rules do not concern {' and '.join(sorted(OWN_MEMBERS))}")
        try:
            jsontext.dumps([rules.default, rules.override])
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"the route {name!r}: values of rules are JSON") from error
        if not route.targets:
            raise ConfigurationError(f"the route {name!r} has no targets")
        return route

    def _way(self, name: str, route: Route) -> Way:
        legs = self._legs(name, route, 0, (name,))
        if not any(leg.target.weight for leg in legs):
            raise ConfigurationError(f"the route {name!r} has no target with a weight")
        return Way(name=name, legs=tuple(sorted(legs, key=lambda leg: leg.tier)), listed=route.listed)

    def _legs(self, name: str, route: Route, depth: int, above: tuple[str, ...]) -> list[Leg]:
        targets = [self._target(name, target) for target in route.targets]
        legs = [
            Leg(
                target=target,
                tier=(depth, target.priority),
                rules=route.rules,
                rename=route.rename_answers,
                route=name,
                app=route.apps.get(target.app),
            )
            for target in targets
        ]
        for number, fallback in enumerate(route.fallbacks, 1):
            if fallback in above:
                raise ConfigurationError(f"the route {name!r} falls back to itself by way of {fallback!r}")
            other = self._routes.get(fallback)
            if other is None:
                raise ConfigurationError(f"the route {name!r} falls back to {fallback!r}, which is no route")
            if "*" in fallback:
                raise ConfigurationError(f"the route {name!r} falls back to a pattern, which names no model")
            for leg in self._legs(fallback, other, 0, (*above, fallback)):
                # What a fallback's targets are asked for is the fallback's name, where they say none.
                own = leg.target if leg.target.model is not None else _named(leg.target, fallback)
                tier = (depth + number * 1000 + leg.tier[0], leg.tier[1])
                legs.append(structs.replace(leg, target=own, tier=tier))
        return legs

    def _target(self, route: str, target: Target | str) -> Target:
        if isinstance(target, str):
            app, _, model = target.partition("/")
            target = Target(app=app, model=model or None)
        if target.app not in self._apps:
            raise ConfigurationError(f"the route {route!r}: there is no app {target.app!r}")
        if not isfinite(target.weight) or target.weight < 0:
            raise ConfigurationError(f"the route {route!r}: a weight is 0 or more")
        if target.model is not None and (not 0 < len(target.model) <= LONGEST or "*" in target.model):
            raise ConfigurationError(f"the route {route!r}: a target's model is one name")
        if target.can is not None and not target.can <= CAPABILITIES:
            raise ConfigurationError(f"the route {route!r}: targets can {', '.join(sorted(CAPABILITIES))}")
        return target


def _named(target: Target, model: str) -> Target:
    return Target(app=target.app, model=model, weight=target.weight, priority=target.priority, can=target.can)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.sub(r"\*+", "*", name).split("*"))), re.DOTALL)
