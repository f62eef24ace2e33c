"""Tell what happened to requests: `Traced` around an app, a `Journal` of the last traces, and sinks of your own.

Numbers for Prometheus are `Metrics`' (extra ``metrics``), spans for OpenTelemetry `Telemetry`'s (extra ``otel``), and
what answers cost is told by `cost_of` (extra ``cost``). `Live` tells what runs now, for who looks at it.
"""

from .cost import Cost, Price, cost_of
from .journal import Journal, Sink
from .live import Live
from .metrics import Metrics
from .telemetry import Telemetry
from .traced import Traced

__all__ = ["Cost", "Journal", "Live", "Metrics", "Price", "Sink", "Telemetry", "Traced", "cost_of"]
