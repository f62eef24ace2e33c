"""What every stream decoder and every watch gets right by its skeleton, whatever its frames mean."""

from __future__ import annotations

from typing import Any

import pytest

from dialogues import frames_in
from ds2api_asgi.framing.ndjson import MAX_LINE, NdjsonParser
from ds2api_asgi.protocols import registry
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
