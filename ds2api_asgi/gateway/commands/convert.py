"""``ds2api convert``: a document from one protocol to another, on standard input and output.

The document goes to standard output, its losses to standard error as lines of JSON. Where a request's path says what
its body does not (Gemini), a line before them tells it: ``{"route": {"method": "POST", "path": "/v1beta/models/…",
"query": "alt=sse"}}``. The exit code tells the end:

| code | end |
|---|---|
| 0 | converted |
| 1 | not a document of this kind: ``{"error": …, "path": …}`` on standard error |
| 2 | wrong usage, a file that cannot be read, or an output that cannot be written |
| 3 | ``--on-loss reject``, and more than spelling would be lost: no document |
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from ...errors import ConfigurationError, InvalidDocument
from ...protocols import registry
from ...translator import Converted, convert
from ...universal import jsontext
from ...universal.loss import blocking

__all__ = ["DESCRIPTION", "configure", "run"]

DESCRIPTION = "Convert a document from one protocol to another. Losses are told on standard error, one JSON per line."

CONVERTED, INVALID, USAGE, REJECTED = range(4)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--kind", required=True, choices=("request", "response", "stream", "error"))
    parser.add_argument("--from", required=True, dest="source", metavar="PROTOCOL", help="such as anthropic")
    parser.add_argument("--to", required=True, dest="target", metavar="PROTOCOL", help="such as openai-chat")
    parser.add_argument("--from-dialect", default="", metavar="DIALECT", help="such as 2023-06-01")
    parser.add_argument("--to-dialect", default="", metavar="DIALECT", help="such as 2026-10-21")
    parser.add_argument("--model", metavar="MODEL", help="of a request whose path names it (gemini)")
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="whether the answer is a stream, of a request whose path says it (gemini)",
    )
    parser.add_argument(
        "--on-loss",
        default="warn",
        choices=("warn", "reject"),
        help="warn (the default) tells of losses; reject gives no document when one is more than cosmetic",
    )
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="- or nothing: standard input")


def run(arguments: argparse.Namespace) -> int:
    """Convert the document; the exit code is as the module says."""
    try:
        document = _read(arguments.file)
        converted = convert(
            document,
            kind=arguments.kind,
            source=arguments.source,
            target=arguments.target,
            source_dialect=arguments.from_dialect,
            target_dialect=arguments.to_dialect,
            model=arguments.model,
            stream=arguments.stream,
        )
    except OSError as error:
        return _fail(USAGE, {"error": f"cannot read {arguments.file}: {error.strerror}"})
    except ConfigurationError as error:
        return _fail(USAGE, {"error": str(error)})
    except InvalidDocument as error:
        return _fail(INVALID, {"error": error.problem, "path": error.path})
    _tell(_route(converted, arguments.target))
    _tell(converted.losses)
    if arguments.on_loss == "reject" and blocking(converted.losses, "reject"):
        return REJECTED
    try:
        _write(converted, is_json=arguments.kind != "stream")
    except OSError as error:
        _forget_output()
        reader_left = isinstance(error, BrokenPipeError)
        return USAGE if reader_left else _fail(USAGE, {"error": f"cannot write the document: {error.strerror}"})
    return CONVERTED


def _read(name: str) -> bytes:
    if name != "-":
        return Path(name).read_bytes()
    if sys.stdin is None:  # python's word for a closed one
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdin.buffer.read()


def _route(converted: Converted, target: str) -> list[dict[str, Any]]:
    """How to ask an upstream, where the path says more than that a request is one."""
    route = converted.route
    if route is None:
        return []
    query = route.query.decode()
    claim = registry.get(target).claim(route.method, route.path, {}, query)
    if claim is None or (claim.model is UNSET and claim.stream is UNSET):
        return []
    return [{"route": {"method": route.method, "path": route.path, "query": query}}]


def _write(converted: Converted, *, is_json: bool) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    out = sys.stdout.buffer
    out.write(converted.body)
    if is_json:
        out.write(b"\n")
    out.flush()


def _forget_output() -> None:
    """Let the interpreter's own flush at its end succeed: it would complain again."""
    if sys.stdout is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _fail(code: int, problem: dict[str, str]) -> int:
    _tell([problem])
    return code


def _tell(documents: Iterable[Any]) -> None:
    if sys.stderr is None:
        return
    for document in documents:
        # Not msgspec's encoder: a path may hold half an emoji, when a client's unknown key did.
        sys.stderr.write(jsontext.dumps(msgspec.to_builtins(document)).decode() + "\n")
