"""Strategies: which of the usable keys is used next.

| module | noun |
|---|---|
| `strategy` | the interface, and what strategies know of keys |
| `round_robin`, `fill_first`, `least_used`, `latency`, `affinity` | one strategy each |
| `named` | what configuration calls them |
| `tiers` | priorities, put before any of them |
| `turns`, `two_choices`, `wheel` | what they choose by |
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
