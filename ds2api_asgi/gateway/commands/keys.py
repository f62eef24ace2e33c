"""``ds2api keys``: the keys of a running gateway, and what an operator does with them, through its console.

The exit code tells the end:

| code | end |
|---|---|
| 0 | told, or done |
| 1 | no gateway answered, it did not let us in, there is no such key, or a test failed |
| 2 | wrong usage, or a file from which it cannot be told where to ask |
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ...asgi.trace import printable
from ...universal import jsontext
from .console_door import DEFAULT_FILE, Door, Refused, Usage, door_to
from .key_table import table

__all__ = ["DESCRIPTION", "configure", "run"]

DESCRIPTION = (
    "Show the keys of a running gateway, or switch one off or on, or try one out. "
    "It is asked through its console, which its file must have."
)

_ACTIONS: Final = ("disable", "enable", "test")
_EVERY: Final = 1.0
_CLEAR: Final = "\x1b[H\x1b[J"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE | disable|enable|test POOL/ALIAS",
        help=f"the gateway's file (default: {DEFAULT_FILE}), and what to do; nothing: show the keys",
    )
    parser.add_argument("--url", help="where the console is, instead of a file: http://127.0.0.1:8000/console")
    parser.add_argument("--password", metavar="REFERENCE", help="its password, as env:NAME or file:PATH")
    parser.add_argument("--model", help="with test: a model to ask for a few tokens, instead of the list of models")
    parser.add_argument("--json", action="store_true", help="tell it as JSON")
    parser.add_argument("--watch", action="store_true", help="show the keys again each second, until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Ask the gateway; the exit code is as the module says."""
    try:
        file, action, key = _words(arguments)
        door = door_to(file, arguments.url, arguments.password)
        if action is None:
            return _show(door, as_json=arguments.json, watch=arguments.watch)
        return _act(door, action, key, model=arguments.model, as_json=arguments.json)
    except Usage as error:
        return _fail(2, str(error))
    except Refused as error:
        return _fail(1, str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 0


def _words(arguments: argparse.Namespace) -> tuple[str | None, str | None, str]:
    """The file, what is to be done, and with which key."""
    rest = list(arguments.words)
    file = rest.pop(0) if rest and rest[0] not in _ACTIONS else None
    if arguments.model is not None and rest[:1] != ["test"]:
        raise Usage("--model goes with test")
    if not rest:
        return file, None, ""
    if arguments.watch:
        raise Usage("--watch shows keys, and does nothing with them")
    if rest[0] not in _ACTIONS:
        raise Usage(f"{printable(rest[0])}: not one of {', '.join(_ACTIONS)}")
    if len(rest) != 2 or "/" not in rest[1]:
        raise Usage(f"{rest[0]} goes with one key, as POOL/ALIAS")
    return file, rest[0], rest[1]


def _show(door: Door, *, as_json: bool, watch: bool) -> int:
    _warn_of_plain_text(door)
    fresh = watch and not as_json and sys.stdout.isatty()
    while True:
        state = door.ask("GET", "state")
        pools = state.get("pools")
        if not isinstance(pools, list):
            raise Refused(f"what answers at {door.url} is no console of this version")
        told = {name: state.get(name) for name in ("now", "workers", "missing")}
        text = jsontext.dumps({**told, "pools": pools}).decode() + "\n" if as_json else table(pools) + _silent(told)
        sys.stdout.write((_CLEAR if fresh else "") + text)
        sys.stdout.flush()
        if not watch:
            return 0
        time.sleep(_EVERY)
        if not fresh and not as_json:
            sys.stdout.write("\n")


def _act(door: Door, action: str, key: str, *, model: str | None, as_json: bool) -> int:
    _warn_of_plain_text(door)
    pool, _, alias = key.partition("/")
    path = f"keys/{quote(pool, safe='')}/{quote(alias, safe='')}/{action}"
    answer = door.ask("POST", path, {} if model is None else {"model": model})
    result = answer.get("result")
    if as_json:
        sys.stdout.write(jsontext.dumps(answer).decode() + "\n")
    elif isinstance(result, dict):
        status = f" (status {result.get('status')}, {result.get('took')} s)" if result.get("status") else ""
        sys.stdout.write(f"{'ok' if result.get('ok') else 'not ok'}: {printable(str(result.get('words')))}{status}\n")
    else:
        sys.stdout.write(table([{"name": pool, "keys": [answer.get("key")]}]))
        if answer.get("missing"):
            sys.stderr.write(f"ds2api keys: {_many(answer['missing'])} did not say that the key is {action}d there\n")
    return 0 if not isinstance(result, dict) or result.get("ok") is True else 1


def _silent(state: Mapping[str, Any]) -> str:
    """That workers are missing in what is told."""
    return f"{_many(state['missing'])} did not answer in time: not counted here.\n" if state.get("missing") else ""


def _many(workers: Any) -> str:
    return "1 worker" if workers == 1 else f"{printable(str(workers))} workers"


def _warn_of_plain_text(door: Door) -> None:
    if door.is_overheard:
        sys.stderr.write(
            f"ds2api keys: the password goes to {printable(door.host)} unencrypted; https would not let it be seen\n"
        )


def _fail(code: int, problem: str) -> int:
    sys.stderr.write("".join(f"ds2api keys: {line}\n" for line in problem.splitlines()))
    return code
