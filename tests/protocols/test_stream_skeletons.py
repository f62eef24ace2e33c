"""What every stream decoder and every watch gets right by its skeleton, whatever its frames mean."""

from __future__ import annotations

from typing import Any

import pytest

from ds2api_asgi.framing.ndjson import MAX_LINE, NdjsonParser
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
