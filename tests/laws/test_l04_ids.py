"""L4 id bijection: every call keeps exactly one id that the target accepts, and results keep pairing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.universal.content import Text, ToolCall, ToolResult
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import Request, Turn
from kits import KITS
from lawkit import PROTOCOLS, protocol, read_request

ids = st.one_of(
    st.just(UNSET), st.sampled_from(["call_0", "call_1", "a b", "x" * 900, "é:1"]), st.text(min_size=1, max_size=50)
)


@st.composite
def conversations(draw: st.DrawFn) -> Request:
    turns = [Turn(role="user", parts=(Text(text="q"),))]
    for step in range(draw(st.integers(1, 3))):
        # Within one step ids differ (absent ones pair by order); across steps they may come again.
        known = draw(st.lists(ids, min_size=1, max_size=3, unique_by=lambda i: id(i) if i is UNSET else i))
        known = known[:1] if UNSET in known else known
        calls = [
            ToolCall(id=i, name="f", arguments=JsonText(f'{{"step":{step},"call":{n}}}')) for n, i in enumerate(known)
        ]
        turns.append(Turn(role="assistant", parts=tuple(calls)))
        for n, call in enumerate(calls):
            result = ToolResult(call_id=call.id, parts=(Text(text=f"{step}.{n}"),))
            turns.append(Turn(role="tool", parts=(result,)))
    turns.append(Turn(role="user", parts=(Text(text="go on"),)))
    return Request(model="m", turns=tuple(turns), max_output_tokens=9, origin=Origin(protocol="core"))


def _pairs(request: Request) -> list[tuple[str, str]]:
    """(arguments of the call, text of its result) for every result, by id."""
    called: dict[object, str] = {}
    pairs: list[tuple[str, str]] = []
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, ToolCall):
                called[part.id] = part.arguments.text
            elif isinstance(part, ToolResult):
                text = part.parts[0]  # type: ignore[index]
                assert isinstance(text, Text)
                pairs.append((called[part.call_id], text.text))
    return pairs


@pytest.mark.parametrize("target", PROTOCOLS)
@given(request_=conversations())
def test_ids_are_valid_unique_and_keep_pairing(target: str, request_: Request) -> None:
    encoded = protocol(target).encode_request(request_)
    again = read_request(target, encoded.document)
    mapped = [part.id for turn in again.turns for part in turn.parts if isinstance(part, ToolCall)]
    assert len(set(mapped)) == len(mapped)
    assert all(isinstance(i, str) and KITS[target].call_id.fullmatch(i) for i in mapped)
    assert _pairs(again) == _pairs(request_)


@pytest.mark.parametrize("target", PROTOCOLS)
@given(request_=conversations())
def test_a_changed_id_is_mapped_back(target: str, request_: Request) -> None:
    encoded = protocol(target).encode_request(request_)
    again = read_request(target, encoded.document)
    assert encoded.context is not None
    sent = [part.id for turn in again.turns for part in turn.parts if isinstance(part, ToolCall)]
    source = [part.id for turn in request_.turns for part in turn.parts if isinstance(part, ToolCall)]
    for mapped, original in zip(sent, source, strict=True):
        if original is not UNSET:
            assert encoded.context.call_ids.get(str(mapped), mapped) == original
