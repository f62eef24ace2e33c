"""A mould says of a frame exactly what reading it whole would say, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.mould import Mould
from ds2api_asgi.universal.jsontext import loads

PIECES = st.sampled_from(
    ['"', "\\", '"content":"', '\\"', "\\u0041", "\\ud83d", ",", "}", "]", '"}', "é", "😀", " ", "\n", "x", "delta"]
)


def frame(text: str, **others: Any) -> bytes:
    return json.dumps({"id": "a", "choices": [{"index": 0, "delta": {"content": text}, **others}]}).encode()


def mould(data: bytes, text: str) -> Mould:
    made = Mould(("choices", 0, "delta"), "content", "reasoning")
    made.make(data, text)
    return made


def said(data: bytes) -> Any:
    try:
        return loads(data)
    except InvalidDocument:
        return None


@given(first=st.text(max_size=5), between=st.lists(PIECES, max_size=8).map("".join))
def test_what_stands_between_is_one_string_or_the_frame_does_not_fit(first: str, between: str) -> None:
    data = frame(first)
    at = data.index(b'"content": ') + len(b'"content": ')
    other = data[:at] + b'"' + between.encode() + b'"' + data[data.index(b"}", data.rindex(b'"')) :]
    text = mould(data, first).text(other)
    if text is not None:
        expected = loads(frame(""))
        expected["choices"][0]["delta"]["content"] = text
        assert said(other) == expected


@given(first=st.text(max_size=20), then=st.text(max_size=20))
def test_frames_that_differ_in_their_text_alone_fit(first: str, then: str) -> None:
    assert mould(frame(first), first).text(frame(then)) == then


def test_a_frame_that_differs_elsewhere_does_not_fit() -> None:
    assert mould(frame("a"), "a").text(frame("b", finish_reason="stop")) is None
    assert mould(frame("a", logprobs=1), "a").text(frame("b", logprobs=2)) is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"delta":{"c\\u006fntent":"a"},"other":{"content":"a"}}]}',  # the text's name is spelled oddly
        b'{"choices":[{"delta":{"content":"a"},"delta":{"c\\u006fntent":"a"}}]}',  # the last of two counts
        b'{"choices":[{"delta":{"content":"a","reasoning":"b"}}]}',
        b'{"choices":[{"message":{"content":"a"}}]}',
    ],
)
def test_no_mould_is_made_where_it_is_not_certain_which_string_is_the_text(data: bytes) -> None:
    assert mould(data, "a").text(data) is None


def test_after_a_drop_nothing_fits() -> None:
    made = mould(frame("a"), "a")
    made.drop()
    assert made.text(frame("a")) is None


def test_a_mould_that_fits_nothing_is_made_ever_more_rarely() -> None:
    made = Mould(("choices", 0, "delta"), "content")
    tried = 0
    for number in range(1000):
        data = frame("a", padding=number)
        made.drop()
        made.make(data, "a")
        tried += made._before is not None
    assert tried < 30
