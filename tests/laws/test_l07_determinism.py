"""L7 determinism and prefix stability: the same request encodes the same way, and a longer history begins as before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.request import Request
from kits import KITS
from lawkit import PAIRS, PROTOCOLS, core_requests, protocol, read_request, request_documents


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_encoding_twice_gives_the_same_bytes(source: str, target: str, data: st.DataObject) -> None:
    request = read_request(source, data.draw(request_documents(source)))
    once, twice = (jsontext.dumps(protocol(target).encode_request(request).document) for _ in range(2))
    assert once == twice


@pytest.mark.parametrize("target", PROTOCOLS)
@given(core=core_requests(), data=st.data())
def test_a_longer_history_begins_as_before(target: str, core: Request, data: st.DataObject) -> None:
    # A conversation is sent when it is the model's turn: after the user's words or the tools' results.
    cut = data.draw(st.sampled_from([i for i, turn in enumerate(core.turns) if turn.role == "assistant"]))
    history = KITS[target].history
    longer = protocol(target).encode_request(core).document[history]
    shorter = protocol(target).encode_request(replace(core, turns=core.turns[:cut])).document[history]
    assert jsontext.dumps(longer[: len(shorter)]) == jsontext.dumps(shorter)
