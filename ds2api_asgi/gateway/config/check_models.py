"""Models: where targets lead, whether fallbacks end, which members rules may concern."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from math import isfinite
from typing import Any

from ...errors import ConfigurationError
from ...protocols.classification import rule
from ..routing.routes import LONGEST, OWN_MEMBERS
from .base import unknown
from .known import Found, Known, meant
from .models import ModelTable, TargetTable
from .places import Path
from .root import Config

__all__ = ["models_found", "rules_found"]

_STARS = 4


def models_found(config: Config, known: Known) -> Iterator[Found]:
    """What is wrong with models and with what holds for all of them."""
    for name, model in config.models.items():
        place: Path = ("models", name)
        if not 0 < len(name) <= LONGEST:
            yield place, f"the name of a model has 1 to {LONGEST} characters"
        if name.count("*") > _STARS:
            yield place, f"a pattern has at most {_STARS} stars"
        yield from _targets(place, model, known)
        yield from _fallbacks(name, config, known)
        yield from _members(place, model)
    yield from _circles(config)
    default = config.router.default
    if default is not None and default not in known.upstreams:
        yield ("router", "default"), unknown("upstream", default, known.upstreams)


def _targets(place: Path, model: ModelTable, known: Known) -> Iterator[Found]:
    for number, target in enumerate(model.targets):
        here: Path = (*place, "targets", number)
        where: Path = here
        what: Path = here
        if isinstance(target, TargetTable):
            upstream, asked = target.upstream, target.model
            where, what = (*here, "upstream"), (*here, "model")
        else:
            upstream, _, asked = target.partition("/")
        if upstream not in known.upstreams:
            yield where, unknown("upstream", upstream, known.upstreams)
        if asked is not None and ("*" in asked or len(asked) > LONGEST):
            yield what, "a target's model is one name, without *"
        if isinstance(target, TargetTable) and target.model == "":
            yield what, "must not be empty; leave it out for the model that the client named"
    weights = [target.weight if isinstance(target, TargetTable) else 1.0 for target in model.targets]
    if not any(weights) and not model.fallbacks:
        yield (*place, "targets"), "no target has a weight, so none would be asked"


def _fallbacks(name: str, config: Config, known: Known) -> Iterator[Found]:
    model = config.models[name]
    for number, fallback in enumerate(model.fallbacks):
        here: Path = ("models", name, "fallbacks", number)
        if fallback not in known.models:
            yield here, f"there is no model of this name here{meant(fallback, known.models)}"
        elif "*" in fallback:
            yield here, "a pattern names no model"


def _circles(config: Config) -> Iterator[Found]:
    """A circle of fallbacks is told once, where it closes."""
    done: set[str] = set()
    for start in config.models:
        stack: list[tuple[str, int]] = [(start, 0)]
        trail = [start]
        while stack:
            name, number = stack.pop()
            del trail[len(stack) + 1 :]
            fallbacks = config.models[name].fallbacks if name in config.models and name not in done else ()
            if number == len(fallbacks):
                done.add(name)
                continue
            stack.append((name, number + 1))
            other = fallbacks[number]
            if other in trail:
                way = " -> ".join([*trail[trail.index(other) :], other])
                yield ("models", name, "fallbacks", number), f"closes a circle: {way}"
            elif other in config.models and other not in done:
                trail.append(other)
                stack.append((other, 0))


def _members(place: Path, model: ModelTable) -> Iterator[Found]:
    for table in ("default", "override"):
        for name, value in getattr(model, table).items():
            if name in OWN_MEMBERS:
                yield (*place, table, name), "is what the gateway itself goes by, and cannot be changed here"
            yield from _json((*place, table, name), value)
    for number, name in enumerate(model.remove):
        if name in OWN_MEMBERS:
            yield (*place, "remove", number), "is what the gateway itself goes by, and cannot be changed here"


def _json(place: Path, value: Any) -> Iterator[Found]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _json((*place, name), member)
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _json((*place, number), member)
    elif isinstance(value, date | time):
        yield place, "is a date or a time, which JSON does not have; put it into quotes"
    elif isinstance(value, float) and not isfinite(value):
        yield place, "must be a finite number"


def rules_found(config: Config, known: Known) -> Iterator[Found]:
    """What is wrong with rules about failures."""
    names: dict[str, int] = {}
    for number, table in enumerate(config.rules):
        here: Path = ("rules", number)
        if names.setdefault(table.id, number) != number:
            yield (*here, "id"), f"is that of rules[{names[table.id]}] as well"
        try:
            rule(**table.as_options())
        except ConfigurationError:
            yield here, "would match every failure; give a status, a code or words of the message"
        for at, upstream in enumerate(table.upstreams or ()):
            if upstream not in known.upstreams:
                yield (*here, "upstreams", at), unknown("upstream", upstream, known.upstreams)
