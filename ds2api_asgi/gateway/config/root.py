"""`Config`: the whole file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .access import AccessTable, BoundsTable
from .base import Name, Table
from .models import ModelTable, RouterTable
from .observing import ConsoleTable, CostTable, LogTable, MetricsTable, TelemetryTable
from .resilience import FailoverTable
from .rules import RuleTable
from .server import CarryTable, ReloadTable, ResponsesTable, ServerTable, StoreTable
from .upstreams import UpstreamTable

__all__ = ["Config"]


class Config(Table):
    """A gateway.

    ::

        [upstreams.openai]
        preset = "openai"
        keys = ["env:OPENAI_KEY_1", "env:OPENAI_KEY_2"]

        [models.smart]
        targets = ["openai/gpt-6"]

        [access]
        keys = ["env:GATEWAY_KEY"]
    """

    upstreams: Annotated[dict[Name, UpstreamTable], Field(min_length=1)]
    """Providers by a name of your choice."""
    models: dict[str, ModelTable] = {}
    """What clients ask for."""
    router: RouterTable = RouterTable()
    """What holds for all models."""
    failover: FailoverTable = FailoverTable()
    """What is done about failures where a model has several targets."""
    rules: tuple[RuleTable, ...] = ()
    """What failures mean, before all that is built in."""
    access: AccessTable | None = None
    """Who may come in; missing: everybody on this machine, and nobody else can."""
    bounds: BoundsTable = BoundsTable()
    """What is too large or odd to be let in."""
    server: ServerTable = ServerTable()
    """Where the gateway listens."""
    reload: ReloadTable = ReloadTable()
    """When a changed file is taken over."""
    store: StoreTable = StoreTable()
    """Where the health and limits of keys live."""
    responses: ResponsesTable | None = None
    """State of OpenAI Responses; missing: there is none."""
    carry: CarryTable = CarryTable()
    """Opaque state of providers."""
    log: LogTable = LogTable()
    """A line for each request."""
    metrics: MetricsTable | None = None
    """Numbers for Prometheus; missing: none."""
    telemetry: TelemetryTable | None = None
    """Spans for OpenTelemetry; missing: none."""
    cost: CostTable | None = None
    """What answers cost; missing: nobody counts."""
    console: ConsoleTable | None = None
    """A page to look at; missing: none."""
