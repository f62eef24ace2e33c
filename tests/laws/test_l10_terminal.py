"""L10 terminal: a complete stream ends well once; a cut or failed one never looks like a success."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2api_asgi.universal.events import End, Error, Event
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.response import Response
from kits import KITS
from lawkit import (
    PAIRS,
    PROTOCOLS,
    context,
    core_responses,
    decode_stream,
    encode_stream,
    interleaved,
    protocol,
    translate_stream,
)

every_pair = pytest.mark.parametrize(("upstream", "client"), [*PAIRS, *((p, p) for p in PROTOCOLS)])


@pytest.mark.parametrize("upstream", PROTOCOLS)
@settings(max_examples=8)
@given(core=core_responses(), data=st.data())
def test_a_cut_at_any_byte_is_never_a_success(upstream: str, core: Response, data: st.DataObject) -> None:
    stream = encode_stream(upstream, data.draw(interleaved(core, chunk=9)))
    complete = _shortest_success(upstream, stream)
    known: tuple[list[Event], list[Event]] | None = None
    for cut in range(complete):
        decoder = protocol(upstream).stream_decoder()
        said = decoder.feed(stream[:cut]), decoder.close()
        if said == known:
            continue  # most cuts within one frame say the same, and what says the same is written alike (L7)
        known = said
        for client in PROTOCOLS:
            encoder = protocol(client).stream_encoder(context())
            events = decode_stream(client, [encoder.write(part) for part in said])
            assert not any(isinstance(event, End) for event in events), (client, cut)
            assert isinstance(events[-1], Error), (client, cut)


def _shortest_success(name: str, stream: bytes) -> int:
    """How many bytes it takes until the protocol's own terminal has come whole."""
    low, high = 0, len(stream)
    while low < high:
        middle = (low + high) // 2
        if isinstance(decode_stream(name, [stream[:middle]])[-1], End):
            high = middle
        else:
            low = middle + 1
    return low


@every_pair
@given(core=core_responses())
def test_a_complete_stream_ends_once(upstream: str, client: str, core: Response) -> None:
    got = b"".join(translate_stream(upstream, client, [encode_stream(upstream, unfold(core))]))
    events = decode_stream(client, [got])
    assert sum(isinstance(event, (End, Error)) for event in events) == 1
    assert isinstance(events[-1], End)


@every_pair
@given(core=core_responses(), data=st.data(), kind=st.sampled_from([FailureKind.OVERLOADED, FailureKind.SERVER]))
def test_an_error_event_stays_an_error(
    upstream: str, client: str, core: Response, data: st.DataObject, kind: FailureKind
) -> None:
    events = unfold(core, chunk=2)
    cut = data.draw(st.integers(1, len(events) - 2))
    failed = [*events[:cut], Error(Failure(kind=kind, message="upstream broke \ue000"))]
    got = b"".join(translate_stream(upstream, client, [encode_stream(upstream, failed)]))
    last = decode_stream(client, [got])[-1]
    assert isinstance(last, Error)
    assert last.failure.message == "upstream broke \ue000"


@pytest.mark.parametrize("name", PROTOCOLS)
@given(core=core_responses(), data=st.data())
def test_the_watch_sees_a_terminal_only_when_it_came(name: str, core: Response, data: st.DataObject) -> None:
    stream = encode_stream(name, data.draw(interleaved(core)))
    cut = data.draw(st.integers(0, len(stream)))
    watch = protocol(name).stream_watch()
    whole = stream[: KITS[name].boundary(stream[:cut])]
    for start in range(0, len(whole), 7):
        watch.feed(whole[start : start + 7])
    if watch.terminal:
        assert isinstance(decode_stream(name, [whole])[-1], End)
    if cut == len(stream):
        assert watch.terminal
        assert watch.content
        assert watch.failure is None
