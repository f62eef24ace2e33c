"""L13 replay: what only its minter can read comes back to it through any client's history, unchanged and in order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.content import Part, Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import Event
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import Request, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason
from kits import KITS
from lawkit import (
    NOW,
    PAIRS,
    context,
    core_arguments,
    core_names,
    core_texts,
    decode_stream,
    encode_stream,
    protocol,
    read_request,
    read_response,
    wire,
)

REPLAYED = [
    (client, upstream) for client, upstream in PAIRS if KITS[upstream].payloads and KITS[client].replay is not None
]
replayed = pytest.mark.parametrize(("client", "upstream"), REPLAYED)


@st.composite
def answers(draw: st.DrawFn, name: str) -> Response:
    """Answers of a provider with thoughts that it signed, hid or encrypted."""
    parts: list[Part] = []
    for at in range(draw(st.integers(1, 3))):
        kind, told = draw(st.sampled_from(KITS[name].payloads))
        payload = Opaque(kind=kind, value=f"{draw(core_texts)}.{at}=", protocol=name)
        words: dict[str, Any] = {}
        if told:
            text = draw(core_texts)
            words = {"summary": (text,)} if kind == "encrypted" else {"text": text}
        parts.append(Reasoning(opaque=(payload,), **words))
        if draw(st.booleans()):
            parts.append(Text(text=draw(core_texts)))
    parts.append(ToolCall(id="call_1", name=draw(core_names), arguments=draw(core_arguments)))
    turns = tuple(Turn(role="assistant", parts=(part,)) for part in parts)
    stop = Stop(reason=StopReason.TOOL)
    return Response(
        id="r_1",
        model="m",
        created=NOW,
        candidates=(Candidate(turns=turns, stop=stop),),
        origin=Origin(protocol=name),
    )


def _payloads(turns: tuple[Turn, ...]) -> list[Opaque]:
    return [payload for turn in turns for part in turn.parts if isinstance(part, Reasoning) for payload in part.opaque]


def _sent(client: str, upstream: str, answer: Any) -> list[Opaque]:
    """The payloads that reach the upstream when a client goes on from this answer."""
    turns = (Turn(role="user", parts=(Text(text="q"),)),)
    asked = Request(model="m", turns=turns, max_output_tokens=9, origin=Origin(protocol="core"))
    kit = KITS[client]
    assert kit.replay is not None
    document = wire(protocol(client).encode_request(asked).document)
    document[kit.history] += kit.replay(wire(answer))
    encoded = protocol(upstream).encode_request(read_request(client, document))
    return _payloads(read_request(upstream, wire(encoded.document)).turns)


@replayed
@given(data=st.data())
def test_payloads_of_an_answer_come_back(client: str, upstream: str, data: st.DataObject) -> None:
    answer = data.draw(answers(upstream))
    document = protocol(client).encode_response(answer, context()).document
    assert _sent(client, upstream, document) == _payloads(answer.candidates[0].turns)


@replayed
@given(data=st.data(), chunk=st.sampled_from([1, 3, None]))
def test_payloads_of_a_stream_come_back(client: str, upstream: str, data: st.DataObject, chunk: int | None) -> None:
    answer = data.draw(answers(upstream))
    events: list[Event] = decode_stream(upstream, [encode_stream(upstream, unfold(answer, chunk=chunk))])
    folded = protocol(client).fold(decode_stream(client, [encode_stream(client, events)]))
    document = protocol(client).encode_response(folded, context()).document
    assert _sent(client, upstream, document) == _payloads(answer.candidates[0].turns)


@replayed
@given(data=st.data())
def test_nobody_else_is_sent_them(client: str, upstream: str, data: st.DataObject) -> None:
    answer = data.draw(answers(upstream))
    document = wire(protocol(client).encode_response(answer, context()).document)
    history = read_response(client, document)
    turns = (Turn(role="user", parts=(Text(text="q"),)), *history.candidates[0].turns)
    request = Request(model="m", turns=turns, max_output_tokens=9, origin=Origin(protocol=client))
    for other in KITS:
        if other not in (client, upstream):
            sent = protocol(other).encode_request(request).document
            assert not any(p.value in str(wire(sent)) for p in _payloads(answer.candidates[0].turns))
