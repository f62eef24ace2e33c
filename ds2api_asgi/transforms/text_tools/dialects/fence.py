"""``json-fence``: a fenced block of JSON that has the shape of a call, for models that know Markdown and little else.

    ```json
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    ```

Here a block is a call because its JSON is one: a declared name, and no other members. Several stand in an array. Any
other fence is code, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..cursor import Cursor, Steps
from ..dialect import Call, Dialect, Result, Sink
from ..json_call import ReadCall, read_call
from .json_form import GUIDE, call_text, result_text

__all__ = ["JSON_FENCE"]

_LABELS: Final = ("json", "tool_call", "tool_calls")
_HEAD: Final = re.compile(r"(`+|~+)[ \t]*([A-Za-z_]*)([ \t\r]*)")
_OTHER: Final = {"`": re.compile("[^`]"), "~": re.compile("[^~]")}
_LINE: Final = re.compile(r"\n")


def _opens(seen: str, start: bool) -> bool | None:  # noqa: ARG001
    head = _HEAD.match(seen)
    assert head is not None
    fence, label, blank = head.groups()
    if head.end() < len(seen):
        return len(fence) >= 3 and label.lower() in _LABELS and seen[head.end()] == "\n"
    if label and not (label.lower() in _LABELS if blank else _may_be(label.lower())):
        return False
    return None if label or not blank or len(fence) >= 3 else False


def _may_be(label: str) -> bool:
    return any(known.startswith(label) for known in _LABELS)


def _recognise(cursor: Cursor, sink: Sink) -> Steps[bool]:
    char = cursor.look(1)
    fence = yield from cursor.until(_OTHER[char])
    yield from cursor.until(_LINE)
    yield from cursor.space()
    many = yield from cursor.literal("[")
    waiting: list[ReadCall] = []
    while True:
        yield from cursor.space()
        call = yield from read_call(cursor, sink, len(waiting))
        if call is None:
            return False
        waiting.append(call)
        yield from cursor.space()
        if not (many and (yield from cursor.literal(","))):
            break
    if many and not (yield from cursor.literal("]")):
        return False
    yield from cursor.space()
    if (yield from cursor.need(1)) != char or len((yield from cursor.until(_OTHER[char]))) < len(fence):
        return False
    for call in waiting:
        call.settle(sink)
    return True


def _write_calls(calls: Sequence[Call]) -> str:
    texts = ", ".join(map(call_text, calls))
    return f"```json\n{texts if len(calls) == 1 else f'[{texts}]'}\n```"


def _write_results(results: Sequence[Result]) -> str:
    return "\n".join(f"```tool_result\n{result_text(result)}\n```" for result in results)


JSON_FENCE: Final = Dialect(
    name="json-fence",
    guide=f"Write each call as a fenced code block that is labelled json. {GUIDE}",
    triggers="`~",
    opens=_opens,
    recognise=_recognise,
    write_calls=_write_calls,
    write_results=_write_results,
)
