"""Dialects by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from ..errors import ConfigurationError

__all__ = ["named", "unknown"]

T = TypeVar("T")


def named(dialects: Mapping[str, T], name: str, protocol: str) -> T:
    """The dialect of this name.

    Args:
        dialects: All that the protocol has.
        name: ``""`` for its own.
        protocol: The protocol's name.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        return dialects[name]
    except KeyError:
        raise unknown(dialects, name, protocol) from None


def unknown(dialects: Iterable[str], name: str, protocol: str) -> ConfigurationError:
    """What is raised for a name that a protocol has no dialect for."""
    return ConfigurationError(f"{protocol} has no dialect {name!r}; known: {', '.join(map(repr, dialects))}")
