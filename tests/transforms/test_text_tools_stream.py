"""Edge case 8 and what it lacks: ids, deltas, stops, demands, several candidates, thoughts, broken streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from ds2api_asgi.transforms import TextTools
from ds2api_asgi.transforms.text_tools.verdict import NO_CALL
from ds2api_asgi.universal.content import CacheMark, Citation, Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import (
    Close,
    Delta,
    End,
    Error,
    Event,
    Open,
    Set,
    Start,
    StopEvent,
    UsageEvent,
)
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import fold, unfold
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.node import Opaque
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OpaqueTool, ToolSubset, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage
from text_tools_kit import ORIGIN, TOOLS, answer, block, invoke, parts_of, request, shown, streamed
from universals import responses

WHOLE = block(invoke("free", a="1"))
START = Start(protocol="p")
END = Stop(reason=StopReason.END)
CUT = Error(Failure(kind=FailureKind.TRUNCATED, message="cut"))


def begun(transform: TextTools | None = None, **members: Any) -> Any:
    return (transform or TextTools()).begin(request(**members))


def calls_of(response: Response) -> list[ToolCall]:
    return [part for part in parts_of(response) if isinstance(part, ToolCall)]


def reason(response: Response) -> StopReason:
    stop = response.candidates[0].stop
    assert stop is not UNSET
    return stop.reason


def test_ids_differ_within_an_answer_and_from_turn_to_turn_and_are_repeated_for_the_same() -> None:
    text = f"{WHOLE} and {block(invoke('free', a='1'), invoke('free', a='1'))}"
    first = [part.id for part in calls_of(begun().response(answer(text)))]
    assert len(set(first)) == 3
    assert first == [part.id for part in calls_of(begun().response(answer(text)))]
    assert all(str(one).startswith("call_") and len(str(one)) == 25 for one in first)
    history = (
        Turn(role="user"),
        Turn(role="assistant", parts=tuple(ToolCall(id=one, name="free", arguments=JsonText("{}")) for one in first)),
    )
    later = [part.id for part in calls_of(begun(turns=history).response(answer(text)))]
    assert not set(first) & set(later)


def test_an_id_is_that_of_no_call_of_the_history() -> None:
    (new,) = calls_of(begun(turns=(Turn(role="user"),)).response(answer(WHOLE)))
    history = (Turn(role="assistant", parts=(ToolCall(id=new.id, name="free", arguments=JsonText("{}")),)),)
    (other,) = calls_of(begun(turns=history).response(answer(WHOLE)))
    assert other.id != new.id


@pytest.mark.parametrize("eager", [False, True])
def test_the_id_that_opens_a_call_is_the_one_it_ends_with(eager: bool) -> None:
    way = begun(TextTools(eager=eager))
    text = f"a{WHOLE}{block(invoke('write', path='<![CDATA[p]]>', content='<![CDATA[c]]>'))}"
    opened = [
        event.part.id
        for event in streamed(way, unfold(answer(text), chunk=1))
        if isinstance(event, Open) and isinstance(event.part, ToolCall)
    ]
    assert opened == [part.id for part in calls_of(way.response(answer(text)))]


def test_a_call_is_out_as_soon_as_it_is_closed() -> None:
    stream = begun().stream()
    stream.feed([START, Open(0, Text(text=""))])
    text = f"<tool_calls>{invoke('free', a='1')}"
    assert stream.feed([Delta(0, text[:-1])]) == []
    out = stream.feed([Delta(0, text[-1])])
    assert [type(event) for event in out] == [Open, Delta, Close]
    assert out[1] == Delta(0, '{"a":1}')


def test_eager_arguments_are_out_as_they_come_and_are_no_json_before_the_call_is_closed() -> None:
    stream = begun(TextTools(eager=True)).stream()
    stream.feed([START, Open(0, Text(text="")), Delta(0, '<tool_calls><invoke name="write"><parameter name="path">')])
    assert stream.feed([Delta(0, "<![CDATA[")])[1:] == [Delta(0, '{"path":"')]
    assert stream.feed([Delta(0, 'a"b')]) == [Delta(0, 'a\\"b')]
    said = '{"path":"a\\"b'
    for more in ("]]>", "</parameter>", '<parameter name="content"><![CDATA[x', "]]></parameter>", "</invoke"):
        said += "".join(event.text for event in stream.feed([Delta(0, more)]) if isinstance(event, Delta))
        assert not JsonText(said).valid
    said += "".join(event.text for event in stream.feed([Delta(0, ">")]) if isinstance(event, Delta))
    assert said == '{"path":"a\\"b","content":"x"}'


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ('<tool_call>{"name": "write", "arguments": ', "}</tool_call>"),
        ('[TOOL_CALLS][{"name": "write", "arguments": ', "}"),
        ("[TOOL_CALLS]write[ARGS]", ""),
        ('<|python_tag|>{"type": "function", "name": "write", "parameters": ', "}"),
    ],
)
def test_eager_arguments_in_json_are_out_as_they_come(head: str, tail: str) -> None:
    stream = begun(TextTools(eager=True)).stream()
    assert stream.feed([START, Open(0, Text(text="")), Delta(0, head)]) == [START]
    said = ""
    pieces = ['{"path" : 90210', ', "content": "a', "b\\", "n\\d\n", '"', ' , "x": [1', "]", "}", *tail]
    wanted = ['{"path" : "90210"', ', "content": "a', "b", "\\n\\\\d\\n", '"', ' , "x": ', "[1]"]
    for at, piece in enumerate(pieces):
        assert not JsonText(said).valid
        said += "".join(event.text for event in stream.feed([Delta(0, piece)]) if isinstance(event, Delta))
        if 0 < at < len(wanted):
            assert said == "".join(wanted[: at + 1])
    assert said == "".join(wanted) + "}"


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "write", "arguments": {"path": "a"}} and words',
        '<tool_call>{"name": "write", "arguments": {"path": "a"}, "more": 1}</tool_call>',
        '[TOOL_CALLS][{"name": "write", "arguments": {"path": nothing}}]',
        '<|python_tag|>{"name": "write", "parameters": {"path": "a"',
    ],
)
def test_eager_json_that_breaks_off_is_never_valid(text: str) -> None:
    got = begun(TextTools(eager=True)).response(answer(text))
    assert not calls_of(got)[0].arguments.valid
    assert reason(got) is StopReason.MALFORMED
    assert shown(parts_of(begun().response(answer(text)))) == [text]


TWICE = ']]></parameter><parameter name="path"><![CDATA[again]]></parameter></invoke></tool_calls>'


@pytest.mark.parametrize(
    "broken", ["", "]]></parameter>", "]]></parameter></tool_calls>", "]]></parameter></invoke", TWICE]
)
def test_an_eager_call_that_breaks_off_is_cut_and_never_valid(broken: str) -> None:
    way = begun(TextTools(eager=True))
    text = '<tool_calls><invoke name="write"><parameter name="path"><![CDATA[some' + broken
    got = way.response(answer(text))
    (call,) = calls_of(got)
    assert call.arguments.text.startswith('{"path":"some')
    assert not call.arguments.valid
    assert reason(got) is StopReason.MALFORMED
    cut = fold(streamed(way, [*unfold(answer(text), chunk=2)[:-3], CUT]), protocol="p")
    assert not calls_of(cut)[0].arguments.valid


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (StopReason.END, StopReason.TOOL),
        (StopReason.SEQUENCE, StopReason.TOOL),
        (StopReason.OTHER, StopReason.TOOL),
        (StopReason.TOOL, StopReason.TOOL),
        (StopReason.LENGTH, StopReason.LENGTH),
        (StopReason.FILTER, StopReason.FILTER),
        (StopReason.ERROR, StopReason.ERROR),
    ],
)
def test_an_answer_that_calls_stops_for_its_tools(before: StopReason, after: StopReason) -> None:
    assert reason(begun().response(answer(WHOLE, stop=before))) is after
    assert reason(begun().response(answer("no call", stop=before))) is before


def test_the_native_word_for_the_old_reason_goes() -> None:
    source = answer(WHOLE)
    stop = Stop(reason=StopReason.END, native="eos", sequence="x", ext={"a": 1})
    source = replace(source, candidates=(replace(source.candidates[0], stop=stop),))
    assert begun().response(source).candidates[0].stop == Stop(reason=StopReason.TOOL, ext={"a": 1})


def test_a_stop_waits_for_the_texts_of_its_candidate_only() -> None:
    stream = begun().stream()
    stream.feed([START, Open(0, Text(text=""), 0), Open(1, Text(text=""), 1), Delta(0, WHOLE), Delta(1, "<")])
    assert stream.feed([StopEvent(END, 0)]) == []
    assert stream.feed([Close(0)]) == [StopEvent(Stop(reason=StopReason.TOOL), 0)]
    assert stream.feed([StopEvent(END, 1)]) == []
    assert stream.feed([Close(1)])[1:] == [Delta(1, "<"), Close(1), StopEvent(END, 1)]
    assert stream.feed([End()]) == [End()]


def test_usage_is_untouched() -> None:
    usage = Usage(input_total=5, output_total=7)
    source = replace(answer(WHOLE), usage=usage)
    assert begun().response(source).usage == usage
    assert UsageEvent(usage) in streamed(begun(), unfold(source))


REQUIRED: list[Any] = ["required", NamedTool(name="free"), ToolSubset(mode="required", names=("free", "count"))]


@pytest.mark.parametrize("choice", REQUIRED)
@pytest.mark.parametrize("text", ["no call", "", block(invoke("nobody")), f"`{WHOLE}`"])
def test_an_answer_that_had_to_call_and_did_not_is_a_failure(choice: Any, text: str) -> None:
    way = begun(tool_choice=choice)
    failure = way.response(answer(text)).error
    assert failure is not UNSET
    assert (failure.kind, failure.code) == (FailureKind.BAD_GATEWAY, NO_CALL)
    events = streamed(way, unfold(answer(text), chunk=2))
    assert events[-1] == Error(failure)
    assert not any(isinstance(event, (StopEvent, End)) for event in events)


@pytest.mark.parametrize("choice", REQUIRED)
def test_an_answer_that_had_to_call_and_did_is_none(choice: Any) -> None:
    way = begun(tool_choice=choice)
    native = answer(ToolCall(id="c", name="free", arguments=JsonText("{}")))
    cut_off = answer("cut off", stop=StopReason.LENGTH), answer("no", stop=StopReason.FILTER)
    for source in (answer(WHOLE), native, *cut_off):
        assert way.response(source).error is UNSET
        assert fold(streamed(way, unfold(source, chunk=3)), protocol="p") == way.response(source)


def test_a_choice_narrows_what_may_be_called() -> None:
    for choice in (NamedTool(name="count"), ToolSubset(mode="auto", names=("count",)), "none"):
        assert shown(parts_of(begun(tool_choice=choice).response(answer(WHOLE)))) == [WHOLE]


def test_a_stream_without_a_stop_is_judged_at_its_end() -> None:
    way = begun(tool_choice="required")
    out = way.stream().feed([START, Open(0, Text(text="a")), Close(0), End()])
    assert isinstance(out[-1], Error)


def test_where_one_call_is_allowed_the_second_is_text() -> None:
    way = begun(parallel_tools=False)
    both = block(invoke("free", a="1"), invoke("free", a="2"))
    assert shown(parts_of(way.response(answer(both)))) == [
        ("free", '{"a":1}'),
        f"{invoke('free', a='2')}</tool_calls>",
    ]
    assert shown(parts_of(way.response(answer(WHOLE, WHOLE)))) == [("free", '{"a":1}'), WHOLE]
    bare = f"{invoke('free', a='1')}{invoke('free', a='2')}</tool_calls>"
    assert shown(parts_of(way.response(answer(bare)))) == [bare]  # one block that says more than it may


def test_each_candidate_has_its_own_calls() -> None:
    events: list[Event] = [START]
    for choice, text in enumerate((WHOLE, "none", f"x{WHOLE}")):
        events.append(Open(choice, Text(text=""), choice))
        events += [Delta(choice, char) for char in text]
    events = [*events[:1], *sorted(events[1:], key=lambda event: isinstance(event, Delta))]
    mixed = [event for event in events if not isinstance(event, Delta)]
    deltas: list[list[Delta]] = [[e for e in events if isinstance(e, Delta) and e.key == key] for key in range(3)]
    while any(deltas):
        mixed += [queue.pop(0) for queue in deltas if queue]
    for choice in range(3):
        mixed += [Close(choice), StopEvent(END, choice)]
    got = fold(streamed(begun(parallel_tools=False), [*mixed, End()]), protocol="p")
    assert [shown(one.turns[0].parts) for one in got.candidates] == [
        [("free", '{"a":1}')],
        ["none"],
        ["x", ("free", '{"a":1}')],
    ]
    assert [one.stop.reason.value for one in got.candidates] == ["tool", "end", "tool"]  # type: ignore[union-attr]
    ids = [part.id for one in got.candidates for part in one.turns[0].parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2


def test_thoughts_between_the_pieces_of_a_call_do_not_break_it() -> None:
    events: list[Event] = [START, Open(0, Reasoning(text="")), Open(1, Text(text=""))]
    for char in WHOLE:
        events += [Delta(1, char), Delta(0, "hm")]
    got = fold(streamed(begun(), [*events, Close(0), Close(1), StopEvent(END), End()]), protocol="p")
    assert shown(parts_of(got)) == [Reasoning(text="hm" * len(WHOLE)), ("free", '{"a":1}')]


def test_calls_in_thoughts_count_only_if_asked() -> None:
    source = answer(Reasoning(text=f"hm {WHOLE} so", opaque=(Opaque(kind="signature", value="s", protocol="p"),)))
    assert begun().response(source) == source
    way = begun(TextTools(reasoning=True))
    opaque = source.candidates[0].turns[0].parts[0].opaque
    got = parts_of(way.response(source))
    assert (got[0], got[2]) == (Reasoning(text="hm "), Reasoning(text=" so", opaque=opaque))
    assert isinstance(got[1], ToolCall)
    assert fold(streamed(way, unfold(source, chunk=3)), protocol="p") == way.response(source)
    redacted = answer(Reasoning(summary=(WHOLE,)))
    assert way.response(redacted) == redacted


@pytest.mark.parametrize("text", [WHOLE[:n] for n in range(1, len(WHOLE) - 21)] + ['{"name": "free", "arguments": {}}'])
def test_what_is_not_closed_when_the_stream_breaks_is_text(text: str) -> None:
    events = [START, Open(0, Text(text="")), *(Delta(0, char) for char in text), CUT]
    out = streamed(begun(), events)
    assert out[-1] == CUT
    assert shown(parts_of(fold(out, protocol="p"))) == [text]


def test_nothing_comes_after_an_error() -> None:
    stream = begun().stream()
    assert stream.feed([START, CUT, End()]) == [START, CUT]
    assert stream.feed([Open(0, Text(text="a"))]) == []


def test_a_stream_that_is_given_up_in_a_call_leaves_others_alone() -> None:
    way = begun()
    stream = way.stream()
    stream.feed([START, Open(0, Text(text="")), Delta(0, WHOLE[:40])])
    del stream
    assert way.response(answer(WHOLE)) == fold(streamed(way, unfold(answer(WHOLE), chunk=5)), protocol="p")


def test_what_is_set_on_a_text_stays_with_its_last_piece() -> None:
    mark = Opaque(kind="signature", value="s", protocol="p")
    part = Text(text=f"a{WHOLE}b", opaque=(mark,), cache=CacheMark(), ext={"x": 1})
    source = answer(part)
    got = parts_of(begun().response(source))
    assert got[0] == Text(text="a", cache=CacheMark(), ext={"x": 1})
    assert got[2] == Text(text="b", opaque=(mark,))
    only = parts_of(begun().response(answer(replace(part, text=WHOLE))))
    assert only[1] == Text(text="", opaque=(mark,), cache=CacheMark(), ext={"x": 1})


def test_a_text_that_is_all_calls_leaves_no_empty_one_behind() -> None:
    """Clients send answers back, and providers refuse empty texts."""
    part = Text(text=WHOLE, citations=(), ext={"citations": None}, form=("content:string",))
    for source in (answer(part), answer(replace(part, text=f"\n{WHOLE}\n"))):
        assert len(calls_of(begun().response(source))) == len(parts_of(begun().response(source))) == 1
        assert fold(streamed(begun(), unfold(source, chunk=3)), protocol="p") == begun().response(source)
    assert parts_of(begun().response(answer(replace(part, text="")))) == (replace(part, text=""),)


def test_a_text_with_citations_stays_whole() -> None:
    part = Text(text=WHOLE, citations=(Citation(kind="k", start=0, end=3),))
    assert parts_of(begun().response(answer(part))) == (part,)


@given(responses, st.integers(1, 5))
def test_any_answer_passes_a_request_without_tools_untouched(response: Response, chunk: int) -> None:
    way = TextTools().begin(request(tools=()))
    assert way.response(response) == response
    assert way.stream().feed(unfold(response, chunk=chunk)) == unfold(response, chunk=chunk)


@given(responses, st.integers(1, 5), st.booleans())
def test_any_answer_without_calls_is_the_same_with_tools(response: Response, chunk: int, reasoning: bool) -> None:
    way = TextTools(reasoning=reasoning).begin(request((FunctionTool(name="never"),)))
    assert way.response(response) == response
    assert fold(streamed(way, unfold(response, chunk=chunk)), protocol="p") == response


def test_sets_and_summaries_of_other_parts_go_to_their_own_keys() -> None:
    events: list[Event] = [
        START,
        Open(0, Text(text=f"a{WHOLE}b")),
        Open(1, Reasoning(text="")),
        Set(1, "summary", "s"),
        Delta(1, "t", "summary"),
        Close(0),
        Close(1),
        End(),
    ]
    assert parts_of(fold(streamed(begun(), events), protocol="p"))[-1] == Reasoning(text="", summary=("st",))


def test_an_answer_in_several_turns_is_read_as_one_candidate() -> None:
    turns = (Turn(role="assistant", parts=(Text(text=WHOLE),)), Turn(role="assistant", parts=(Text(text=WHOLE),)))
    source = Response(candidates=(Candidate(turns=turns, stop=END),), origin=ORIGIN)
    got = begun(parallel_tools=False).response(source).candidates[0]
    assert isinstance(got.turns[0].parts[0], ToolCall)
    assert got.turns[1] == turns[1]


def test_a_failed_answer_is_not_read() -> None:
    source = replace(answer(WHOLE), error=CUT.failure)
    assert begun(tool_choice="required").response(source) == source


def test_tools_of_the_provider_are_not_called_in_words() -> None:
    tools = (OpaqueTool(json={"type": "web_search", "name": "free"}, protocol="p"), *TOOLS[:1])
    way = TextTools().begin(request(tools))
    assert shown(parts_of(way.response(answer(WHOLE)))) == [WHOLE]
