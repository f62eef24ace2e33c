"""Strategies by the names that configuration has for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ...errors import ConfigurationError
from .affinity import Affinity
from .fill_first import FillFirst
from .latency import Latency
from .least_used import LeastUsed
from .round_robin import RoundRobin
from .strategy import Strategy

__all__ = ["STRATEGIES", "strategy_named"]

STRATEGIES: Final[Mapping[str, Callable[[], Strategy]]] = MappingProxyType(
    {
        "affinity": Affinity,
        "fill-first": FillFirst,
        "latency": Latency,
        "least-used": LeastUsed,
        "round-robin": RoundRobin,
    }
)
"""What makes each strategy, by its name."""


def strategy_named(name: str) -> Strategy:
    """The strategy that configuration calls by this name, as `KeyPool` lists them.

    Raises:
        ConfigurationError: There is no such strategy.
    """
    if name not in STRATEGIES:
        raise ConfigurationError(f"unknown key strategy {name!r}: one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]()
