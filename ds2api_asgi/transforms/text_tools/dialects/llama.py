"""``llama3-json``: a message that is a call and nothing else, or calls behind ``<|python_tag|>``.

    {"name": "get_weather", "parameters": {"city": "Paris"}}

Several are set apart by ``;``. Without the tag nothing is certain before the message has ended: text behind the JSON
means that it was none.
https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/ (read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..cursor import Cursor, Steps
from ..dialect import Call, Dialect, Result, Sink, begins
from ..json_call import ReadCall, read_call
from .json_form import GUIDE, call_text, result_text

__all__ = ["LLAMA3_JSON"]

_TAG: Final = "<|python_tag|>"
_ENDS: Final = ("<|eom_id|>", "<|eot_id|>")


def _opens(seen: str, start: bool) -> bool | None:
    return start if seen[0] == "{" else begins(seen, _TAG)


def _recognise(cursor: Cursor, sink: Sink) -> Steps[bool]:
    tagged = yield from cursor.literal(_TAG)
    waiting: list[ReadCall] = []
    while True:
        yield from cursor.space()
        call = yield from read_call(cursor, sink, len(waiting), live=tagged and sink.eager)
        if call is None:
            return False
        if tagged:
            call.settle(sink)
        else:
            waiting.append(call)
        yield from cursor.space()
        if not (yield from cursor.literal(";")):
            break
    for end in _ENDS:
        yield from cursor.literal(end)
    if tagged:
        return True
    yield from cursor.space()
    if (yield from cursor.need(1)):
        return False
    for call in waiting:
        call.settle(sink)
    return True


def _write_calls(calls: Sequence[Call]) -> str:
    return "; ".join(call_text(call, "parameters") for call in calls)


def _write_results(results: Sequence[Result]) -> str:
    return "\n".join(result_text(result, "output") for result in results)


LLAMA3_JSON: Final = Dialect(
    name="llama3-json",
    guide=f"A message that calls is the call and nothing else: no words before or behind it, no code fence. {GUIDE}",
    triggers="{<",
    opens=_opens,
    recognise=_recognise,
    write_calls=_write_calls,
    write_results=_write_results,
)
