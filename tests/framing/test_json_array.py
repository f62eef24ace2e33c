from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ds2api_asgi.errors import FramingError
from ds2api_asgi.framing.json_array import JsonArrayParser

TRICKY = st.text(st.sampled_from('"\\{}[],: \n\u2028é') | st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TRICKY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TRICKY, inner, max_size=4),
    max_leaves=10,
)
ELEMENTS = st.dictionaries(TRICKY, VALUES, max_size=4) | st.lists(VALUES, max_size=3)
SEPARATORS = st.sampled_from([b",", b"\n,\n", b",\r\n", b" , "])
GARBAGE = st.lists(
    st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b"\n", b"x", b"{}", b"[{", b'{"a":"]"}']),
    max_size=20,
).map(b"".join)
CUTS = st.lists(st.integers(0, 120), max_size=10)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def outcome(chunks: list[bytes], max_element: int = 100_000) -> tuple[list[bytes], bool, bool]:
    """The elements, whether the array was closed, whether the parser refused."""
    parser = JsonArrayParser(max_element=max_element)
    elements: list[bytes] = []
    try:
        for chunk in chunks:
            elements += parser.feed(chunk)
        elements += parser.close()
    except FramingError:
        return elements, parser.complete, True
    return elements, parser.complete, False


def written(texts: list[bytes], separator: bytes) -> bytes:
    return b"[" + separator.join(texts) + b"\n]\n"


@given(st.lists(ELEMENTS, max_size=5), SEPARATORS, st.sampled_from([None, 2]), CUTS)
def test_elements_come_out_verbatim(values: list[Any], separator: bytes, indent: int | None, cuts: list[int]) -> None:
    texts = [json.dumps(value, indent=indent, ensure_ascii=False).encode() for value in values]
    stream = written(texts, separator)
    assert outcome(cut(stream, cuts)) == (texts, True, False)
    assert outcome([stream[i : i + 1] for i in range(len(stream))]) == (texts, True, False)


@given(st.lists(ELEMENTS, min_size=1, max_size=4), st.data())
def test_a_cut_array_is_never_complete(values: list[Any], data: st.DataObject) -> None:
    texts = [json.dumps(value).encode() for value in values]
    stream = written(texts, b",").rstrip()
    elements, complete, refused = outcome([stream[: data.draw(st.integers(0, len(stream) - 1))]])
    assert not complete
    assert not refused
    assert elements == texts[: len(elements)]


@given(GARBAGE | GARBAGE.map(b"[".__add__), CUTS, st.integers(1, 12))
@example(b"[{}x", [3], 12)
@example(b"[]]", [2], 12)
def test_how_reads_are_cut_changes_nothing(stream: bytes, cuts: list[int], max_element: int) -> None:
    assert outcome(cut(stream, cuts), max_element) == outcome([stream], max_element)
    assert outcome([stream[i : i + 1] for i in range(len(stream))], max_element) == outcome([stream], max_element)


def test_an_element_comes_with_its_last_byte() -> None:
    parser = JsonArrayParser()
    assert parser.feed(b'[{"a": "}') == []
    assert parser.feed(b'"}') == [b'{"a": "}"}']
    assert parser.feed(b'\n,\n{"b": 1}, []') == [b'{"b": 1}', b"[]"]
    assert not parser.complete
    assert parser.feed(b"]") == []
    assert parser.complete
    assert parser.close() == []


def test_an_escape_cut_in_two_stays_an_escape() -> None:
    parser = JsonArrayParser()
    assert [parser.feed(read) for read in (b'[{"a":"\\', b'"}\\', b'\\"}', b"]")] == [[], [], [b'{"a":"\\"}\\\\"}'], []]
    assert parser.complete


def test_an_empty_array_is_complete() -> None:
    assert outcome([b" [ \n] "]) == ([], True, False)


@pytest.mark.parametrize(
    "stream",
    [b"{}", b"data: {}", b"x", b"[1]", b'["a"]', b"[,", b"[{},]", b"[{} {}]", b"[{}}", b"[]]", b"[] []", b"[null]"],
)
def test_what_is_no_array_of_objects_is_refused(stream: bytes) -> None:
    elements, complete, refused = outcome([stream])
    assert refused
    assert not complete
    assert elements in ([], [b"{}"])


def test_an_element_over_the_bound_is_refused_after_those_before_it() -> None:
    parser = JsonArrayParser(max_element=7)
    assert parser.feed(b'[{"a":1},{"a":12},{"a":1}]') == [b'{"a":1}']
    for call in (lambda: parser.feed(b"]"), parser.close):
        with pytest.raises(FramingError, match="limit of 7 bytes"):
            call()


def test_an_element_that_never_ends_is_refused_before_it_ends() -> None:
    parser = JsonArrayParser(max_element=10)
    parser.feed(b'[{"a": "12')
    with pytest.raises(FramingError):
        parser.feed(b"345")


def test_four_megabytes_in_small_reads_are_one_element() -> None:
    element = json.dumps({"text": 'x"{' * 800_000}).encode()
    assert outcome(cut(b"[" + element + b"]", list(range(0, len(element), 1400))), 8_000_000) == (
        [element],
        True,
        False,
    )


def test_no_byte_of_an_element_is_kept_twice() -> None:
    parser = JsonArrayParser()
    reads = [b'[{"a":"', *(bytes([65 + i]) * 1400 for i in range(20))]
    for read in reads:
        parser.feed(read)
    assert b"".join(parser._element) == b"".join(reads)[1:]
    assert len(parser._element) == len(reads)
