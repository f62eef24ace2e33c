"""``mistral``: an array of calls behind a mark, or name and arguments behind one mark each.

    [TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}]
    [TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}

https://docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-tool_calling (read 2026-11-28); the second form is that
of tokenizers since v11, of which some leave out ``[ARGS]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..cursor import Cursor, Steps
from ..dialect import NOT_IN_CODE, Call, Dialect, Result, Sink, begins
from ..json_call import read_arguments, read_call
from .json_form import GUIDE, call_text, result_text

__all__ = ["MISTRAL"]

_MARK: Final = "[TOOL_CALLS]"
_ARGS: Final = "[ARGS]"
_NAME: Final = re.compile(r"[\w.-]")
_MAX_NAME: Final = 128
"""Characters of a name that is not in JSON."""


def _opens(seen: str, start: bool) -> bool | None:  # noqa: ARG001
    return begins(seen, _MARK)


def _recognise(cursor: Cursor, sink: Sink) -> Steps[bool]:
    cursor.take(len(_MARK))
    yield from cursor.space()
    if not (yield from cursor.literal("[")):
        return (yield from _named(cursor, sink))
    while True:
        yield from cursor.space()
        call = yield from read_call(cursor, sink, live=sink.eager)
        if call is None:
            return False
        call.settle(sink)
        yield from cursor.space()
        if (yield from cursor.literal("]")):
            return True
        if not (yield from cursor.literal(",")):
            return False


def _named(cursor: Cursor, sink: Sink) -> Steps[bool]:
    name = ""
    while _NAME.match((yield from cursor.need(1))):
        name += cursor.take(1)
        if len(name) > _MAX_NAME:
            return False
    tool = sink.accepts(name)
    if tool is None:
        return False
    yield from cursor.literal(_ARGS)
    yield from cursor.space()
    if (yield from cursor.need(1)) != "{":
        return False
    call = yield from read_arguments(cursor, sink, tool, live=sink.eager)
    if call is None:
        return False
    call.settle(sink)
    return True


def _write_calls(calls: Sequence[Call]) -> str:
    return f"{_MARK}[{', '.join(map(call_text, calls))}]"


def _write_results(results: Sequence[Result]) -> str:
    return "".join(f"[TOOL_RESULTS]{result_text(result)}[/TOOL_RESULTS]" for result in results)


MISTRAL: Final = Dialect(
    name="mistral",
    guide=f"Write calls as one JSON array behind {_MARK}; it holds one object per call. {GUIDE} {NOT_IN_CODE}",
    triggers="[",
    opens=_opens,
    recognise=_recognise,
    write_calls=_write_calls,
    write_results=_write_results,
)
