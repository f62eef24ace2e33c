"""Laws of `TextTools`: any cut, nothing lost, there and back again; linear work and bounded memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from documents import json_objects, json_values
from ds2api_asgi.transforms import TextTools
from ds2api_asgi.transforms.text_tools import DIALECTS, Dialect
from ds2api_asgi.transforms.text_tools.begun import BegunTextTools
from ds2api_asgi.universal.content import Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import Delta, Error, Open, Start
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import fold, unfold
from ds2api_asgi.universal.jsontext import JsonText, dumps
from ds2api_asgi.universal.request import FunctionTool, Turn
from ds2api_asgi.universal.response import StopReason
from text_tools_kit import TOOLS, answer, parts_of, request, streamed

NAMES = [dialect.name for dialect in DIALECTS]
OTHERS = (FunctionTool(name="never"),)

# What calls are made of in every dialect, so that drawn texts are nearly calls, often enough calls, and always close.
PIECES = [
    "<tool_calls>",
    "</tool_calls>",
    "<|DSML|tool_calls>",
    '<invoke name="read_file">',
    '<invoke name="free">',
    '<invoke name="nobody">',
    "</invoke>",
    "</|DSML|invoke|",
    '<parameter name="path">',
    '<parameter name="x">',
    "</parameter>",
    "<![CDATA[",
    "]]>",
    '<tool_calls><invoke name="read_file"><parameter name="path">',
    "</parameter></invoke></tool_calls>",
    '<tool_calls><invoke name="free"/>',
    "<tool_call>",
    "</tool_call>",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "[",
    "]",
    ",",
    ";",
    '{"name": "free", "arguments": {"a": "b"}}',
    '{"name": "read_file", "parameters": ',
    '{"path": 7}',
    "}",
    '"',
    "\\",
    "```json\n",
    "```",
    "\n```\n",
    "~~~",
    "`",
    "``",
    "\n",
    "\n\n",
    " ",
    "a",
    "<",
    "<<",
    "&lt;",
    "｜",
    "İ",
    "é\U0001f600",
    "\ud800",
]
written = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def begun(tools: Any = TOOLS, **options: Any) -> BegunTextTools:
    return TextTools(**options).begin(request(tools))


def said(parts: Any) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


@pytest.mark.parametrize("eager", [False, True])
@given(text=written, cut=st.integers(1, 9), bound=st.sampled_from([8, 60, 10**6]))
def test_any_cut_gives_the_same_answer(text: str, cut: int, bound: int, *, eager: bool) -> None:
    way = begun(eager=eager, max_kept=bound)
    source = answer(text)
    assert fold(streamed(way, unfold(source, chunk=cut)), protocol="p") == way.response(source)


@given(st.lists(st.one_of(written.map(lambda t: Text(text=t)), written.map(lambda t: Reasoning(text=t))), max_size=4))
def test_texts_and_thoughts_are_read_each_by_itself(parts: list[Any]) -> None:
    way = begun(reasoning=True)
    source = answer(*parts)
    assert fold(streamed(way, unfold(source, chunk=3)), protocol="p") == way.response(source)


@given(text=written, bound=st.sampled_from([8, 60, 10**6]))
def test_what_is_no_call_goes_out_to_the_character(text: str, bound: int) -> None:
    parts = parts_of(begun(OTHERS, max_kept=bound).response(answer(text)))
    assert parts == (Text(text=text),)


@given(text=written)
def test_what_stands_around_calls_goes_out_in_order(text: str) -> None:
    parts = parts_of(begun().response(answer(text)))
    at = 0
    for part in parts:
        if isinstance(part, Text):
            assert part.text in text[at:]
            at = text.index(part.text, at) + len(part.text)
    if not any(isinstance(part, ToolCall) for part in parts):
        assert said(parts) == text


@given(text=written.filter(bool), cut=st.integers(1, 9))
def test_a_stream_that_breaks_off_has_lost_nothing(text: str, cut: int) -> None:
    way = begun(OTHERS)
    events = [event for event in unfold(answer(text), chunk=cut) if isinstance(event, (Start, Open, Delta))]
    cut_off = Error(Failure(kind=FailureKind.TRUNCATED, message="cut"))
    assert said(parts_of(fold(streamed(way, [*events, cut_off]), protocol="p"))) == text


@given(text=written)
def test_eager_calls_are_the_same_calls_unless_one_breaks_off(text: str) -> None:
    source = answer(text)
    got, wanted = begun(eager=True).response(source), begun().response(source)
    stop = got.candidates[0].stop
    assume(stop and stop.reason is not StopReason.MALFORMED)
    for one, other in zip(parts_of(got), parts_of(wanted), strict=True):
        if isinstance(one, ToolCall) and isinstance(other, ToolCall):
            assert (one.id, one.name, one.kind) == (other.id, other.name, other.kind)
            assert one.arguments.same(other.arguments)
        else:
            assert one == other


names_of_tools = st.text(min_size=1, max_size=8)
strings = st.one_of(st.text(max_size=20), written)
nested = st.one_of(st.lists(strings, min_size=1, max_size=2), st.dictionaries(strings, strings, min_size=1, max_size=2))
deep_values = st.one_of(json_values, strings, nested)
objects = st.dictionaries(
    st.one_of(st.text(max_size=6), st.sampled_from(["path", "input", "_x"])), deep_values, max_size=4
)


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("eager", [False, True])
@given(name=names_of_tools, values=st.lists(objects, min_size=1, max_size=2), cut=st.sampled_from([1, 2, 5, 10**6]))
def test_a_call_told_in_words_reads_back_the_same(
    dialect: str, name: str, values: list[dict[str, Any]], cut: int, *, eager: bool
) -> None:
    calls = [ToolCall(name=name, arguments=JsonText.of(value)) for value in values]
    came = round_trip(dialect, calls, [FunctionTool(name=name)], cut, eager=eager)
    assert [part.name for part in came] == [name] * len(values)
    assert all(a.arguments.same(b.arguments) for a, b in zip(came, calls, strict=True))


def kind_of(value: Any) -> dict[str, Any]:
    kinds = {str: "string", bool: "boolean", list: "array", dict: "object", type(None): "null"}
    return {"type": kinds.get(type(value), "number")}


@pytest.mark.parametrize("dialect", NAMES)
@given(value=objects, cut=st.sampled_from([1, 10**6]))
def test_a_call_that_keeps_to_its_schema_reads_back_the_same(dialect: str, value: dict[str, Any], cut: int) -> None:
    schema = {"type": "object", "properties": {name: kind_of(inner) for name, inner in value.items()}}
    call = ToolCall(name="f", arguments=JsonText.of(value))
    (came,) = round_trip(dialect, [call], [FunctionTool(name="f", schema=schema)], cut)
    assert came.arguments.same(call.arguments)


def round_trip(dialect: str, calls: list[ToolCall], tools: Any, cut: int, *, eager: bool = False) -> list[ToolCall]:
    history = (Turn(role="user"), Turn(role="assistant", parts=tuple(calls)))
    way = TextTools(dialect, eager=eager).begin(request(tools, turns=history))
    (told,) = way.request.turns[-1].parts
    came = parts_of(fold(streamed(way, unfold(answer(told), chunk=cut)), protocol="p"))
    assert all(isinstance(part, ToolCall) for part in came), came
    return list(came)  # type: ignore[arg-type]


@pytest.mark.parametrize("dialect", NAMES)
@given(text=st.one_of(st.text(max_size=30), written), cut=st.sampled_from([1, 3, 10**6]))
def test_a_string_keeps_its_characters(dialect: str, text: str, cut: int) -> None:
    arguments = JsonText.of({"path": text})
    for eager in (False, True):
        (came,) = round_trip(dialect, [ToolCall(name="read_file", arguments=arguments)], TOOLS, cut, eager=eager)
        assert came.arguments.value == {"path": text}


@pytest.mark.parametrize("dialect", NAMES)
@given(text=st.one_of(st.text(max_size=30), written), cut=st.sampled_from([1, 3, 10**6]))
def test_free_text_keeps_its_characters(dialect: str, text: str, cut: int) -> None:
    call = ToolCall(name="patch", arguments=JsonText(text), kind="custom")
    (came,) = round_trip(dialect, [call], TOOLS, cut)
    assert (came.kind, came.arguments.text) == ("custom", text)


@pytest.mark.parametrize("dialect", NAMES)
@given(text=written.filter(lambda t: t.strip() and not JsonText(t).is_object), cut=st.sampled_from([1, 10**6]))
def test_arguments_that_are_no_json_come_back_as_they_were(dialect: str, text: str, cut: int) -> None:
    (came,) = round_trip(dialect, [ToolCall(name="read_file", arguments=JsonText(text))], TOOLS, cut)
    assert came.arguments.text == text


@pytest.mark.parametrize("dialect", NAMES)
@given(value=json_objects)
def test_json_dialects_keep_the_spelling(dialect: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    if dialect != "xml" and text.isprintable():
        (came,) = round_trip(dialect, [ToolCall(name="free", arguments=JsonText(text))], TOOLS, 4)
        assert came.arguments.text == text


def test_every_dialect_is_read_where_all_are() -> None:
    for dialect in DIALECTS:
        assert isinstance(dialect, Dialect)
        (came,) = round_trip(dialect.name, [ToolCall(name="free", arguments=JsonText("{}"))], TOOLS, 1)
        assert came.arguments.text == dumps({}).decode()
