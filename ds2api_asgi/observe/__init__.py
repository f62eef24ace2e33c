"""Tell what happened to requests: `Traced` around an app, a `Journal` of the last traces, and sinks of your own.

Numbers for Prometheus are `Metrics`' (extra ``metrics``), spans for OpenTelemetry `Telemetry`'s (extra ``otel``), and
what answers cost is told by `cost_of` (extra ``cost``). `Live` tells what runs now, for who looks at it.
`Watchers` lets all of them watch from one place, and `JsonLines` writes logs of one JSON document per line.

| module | noun |
|---|---|
| `traced`, `journal`, `summary` | `Traced` tells the story of each request; where stories go; one in short |
| `json_lines`, `others` | lines of a log, and lines for requests that are no protocol's |
| `metrics`, `exposition`, `workers` | `Metrics`; the endpoint that Prometheus reads; several processes as one |
| `labels`, `buckets` | whose values strangers choose; where histograms have their bounds |
| `telemetry`, `spans`, `messages`, `semconv` | `Telemetry`; what spans tell, in the words of the conventions |
| `cost` | what an answer cost in money |
| `live`, `series`, `standing` | `Live`: what runs now, the last minutes in steps, how keys and breakers stand |
| `watching` | where all of them watch from |
| `requests`, `calls`, `sockets` | the components that see: around the nest, around an upstream, both for websockets |
| `seen`, `answers` | what is seen of a request, and of an answer as it passes |
| `extras` | optional dependencies, asked for |
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
