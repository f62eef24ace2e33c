"""Streams: real traffic under any cutting, odd legal streams, strict order on the way out, and the official SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from pydantic import TypeAdapter

from ds2api_asgi.framing.sse import SseParser, write_event
from ds2api_asgi.protocols.anthropic import PROTOCOL
from ds2api_asgi.protocols.anthropic.scan import Scanner
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.universal.content import Opaque, Reasoning, Refusal, ServerCall, Text, ToolCall
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
from ds2api_asgi.universal.jsontext import JsonText, dumps
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.response import Response, Stop, StopReason, Usage

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def feed(pieces: list[bytes]) -> list[Event]:
    decoder = PROTOCOL.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()
    life = Lifecycle()
    for event in events:
        life.step(event)
    return events


def wire(*documents: dict[str, Any]) -> bytes:
    return b"".join(write_event(dumps(document), document["type"].encode()) for document in documents)


def start(**usage: int) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    return {
        "type": "message_start",
        "message": {**message, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1, **usage}},
    }


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def end(reason: str = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5, **usage}},
        {"type": "message_stop"},
    ]


def said(data: bytes) -> list[dict[str, Any]]:
    parser = SseParser()
    return [json.loads(event.data) for event in parser.feed(data) + parser.close()]


def sdk(data: bytes) -> Any:
    """The message that the official SDK makes of a stream; each event is one of its types."""
    snapshot = None
    buffers: dict[int, bytes] = {}
    for document in said(data):
        if document["type"] not in {"ping", "error"}:
            event = EVENTS.validate_python(document)
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return snapshot


class Client:
    """A client of an upstream that speaks another protocol."""

    def __init__(self, **context: Any) -> None:
        self.encoder = PROTOCOL.stream_encoder(Context(now=1, **context))
        self.events: list[Event] = []
        self.data = b""
        self.write(Start(protocol="elsewhere", id="x-1", model="m"))

    def write(self, *events: Event) -> list[dict[str, Any]]:
        self.events += events
        data = self.encoder.write(events)
        self.data += data
        return said(data)

    def finish(self, reason: StopReason = StopReason.END) -> Any:
        self.write(StopEvent(Stop(reason=reason)), UsageEvent(Usage(input_total=9, output_total=4)), End())
        return sdk(self.data)

    def lost(self) -> set[str]:
        return {loss.path for loss in self.encoder.losses}


def tool(key: int, name: str = "w") -> Open:
    return Open(key, ToolCall(id=f"c{key}", name=name, arguments=JsonText("")))


# --- in


def fold(*documents: dict[str, Any]) -> Response:
    return PROTOCOL.fold(feed([wire(*documents)]))


def parts(response: Response) -> Any:
    return response.candidates[0].turns[0].parts


def test_a_call_without_deltas_has_the_input_of_its_start() -> None:
    empty, whole, replaced = parts(
        fold(
            start(),
            *block(0, {"type": "tool_use", "id": "a", "name": "w", "input": {}}),
            *block(1, {"type": "server_tool_use", "id": "b", "name": "w", "input": {"q": 1.0}}),
            *block(
                2,
                {"type": "tool_use", "id": "c", "name": "w", "input": {"q": 1}},
                {"type": "input_json_delta", "partial_json": ""},
                {"type": "input_json_delta", "partial_json": '{"r":2}'},
            ),
            *end("tool_use"),
        )
    )
    assert [part.arguments.text for part in (empty, whole, replaced)] == ["{}", '{"q":1.0}', '{"r":2}']


def test_a_block_may_start_with_its_text_and_its_signature() -> None:
    thought, text = parts(
        fold(
            start(),
            *block(
                0, {"type": "thinking", "thinking": "t", "signature": "S"}, {"type": "thinking_delta", "thinking": "u"}
            ),
            *block(1, {"type": "text", "text": "Hel"}, {"type": "text_delta", "text": "lo"}),
            *end(),
        )
    )
    assert (thought.text, thought.opaque[0].value, text.text) == ("tu", "S", "Hello")


def test_the_last_signature_counts() -> None:
    deltas = [{"type": "signature_delta", "signature": value} for value in ("A", "B")]
    (thought,) = parts(fold(start(), *block(0, {"type": "thinking", "thinking": "", "signature": ""}, *deltas), *end()))
    assert [payload.value for payload in thought.opaque] == ["B"]


def test_counts_overwrite_and_what_is_left_out_stays() -> None:
    answer = fold(start(cache_read_input_tokens=1000), *end(input_tokens=20))
    assert answer.usage is not UNSET
    assert (answer.usage.input_total, answer.usage.cache_read, answer.usage.output_total) == (1020, 1000, 5)


def test_a_stream_without_event_lines_and_with_blanks_is_read() -> None:
    documents = [start(), *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": 'a"}}'}), *end()]
    data = b"".join(b"data: " + json.dumps(d).encode().replace(b"}}", b"}   }") + b"  \n\n" for d in documents)
    assert parts(PROTOCOL.fold(feed([data])))[0].text == 'a"}}'.replace("}}", "}   }")


@pytest.mark.parametrize("text", ['a"}}', "\\", "\u2028\x85é😀", "}}", '","x":"'])
def test_the_fast_way_reads_what_the_slow_one_does(text: str) -> None:
    documents = [start(), *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": text}), *end()]
    assert parts(fold(*documents))[0].text == text
    slow = b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)
    assert PROTOCOL.fold(feed([slow])) == fold(*documents)


def test_half_an_emoji_is_read() -> None:
    data = wire(start(), block(0, {"type": "text", "text": ""})[0])
    data += b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}\n\n'
    decoder = PROTOCOL.stream_decoder()
    (delta,) = [event for event in decoder.feed(data) if isinstance(event, Delta)]
    encoder = PROTOCOL.stream_encoder(Context())
    encoder.write([Start(protocol="anthropic"), Open(0, Text(text=""))])
    assert b"\\ud83d" in encoder.write([delta])


def test_a_cut_stream_is_never_a_success() -> None:
    data = wire(start(), *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "abc"}), *end())
    for cut in range(len(data)):
        events = feed([data[:cut]])
        complete = b'{"type":"message_stop"}' in data[:cut]
        assert isinstance(events[-1], End if complete else Error), cut
        if not complete:
            assert events[-1].failure.kind is FailureKind.TRUNCATED  # type: ignore[union-attr]


def test_an_error_event_ends_the_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "full"}}
    events = feed([wire(start(), error, *end())])
    assert isinstance(events[-1], Error)
    assert events[-1].failure.kind is FailureKind.OVERLOADED
    watch = PROTOCOL.stream_watch()
    watch.feed(wire(start(), *block(0, {"type": "text", "text": "a"})))
    watch.feed(wire(error))
    assert watch.content
    assert watch.failure == events[-1].failure
    assert not watch.terminal


shapes = st.recursive(
    st.none() | st.integers(-1, 2) | st.sampled_from(["text", "tool_use", "text_delta", "thinking", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "index", "delta", "content_block", "text", "usage", "message", "input"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
kinds = st.sampled_from(
    [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop", "error", "ping", "x"),
    ]
)


@given(
    st.lists(
        st.builds(
            lambda kind, more: {**more, "type": kind},
            kinds,
            st.dictionaries(
                st.sampled_from(["index", "delta", "content_block", "usage", "message", "error"]), shapes, max_size=4
            ),
        ),
        max_size=8,
    )
)
def test_any_events_make_a_legal_stream(documents: list[dict[str, Any]]) -> None:
    events = feed([wire(*documents)])
    assert isinstance(events[-1], (End, Error))
    feed([PROTOCOL.stream_encoder(Context()).write(events)])


@given(st.lists(st.binary(max_size=30), max_size=4))
def test_any_bytes_make_a_legal_stream(pieces: list[bytes]) -> None:
    assert isinstance(feed(pieces)[-1], Error)
    watch = PROTOCOL.stream_watch()
    for piece in pieces:
        watch.feed(piece)
    assert not watch.terminal


def test_a_word_in_a_text_is_no_end() -> None:
    watch = PROTOCOL.stream_watch()
    words = '{"type":"message_stop"} {"type":"error"} event: message_stop'
    watch.feed(wire(start(), *block(0, {"type": "text", "text": "a"}, {"type": "text_delta", "text": words})))
    watch.feed(wire(*block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": words})))
    assert watch.content
    assert not watch.terminal
    assert watch.failure is None


@pytest.mark.parametrize("kind", [None, 7, True, [None], [], {}, {"type": "text"}])
def test_a_block_of_a_kind_that_is_no_word_is_content_to_the_watch(kind: Any) -> None:
    watch = PROTOCOL.stream_watch()
    watch.feed(wire(start()))
    assert not watch.content
    watch.feed(wire({"type": "content_block_start", "index": 0, "content_block": {"type": kind, "text": ""}}))
    assert watch.content


# --- out


def test_parts_that_are_open_side_by_side_come_one_after_the_other() -> None:
    client = Client()
    client.write(Open(0, Text(text="")), Delta(0, "a"), tool(1, "x"), tool(2, "y"))
    client.write(Delta(2, '{"b":'), Delta(1, '{"a":'), Delta(2, "2}"), Delta(1, "1}"))
    client.write(Close(0), Close(1), Close(2))
    message = client.finish(StopReason.TOOL)
    assert [part.type for part in message.content] == ["text", "tool_use", "tool_use"]
    assert [part.input for part in message.content[1:]] == [{"a": 1}, {"b": 2}]
    indexes = [event["index"] for event in said(client.data) if event["type"] == "content_block_start"]
    assert indexes == [0, 1, 2]


def test_a_call_is_passed_on_as_soon_as_the_one_before_is_complete() -> None:
    client = Client()
    client.write(tool(0), Delta(0, '{"a":"}'), tool(1))
    assert [event["type"] for event in client.write(Delta(1, "{"))] == []
    assert [event["type"] for event in client.write(Delta(0, '"}'))] == [
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]
    assert len(client.write(Delta(1, "}"))) == 1
    client.write(Close(0), Close(1))
    assert [part.input for part in client.finish(StopReason.TOOL).content] == [{"a": "}"}, {}]


def test_nothing_that_can_be_said_is_held() -> None:
    client = Client()
    assert said(client.data)[0]["type"] == "message_start"
    assert [event["type"] for event in client.write(Open(0, Text(text="")), Delta(0, "a"))] == [
        "content_block_start",
        "content_block_delta",
    ]
    assert len(client.write(Delta(0, "b"))) == 1


def test_usage_after_the_stop_is_stated_with_it() -> None:
    client = Client()
    client.write(Open(0, Text(text="")), Delta(0, "a"), Close(0), StopEvent(Stop(reason=StopReason.LENGTH)))
    client.write(UsageEvent(Usage(input_total=1000, cache_read=900, output_total=5)), End())
    message = sdk(client.data)
    assert (message.stop_reason, message.usage.input_tokens, message.usage.cache_read_input_tokens) == (
        "max_tokens",
        100,
        900,
    )
    assert message.usage.output_tokens == 5
    assert client.lost() == set()


def test_early_usage_stands_in_the_start() -> None:
    encoder = PROTOCOL.stream_encoder(Context())
    data = encoder.write([Start(protocol="elsewhere"), UsageEvent(Usage(input_total=7, output_total=0))])
    assert said(data)[0]["message"]["usage"] == {"input_tokens": 7, "output_tokens": 0}


def test_empty_parts_get_no_block() -> None:
    client = Client()
    client.write(
        Open(0, Reasoning(text="")), Close(0), Open(1, Text(text="")), Delta(1, ""), Close(1), tool(2), Close(2)
    )
    assert [part.type for part in client.finish().content] == ["tool_use"]


def test_a_signature_is_one_delta_at_the_end() -> None:
    client = Client()
    payload = Opaque(kind="signature", value="S", protocol="anthropic")
    client.write(Open(0, Reasoning(text="")), Delta(0, "t"), Set(0, "opaque", payload), Delta(0, "u"), Close(0))
    deltas = [event["delta"]["type"] for event in said(client.data) if event["type"] == "content_block_delta"]
    assert deltas == ["thinking_delta", "thinking_delta", "signature_delta"]
    assert client.finish().content[0].signature == "S"


def test_summaries_are_blocks_of_their_own() -> None:
    client = Client()
    client.write(
        Open(0, Reasoning()), Set(0, "summary", "one"), Delta(0, "!", "summary"), Set(0, "summary", "two"), Close(0)
    )
    assert [part.thinking for part in client.finish().content] == ["one!", "two"]


def test_refusals_are_text_and_stop_as_one() -> None:
    client = Client()
    client.write(Open(0, Refusal(text="")), Delta(0, "I "), Delta(0, "cannot"), Close(0))
    message = client.finish()
    assert (message.content[0].text, message.stop_reason) == ("I cannot", "refusal")
    assert "candidates[0].turns[0].parts[0]" in client.lost()


def test_what_cannot_be_said_is_reported_and_not_counted() -> None:
    client = Client()
    client.write(Open(0, ServerCall(kind="x", name="x", arguments=JsonText("{}"))), Delta(0, "a"), Close(0))
    client.write(
        Open(1, Text(text=""), 1), Delta(1, "other"), Close(1), Open(2, Text(text="")), Delta(2, "a"), Close(2)
    )
    assert [part.text for part in client.finish().content] == ["a"]
    assert client.lost() == {"candidates[0].turns[0].parts[0]", "candidates[1]"}


def test_arguments_that_are_no_object_are_wrapped_as_they_come() -> None:
    client = Client()
    client.write(tool(0), Delta(0, "  "), Delta(0, '["a", "'), Delta(0, 'b"]'), Close(0))
    custom = ToolCall(id="c", name="sh", arguments=JsonText(""), kind="custom")
    client.write(Open(1, custom), Delta(1, 'ls "'), Delta(1, '\n"'), Close(1))
    raw, free = client.finish().content
    assert raw.input == {"_ds2_raw": '  ["a", "b"]'}
    assert free.input == {"input": 'ls "\n"'}


def test_names_and_ids_are_the_clients_again() -> None:
    client = Client(tool_names={"w": "w.x"}, call_ids={"c0": "c:0"})
    client.write(tool(0), Close(0))
    (part,) = client.finish().content
    assert (part.name, part.id) == ("w.x", "c:0")


def test_a_failure_after_content_is_an_error_event_and_no_end() -> None:
    client = Client()
    client.write(Open(0, Text(text="")), Delta(0, "a"))
    events = client.write(Error(Failure(kind=FailureKind.OVERLOADED, message="full")))
    assert [event["type"] for event in events] == ["error"]


@given(
    st.recursive(
        st.text('\\"{}[]a', max_size=4) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('\\"{}', max_size=2), inner, max_size=3),
        max_leaves=8,
    ),
    st.data(),
)
def test_an_object_is_complete_at_its_last_brace_and_not_before(value: Any, data: st.DataObject) -> None:
    text = json.dumps({"x": value})
    cut = data.draw(st.integers(0, len(text) - 1))
    scanner = Scanner()
    scanner.feed(text[:cut])
    assert not scanner.complete
    scanner.feed(text[cut:])
    assert scanner.complete
    assert scanner.first == "{"
