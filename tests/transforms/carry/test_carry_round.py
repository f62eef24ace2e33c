"""Any answer goes out in capsules and comes back as it was, whole or as a stream, in every client's protocol."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from documents import json_objects
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.transforms.carry import (
    SLOTS,
    MemoryCarryStore,
    Packer,
    PackingEncoder,
    only_for,
    recall,
    remember,
    unpack,
)
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.capsule import Minter
from ds2api_asgi.universal.content import Part, Reasoning, Text, ToolCall
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.loss import LossKind
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import Request, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason

MINTER = Minter.of("elsewhere", "family", "group")
QUESTION = {
    "anthropic": {"role": "user", "content": "q"},
    "gemini": {"role": "user", "parts": [{"text": "q"}]},
    "ollama": {"role": "user", "content": "q"},
    "openai-chat": {"role": "user", "content": "q"},
    "openai-responses": {"role": "user", "content": "q"},
}
# Lone surrogates are legal in JSON, but not in the UTF-8 that streams are cut into.
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).map("w".__add__)
payloads = st.lists(
    st.builds(
        Opaque,
        kind=st.sampled_from(["signature", "encrypted", "redacted", "thought_signature", "item_id"]),
        value=words,
        protocol=st.just("elsewhere"),
        position=st.sampled_from(["on", "before", "after"]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
none: st.SearchStrategy[Any] = st.just(())
thoughts = st.one_of(
    st.builds(Reasoning, text=words),
    st.builds(Reasoning, text=st.one_of(st.just(UNSET), st.just(""), words), opaque=payloads),
    st.builds(
        Reasoning, text=st.one_of(st.just(UNSET), words), summary=st.lists(words, min_size=1, max_size=3).map(tuple),
        opaque=payloads,
    ),
)  # fmt: skip
said = st.one_of(
    st.builds(Text, text=words, opaque=none | payloads), st.builds(Text, text=st.just(""), opaque=payloads)
)
calls = st.builds(
    ToolCall, name=st.just("f"), arguments=json_objects.map(JsonText.of), id=st.just("call"), opaque=none | payloads
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[Part, ...]:
    """Parts in any order, with one payload at least; ids of calls are their places."""
    parts = draw(st.lists(st.one_of(thoughts, said, calls), min_size=1, max_size=6))
    parts.insert(draw(st.integers(0, len(parts))), Reasoning(text="First.", opaque=draw(payloads)))
    return tuple(
        replace(part, id=f"call_{at:04}") if isinstance(part, ToolCall) else part for at, part in enumerate(parts)
    )


def answer_with(parts: tuple[Part, ...]) -> Response:
    turn = Turn(role="assistant", parts=parts)
    candidate = Candidate(turns=(turn,), stop=Stop(reason=StopReason.END))
    return Response(id="r", model="m", created=1, candidates=(candidate,), origin=Origin(protocol="elsewhere"))


def context() -> Context:
    return Context(request=Request(model="m", origin=Origin(protocol="elsewhere")), now=1)


def history_with(client: str, answer: Any) -> Any:
    """The client's next request: the answer's document, put into the history as SDKs do."""
    question = QUESTION[client]
    match client:
        case "anthropic":
            messages = [question, {"role": "assistant", "content": answer["content"]}, question]
            return {"model": "m", "max_tokens": 9, "messages": messages}
        case "openai-chat":
            return {"model": "m", "messages": [question, answer["choices"][0]["message"], question]}
        case "openai-responses":
            return {"model": "m", "input": [question, *answer["output"], question]}
        case "gemini":
            return {"contents": [question, answer["candidates"][0]["content"], question]}
    return {"model": "m", "messages": [question, answer["message"], question]}


def read(client: str, document: Any) -> Request:
    codec = registry.get(client)
    return codec.decode_request(codec.parse(jsontext.dumps(document)))


def whole(client: str, parts: tuple[Part, ...], packer: Packer) -> Any:
    codec = registry.get(client)
    return codec.encode_response(packer.response(answer_with(parts)), context()).document


def streamed(client: str, parts: tuple[Part, ...], packer: Packer, chunk: int) -> Any:
    codec = registry.get(client)
    encoder = PackingEncoder(packer, codec.stream_encoder(context()), lambda: ())
    data = b"".join(encoder.write([event]) for event in unfold(answer_with(parts), chunk=chunk))
    decoder = codec.stream_decoder()
    response = codec.fold([*decoder.feed(data), *decoder.close()])
    assert response.error is UNSET
    return codec.encode_response(response, context()).document


def plain(parts: tuple[Part, ...]) -> list[Any]:
    """What must come back: what was told, and what was carried."""
    out: list[Any] = []
    for part in parts:
        carried = [(each.kind, each.value, each.position) for each in getattr(part, "opaque", ())]
        match part:
            case Reasoning():
                out.append(("thought", part.text, part.summary, carried))
            case Text():
                out.append(("text", part.text, carried))
            case ToolCall():
                out.append(("call", part.id, part.arguments.value, carried))
    return out


def answered(request: Request) -> tuple[Part, ...]:
    return tuple(part for turn in request.turns if turn.role == "assistant" for part in turn.parts)


@pytest.mark.parametrize("client", SLOTS)
@given(parts=answers(), chunk=st.none() | st.integers(1, 4), secret=st.none() | st.just(b"secret"))
def test_an_answer_comes_back_as_it_was(
    client: str, parts: tuple[Part, ...], chunk: int | None, secret: bytes | None
) -> None:
    packer = Packer(slots=SLOTS[client], minter=lambda: MINTER, secret=secret)
    document = whole(client, parts, packer) if chunk is None else streamed(client, parts, packer, chunk)
    assert packer.losses == []
    request, losses = unpack(read(client, history_with(client, document)), SLOTS[client], secret)
    assert losses == []
    back = answered(request)
    assert plain(back) == plain(parts)
    assert {each.origin for part in back for each in getattr(part, "opaque", ())} == {MINTER.token}
    same, losses = only_for(request, MINTER)
    assert same is request
    assert losses == []


@pytest.mark.parametrize("client", SLOTS)
@given(parts=answers())
def test_another_minter_is_given_nothing_and_each_payload_is_reported(client: str, parts: tuple[Part, ...]) -> None:
    packer = Packer(slots=SLOTS[client], minter=lambda: MINTER)
    request, _ = unpack(read(client, history_with(client, whole(client, parts, packer))), SLOTS[client])
    for other in (Minter.of("elsewhere", "family"), Minter.of("elsewhere", "other", "group"), Minter.of("x")):
        kept, losses = only_for(request, other)
        assert not any(each.origin for part in answered(kept) for each in getattr(part, "opaque", ()))
        assert len(losses) == sum(len(getattr(part, "opaque", ())) for part in parts)
        assert {loss.kind for loss in losses} == {LossKind.ORIGIN_MISMATCH}


@pytest.mark.parametrize("client", SLOTS)
@given(parts=answers(), data=st.data())
def test_a_payload_never_stands_on_a_text_that_was_changed(
    client: str, parts: tuple[Part, ...], data: st.DataObject
) -> None:
    packer = Packer(slots=SLOTS[client], minter=lambda: MINTER)
    history = read(client, history_with(client, whole(client, parts, packer)))
    places = [
        (at, number)
        for at, turn in enumerate(history.turns)
        for number, part in enumerate(turn.parts)
        if turn.role == "assistant" and isinstance(part, (Text, Reasoning)) and part.text
    ]
    at, number = data.draw(st.sampled_from(places))
    turns = list(history.turns)
    changed: Any = turns[at].parts[number]
    edited = replace(changed, text=f"{changed.text}!")
    turns[at] = replace(turns[at], parts=(*turns[at].parts[:number], edited, *turns[at].parts[number + 1 :]))
    request, _ = unpack(replace(history, turns=tuple(turns)), SLOTS[client])
    bound = {
        (each.kind, each.value): (part.text, part.summary if isinstance(part, Reasoning) else ())
        for part in parts
        if isinstance(part, (Text, Reasoning))
        for each in part.opaque
    }
    twice = [(each.kind, each.value) for part in parts for each in getattr(part, "opaque", ())]
    for part in answered(request):
        for each in getattr(part, "opaque", ()):
            key = (each.kind, each.value)
            if isinstance(part, (Text, Reasoning)) and each.origin and twice.count(key) == 1:
                assert bound[key] == (part.text, part.summary if isinstance(part, Reasoning) else ())


@given(parts=answers(), chunk=st.none() | st.integers(1, 4))
def test_a_store_gives_back_what_a_client_drops(parts: tuple[Part, ...], chunk: int | None) -> None:
    store = MemoryCarryStore()
    packer = Packer(slots=None, minter=lambda: MINTER, keeps=True)
    document = whole("ollama", parts, packer) if chunk is None else streamed("ollama", parts, packer, chunk)
    assert packer.kept is not None
    question = Turn(role="user", parts=(Text(text="q"),))
    loss = remember(store, b"owner", question, packer.kept, MINTER)
    assert loss is not None
    assert loss.kind is LossKind.STATEFUL
    for call in document["message"].get("tool_calls", ()):
        call.pop("id", None)
    document["message"].pop("thinking", None)
    history = read("ollama", history_with("ollama", document))
    request, losses = recall(store, b"owner", history)
    assert [loss.kind for loss in losses] == [LossKind.STATEFUL]
    assert plain(answered(request)) == plain(parts)
    assert recall(store, b"another", history) == (history, [])


def test_a_part_that_is_too_long_to_be_known_again_loses_its_payloads_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ds2api_asgi.transforms.carry.stream.MAX_TOLD", 10)
    payload = Opaque(kind="signature", value="S", protocol="elsewhere")
    parts = (Reasoning(text="x" * 40, opaque=(payload,)), Text(text="y" * 40), Reasoning(text="z", opaque=(payload,)))
    packer = Packer(slots=SLOTS["anthropic"], minter=lambda: MINTER)
    encoder = PackingEncoder(packer, registry.get("anthropic").stream_encoder(context()), lambda: ())
    data = encoder.write(unfold(answer_with(parts), chunk=4))
    assert data.count(b"ds2.1.") == 1
    assert data.count(b"yyyy") == 10
    assert [loss.reason for loss in encoder.losses if loss.path.startswith("candidates[0].turns[0].parts")] == [
        "its part is too large to be known again"
    ]
