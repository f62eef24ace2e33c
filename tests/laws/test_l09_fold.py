"""L9 stream fold: a translated stream adds up to the translated answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.diff import diff
from ds2api_asgi.universal.events import Event
from ds2api_asgi.universal.lifecycle import Lifecycle, State
from ds2api_asgi.universal.response import Response
from lawkit import (
    PAIRS,
    PROTOCOLS,
    context,
    core_responses,
    decode_stream,
    encode_stream,
    interleaved,
    plain,
    protocol,
    read_response,
)

LOOSE = frozenset({"form", "origin", "created", "native", "total"})


def _follow(events: list[Event]) -> None:
    lifecycle = Lifecycle()
    for event in events:
        lifecycle.step(event)
    assert lifecycle.state is State.FINISHED


@pytest.mark.parametrize("name", PROTOCOLS)
@given(core=core_responses(), data=st.data())
def test_a_stream_folds_to_the_answer(name: str, core: Response, data: st.DataObject) -> None:
    codec = protocol(name)
    whole = read_response(name, codec.encode_response(core, context()).document)
    events = decode_stream(name, [encode_stream(name, data.draw(interleaved(core)))])
    _follow(events)
    assert diff(plain(whole), plain(codec.fold(events)), ignore=LOOSE) == []


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
@given(core=core_responses(), data=st.data())
def test_translating_a_stream_is_translating_its_fold(
    upstream: str, client: str, core: Response, data: st.DataObject
) -> None:
    events = decode_stream(upstream, [encode_stream(upstream, data.draw(interleaved(core)))])
    streamed = decode_stream(client, [encode_stream(client, events)])
    _follow(streamed)
    folded = protocol(upstream).fold(events)
    whole = read_response(client, protocol(client).encode_response(folded, context()).document)
    got = protocol(client).fold(streamed)
    assert diff(plain(whole, upstream), plain(got, upstream), ignore=LOOSE) == []
