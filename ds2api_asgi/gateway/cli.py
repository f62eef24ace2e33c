"""The command ``ds2api``.

Each command is a module with two functions: ``configure(parser)`` declares its arguments and ``run(arguments)`` does
its work and gives the exit code. Wrong usage ends with 2, as argparse does it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final

from .. import __version__
from .commands import check, convert, demo, explain, init, keys, serve, simulate

__all__ = ["main"]

_INTERRUPTED: Final = 130  # as shells tell it: 128 and the signal's number


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Its arguments; None: those of the process.

    Returns:
        The exit code; 130 after Ctrl-C, where a command has no other.

    Raises:
        SystemExit: The usage is wrong (2), or help or the version was asked for (0).
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except KeyboardInterrupt:  # before a command has begun, or within one that has nothing to put away
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ds2api", description="Parts that translate, pool and survive LLM APIs.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module, summary in (
        ("serve", serve, "serve a gateway from a configuration"),
        ("demo", demo, "serve a gateway over a built-in model: no keys, no network"),
        ("check", check, "check a gateway's configuration, and whether its keys work"),
        ("convert", convert, "convert a document from one protocol to another"),
        ("explain", explain, "tell from a log what happened to requests, and why"),
        ("init", init, "write a configuration by asking which providers there are"),
        ("keys", keys, "show the keys of a running gateway, and switch them off and on"),
        ("simulate", simulate, "simulate clients, keys and providers in virtual time"),
    ):
        command = commands.add_parser(name, help=summary, description=module.DESCRIPTION)
        module.configure(command)
        command.set_defaults(run=module.run)
    version = commands.add_parser("version", help="print the version", description="Print the version.")
    version.set_defaults(run=_print_version)
    return parser


def _version() -> str:
    return f"ds2api {__version__}"


def _print_version(_arguments: argparse.Namespace) -> int:
    sys.stdout.write(_version() + "\n")
    return 0
