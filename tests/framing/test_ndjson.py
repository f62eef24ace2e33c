from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.errors import FramingError
from ds2api_asgi.framing.ndjson import NdjsonParser, write_line

STREAMS = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"{}", b'{"a":1}', b"x", "\u2028".encode(), b"\x0b\x0c"])
    | st.binary(max_size=3),
    max_size=30,
).map(b"".join)
CUTS = st.lists(st.integers(0, 80), max_size=10)
VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def outcome(chunks: list[bytes], max_line: int = 1_000) -> tuple[list[bytes], bool]:
    parser = NdjsonParser(max_line=max_line)
    lines: list[bytes] = []
    try:
        for chunk in chunks:
            lines += parser.feed(chunk)
        lines += parser.close()
    except FramingError:
        return lines, True
    return lines, False


@given(STREAMS, CUTS, st.integers(1, 20))
def test_how_reads_are_cut_changes_nothing(stream: bytes, cuts: list[int], max_line: int) -> None:
    assert outcome(cut(stream, cuts), max_line) == outcome([stream], max_line)
    assert outcome([stream[i : i + 1] for i in range(len(stream))], max_line) == outcome([stream], max_line)


@given(STREAMS)
def test_lines_end_at_lf_only_and_blank_ones_are_skipped(stream: bytes) -> None:
    expected = [line.strip(b" \t\r") for line in stream.split(b"\n")]
    assert outcome([stream]) == ([line for line in expected if line], False)


@given(st.lists(VALUES), st.sampled_from([None, 1]), CUTS)
def test_what_is_written_is_read_back(values: list[object], indent: int | None, cuts: list[int]) -> None:
    stream = b"".join(write_line(json.dumps(value, indent=indent).encode()) for value in values)
    lines, broken = outcome(cut(stream, cuts), max_line=1_000_000)
    assert not broken
    assert [json.loads(line) for line in lines] == values


def test_a_line_comes_with_the_read_that_ends_it() -> None:
    parser = NdjsonParser()
    assert parser.feed(b'{"a":') == []
    assert parser.feed(b'1}\r\n\n{"b"') == [b'{"a":1}']
    assert parser.feed(b":2}") == []
    assert parser.close() == [b'{"b":2}']
    assert parser.close() == []


def test_a_line_over_the_bound_is_refused_after_those_before_it() -> None:
    parser = NdjsonParser(max_line=4)
    assert parser.feed(b"1234\n12345\n1\n") == [b"1234"]
    for call in (lambda: parser.feed(b"1\n"), parser.close):
        with pytest.raises(FramingError, match="limit of 4 bytes"):
            call()


def test_a_line_that_never_ends_is_refused_before_it_ends() -> None:
    parser = NdjsonParser(max_line=4)
    parser.feed(b"1234")
    with pytest.raises(FramingError):
        parser.feed(b"5")


def test_four_megabytes_in_small_reads_are_one_line() -> None:
    line = b"x" * 4_000_000
    assert outcome(cut(line + b"\n", list(range(0, 4_000_000, 1400))), 4_000_000) == ([line], False)


def test_a_read_is_kept_as_it_is_until_its_line_ends() -> None:
    parser = NdjsonParser()
    reads = [bytes([65 + i]) * 1400 for i in range(20)]
    for read in reads:
        parser.feed(read)
    assert b"".join(parser._tail) == b"".join(reads)
    assert len([part for part in parser._tail if part]) == len(reads)
