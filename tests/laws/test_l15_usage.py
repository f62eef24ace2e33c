"""L15 usage algebra: counters that both sides have survive the detour, and sums hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from ds2api_asgi.universal.response import Response, Usage
from kits import KITS
from lawkit import PAIRS, context, core_responses, protocol, read_response

COMMON = ("input_total", "output_total", "cache_read", "cache_write", "reasoning")


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Counters as a provider can have them: parts of a whole are never more than it."""
    total = draw(st.integers(0, 10**6))
    read = draw(st.one_of(st.just(UNSET), st.integers(0, total)))
    rest = total - (0 if read is UNSET else read)
    write = draw(st.one_of(st.just(UNSET), st.integers(0, rest)))
    output = draw(st.integers(0, 10**6))
    reasoning = draw(st.one_of(st.just(UNSET), st.integers(0, output)))
    return Usage(input_total=total, cache_read=read, cache_write=write, output_total=output, reasoning=reasoning)


@pytest.mark.parametrize(("first", "second"), PAIRS)
@given(core=core_responses(), usage=usages())
def test_counters_survive_there_and_back(first: str, second: str, core: Response, usage: Usage) -> None:
    answer = replace(core, usage=usage)
    for name in (first, second, first):
        answer = read_response(name, protocol(name).encode_response(answer, context()).document)
    got = answer.usage
    assert got is not UNSET
    for name in COMMON:
        if name in KITS[first].uncounted | KITS[second].uncounted:
            continue
        before, after = getattr(usage, name), getattr(got, name)
        assert after == before or (before is UNSET and after == 0), name


@pytest.mark.parametrize(("first", "second"), PAIRS)
@given(core=core_responses(), usage=usages())
def test_parts_are_never_more_than_their_whole(first: str, second: str, core: Response, usage: Usage) -> None:
    answer = replace(core, usage=usage)
    for name in (first, second):
        answer = read_response(name, protocol(name).encode_response(answer, context()).document)
    got = answer.usage
    assert got is not UNSET
    assert got.input_total is not UNSET
    assert got.output_total is not UNSET
    assert (got.cache_read or 0) + (got.cache_write or 0) <= got.input_total
    assert (got.reasoning or 0) <= got.output_total
    assert got.total in (UNSET, got.input_total + got.output_total)


@pytest.mark.parametrize(("first", "second"), PAIRS)
@given(core=core_responses())
def test_what_was_not_said_is_not_invented_as_a_count(first: str, second: str, core: Response) -> None:
    answer = replace(core, usage=UNSET)
    document = protocol(first).encode_response(answer, context()).document
    again = read_response(second, protocol(second).encode_response(read_response(first, document), context()).document)
    assert again.usage is UNSET or not any(getattr(again.usage, name) for name in COMMON)
