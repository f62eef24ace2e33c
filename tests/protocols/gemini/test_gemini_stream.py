"""Streams: both framings, calls in pieces, signatures, blocked prompts, cut and broken streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai.types import GenerateContentResponse
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.gemini import PROTOCOL
from ds2api_asgi.protocols.gemini.stream_encoder import StreamEncoder
from ds2api_asgi.protocols.gemini.stream_frames import Framing
from ds2api_asgi.universal.content import Citation, Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import Close, Delta, End, Error, Event, Open, Ping, Set, Start, StopEvent, UsageEvent
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import Request
from ds2api_asgi.universal.response import Response, Stop, StopReason, Usage

FRAMINGS: list[Framing] = ["sse", "json_array"]


def chunk(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **members}]}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(item).encode() for item in chunks)


def array(*chunks: Any) -> bytes:
    return json.dumps(list(chunks), indent=1).encode()


def decode(*pieces: bytes) -> list[Event]:
    decoder = PROTOCOL.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()
    life = Lifecycle()
    for event in events:
        life.step(event)
    assert decoder.close() == []
    return events


def fold(data: bytes) -> Response:
    return PROTOCOL.fold(decode(data))


def parts_of(response: Response) -> tuple[Any, ...]:
    return response.candidates[0].turns[0].parts


@pytest.mark.parametrize("framed", [sse, array])
def test_texts_of_one_kind_in_a_row_are_one_part(framed: Any) -> None:
    data = framed(
        chunk({"text": "h", "thought": True}),
        chunk({"text": "m", "thought": True}),
        chunk({"text": "he"}),
        chunk({"text": "llo"}, finishReason="STOP"),
    )
    response = fold(data)
    assert parts_of(response) == (Reasoning(text="hm"), Text(text="hello"))
    assert response.candidates[0].stop == Stop(reason=StopReason.END)
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == decode(data)


def test_a_signature_stays_on_its_part() -> None:
    signed = Opaque(kind="thought_signature", value="cw==", protocol="gemini")
    response = fold(
        sse(
            chunk({"text": "a"}),
            chunk({"text": "", "thoughtSignature": "cw=="}),
            chunk({"text": "b"}),
            chunk({"functionCall": {"name": "f", "args": {"x": 1.0}}, "thoughtSignature": "cw=="}),
            chunk({"text": "", "thoughtSignature": "cw=="}, finishReason="STOP"),
        )
    )
    first, second, call, last = parts_of(response)
    assert (first, second, last) == (Text(text="a", opaque=(signed,)), Text(text="b"), Text(text="", opaque=(signed,)))
    assert isinstance(call, ToolCall)
    assert (call.arguments.text, call.opaque) == ('{"x":1.0}', (signed,))
    assert response.candidates[0].stop == Stop(reason=StopReason.TOOL)


def test_arguments_in_pieces_are_put_together() -> None:
    def piece(path: str, **value: Any) -> dict[str, Any]:
        return {"functionCall": {"partialArgs": [{"jsonPath": path, **value}], "willContinue": True}}

    response = fold(
        sse(
            chunk({"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "cw=="}),
            chunk(piece("$.city", stringValue="Par", willContinue=True)),
            chunk(piece("$.city", stringValue="is")),
            chunk(piece("$.days[1].n", numberValue=2)),
            chunk(piece("$['a b']", boolValue=True), piece("$.none", nullValue="NULL_VALUE")),
            chunk({"functionCall": {}}),
            chunk({"text": ""}, finishReason="STOP"),
        )
    )
    (call,) = parts_of(response)
    assert isinstance(call, ToolCall)
    assert call.arguments.value == {"city": "Paris", "days": [None, {"n": 2}], "a b": True, "none": None}
    assert len(call.opaque) == 1


def test_usage_is_a_snapshot() -> None:
    first = chunk({"text": "a"}) | {"usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}}
    last = chunk({"text": "b"}, finishReason="STOP") | {
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 12}
    }
    usage = fold(sse(first, last)).usage
    assert usage == Usage(input_total=10, output_total=2, total=12)


def test_what_comes_after_a_finish_reason_still_counts() -> None:
    response = fold(sse(chunk({"text": "a"}, finishReason="STOP"), chunk({"text": "b"}, finishReason="MAX_TOKENS")))
    assert parts_of(response) == (Text(text="ab"),)
    assert response.candidates[0].stop == Stop(reason=StopReason.LENGTH)


def test_a_blocked_prompt_ends_well_and_says_why() -> None:
    data = sse({"promptFeedback": {"blockReason": "SAFETY"}})
    stop = fold(data).candidates[0].stop
    assert stop is not UNSET
    assert (stop.reason, stop.native) == (StopReason.FILTER, "SAFETY")
    again = PROTOCOL.stream_encoder(Context()).write(decode(data))
    assert fold(again) == fold(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", FailureKind.TRUNCATED),
        (sse(chunk({"text": "a"})), FailureKind.TRUNCATED),
        (array(chunk({"text": "a"}))[:-4], FailureKind.TRUNCATED),
        (b"data: {oops\n\n", FailureKind.SERVER),
        (b"[1,", FailureKind.SERVER),
        (
            sse(chunk({"text": "a"}), {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}),
            FailureKind.OVERLOADED,
        ),
        (b'{"error": {"code": 429,\n "message": "m", "status": "RESOURCE_EXHAUSTED"}}', FailureKind.RATE),
        (b'[{"error": {"code": 500, "message": "m", "status": "INTERNAL"}}]', FailureKind.SERVER),
    ],
)
def test_cut_and_broken_streams_end_with_an_error(data: bytes, kind: FailureKind) -> None:
    *events, last = decode(data)
    assert isinstance(last, Error)
    assert last.failure.kind is kind
    assert not any(isinstance(event, (End, StopEvent)) for event in events)


@given(st.binary(max_size=80))
def test_any_bytes_end_with_an_event(data: bytes) -> None:
    assert isinstance(decode(data)[-1], (End, Error))


def test_frames_without_blank_lines_between_them_are_read() -> None:
    data = sse(chunk({"text": "a"}), chunk({"text": "b"}, finishReason="STOP")).replace(b"\r\n\r\n", b"\n")
    assert parts_of(fold(data)) == (Text(text="ab"),)


def test_citations_of_a_stream_stand_on_its_text() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example"}}],
        "groundingSupports": [{"segment": {"startIndex": 2, "endIndex": 3}, "groundingChunkIndices": [0]}],
    }
    response = fold(sse(chunk({"text": "é"}), chunk({"text": "x"}, finishReason="STOP", groundingMetadata=grounding)))
    (part,) = parts_of(response)
    assert part.citations == (Citation(kind="web", url="https://a.example", start=1, end=2),)


# -- writing


def events_elsewhere() -> list[Event]:
    return [
        Start(protocol="elsewhere", id="r", model="m"),
        Open(0, Text(text="")),
        Delta(0, 'he said "hi"\u2028'),
        Close(0),
        Open(1, ToolCall(id="c1", name="f", arguments=JsonText(""))),
        Open(2, ToolCall(id="c2", name="g", arguments=JsonText(""))),
        Delta(1, '{\n"a":'),
        Delta(2, "{}"),
        Delta(1, "1}"),
        Close(2),
        Close(1),
        StopEvent(Stop(reason=StopReason.TOOL)),
        UsageEvent(Usage(input_total=3, output_total=4)),
        End(),
    ]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_stream_from_elsewhere_is_one_for_the_sdk(framing: Framing) -> None:
    encoder = StreamEncoder(Context(), framing)
    data = b"".join(encoder.write([event]) for event in events_elsewhere())
    if framing == "sse":
        lines = [line for line in data.split(b"\n") if line]
        assert all(line.startswith(b"data: ") for line in lines)
        chunks = [json.loads(line[6:]) for line in lines]
    else:
        chunks = json.loads(data)
    parsed = [GenerateContentResponse.model_validate(item) for item in chunks]
    assert all(item.candidates and item.candidates[0].content and item.candidates[0].content.parts for item in parsed)
    calls = [call for item in parsed for call in item.function_calls or ()]
    assert [(call.id, call.name, call.args) for call in calls] == [("c1", "f", {"a": 1}), ("c2", "g", {})]
    assert [item["candidates"][0].get("finishReason") for item in chunks] == [None, None, None, "STOP"]
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 7
    assert isinstance(decode(data)[-1], End)


def test_text_is_out_at_once_and_an_error_ends_without_a_finish_reason() -> None:
    encoder = PROTOCOL.stream_encoder(Context())
    start, opened, delta, *_ = events_elsewhere()
    assert b"he said" in encoder.write([start, opened, delta])
    data = encoder.write([StopEvent(Stop(reason=StopReason.END)), Error(Failure(kind=FailureKind.SERVER, message="m"))])
    assert json.loads(data[6:])["error"]["status"] == "INTERNAL"
    assert b"finishReason" not in data


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_line_of_a_stream_is_a_frame_that_counts_or_says_that_it_cannot_yet(framing: Framing) -> None:
    """google-genai reads a comment as JSON; scripts keep the last ``usage_metadata`` and begin with the first."""
    encoder = StreamEncoder(Context(), framing)
    start, *others = events_elsewhere()
    data = encoder.write([Ping(), start, Ping(), *others[:3], Ping(), *others[3:-1], Ping(), others[-1]])
    assert data == StreamEncoder(Context(), framing).write(events_elsewhere())
    chunks = (
        json.loads(data) if framing == "json_array" else [json.loads(line[6:]) for line in data.split(b"\n\n")[:-1]]
    )
    assert chunks[0]["usageMetadata"] == {}
    assert GenerateContentResponse.model_validate(chunks[0]).usage_metadata is not None
    assert [chunk["usageMetadata"]["totalTokenCount"] for chunk in chunks[1:] if "usageMetadata" in chunk] == [7]
    usage = fold(data).usage
    assert usage is not UNSET
    assert (usage.input_total, usage.output_total, usage.total) == (3, 4, 7)


def test_the_payload_of_a_thought_from_elsewhere_stands_on_its_last_piece() -> None:
    """Scripts that put a turn together from chunks drop parts without a text."""
    encoder = PROTOCOL.stream_encoder(Context())
    payload = Opaque(kind="thought_signature", value="UzE=", protocol="gemini")
    before = encoder.write([Start(protocol="elsewhere"), Open(0, Reasoning()), Delta(0, "a"), Delta(0, "b")])
    assert b'"a"' in before
    data = before + encoder.write([Delta(0, "c"), Set(0, "opaque", payload), Close(0)])
    parts = [json.loads(line[6:])["candidates"][0]["content"]["parts"][0] for line in data.split(b"\n\n")[:-1]]
    assert parts == [
        {"text": "a", "thought": True},
        {"text": "b", "thought": True},
        {"text": "c", "thought": True, "thoughtSignature": "UzE="},
    ]


@pytest.mark.parametrize("end", [[Close(0)], [Error(Failure(kind=FailureKind.SERVER, message="m"))]])
def test_no_piece_of_a_thought_is_left_behind(end: list[Event]) -> None:
    encoder = PROTOCOL.stream_encoder(Context())
    data = encoder.write(
        [Start(protocol="elsewhere"), Open(0, Reasoning(summary=("s",))), Set(0, "summary", "t"), *end]
    )
    assert data.index(b'"s"') < data.index(b'"t"')


def test_the_dialect_of_the_client_decides_the_framing() -> None:
    request = Request(origin=Origin(protocol="gemini", dialect="json_array"))
    data = PROTOCOL.stream_encoder(Context(request=request)).write(events_elsewhere())
    assert data.startswith(b"[")
    assert data.endswith(b"]")
    broken = PROTOCOL.stream_encoder(Context(request=request)).write(
        [*events_elsewhere()[:3], Error(Failure(kind=FailureKind.SERVER, message="m"))]
    )
    # Whoever reads it at once must not take it for a whole answer.
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert json.loads(broken + b"]")[-1]["error"]["code"] == 500


def test_payloads_of_others_are_confessed() -> None:
    encoder = PROTOCOL.stream_encoder(Context())
    encoder.write(
        [
            Start(protocol="elsewhere"),
            Open(0, Reasoning(text="")),
            Set(0, "opaque", Opaque(kind="signature", value="s", protocol="anthropic")),
        ]
    )
    assert [loss.path for loss in encoder.losses] == ["candidates[0].turns[0].parts[0].opaque[0]"]


# -- watching


@pytest.mark.parametrize("framed", [sse, array])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_watch_sees_content_terminal_and_failure(framed: Any, size: int) -> None:
    def watched(*chunks: Any) -> Any:
        data = framed(*chunks)
        watch = PROTOCOL.stream_watch()
        for at in range(0, len(data), size):
            watch.feed(data[at : at + size])
        return watch

    begun = chunk({"text": 'the "finishReason" of it'})
    assert (watched(chunk({"text": ""})).content, watched(begun).content, watched(begun).terminal) == (
        False,
        True,
        False,
    )
    assert watched(begun, chunk({"text": ""}, finishReason="STOP")).terminal
    assert watched({"promptFeedback": {"blockReason": "OTHER"}}).terminal
    failed = watched(begun, {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}).failure
    assert failed is not None
    assert failed.kind is FailureKind.OVERLOADED
