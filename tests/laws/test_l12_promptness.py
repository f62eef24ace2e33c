"""L12 promptness: what can be said is said as soon as its event is complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.content import Text
from ds2api_asgi.universal.events import Delta, Open, Set, Start
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.response import Response
from kits import KITS
from lawkit import PAIRS, core_responses, decode_stream, encode_stream, protocol, translate_stream

SAID = (Start, Open, Delta, Set)


def _frames(name: str, stream: bytes) -> list[bytes]:
    frames, boundary = [], KITS[name].boundary
    while stream:
        end = next(i for i in range(1, len(stream) + 1) if boundary(stream[:i]) == i)
        frames.append(stream[:end])
        stream = stream[end:]
    return frames


def _said(name: str, data: bytes) -> str:
    """The text that a prefix of a stream has said by now."""
    events = protocol(name).stream_decoder().feed(data)
    texts = {event.key for event in events if isinstance(event, Open) and isinstance(event.part, Text)}
    return "".join(event.text for event in events if isinstance(event, Delta) and event.key in texts) + "".join(
        event.part.text for event in events if isinstance(event, Open) and isinstance(event.part, Text)
    )


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
@given(core=core_responses(), chunk=st.sampled_from([1, 2, 5]))
def test_text_is_out_with_the_event_that_brought_it(upstream: str, client: str, core: Response, chunk: int) -> None:
    frames = _frames(upstream, encode_stream(upstream, unfold(core, chunk=chunk)))
    out = translate_stream(upstream, client, frames)
    for count in range(1, len(frames) + 1):
        got = b"".join(out[:count])
        assert _said(client, got) == _said(upstream, b"".join(frames[:count]))


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
@given(core=core_responses())
def test_nothing_is_left_for_the_end_of_a_complete_stream(upstream: str, client: str, core: Response) -> None:
    stream = encode_stream(upstream, unfold(core))
    fed = translate_stream(upstream, client, [stream])
    told, whole = decode_stream(client, [fed[0]]), decode_stream(client, [fed[0] + fed[1]])
    if KITS[upstream].open_ended:  # that it is complete shows at its end only: all that it said is out before
        told, whole = ([event for event in events if isinstance(event, SAID)] for events in (told, whole))
    assert told == whole
