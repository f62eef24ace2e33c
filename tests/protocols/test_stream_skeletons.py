"""What every stream decoder and every watch gets right by its skeleton, whatever its frames mean."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogues import frames_in
from ds2api_asgi.framing.ndjson import MAX_LINE, NdjsonParser
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols import stream as skeleton
from ds2api_asgi.protocols.base import StreamWatch
from ds2api_asgi.protocols.stream import FrameDecoder, LineWatch
from ds2api_asgi.universal.events import End, Error, Event, Ping
from ds2api_asgi.universal.failure import FailureKind


class Decoder(FrameDecoder[bytes]):
    """Lines are pings, but for the last word and garbage."""

    def __init__(self) -> None:
        super().__init__(NdjsonParser())

    def _read(self, frames: list[bytes], out: list[Event]) -> None:
        for frame in frames:
            if frame == b"over":
                self._over = True
                out.append(End())
                return
            if frame == b"garbage":
                self._malformed("not a ping", out)
                return
            out.append(Ping())


class Watch(LineWatch):
    _field = b""
    _last_word = b"over"

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def _marked(self, data: bytes) -> bool:
        return b"over" in data or b"last" in data

    def _document(self, document: dict[str, Any]) -> None:
        self.read += 1
        self.content = self.content or "said" in document
        self.terminal = self.terminal or "last" in document


def test_nothing_follows_the_terminal() -> None:
    decoder = Decoder()
    assert decoder.feed(b"a\nover\nb\n") == [Ping(), End()]
    assert decoder.feed(b"c\n") == decoder.close() == []


def test_an_end_before_the_terminal_is_truncated() -> None:
    decoder = Decoder()
    assert decoder.feed(b"a\nb") == [Ping()]
    last, failed = decoder.close()
    assert last == Ping()
    assert isinstance(failed, Error)
    assert failed.failure.kind is FailureKind.TRUNCATED
    assert decoder.close() == []


@pytest.mark.parametrize("data", [b"garbage\n", b"x" * (MAX_LINE + 1)], ids=["of the frames", "of the framing"])
def test_garbage_is_an_error_and_the_end(data: bytes) -> None:
    decoder = Decoder()
    (failed,) = decoder.feed(data)
    assert isinstance(failed, Error)
    assert failed.failure.kind is FailureKind.SERVER
    assert decoder.feed(b"a\n") == decoder.close() == []


def test_a_watch_reads_little_after_content() -> None:
    watch = Watch()
    watch.feed(b'{}\n{"said": 1}\n' + b'{"more": 1}\n' * 50)
    assert (watch.content, watch.read) == (True, 2)
    watch.feed(b'{"more": 1}\n{"last": 1}\n')
    assert (watch.terminal, watch.ended, watch.read) == (True, False, 3)
    watch.feed(b"over\n")
    assert watch.ended


def test_a_watch_sees_a_last_line_without_its_end_however_cut() -> None:
    whole, pieces = Watch(), Watch()
    data = b'{"said": 1}\n{"last": [1]}'
    whole.feed(data)
    for at in range(len(data)):
        pieces.feed(data[at : at + 1])
    assert whole.terminal
    assert pieces.terminal


def test_a_watch_forgets_a_line_that_no_parser_would_take() -> None:
    watch = Watch()
    for _ in range(1100):
        watch.feed(b"x" * 1024)
    watch.feed(b'\n{"said": 1}\n')
    assert watch.content


LINES: Any = {
    "openai-chat": [
        b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        b"data: [DONE]",
        b'data: {"error":{"message":"no"}}',
    ],
    "openai-responses": [
        b'data: {"type":"response.output_text.delta","delta":"a"}',
        b'data: {"type":"response.completed","response":{"status":"completed"}}',
        b'data: {"type":"response.failed","response":{"error":{"message":"no"}}}',
    ],
    "anthropic": [
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}',
        b'data: {"type":"message_stop"}',
        b'data: {"type":"error","error":{"type":"api_error","message":"no"}}',
    ],
    "gemini": [
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}',
        b'data: {"candidates":[{"finishReason":"STOP"}]}',
        b'data: {"error":{"code":500,"message":"no"}}',
    ],
    "ollama": [b'{"message":{"content":"a"},"done":false}', b'{"done":true}', b'{"error":"no"}'],
}
"""Content, ends, and an error."""
LONG = b": " + b"x" * 300 + b'data: {"error":{"message":"no"}}'
"""A line that says nothing, but holds what says something, and is over the bound."""


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(data=st.data())
def test_nothing_is_missed_behind_a_line_that_is_too_long_however_cut(
    name: str, end: bytes, data: st.DataObject
) -> None:
    before, after = (data.draw(st.lists(st.sampled_from(LINES[name]), max_size=3)) for _ in range(2))
    stream = end.join([*before, LONG, *after, b""])
    cuts = sorted({0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=8))})
    with pytest.MonkeyPatch.context() as bound:
        bound.setattr(skeleton, "MAX_LINE", 200)
        watch, short = registry.get(name).stream_watch(), registry.get(name).stream_watch()
        for at, to in pairwise(cuts):
            watch.feed(stream[at:to])
    short.feed(b"".join(line + end for line in [*before, b": short", *after]))
    assert seen(watch) == seen(short)


@pytest.mark.parametrize("name", LINES)
def test_nothing_is_missed_behind_a_line_over_the_bound_itself(name: str) -> None:
    watch, short = registry.get(name).stream_watch(), registry.get(name).stream_watch()
    for piece in [b": "] + [b"x" * 65_536] * 17 + [b"\n"]:
        watch.feed(piece)
    for byte in b"\n".join([*LINES[name][:-1], b""]):
        watch.feed(bytes([byte]))
        short.feed(bytes([byte]))
    assert watch.terminal
    assert seen(watch) == seen(short)


def seen(watch: StreamWatch) -> tuple[bool, bool, bool, str | None]:
    message = None if watch.failure is None else watch.failure.message
    return watch.content, watch.terminal, watch.ended, message


WORD, HALF = b"data: upstream says hello\n\n", b'data: {"choices": [{"del\n\n'


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic", "gemini"])
def test_a_frame_that_cannot_be_json_is_left_out(name: str, caplog: pytest.LogCaptureFixture) -> None:
    frames = frames_in(name, "Hello", " there")
    quiet = registry.get(name).stream_decoder()
    expected = quiet.feed(b"".join(frames)) + quiet.close()
    for at in range(len(frames)):
        decoder = registry.get(name).stream_decoder()
        assert decoder.feed(b"".join([*frames[:at], WORD, WORD, *frames[at:]])) + decoder.close() == expected
    assert "no JSON" in caplog.text


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic", "gemini"])
@pytest.mark.parametrize("odd", [HALF, WORD * 20], ids=["half of an event", "many"])
def test_a_frame_that_may_have_been_json_is_an_error_and_so_are_many(name: str, odd: bytes) -> None:
    frames = frames_in(name, "Hello", " there")
    decoder = registry.get(name).stream_decoder()
    (*_, last) = decoder.feed(b"".join([*frames[:-1], odd, frames[-1]])) + decoder.close()
    assert isinstance(last, Error)
    assert last.failure.kind is FailureKind.SERVER


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic", "gemini"])
def test_a_stream_that_ends_behind_such_a_frame_is_cut(name: str) -> None:
    decoder = registry.get(name).stream_decoder()
    (*_, last) = decoder.feed(frames_in(name, "Hello", " there")[0] + WORD) + decoder.close()
    assert isinstance(last, Error)
    assert last.failure.kind is FailureKind.TRUNCATED
