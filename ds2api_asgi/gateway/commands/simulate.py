"""``ds2api simulate``: what would happen to a scenario's clients, keys and providers, in virtual time.

The parts are those of a real gateway; only the providers, the clients and the time are simulated. The report goes to
standard output, and for one seed it is always the same. The exit code tells the end:

| code | end |
|---|---|
| 0 | simulated |
| 1 | something happened that must not, whatever the scenario: a bug |
| 2 | wrong usage, a file that cannot be read, or no scenario |
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import resources
from pathlib import Path

import msgspec

from ...errors import ConfigurationError
from ...simulation import (
    Observer,
    Report,
    Scenario,
    World,
    chance_report,
    chance_scenario,
    page_of,
    read_scenario,
    report_on,
    summary_of,
    trace_of,
)
from ...simulation.page import clock

__all__ = ["DESCRIPTION", "configure", "run"]

DESCRIPTION = "Simulate clients, keys and providers in virtual time around the real parts: who gets what, and when."

SIMULATED, UNSOUND, USAGE = range(3)

_SILENCE = 2.0
"""Seconds without a word of progress."""

_CHUNK = 64
"""Seeds that a process takes at a time."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("scenario", nargs="?", metavar="SCENARIO", help="a TOML file, or the name of an example")
    parser.add_argument("--examples", action="store_true", help="list the examples that come along")
    parser.add_argument("--chance", action="store_true", help="small scenarios drawn from the seeds, to find bugs")
    parser.add_argument("--seed", type=int, metavar="N", help="of everything left to chance; default: the scenario's")
    parser.add_argument("--seeds", default=1, type=_count, metavar="N", help="run so many seeds, and report the worst")
    parser.add_argument("--jobs", default=1, type=_count, metavar="N", help="processes that share them")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--trace", action="store_true", help="print everything that happens, not a report")


def run(arguments: argparse.Namespace) -> int:
    """Simulate; the exit code is as the module says."""
    if arguments.examples:
        sys.stdout.writelines(f"{name}  {summary}\n" for name, summary in _examples())
        return SIMULATED
    if (arguments.scenario is None) is not arguments.chance:
        return _fail("give a scenario, or --chance")
    with _quiet():
        try:
            plan = None if arguments.chance else _load(arguments.scenario)
            if arguments.trace:
                return _trace(plan, arguments.seed)
            return _run(plan, arguments)
        except ConfigurationError as error:
            return _fail(f"{arguments.scenario}: {error}")
        except OSError as error:
            return _fail(f"cannot read {arguments.scenario}: {error.strerror}")


def _run(plan: Scenario | None, arguments: argparse.Namespace) -> int:
    first = arguments.seed if arguments.seed is not None else 1 if plan is None else plan.seed
    if arguments.seeds == 1 and plan is not None:
        report = report_on(plan, _Progress(plan), seed=first)
        _print(report, as_json=arguments.json)
        return SIMULATED if report.sound else UNSOUND
    one = chance_report if plan is None else partial(_one, plan)
    worst, sound, started, told = None, True, time.monotonic(), time.monotonic()
    for number, report in enumerate(_reports(one, range(first, first + arguments.seeds), arguments.jobs), start=1):
        if not report.sound:
            sound = False
            _tell(summary_of(report))
        if worst is None or _badness(report) > _badness(worst):
            worst = report
        if time.monotonic() - told > _SILENCE:
            told = time.monotonic()
            _tell(f"{number} of {arguments.seeds} seeds, {number / (told - started):.0f} a second")
    assert worst is not None
    if not arguments.json:
        pace = arguments.seeds / max(time.monotonic() - started, 1e-9)
        _tell(f"{arguments.seeds} seeds, {pace:.0f} a second; the worst is {worst.seed}")
    _print(worst, as_json=arguments.json)
    return SIMULATED if sound else UNSOUND


def _one(plan: Scenario, seed: int) -> Report:
    return report_on(plan, seed=seed)


def _reports(one: Callable[[int], Report], seeds: range, jobs: int) -> Iterator[Report]:
    if jobs == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=_silence) as pool:
        yield from pool.map(one, seeds, chunksize=_CHUNK)


def _badness(report: Report) -> tuple[bool, int, float, float]:
    """What makes one report worse than another: bugs first, then what clients did not get, then what took long."""
    slowest = max((group.latency[2] for group in report.groups), default=0.0)
    return report.failure is not None, len(report.violations), 1 - report.served, slowest


def _trace(plan: Scenario | None, seed: int | None) -> int:
    chosen = chance_scenario(1 if seed is None else seed) if plan is None else plan
    sys.stdout.writelines(f"{line}\n" for line in trace_of(chosen, seed=seed))
    return SIMULATED


def _load(name: str) -> Scenario:
    """A scenario from a file, or an example by its name."""
    path = Path(name)
    if not path.suffix and not path.exists():
        example = resources.files("ds2api_asgi.simulation") / "examples" / f"{name}.toml"
        if example.is_file():
            return read_scenario(example.read_text("utf-8"))
    try:
        return read_scenario(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise ConfigurationError("not TOML: not UTF-8") from None


def _examples() -> Iterator[tuple[str, str]]:
    """Each example's name, and the first line of its comment."""
    folder = resources.files("ds2api_asgi.simulation") / "examples"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        yield file.name.removesuffix(".toml"), file.read_text("utf-8").partition("\n")[0].removeprefix("# ")


class _Progress(Observer):
    """Tells how far a long simulation is."""

    def __init__(self, plan: Scenario) -> None:
        self._plan = plan
        self._told = time.monotonic()

    def starts(self, world: World) -> None:
        """See `Observer.starts`."""
        self._now = world.loop.time

    def sampled(self, *_: object) -> None:
        """See `Observer.sampled`."""
        if time.monotonic() - self._told > _SILENCE:
            self._told = time.monotonic()
            _tell(f"{clock(self._plan.start, self._now())}, {self._now() / self._plan.duration:.0%}")


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        sys.stdout.write(page_of(report))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the parts from logging what the report tells: they speak of simulated failures."""
    logger = logging.getLogger("ds2api_asgi")
    before = logger.level
    _silence()
    try:
        yield
    finally:
        logger.setLevel(before)


def _silence() -> None:
    logging.getLogger("ds2api_asgi").setLevel(logging.CRITICAL + 1)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _fail(problem: str) -> int:
    _tell(problem)
    return USAGE


def _tell(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(line + "\n")
