"""``ds2api check``: what a configuration means, and everything that is wrong with it.

What was understood goes to standard output, with warnings; problems go to standard error. Each has its line. With
``--probe`` every provider is asked for its models with every key. The exit code tells the end:

| code | end |
|---|---|
| 0 | the file is right, and with ``--probe`` all keys work |
| 1 | it is not, or some do not |
| 2 | wrong usage |
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...asgi.trace import printable
from ...errors import ConfigurationError

if TYPE_CHECKING:
    from ..config import Config
    from ..config.problems import Problem
    from .probe import Probed

__all__ = ["DESCRIPTION", "configure", "run"]

DESCRIPTION = "Check a gateway's configuration: tell what it means, or what is wrong and where."

RIGHT, WRONG = range(2)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", nargs="?", default="gateway.toml", metavar="FILE", help="default: gateway.toml")
    parser.add_argument("--probe", action="store_true", help="ask every provider for its models, with every key")
    parser.add_argument(
        "--timeout", default=15.0, type=_seconds, metavar="SECONDS", help="for each answer of --probe; default: 15"
    )
    parser.add_argument("--strict", action="store_true", help="take warnings for problems")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of configurations, for editors")


def run(arguments: argparse.Namespace) -> int:
    """Check; the exit code is as the module says."""
    try:
        from ..config import examine
        from ..config.schema import schema
    except ImportError:
        sys.stderr.write("ds2api check: this needs pydantic: pip install 'ds2api-asgi[serve]'\n")
        return WRONG
    if arguments.schema:
        sys.stdout.write(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
        return RIGHT
    examined = examine(arguments.file)
    problems = list(examined.problems)
    if examined.config is not None:
        problems += _unbuildable(examined.config, arguments.file)
    warnings = examined.warnings
    if arguments.strict:
        problems, warnings = [*problems, *warnings], ()
    if problems or examined.config is None:
        return _wrong(arguments, problems, warnings)
    probed = _probe(examined.config, arguments) if arguments.probe else None
    _report(arguments, examined.config, warnings, probed)
    return RIGHT if probed is None or probed.works else WRONG


def _unbuildable(config: Config, file: str) -> list[Problem]:
    """What only the parts themselves know: a gateway is built, without the stores that would make files."""
    from ..config.problems import Problem
    from ..config.server import StoreTable
    from ..gateway import Gateway

    plain = config.model_copy(update={"store": StoreTable(), "responses": None})
    try:
        Gateway(plain, folder=Path(file).parent)
    except ConfigurationError as error:
        return [Problem(file=file, line=None, path="", words=str(error))]
    return []


def _probe(config: Config, arguments: argparse.Namespace) -> Probed:
    from .probe import probe

    out = None if arguments.json else sys.stderr
    return probe(config, folder=Path(arguments.file).parent, timeout=arguments.timeout, out=out)


def _wrong(arguments: argparse.Namespace, problems: Iterable[Problem], warnings: Iterable[Problem]) -> int:
    if arguments.json:
        found = {"file": arguments.file, "right": False, "problems": _documents(problems)}
        _print_json({**found, "warnings": _documents(warnings)})
        return WRONG
    listed = list(problems)
    sys.stderr.writelines(f"{printable(str(problem))}\n" for problem in listed)
    sys.stderr.write("1 problem\n" if len(listed) == 1 else f"{len(listed)} problems\n")
    return WRONG


def _report(arguments: argparse.Namespace, config: Config, warnings: Iterable[Problem], probed: Probed | None) -> None:
    from .understood import told, understood

    found = understood(config)
    if arguments.json:
        document = {"file": arguments.file, "right": True, "problems": [], "warnings": _documents(warnings), **found}
        _print_json(document if probed is None else {**document, "probe": probed.document()})
        return
    sys.stdout.writelines(f"{printable(line)}\n" for line in told(found))
    if probed is not None:
        sys.stdout.write("\n")
        sys.stdout.writelines(f"{printable(line)}\n" for line in probed.lines())
    sys.stdout.writelines(f"warning: {printable(str(warning))}\n" for warning in warnings)


def _documents(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [{"line": one.line, "path": one.path, "words": one.words} for one in problems]


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 600:
        raise argparse.ArgumentTypeError("it is more than 0 and at most 600 seconds")
    return seconds
