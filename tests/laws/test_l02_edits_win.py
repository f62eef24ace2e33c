"""L2 edits win: what was changed in the universal tree is what the wire says, and nothing else moved."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from ds2api_asgi.universal.content import Text
from ds2api_asgi.universal.diff import diff
from ds2api_asgi.universal.request import Request
from lawkit import PROTOCOLS, protocol, read_request, request_documents


def _edited(draw: st.DrawFn, request: Request) -> Request:
    spots = [
        (t, p) for t, turn in enumerate(request.turns) for p, part in enumerate(turn.parts) if isinstance(part, Text)
    ]
    if spots and draw(st.booleans()):
        t, p = draw(st.sampled_from(spots))
        turn = request.turns[t]
        part = turn.parts[p]
        parts = (*turn.parts[:p], replace(part, text="edited \ue0ff"), *turn.parts[p + 1 :])
        turns = (*request.turns[:t], replace(turn, parts=parts), *request.turns[t + 1 :])
        return replace(request, turns=turns)
    scalars: dict[str, Any] = {"model": "edited", "stream": True, "max_output_tokens": 77}
    name = draw(st.sampled_from(sorted(scalars)))
    return replace(request, **{name: scalars[name]})


_EDITED = {
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "maxOutputTokens",
    "model",
    "num_predict",
    "stream",
}
"""How protocols spell what is edited."""


@pytest.mark.parametrize("name", PROTOCOLS)
@given(data=st.data())
def test_an_edit_is_on_the_wire_and_nothing_else_changed(name: str, data: st.DataObject) -> None:
    codec = protocol(name)
    request = read_request(name, data.draw(request_documents(name)))
    edited = data.draw(st.composite(lambda draw: _edited(draw, request))())
    # A null that stands where a value is put gives way to it; what remains of it is not compared.
    assume(not _EDITED & {key.rpartition(".")[2] for key in request.ext or ()})
    again = read_request(name, codec.encode_request(edited).document, edited)
    assert diff(edited, again, ignore=frozenset({"form"})) == []
