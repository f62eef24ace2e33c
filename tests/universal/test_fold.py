"""A stream adds up to the answer it was cut from, in the order that the table allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from ds2api_asgi.universal.content import Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import Close, Delta, End, Error, Event, Open, Ping, Start, StopEvent
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import fold, merge_usage, unfold
from ds2api_asgi.universal.lifecycle import ALLOWED, Lifecycle, LifecycleError, State
from ds2api_asgi.universal.response import Response, Stop, StopReason, Usage
from universals import responses, usages


@given(responses, st.sampled_from([None, 1, 3]))
def test_folding_an_unfolded_answer_gives_it_back(response: Response, chunk: int | None) -> None:
    assert fold(unfold(response, chunk=chunk), protocol="p") == response


@given(responses, st.sampled_from([None, 1]))
def test_an_unfolded_answer_follows_the_table(response: Response, chunk: int | None) -> None:
    lifecycle = Lifecycle()
    for event in unfold(response, chunk=chunk):
        lifecycle.step(event)
    assert lifecycle.state is State.FINISHED


@given(usages, usages)
def test_a_usage_snapshot_wins_member_by_member(old: Usage, new: Usage) -> None:
    merged = merge_usage(old, new)
    for name in ("input_total", "cache_read", "output_total", "reasoning"):
        newer = getattr(new, name)
        assert getattr(merged, name) == (getattr(old, name) if newer is UNSET else newer)


def test_usage_is_never_summed() -> None:
    assert merge_usage(Usage(input_total=10), Usage(input_total=10)).input_total == 10


_FAILURE = Failure(kind=FailureKind.SERVER, message="x")
_TEXT = Text(text="")
_START = Start(protocol="p")


@pytest.mark.parametrize(
    "events",
    [
        [_START, _START],
        [Open(0, _TEXT)],
        [_START, Delta(0, "x")],
        [_START, Open(0, _TEXT), Open(0, _TEXT)],
        [_START, Open(0, _TEXT), Close(0), Delta(0, "x")],
        [_START, Open(0, _TEXT), Close(0), Close(0)],
        [_START, Open(0, _TEXT), End()],
        [_START, End(), Ping()],
        [_START, Error(_FAILURE), End()],
        [_START, StopEvent(Stop(reason=StopReason.END)), StopEvent(Stop(reason=StopReason.END))],
        [End()],
    ],
    ids=repr,
)
def test_the_table_refuses(events: list[Event]) -> None:
    lifecycle = Lifecycle()
    for event in events[:-1]:
        lifecycle.step(event)
    with pytest.raises(LifecycleError):
        lifecycle.step(events[-1])


def test_nothing_comes_after_the_end() -> None:
    assert ALLOWED[State.FINISHED] == ALLOWED[State.FAILED] == frozenset()


def test_parts_may_be_open_side_by_side() -> None:
    lifecycle = Lifecycle()
    for event in [_START, Open(0, _TEXT), Open(1, _TEXT), Delta(0, "a"), Delta(1, "b"), Close(0), Close(1), End()]:
        lifecycle.step(event)
    assert lifecycle.state is State.FINISHED


def test_a_failed_stream_folds_to_what_came_and_the_failure() -> None:
    answer = fold([_START, Open(0, _TEXT), Delta(0, "hal"), Error(_FAILURE)], protocol="p")
    assert answer.error == _FAILURE
    part = answer.candidates[0].turns[0].parts[0]
    assert isinstance(part, Text)
    assert part.text == "hal"


def test_reasoning_text_that_is_empty_is_not_absent() -> None:
    opened = [_START, Open(0, Reasoning(text="")), Close(0), End()]
    assert fold(opened, protocol="p").candidates[0].turns[0].parts[0] == Reasoning(text="")


def test_arguments_grow_as_text() -> None:
    from ds2api_asgi.universal.jsontext import JsonText

    call = ToolCall(id="1", name="f", arguments=JsonText(""))
    answer = fold([_START, Open(0, call), Delta(0, '{"a"'), Delta(0, ": 1.0}"), Close(0), End()], protocol="p")
    assert answer.candidates[0].turns[0].parts[0] == replace(call, arguments=JsonText('{"a": 1.0}'))
