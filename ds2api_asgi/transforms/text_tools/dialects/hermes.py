"""``hermes``: JSON between tags, as Hermes, Qwen and many fine-tunes were trained to write it.

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

https://github.com/NousResearch/Hermes-Function-Calling (read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..cursor import Cursor, Steps
from ..dialect import NOT_IN_CODE, Call, Dialect, Result, Sink, begins
from ..json_call import read_call
from .json_form import GUIDE, call_text, result_text

__all__ = ["HERMES"]

_OPENING: Final = "<tool_call>"
_CLOSING: Final = "</tool_call>"


def _opens(seen: str, start: bool) -> bool | None:  # noqa: ARG001
    return begins(seen, _OPENING)


def _recognise(cursor: Cursor, sink: Sink) -> Steps[bool]:
    cursor.take(len(_OPENING))
    yield from cursor.space()
    call = yield from read_call(cursor, sink, live=sink.eager)
    if call is None:
        return False
    yield from cursor.space()
    if not (yield from cursor.literal(_CLOSING)):
        return False
    call.settle(sink)
    return True


def _write_calls(calls: Sequence[Call]) -> str:
    return "\n".join(f"{_OPENING}\n{call_text(call)}\n{_CLOSING}" for call in calls)


def _write_results(results: Sequence[Result]) -> str:
    return "\n".join(f"<tool_response>\n{result_text(result)}\n</tool_response>" for result in results)


HERMES: Final = Dialect(
    name="hermes",
    guide=f"Write each call as a block of its own between {_OPENING} and {_CLOSING}. {GUIDE} {NOT_IN_CODE}",
    triggers="<",
    opens=_opens,
    recognise=_recognise,
    write_calls=_write_calls,
    write_results=_write_results,
)
