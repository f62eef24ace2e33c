"""Simulation: the real parts in virtual time, between simulated clients and simulated providers.

    report = report_on(read_scenario(Path("scenario.toml").read_text()))

Hours pass in seconds, nothing leaves the process, and a seed gives the same run again, to the last digit. So it answers
"what will my clients see when a key dies at 14:00", and it looks for bugs: `chance_scenario` draws scenarios in which
everything goes wrong, and `Checker` knows what must hold in each of them.

| module | holds |
|---|---|
| `loop` | the event loop whose time is virtual |
| `units`, `scenario`, `settings` | what a scenario file says |
| `provider`, `quota`, `call` | simulated providers, how they count their limits, what reached them |
| `client`, `request`, `attempt` | simulated clients, what they ask, what they see of it |
| `wire` | what both say to each other |
| `world` | one run, and who is told of it |
| `rests`, `checker` | what must always hold |
| `chance` | scenarios by chance |
| `report`, `page`, `trace` | what is told of a run |
| `running` | all of that in one call |
"""

from __future__ import annotations

from .chance import chance_scenario
from .checker import Checker, Violation
from .loop import Deadlock, Leftovers, Livelock, VirtualLoop, run
from .page import page_of, summary_of
from .report import Report, Reporter
from .running import chance_report, report_on, trace_of
from .scenario import Scenario, read_scenario
from .trace import Tracer
from .world import Observer, World

__all__ = [
    "Checker",
    "Deadlock",
    "Leftovers",
    "Livelock",
    "Observer",
    "Report",
    "Reporter",
    "Scenario",
    "Tracer",
    "Violation",
    "VirtualLoop",
    "World",
    "chance_report",
    "chance_scenario",
    "page_of",
    "read_scenario",
    "report_on",
    "run",
    "summary_of",
    "trace_of",
]
