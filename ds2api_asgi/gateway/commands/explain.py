"""``ds2api explain``: the story of each request, told from the lines of a log.

`Traced` ends its records with a line of JSON. It is found in a line of any format: as it is, or inside a string of a
log that is JSON itself. The exit code tells the end:

| code | end |
|---|---|
| 0 | told |
| 1 | there is no trace, or none that was asked for |
| 2 | wrong usage, or a file that cannot be read |
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ...asgi.trace import Step, Trace, decode_trace, encode_trace, printable

__all__ = ["DESCRIPTION", "configure", "run", "story", "traces_in"]

DESCRIPTION = "Tell from a log what happened to requests, and why. It needs the records of Traced."

TOLD, NOTHING, USAGE = range(3)

_START: Final = re.compile(r'\{\s*"id"\s*:')
_QUOTED: Final = re.compile(r'\{\s*\\"id\\"')
_WIDTH: Final = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--id", metavar="ID", help="only the request whose id begins so")
    parser.add_argument("--failed", action="store_true", help="only requests that failed")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each request instead of a story")
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="- or nothing: standard input")


def run(arguments: argparse.Namespace) -> int:
    """Tell the stories; the exit code is as the module says."""
    try:
        lines = _read(arguments.file)
    except OSError as error:
        return _fail(USAGE, f"cannot read {arguments.file}: {error.strerror}")
    seen = told = 0
    try:
        for trace in traces_in(lines):
            seen += 1
            if (arguments.failed and not trace.failed) or not trace.id.startswith(arguments.id or ""):
                continue
            text = encode_trace(trace) if arguments.json else ("\n" if told else "") + story(trace)
            sys.stdout.write(text + "\n")
            told += 1
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return TOLD
    if not seen:
        return _fail(NOTHING, "no trace found: is the app inside Traced, and the logger ds2api_asgi.trace enabled?")
    if not told:
        return _fail(NOTHING, f"none of {seen} traces is what was asked for")
    return TOLD


def _read(name: str) -> list[str]:
    raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    return raw.decode("utf-8", "replace").split("\n")


def traces_in(lines: Iterable[str]) -> Iterator[Trace]:
    """The traces in lines of a log, in their order; what is none is skipped.

    Args:
        lines: Without their ends, in any format.
    """
    for line in lines:
        trace = _plain(line) or _quoted(line)
        if trace is not None:
            yield trace


def _plain(line: str) -> Trace | None:
    for found in _START.finditer(line):
        try:
            _, end = json.JSONDecoder().raw_decode(line, found.start())
        except (ValueError, RecursionError):
            continue
        trace = decode_trace(line[found.start() : end])
        if trace is not None:
            return trace
    return None


def _quoted(line: str) -> Trace | None:
    """The trace inside a string of a line that holds JSON."""
    if _QUOTED.search(line) is None:
        return None
    try:
        document = json.loads(line[line.index("{") :])
    except (ValueError, RecursionError):
        return None
    values = list(document.values()) if isinstance(document, dict) else []
    for value in values:
        if isinstance(value, str) and (trace := _plain(value)) is not None:
            return trace
    return None


def story(trace: Trace) -> str:
    """A few aligned lines for a person."""
    asked = " ".join(word for word in (trace.protocol, trace.operation, trace.model) if word)
    when = datetime.fromtimestamp(trace.when, UTC).strftime("%Y-%m-%d %H:%M:%S") if 0 <= trace.when < 4e9 else "?"
    whom = f" for {trace.caller}" if trace.caller else ""
    saw = f"{trace.status} {trace.end}" if trace.status else f"no answer, {trace.end}"
    lines = [f"{trace.id}  {when} UTC  {asked}{whom}"]
    for number, step in enumerate(trace.steps):
        if trace.omitted and number == len(trace.steps) // 2:
            lines.append(f"  {'':{_WIDTH}}  … {trace.omitted} more")
        lines.append(f"  {_at(step.at)}  {_tell(step)}")
    lines.append(f"  {_at(trace.took)}  the client saw: {saw}")
    if trace.why:
        lines.append(f"  {'':{_WIDTH}}  stopped because: {trace.why}")
    return "\n".join(map(printable, lines))  # whoever wrote the log, it does not speak to the terminal


def _at(seconds: float) -> str:
    return f"{seconds:+.3f} s".rjust(_WIDTH)


def _tell(step: Step) -> str:
    tell = _WORDS.get(step.what)
    if tell is not None:
        try:
            return tell(step.members)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass  # of another version
    return " ".join([step.what, *(f"{name}={_short(value)}" for name, value in step.members.items())])


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _attempted(told: dict[str, Any]) -> str:
    pause = f" after {told['after']:.3g} s" if told.get("after") else ""
    return f"attempt {told['number']} on target {told.get('target', 0)}{pause}"


def _judged(told: dict[str, Any]) -> str:
    verdict = told["verdict"]
    what = str(told["status"] or "error")
    whose = f" of {told['key']}" if told.get("key") else ""
    hint = f" (wait {verdict['hint']:g} s, says {verdict['hint_source']})" if verdict.get("hint") is not None else ""
    key = _KEYS.get(verdict.get("key", "none"), "")
    return f"{what}{whose}: {verdict['row']}{hint} -> {key}{_RETRIES[verdict['retry']]}"


def _empty(told: dict[str, Any]) -> str:
    wait = f", next in {told['retry_after']:g} s" if told.get("retry_after") is not None else ""
    return f"asked pool {told['pool']!r}, no key: {told['reason']}{wait}"


def _skipped(told: dict[str, Any]) -> str:
    wait = f", next in {told['retry_after']:g} s" if told.get("retry_after") is not None else ""
    return f"no attempt on target {told['target']}: {told['reason']}{wait}"


def _stopped(told: dict[str, Any]) -> str:
    attempts = "1 attempt" if told["attempts"] == 1 else f"{told['attempts']} attempts"
    return f"{told['by']} gave up after {attempts}: {told['reason']}"


def _called(told: dict[str, Any]) -> str:
    said = told.get("status") or "nothing"
    first = f", first byte after {told['first']:.3g} s" if told.get("first") is not None else ""
    return f"{told['upstream']} said {said}{_model(told)}: {told.get('end', 'complete')} in {told['took']:.3g} s{first}"


def _routed(told: dict[str, Any]) -> str:
    renamed = f" as {told['upstream_model']}" if told["upstream_model"] != told["model"] else ""
    return f"model {told['model']} is asked of {told['target']}{renamed}"


def _ruled(told: dict[str, Any]) -> str:
    said = {"removed": "removed", "overridden": "set", "defaulted": "added"}
    changes = [f"{word} {', '.join(told[name])}" for name, word in said.items() if told.get(name)]
    return f"rules {'; '.join(changes)}"


def _model(told: dict[str, Any]) -> str:
    return f" for model {told['model']}" if told.get("model") else ""


def _used(told: dict[str, Any]) -> str:
    more = [f"{told[name]} {name}" for name in ("cached", "reasoning", "audio_input", "audio_output") if told.get(name)]
    beside = f" ({', '.join(more)})" if more else ""
    return f"used {told.get('input', 0)} tokens in, {told.get('output', 0)} out{beside}"


_KEYS: Final = {
    "cool": "key cooled, ",
    "exhaust": "key out of quota, ",
    "disable": "key disabled, ",
    "block_model": "key blocked for this model, ",
}
_RETRIES: Final = {
    "none": "no retry",
    "same": "the same again",
    "key": "another key",
    "route": "another upstream",
}
_WORDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "Attempted": _attempted,
    "KeyLeased": lambda told: f"asked pool {told['pool']!r}, got {told['key']}",
    "PoolEmpty": _empty,
    "Judged": _judged,
    "Unreachable": lambda told: f"upstream not reached: {told['reason']}",
    "Broke": lambda told: f"the answer broke off: {told['reason']}",
    "Called": _called,
    "Closed": lambda told: f"the {told['by']} closed the websocket with code {told['code']}",
    "Committed": lambda told: f"{told['status']} let through to the client",
    "Routed": _routed,
    "Ruled": _ruled,
    "Used": _used,
    "Lost": lambda told: f"translation lost {told['count']}: {', '.join(told['paths'][:4])}",
    "TurnedAway": lambda told: f"turned away at the door: {told.get('code') or told['status']}",
    "Queued": lambda told: f"waited {told['seconds']:.3g} s for a key of pool {told['pool']!r}",
    "Queueing": lambda told: f"pool {told['pool']!r} has no key to give now",
    "Skipped": _skipped,
    "Stopped": _stopped,
    "Hedged": lambda told: f"no content after {told['after']:.3g} s: target {told['target']} is tried beside it",
    "HedgeLost": lambda told: f"the {'second' if told['second'] else 'first'} of both was slower, and was cut off",
    "KeptAlive": lambda told: "the stream began with a comment" if told["begins"] else "kept alive by a comment",
    "BreakerOpened": lambda told: f"target {told['target']} is left alone for {told['seconds']:g} s{_model(told)}",
    "BreakerClosed": lambda told: f"target {told['target']} is back{_model(told)}",
    "AccountGroup": lambda told: f"answered by account {told['group']}",
}
"""How a fact is told; all others are told by their members."""


def _fail(code: int, problem: str) -> int:
    sys.stderr.write(f"ds2api explain: {problem}\n")
    return code
