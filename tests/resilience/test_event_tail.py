"""Streams pass up to their last complete event, however they are cut into reads."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.framing.sse import frame_boundary
from ds2api_asgi.resilience.frames import FRAMINGS, MAX_HELD_EVENT, EventTail

ENDS = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\n", b"\r\n", b"\r\r"])
STREAMS = st.lists(st.one_of(ENDS, st.sampled_from([b"data: x", b"a", b": ping", b""]))).map(b"".join)

SSE = FRAMINGS[b"text/event-stream"]


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in at), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


@given(STREAMS, st.lists(st.integers(0, 200)))
def test_nothing_is_lost_or_reordered(stream, at):
    tail = EventTail(SSE)
    assert b"".join(tail.push(read) for read in cut(stream, at)) + tail.rest() == stream


@given(STREAMS, st.lists(st.integers(0, 200)))
def test_what_passes_ends_with_a_complete_event(stream, at):
    tail = EventTail(SSE)
    passed = b""
    for read in cut(stream, at):
        passed += tail.push(read)
        assert frame_boundary(passed) == len(passed)


@given(st.lists(st.sampled_from([b"data: 1\n\n", b": p\n\n", b"event: e\ndata: 2\n\n"])), st.lists(st.integers(0, 200)))
def test_lf_streams_pass_up_to_their_last_complete_event_in_any_cut(events, at):
    stream = b"".join(events) + b"data: half\n"
    tail = EventTail(SSE)
    assert b"".join(tail.push(read) for read in cut(stream, at)) == b"".join(events)
    assert tail.events == len(events)


def test_an_event_over_the_bound_passes_in_pieces_and_nothing_can_be_appended_meanwhile():
    tail = EventTail(SSE)
    assert tail.push(b"data: " + b"x" * MAX_HELD_EVENT) != b""
    assert tail.torn
    assert tail.push(b"more") == b"more"
    assert tail.push(b"\n") == b"\n"
    assert tail.push(b"\n") == b"\n"
    assert not tail.torn
    assert tail.push(b"data: half") == b""


def test_a_long_event_in_single_bytes_takes_linear_work():
    tail = EventTail(SSE)
    for _ in range(300_000):  # quadratic work would take minutes
        tail.push(b"x")
    assert tail.push(b"\n\n") == b"x" * 300_000 + b"\n\n"
