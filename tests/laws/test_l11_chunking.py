"""L11 chunking: however the bytes are cut on their way, what comes out is the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.response import Response
from lawkit import (
    PAIRS,
    PROTOCOLS,
    core_responses,
    cuts_of,
    decode_stream,
    encode_stream,
    interleaved,
    protocol,
    translate_stream,
)


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
@given(core=core_responses(), data=st.data())
def test_any_cut_gives_the_same_bytes(upstream: str, client: str, core: Response, data: st.DataObject) -> None:
    stream = encode_stream(upstream, data.draw(interleaved(core)))
    whole = b"".join(translate_stream(upstream, client, [stream]))
    assert b"".join(translate_stream(upstream, client, data.draw(cuts_of(stream)))) == whole
    assert b"".join(translate_stream(upstream, client, [stream[i : i + 1] for i in range(len(stream))])) == whole


@pytest.mark.parametrize("name", PROTOCOLS)
@given(garbage=st.binary(max_size=300), data=st.data())
def test_garbage_gives_the_same_events_however_cut(name: str, garbage: bytes, data: st.DataObject) -> None:
    assert decode_stream(name, data.draw(cuts_of(garbage))) == decode_stream(name, [garbage])


@pytest.mark.parametrize("name", PROTOCOLS)
@given(core=core_responses(), data=st.data())
def test_the_watch_does_not_mind_cuts(name: str, core: Response, data: st.DataObject) -> None:
    stream = encode_stream(name, data.draw(interleaved(core)))
    whole, pieces = protocol(name).stream_watch(), protocol(name).stream_watch()
    whole.feed(stream)
    for piece in data.draw(cuts_of(stream)):
        pieces.feed(piece)
    assert (whole.content, whole.terminal) == (pieces.content, pieces.terminal) == (True, True)


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
def test_one_huge_event_in_small_reads_is_taken(upstream: str, client: str) -> None:
    from lawkit import NOW, Candidate, Origin, Stop, StopReason, Text, Turn

    text = "x" * 900_000
    answer = Response(
        id="msg_1",
        model="m",
        created=NOW,
        candidates=(
            Candidate(turns=(Turn(role="assistant", parts=(Text(text=text),)),), stop=Stop(reason=StopReason.END)),
        ),
        origin=Origin(protocol="core"),
    )
    from ds2api_asgi.universal.fold import unfold

    stream = encode_stream(upstream, unfold(answer))
    pieces = [stream[i : i + 1400] for i in range(0, len(stream), 1400)]
    assert text.encode() in b"".join(translate_stream(upstream, client, pieces))
