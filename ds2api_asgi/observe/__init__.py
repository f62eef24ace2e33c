"""Tell what happened to requests: `Traced` around an app, a `Journal` of the last traces, and sinks of your own.

Numbers for Prometheus are `Metrics`' (extra ``metrics``), spans for OpenTelemetry `Telemetry`'s (extra ``otel``), and
what answers cost is told by `cost_of` (extra ``cost``). `Live` tells what runs now, for who looks at it.
`Watchers` lets all of them watch from one place, and `JsonLines` writes logs of one JSON document per line.
"""

from .cost import Cost, Price, cost_of
from .journal import Journal, Sink
from .json_lines import JsonLines, TextLines
from .live import Live
from .metrics import Metrics
from .summary import Summary, summary_of
from .telemetry import Telemetry
from .traced import Traced
from .watching import Watcher, Watchers

__all__ = [
    "Cost",
    "Journal",
    "JsonLines",
    "Live",
    "Metrics",
    "Price",
    "Sink",
    "Summary",
    "Telemetry",
    "TextLines",
    "Traced",
    "Watcher",
    "Watchers",
    "cost_of",
    "summary_of",
]
