"""``ds2api init``: a commented configuration, by asking which providers there are.

With ``--provider`` nothing is asked: what no flag says is as by default. Otherwise questions are asked on a terminal or
a pipe; an empty line, or the end of the answers, means the default.

Secrets: keys of providers stay in environment variables, of which only names are asked. The key that clients must show
is made here, shown once and kept nowhere; the configuration has its digest. The console's password is made here and
written to a file beside the configuration that only its owner may read.

| code | end |
|---|---|
| 0 | written |
| 1 | a file is there already, or cannot be written; or something that must be known was not said |
| 2 | wrong usage |
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..providers.presets import PRESETS
from .questions import Questions, Unanswered

__all__ = ["DESCRIPTION", "configure", "run"]

DESCRIPTION = "Write a commented configuration of a gateway, by asking which providers there are."

WRITTEN, FAILED = range(2)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", nargs="?", default="gateway.toml", metavar="FILE", help="default: gateway.toml")
    parser.add_argument(
        "--provider", action="append", default=[], choices=sorted(PRESETS), metavar="NAME", help="one that there is"
    )
    parser.add_argument(
        "--key-env",
        action="append",
        default=[],
        metavar="[PROVIDER=]NAME",
        help="an environment variable with a key; default: the provider's usual one",
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="PROVIDER.NAME=VALUE",
        help="what a provider's address needs, as azure.resource=mine",
    )
    parser.add_argument("--local", action=argparse.BooleanOptionalAction, help="look for servers on this machine")
    parser.add_argument("--console", action=argparse.BooleanOptionalAction, help="a page to look at; default: yes")
    access = parser.add_mutually_exclusive_group()
    access.add_argument("--access", action="store_true", help="clients must show a key, which is made (default)")
    access.add_argument("--open", action="store_true", help="clients need no key")
    parser.add_argument("--host", metavar="HOST", help="where to listen; default: 127.0.0.1")
    parser.add_argument("--port", type=_port, metavar="PORT", help="default: 8000, or one that no local server has")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    parser.add_argument("--stdout", action="store_true", help="write no files: print the configuration")


def run(arguments: argparse.Namespace) -> int:
    """Ask and write; the exit code is as the module says."""
    try:
        from . import setup
    except ImportError:
        return _fail("this needs pydantic: pip install 'ds2api-asgi[serve]'")
    path = Path(arguments.file)
    if not arguments.stdout and not arguments.force and os.path.lexists(path):
        return _fail(f"{path} is there already; --force writes over it")
    questions = None if arguments.provider else Questions(sys.stdin, sys.stderr if arguments.stdout else sys.stdout)
    try:
        return setup.set_up(arguments, questions, os.environ)
    except setup.Missing as error:
        return _fail(str(error))
    except Unanswered as error:
        return _fail(f"nobody said: {error}")
    except OSError as error:
        return _fail(f"cannot write {error.filename or path}: {error.strerror}")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return _fail("nothing was written")


def _fail(problem: str) -> int:
    sys.stderr.write(f"ds2api init: {problem}\n")
    return FAILED


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port <= 65535:
        raise argparse.ArgumentTypeError("a port is 1 to 65535")
    return port
