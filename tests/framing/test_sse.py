from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ds2api_asgi.errors import FramingError
from ds2api_asgi.framing.sse import SseEvent, SseParser, frame_boundary, write_comment, write_event

# Pieces that make streams rich in what matters: line ends of all kinds, marks, fields, near misses.
PIECES = st.sampled_from(
    [b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"data: ", b"data:", b"data", b"data :", b"event: ", b"event:",
     b"event", b"id: ", b"id: \0", b"id", b"retry: ", b"retry:12", b": ", b":", b" ", b"x", b"a b", b"7",
     b"\xef\xbb\xbf", "\u2028\u0085".encode(), b"\x0b\x0c\x1c\x1e", b"\xff", b'{"a":1}', b"unknown: y"]
)  # fmt: skip
STREAMS = st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 120), max_size=12)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def parse(chunks: list[bytes], parser: SseParser | None = None) -> tuple[list[SseEvent], int, int | None]:
    parser = parser or SseParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [*events, *parser.close()], parser.comments, parser.retry


def by_the_letter(stream: bytes) -> tuple[list[SseEvent], int, int | None]:
    """The standard's algorithm, character by character, with nothing in common with ours."""
    if stream[:3] == b"\xef\xbb\xbf":
        stream = stream[3:]
    lines: list[bytes] = []
    line = bytearray()
    position = 0
    while position < len(stream):
        byte = stream[position]
        position += 1
        if byte not in (10, 13):
            line.append(byte)
            continue
        if byte == 13 and stream[position : position + 1] == b"\n":
            position += 1
        lines.append(bytes(line))
        line.clear()
    if line:
        lines.append(bytes(line))

    events: list[SseEvent] = []
    data, name, last_id, comments, retry = b"", b"", b"", 0, None
    for current in lines:
        if current == b"":
            if data != b"":
                events.append(SseEvent(data[:-1], name, last_id))
            data, name = b"", b""
            continue
        if current[0:1] == b":":
            comments += 1
            continue
        colon = current.find(b":")
        field, value = (current, b"") if colon < 0 else (current[:colon], current[colon + 1 :])
        if colon >= 0 and value[0:1] == b" ":
            value = value[1:]
        if field == b"event":
            name = value
        elif field == b"data":
            data = data + value + b"\n"
        elif field == b"id" and 0 not in value:
            last_id = value
        elif field == b"retry" and value and all(48 <= digit <= 57 for digit in value):
            retry = int(value)
    if data != b"":
        events.append(SseEvent(data[:-1], name, last_id, complete=False))
    return events, comments, retry


class TestParser:
    @given(STREAMS)
    @example(b"data: a\r\rdata: b\n\r\ndata: c\r\n\r\n")
    @example(b"\xef\xbb\xbfdata\n\ndata:\n\n")
    @example(b"\xef\xbb")
    def test_it_does_what_the_standard_says(self, stream: bytes) -> None:
        assert parse([stream]) == by_the_letter(stream)

    @given(STREAMS, CUTS)
    def test_how_reads_are_cut_changes_nothing(self, stream: bytes, cuts: list[int]) -> None:
        assert parse(cut(stream, cuts)) == parse([stream])

    @given(STREAMS)
    def test_byte_by_byte_changes_nothing(self, stream: bytes) -> None:
        assert parse([stream[i : i + 1] for i in range(len(stream))]) == parse([stream])

    @given(STREAMS, CUTS, st.integers(1, 12), st.integers(1, 12))
    def test_how_reads_are_cut_changes_nothing_at_a_bound(
        self, stream: bytes, cuts: list[int], max_line: int, max_event: int
    ) -> None:
        def outcome(chunks: list[bytes]) -> tuple[list[SseEvent], bool]:
            parser = SseParser(max_line=max_line, max_event=max_event)
            events: list[SseEvent] = []
            try:
                for chunk in chunks:
                    events += parser.feed(chunk)
                events += parser.close()
            except FramingError:
                return events, True
            return events, False

        assert outcome(cut(stream, cuts)) == outcome([stream])

    @pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
    def test_an_event_comes_with_the_read_that_completes_it(self, end: bytes) -> None:
        parser = SseParser()
        assert parser.feed(b"event: ping" + end + b"data: 1" + end) == []
        assert parser.feed(end) == [SseEvent(b"1", b"ping")]
        assert parser.feed(b"data: 2" + end + end) == [SseEvent(b"2")]
        assert parser.close() == []

    def test_separators_of_unicode_and_of_old_terminals_are_data(self) -> None:
        text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg".encode()
        assert parse([b"data: " + text + b"\n\n"])[0] == [SseEvent(text)]

    def test_an_event_without_its_blank_line_is_told_apart(self) -> None:
        for stream in (b"data: [DONE]", b"data: [DONE]\n"):
            assert parse([stream])[0] == [SseEvent(b"[DONE]", complete=False)]
        assert parse([b"data: [DONE]\n\n"])[0] == [SseEvent(b"[DONE]")]

    def test_a_name_without_data_is_no_event(self) -> None:
        assert parse([b"event: a\n\ndata: 1\n\nevent: b"])[0] == [SseEvent(b"1")]

    def test_comments_are_counted(self) -> None:
        parser = SseParser()
        parser.feed(b": keep-alive\n\n:\n")
        assert parser.comments == 2

    def test_an_absurd_retry_is_ignored(self) -> None:
        assert parse([b"retry: 5\nretry: " + b"9" * 5000 + b"\n"])[2] == 5


class TestBounds:
    def test_lines_and_events_of_just_the_bound_pass(self) -> None:
        parser = SseParser(max_line=10, max_event=7)
        assert parser.feed(b"data: 1234\ndata: 67\n\n") == [SseEvent(b"1234\n67")]

    @pytest.mark.parametrize(
        "stream", [b"data: 12345", b"data: 12345\n", b": 123456789", b"data: 123\ndata: 4567\n", b"event: 12345\n"]
    )
    def test_one_byte_more_is_refused(self, stream: bytes) -> None:
        with pytest.raises(FramingError, match="over the limit"):
            parse([stream], SseParser(max_line=10, max_event=7))

    def test_a_line_that_never_ends_is_refused_before_it_ends(self) -> None:
        parser = SseParser(max_line=100)
        for _ in range(10):
            parser.feed(b"0123456789")
        with pytest.raises(FramingError, match="line is over the limit of 100 bytes"):
            parser.feed(b"0")

    def test_an_event_that_never_ends_is_refused(self) -> None:
        parser = SseParser(max_event=100)
        for _ in range(50):  # 50 digits, 49 line breaks between them
            parser.feed(b"data: 1\n")
        with pytest.raises(FramingError, match="event is over the limit of 100 bytes"):
            parser.feed(b"data: 1\n")

    def test_events_before_the_break_are_not_lost(self) -> None:
        parser = SseParser(max_line=10)
        assert parser.feed(b"data: a\n\ndata: 0123456789\n\ndata: b\n\n") == [SseEvent(b"a")]
        for call in (lambda: parser.feed(b"data: c\n\n"), parser.close):
            with pytest.raises(FramingError):
                call()


class TestLinearWork:
    @pytest.mark.parametrize("lines", [1, 64])
    def test_four_megabytes_in_small_reads_are_one_event(self, lines: int) -> None:
        data = b"\n".join([b"x" * (4_000_000 // lines)] * lines)
        parser = SseParser(max_line=4_000_100)
        assert parse(cut(write_event(data), list(range(0, 4_000_500, 1400))), parser)[0] == [SseEvent(data)]

    def test_a_read_is_kept_as_it_is_until_its_line_ends(self) -> None:
        parser = SseParser()
        reads = [b"data: ", *(bytes([65 + i]) * 1400 for i in range(20))]
        for read in reads:
            parser.feed(read)
        assert all(kept is read for kept, read in zip(parser._tail[1:], reads[1:], strict=True))


class TestWriting:
    @given(st.binary(), st.binary().filter(lambda name: not {10, 13} & set(name)), CUTS)
    def test_what_is_written_is_read_back(self, data: bytes, name: bytes, cuts: list[int]) -> None:
        plain = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert parse(cut(write_event(data, name), cuts))[0] == [SseEvent(plain, name)]

    def test_the_usual_forms(self) -> None:
        assert write_event(b"{}") == b"data: {}\n\n"
        assert write_event(b"{}", b"ping") == b"event: ping\ndata: {}\n\n"
        assert write_event(b"a\nb") == b"data: a\ndata: b\n\n"
        assert write_comment() == b":\n\n"
        assert write_comment(b"keep-alive") == b": keep-alive\n\n"

    @pytest.mark.parametrize("name", [b"a\nb", b"a\rb", b"\n"])
    def test_a_name_cannot_smuggle_fields(self, name: bytes) -> None:
        with pytest.raises(FramingError):
            write_event(b"{}", name)

    @given(st.binary())
    def test_comments_are_never_events(self, text: bytes) -> None:
        events, comments, _ = parse([write_comment(text), write_event(b"1")])
        assert events == [SseEvent(b"1")]
        assert comments >= 1


class TestFrameBoundary:
    @given(STREAMS)
    def test_what_is_before_it_is_whole_and_what_is_after_is_not(self, stream: bytes) -> None:
        at = frame_boundary(stream)
        assert at <= len(stream)
        before, after = SseParser(), SseParser()
        events = before.feed(stream[:at])
        assert before.close() == []
        rest = after.feed(stream[at:])
        whole = SseParser().feed(stream)
        assert [event.data for event in events + rest] == [event.data for event in whole]
        assert rest == []

    @given(st.lists(st.sampled_from([b"\n", b"\r", b"x"]), max_size=12).map(b"".join))
    def test_it_is_the_last_blank_line(self, stream: bytes) -> None:
        ends = [
            i for i in range(len(stream) + 1) if stream[:i].endswith((b"\n\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\r\n"))
        ]
        assert frame_boundary(stream) == max(ends, default=0)

    @pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
    def test_it_holds_an_incomplete_frame_back(self, end: bytes) -> None:
        assert frame_boundary(b"data: 1") == 0
        assert frame_boundary(b"data: 1" + end) == 7 + len(end)
        assert frame_boundary(b"data: 1" + end + b"data: 2\n") == 7 + len(end)
