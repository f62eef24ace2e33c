"""Every recorded stream, to its own protocol: however it is cut, written again, and watched."""

from __future__ import annotations

import itertools
import random

import pytest

from ds2api_asgi.protocols.base import Context
from ds2api_asgi.universal.events import Delta, End, Error, Event, StopEvent
from ds2api_asgi.universal.jsontext import dumps, equal, loads
from ds2api_asgi.universal.lifecycle import Lifecycle
from kits import KITS, Kit
from shared import needs_shared

every = pytest.mark.parametrize("kit", KITS.values(), ids=KITS)


def _pieces(data: bytes, cuts: int | None) -> list[bytes]:
    """The data cut at so many random places; None: into single bytes."""
    chance = random.Random(len(data))
    at = range(len(data) + 1) if cuts is None else sorted({0, len(data), *chance.choices(range(len(data)), k=cuts)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


def _decode(kit: Kit, pieces: list[bytes]) -> list[Event]:
    decoder = kit.protocol.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()
    life = Lifecycle()
    for event in events:
        life.step(event)
    return events


@needs_shared
@every
def test_every_stream_is_the_same_however_it_is_cut(kit: Kit) -> None:
    streams = kit.streams()
    for name, data in streams:
        whole = _decode(kit, [data])
        assert _decode(kit, _pieces(data, 30)) == whole, name
        if len(data) < 4000:
            assert _decode(kit, _pieces(data, None)) == whole, name
    assert len(streams) >= kit.recorded[2]


@needs_shared
@every
def test_every_stream_survives_being_written_again(kit: Kit) -> None:
    codec = kit.protocol
    for name, data in kit.streams():
        events = _decode(kit, [data])
        encoder = codec.stream_encoder(Context())
        again = _decode(kit, [encoder.write(events)])
        assert encoder.losses == [], name
        if name in kit.cut:
            assert isinstance(again[-1], Error), name
            continue
        answer = codec.fold(events)
        assert codec.fold(again) == answer, name


@needs_shared
@every
def test_every_streams_answer_is_a_document_like_others(kit: Kit) -> None:
    codec = kit.protocol
    for name, data in kit.streams():
        answer = codec.fold(_decode(kit, [data]))
        document = codec.encode_response(answer, Context()).document
        again = codec.encode_response(codec.decode_response(codec.parse(dumps(document))), Context())
        assert equal(loads(dumps(again.document)), loads(dumps(document))), name


@needs_shared
@every
def test_the_watch_agrees_with_the_decoder(kit: Kit) -> None:
    for name, data in kit.streams():
        *events, last = _decode(kit, [data])
        said = any(isinstance(event, (Delta, StopEvent)) for event in events)
        for pieces in ([data], _pieces(data, 20), _pieces(data, len(data) // 100)):
            watch = kit.protocol.stream_watch()
            for piece in pieces:
                watch.feed(piece)
            assert (watch.failure is not None) == (isinstance(last, Error) and name not in kit.cut), name
            if isinstance(last, End):
                assert (watch.content, watch.terminal) == (said, True), name
