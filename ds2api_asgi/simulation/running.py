"""A scenario, run once and told: the counts, and what was violated."""

from __future__ import annotations

from . import scenario
from .chance import chance_scenario
from .checker import Checker
from .loop import Deadlock, Leftovers, Livelock
from .report import Report, Reporter
from .trace import Tracer
from .world import Observer, World

__all__ = ["chance_report", "report_on", "trace_of"]


def report_on(plan: scenario.Scenario, *observers: Observer, seed: int | None = None, samples: int = 200) -> Report:
    """Run a scenario.

    Args:
        plan: The scenario.
        observers: Who else is told of everything.
        seed: Instead of the scenario's.
        samples: How often keys are looked at; 0: never.

    Raises:
        ConfigurationError: A setting that a part refuses.
    """
    checker, reporter = Checker(), Reporter()
    world = World(plan, seed=seed, observers=(checker, reporter, *observers), samples=samples)
    failure = None
    try:
        world.run()
    except (Deadlock, Livelock, Leftovers) as error:
        failure = f"{type(error).__name__}: {error}"
    return reporter.report(plan, world.seed, checker.violations, failure)


def chance_report(seed: int) -> Report:
    """Run a scenario that is left to chance; a seed is all there is to it."""
    return report_on(chance_scenario(seed), samples=0)


def trace_of(plan: scenario.Scenario, *, seed: int | None = None) -> list[str]:
    """Run a scenario and write down everything that happens in it."""
    tracer = Tracer()
    report_on(plan, tracer, seed=seed, samples=0)
    return tracer.lines
