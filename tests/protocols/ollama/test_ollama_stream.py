"""Streams of Ollama: lines to events, events to lines, and the watch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.ollama import PROTOCOL
from ds2api_asgi.universal.content import OpaquePart, Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import Close, Delta, End, Error, Event, Open, Ping, Start, StopEvent
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.response import Stop, StopReason

BASE = {"model": "m", "created_at": "2025-06-09T17:58:55.337823Z"}
LAST = {**BASE, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "eval_count": 2}


def line(**message: Any) -> dict[str, Any]:
    return {**BASE, "message": {"role": "assistant", "content": "", **message}, "done": False}


def ndjson(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def decode(data: bytes) -> list[Event]:
    decoder = PROTOCOL.stream_decoder()
    events = decoder.feed(data) + decoder.close()
    life = Lifecycle()
    for event in events:
        life.step(event)
    return events


def test_kinds_open_and_close_in_turn() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    events = decode(ndjson(line(thinking="t"), line(content="a"), line(content="b"), line(tool_calls=[call]), LAST))
    assert [event.part for event in events if isinstance(event, Open)] == [
        Reasoning(text=""),
        Text(text=""),
        ToolCall(name="f", arguments=JsonText('{"a": 1}')),
    ]
    assert [event.text for event in events if isinstance(event, Delta)] == ["t", "a", "b"]
    assert StopEvent(Stop(reason=StopReason.TOOL)) in events
    assert isinstance(events[-1], End)


def test_a_stream_without_its_last_line_end_is_whole() -> None:
    assert isinstance(decode(ndjson(line(content="a"), LAST).strip())[-1], End)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", FailureKind.TRUNCATED),
        (ndjson(line(content="a")), FailureKind.TRUNCATED),
        (ndjson(line(content="a"), LAST)[:-9], FailureKind.TRUNCATED),
        (b"<html>\n", FailureKind.SERVER),
        (b"[]\n", FailureKind.SERVER),
        (ndjson(line(content="a"), {"error": "server busy"}), FailureKind.OVERLOADED),
    ],
)
def test_a_stream_that_is_not_whole_ends_in_an_error(data: bytes, kind: FailureKind) -> None:
    last = decode(data)[-1]
    assert isinstance(last, Error)
    assert last.failure.kind is kind


@pytest.mark.parametrize(
    "odd",
    [
        {"message": 5},
        {"message": {"role": 5, "content": 5, "tool_calls": [3], "x": 1}},
        {"logprobs": 3},
        {"done": "no"},
    ],
    ids=str,
)
def test_odd_lines_are_taken(odd: dict[str, Any]) -> None:
    events = decode(ndjson({**line(), **odd}, LAST))
    assert isinstance(events[-1], End)


def test_a_call_that_cannot_be_read_is_no_call() -> None:
    events = decode(ndjson(line(tool_calls=[{"function": {}}]), LAST))
    assert [type(event.part) for event in events if isinstance(event, Open)] == [OpaquePart]


@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    decode(data)


def encode(*events: Event) -> list[dict[str, Any]]:
    encoder = PROTOCOL.stream_encoder(Context(now=0))
    return [json.loads(one) for one in encoder.write(events).splitlines()]


def test_calls_come_whole_in_the_order_in_which_they_began() -> None:
    def begun(key: int) -> Open:
        return Open(key, ToolCall(id=f"c{key}", name="f", arguments=JsonText("")))

    lines = encode(
        Start(protocol="elsewhere", model="m"),
        begun(0),
        begun(1),
        Delta(1, '{"b":'),
        Delta(0, '{"a":1}'),
        Delta(1, "2}"),
        Close(1),
        Close(0),
        StopEvent(Stop(reason=StopReason.TOOL)),
        End(),
    )
    calls = [call["function"]["arguments"] for one in lines for call in one["message"].get("tool_calls", ())]
    assert calls == [{"a": 1}, {"b": 2}]
    assert (lines[-1]["done"], lines[-1]["done_reason"]) == (True, "stop")


def test_texts_are_out_at_once_and_signs_of_life_are_silent() -> None:
    encoder = PROTOCOL.stream_encoder(Context(now=0))
    encoder.write([Start(protocol="elsewhere", model="m"), Open(0, Text(text=""))])
    assert json.loads(encoder.write([Delta(0, "a\n\u2028")]))["message"]["content"] == "a\n\u2028"
    assert encoder.write([Ping()]) == b""


def test_an_error_is_the_last_line() -> None:
    lines = encode(Start(protocol="elsewhere", model="m"), Error(Failure(kind=FailureKind.SERVER, message="it broke")))
    assert lines == [{"error": "it broke"}]
    assert PROTOCOL.stream_type() == "application/x-ndjson"


def test_the_watch_sees_content_the_end_and_errors() -> None:
    watch = PROTOCOL.stream_watch()
    watch.feed(ndjson(line()))
    assert not watch.content
    watch.feed(ndjson(line(content='"done":true')))
    assert (watch.content, watch.terminal) == (True, False)
    watch.feed(ndjson(LAST))
    assert (watch.terminal, watch.ended, watch.failure) == (True, True, None)
    broken = PROTOCOL.stream_watch()
    broken.feed(ndjson(line(content="a"), {"error": "server busy"}))
    assert broken.failure is not None
    assert broken.failure.status is UNSET
