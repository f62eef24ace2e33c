"""``[log]``, ``[metrics]``, ``[telemetry]``, ``[cost]`` and ``[console]``: what is seen of a running gateway."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from .base import Count, Flag, HeaderName, HttpPath, Seconds, Table
from .secrets import Reference

__all__ = ["ConsoleTable", "CostTable", "LogTable", "MetricsTable", "PriceTable", "TelemetryTable"]

_Dollars = Annotated[Decimal, Field(ge=0)]


class LogTable(Table):
    """The log: a line for each request, with its decision trace."""

    format: Literal["text", "json"] = "text"
    """Lines to read, or one JSON document per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged at least; `warning`: only requests that failed."""
    file: str | None = None
    """Where to; missing: standard error."""
    header: HeaderName | None = None
    """A response header for a short trace (`x-ds2-trace`)."""


class MetricsTable(Table):
    """Numbers for Prometheus (extra `metrics`). Without this table there are none."""

    path: HttpPath = "/metrics"
    """Where they are."""
    token: Reference | None = None
    """What scrapers must show as `authorization: Bearer …`; missing: everybody who reaches the port may read them."""
    max_models: Count = 100
    """Models with labels of their own."""


class TelemetryTable(Table):
    """Spans and metrics for OpenTelemetry (extra `otel`), through the SDK that the environment configures."""

    contents: Flag | None = None
    """Whether spans hold what requests and answers say; missing: as the environment variable
    `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says, which is no when it is not set."""


class PriceTable(Table):
    """What a model costs, in dollars for a million tokens."""

    input: _Dollars
    """Tokens of requests."""
    output: _Dollars
    """Tokens of answers."""
    cached: _Dollars | None = None
    """Tokens of requests that the provider's cache knew; missing: as `input`."""


class CostTable(Table):
    """What answers cost is counted (extra `cost`, unless all models have prices here)."""

    prices: dict[str, PriceTable] = {}
    """Prices by model; they come before the list."""


class ConsoleTable(Table):
    """A page to look at. Without this table there is none."""

    path: HttpPath = "/console"
    """Where it is."""
    password: Reference
    """What opens it: 12 characters or more, of ASCII and without white space, since commands show it in a header."""
    session: Seconds = 43_200.0
    """Seconds after which it must be given again."""
    journal: Count = 1000
    """Requests whose traces are kept."""
