"""The constructors' own parameters, from what a scenario file says: the file needs no list of them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from ..errors import ConfigurationError
from .units import Seconds, decode_unit

__all__ = ["parameters_of", "settings_of"]

_OURS = frozenset({"app", "apps", "protocol", "keys", "name", "store", "clock", "wall", "rng", "max_body"})
"""Parameters that the simulation gives by itself."""


def settings_of(constructor: Callable[..., Any], given: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Read keyword arguments.

    Durations may be written as text (``"30s"``), ``"none"`` stands for None where a parameter takes it, and a table
    where a parameter takes a struct.

    Args:
        constructor: A class.
        given: What the file says.
        path: Where it says so, for errors.

    Raises:
        ConfigurationError: An unknown parameter, or a value of the wrong kind.
    """
    known = parameters_of(constructor)
    settings = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(f"{path}.{name}: unknown; one of {', '.join(known)}")
        settings[name] = _value(known[name], value, f"{path}.{name}")
    return settings


@cache
def parameters_of(constructor: Callable[..., Any]) -> dict[str, tuple[type, ...]]:
    """A constructor's parameters and the types that each may have."""
    hints = typing.get_type_hints(constructor.__init__)
    return {name: _kinds(hints[name]) for name in inspect.signature(constructor).parameters if name not in _OURS}


def _kinds(hint: Any) -> tuple[type, ...]:
    of_several = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    kinds = typing.get_args(hint) if of_several else (hint,)
    return tuple(kind for kind in kinds if isinstance(kind, type) and not getattr(kind, "_is_protocol", False))


def _value(kinds: tuple[type, ...], value: Any, path: str) -> Any:
    if value == "none" and type(None) in kinds:
        return None
    structs = [kind for kind in kinds if issubclass(kind, msgspec.Struct)]
    try:
        if isinstance(value, dict) and structs:
            return msgspec.convert(value, structs[0], dec_hook=decode_unit)
        if isinstance(value, str) and float in kinds and str not in kinds:
            return float(Seconds.decode(value))
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    fits = isinstance(value, kinds) or (float in kinds and isinstance(value, int))
    if not fits or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("none" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ConfigurationError(f"{path}: expected {names}, got {value!r}")
    return value
