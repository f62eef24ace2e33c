"""Strategies: which of the usable keys is used next.

`strategy` is the interface, `named` what configuration calls them, `tiers` puts priorities before any of them.
"""

from __future__ import annotations

from .affinity import Affinity
from .fill_first import FillFirst
from .latency import Latency
from .least_used import LeastUsed
from .named import STRATEGIES, strategy_named
from .round_robin import RoundRobin
from .strategy import Lineup, Seat, Strategy, Traffic

__all__ = [
    "STRATEGIES",
    "Affinity",
    "FillFirst",
    "Latency",
    "LeastUsed",
    "Lineup",
    "RoundRobin",
    "Seat",
    "Strategy",
    "Traffic",
    "strategy_named",
]
