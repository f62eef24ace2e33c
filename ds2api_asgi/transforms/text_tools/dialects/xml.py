"""``xml``: calls as markup, the form that most models write without being trained to; DSML is read as well.

    <tool_calls>
    <invoke name="get_weather">
    <parameter name="city"><![CDATA[Paris]]></parameter>
    <parameter name="days">3</parameter>
    </invoke>
    </tool_calls>

* Strings are CDATA, everything else is JSON.
* Each ``invoke`` in an open wrapper is a call as soon as it is closed. Where the opening tag of the wrapper is missing,
  the calls wait for the closing one; without either an ``invoke`` is text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....universal.jsontext import dumps
from ..cursor import Cursor, Steps
from ..dialect import NOT_IN_CODE, Call, Dialect, Result, Sink
from ..json_call import ReadCall
from .cdata import write_cdata
from .invoke import Invoke
from .tags import INVOKE, PARAMETER, WRAPPER, Tag, next_tag, read_tag, rest_of_tag

__all__ = ["XML"]


def _opens(seen: str, start: bool) -> bool | None:  # noqa: ARG001
    tag = read_tag(seen)
    if isinstance(tag, Tag):
        return not tag.closing and tag.name != PARAMETER
    return tag


def _recognise(cursor: Cursor, sink: Sink) -> Steps[bool]:
    tag = yield from next_tag(cursor)
    assert tag is not None
    wrapped = tag.name == WRAPPER
    if wrapped:
        if not (yield from _bare(cursor, tag)):
            return False
        yield from cursor.space()
        tag = yield from next_tag(cursor)
    waiting: list[ReadCall] = []
    called = False
    while tag is not None and tag.name == INVOKE and not tag.closing:
        invoke = Invoke(cursor, sink, eager=wrapped and sink.eager)
        read = yield from invoke.read(tag, len(waiting))
        if read is None:
            return False
        called = True
        if wrapped:
            read.settle(sink)
        else:
            waiting.append(read)
        if invoke.repaired:  # up to the wrapper's end, which is the text's
            break
        yield from cursor.space()
        tag = yield from next_tag(cursor)
    else:
        if not called or tag is None or tag.name != WRAPPER or not tag.closing or not (yield from _bare(cursor, tag)):
            return False
    for call in waiting:
        call.settle(sink)
    return True


def _bare(cursor: Cursor, tag: Tag) -> Steps[bool]:
    """Take a tag that has no attributes."""
    cursor.take(tag.size)
    return (yield from rest_of_tag(cursor)) == ({}, False)


def _quoted(text: str) -> str:
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return f'"{text}"'


def _write_calls(calls: Sequence[Call]) -> str:
    lines = [f"<{WRAPPER}>"]
    for call in calls:
        lines.append(f"<{INVOKE} name={_quoted(call.name)}>")
        for name, value in call.arguments.value.items():
            lines.append(f"<{PARAMETER} name={_quoted(name)}>{_write_value(value)}</{PARAMETER}>")
        lines.append(f"</{INVOKE}>")
    return "\n".join([*lines, f"</{WRAPPER}>"])


def _write_value(value: object) -> str:
    if isinstance(value, str):
        return write_cdata(value)
    # Only in strings can these stand, so JSON's escapes keep them out of the markup's way.
    return dumps(value).decode().replace("&", "\\u0026").replace("<", "\\u003c")


def _write_results(results: Sequence[Result]) -> str:
    lines = [f"<result name={_quoted(result.name)}>{write_cdata(result.text)}</result>" for result in results]
    return "\n".join(["<tool_results>", *lines, "</tool_results>"])


XML: Final = Dialect(
    name="xml",
    guide=(
        "Write calls as one block of markup. Inside it stands one invoke element per call, and in that one parameter "
        "element per argument. Wrap every string in <![CDATA[ and ]]> and change nothing in it; write numbers, "
        "booleans, null, arrays and objects as JSON, without CDATA. Leave out arguments that you do not need. "
        f"{NOT_IN_CODE}"
    ),
    triggers="<",
    opens=_opens,
    recognise=_recognise,
    write_calls=_write_calls,
    write_results=_write_results,
)
