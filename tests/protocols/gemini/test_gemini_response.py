"""Answers: candidates, stops, usage, citations, blocked prompts."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai.types import GenerateContentResponse
from msgspec import UNSET

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.gemini import PROTOCOL
from ds2api_asgi.universal.content import Citation, Reasoning, Refusal, Text, ToolCall
from ds2api_asgi.universal.failure import FailureKind
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage


def decode(document: dict[str, Any]) -> Response:
    return PROTOCOL.decode_response(PROTOCOL.parse(dumps(document)))


def answer(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", **members}]}


def stop_of(response: Response) -> Stop:
    stop = response.candidates[0].stop
    assert stop is not UNSET
    return stop


@pytest.mark.parametrize(
    "document",
    [
        {"candidates": []},
        {"usageMetadata": {}, "candidates": None},
        {"candidates": [{}]},
        {"candidates": [{"content": {}, "finishReason": "NEW_WORD", "finishMessage": "why", "index": 3}]},
        {"candidates": [{"content": None, "finish_reason": "SAFETY", "finishMessage": None}]},
        {"candidates": [{"finishReason": 2}], "model_version": "m"},
        {"promptFeedback": {"blockReason": "SAFETY"}, "createTime": "2026-11-23T00:00:00.120Z"},
        {"responseId": "r", "createTime": "2026-11-23T00:00:00.123456789Z", "x": {"y": [1.0]}},
        answer(
            {"text": "a", "x": 1},
            {"new": {}},
            {"functionCall": {"name": 1}},
            logprobsResult={"a": 1},
            avgLogprobs=-0.10,
        ),
    ],
)
def test_odd_answers_come_back(document: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode_response(decode(document), Context())
    assert equal(loads(dumps(encoded.document)), document)
    assert encoded.losses == ()


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(InvalidDocument):
        decode({"hello": 1})


def test_an_error_under_a_success_status_is_one() -> None:
    error = decode({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}).error
    assert error is not UNSET
    assert error.kind is FailureKind.OVERLOADED


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", StopReason.END),
        (1, StopReason.END),
        ("MAX_TOKENS", StopReason.LENGTH),
        ("SAFETY", StopReason.FILTER),
        ("RECITATION", StopReason.FILTER),
        ("MALFORMED_FUNCTION_CALL", StopReason.MALFORMED),
        ("CONTINUATION", StopReason.PAUSE),
        ("LATER", StopReason.OTHER),
    ],
)
def test_stops_have_a_meaning(word: Any, reason: StopReason) -> None:
    assert stop_of(decode(answer({"text": "a"}, finishReason=word))).reason is reason


def test_a_call_makes_a_stop_for_tools_and_gets_an_id_that_stays() -> None:
    document = answer({"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}) | {"responseId": "r1"}
    response = decode(document)
    assert stop_of(response).reason is StopReason.TOOL
    calls = [part for part in response.candidates[0].turns[0].parts if isinstance(part, ToolCall)]
    assert len({call.id for call in calls}) == 2
    assert [call.arguments.text for call in calls] == ["{}", "{}"]
    assert decode(document) == response
    assert equal(PROTOCOL.encode_response(response, Context()).document, document)
    other = decode({**document, "responseId": "r2"}).candidates[0].turns[0].parts[0]
    assert isinstance(other, ToolCall)
    assert other.id != calls[0].id


def test_a_blocked_prompt_is_an_answer_that_was_filtered() -> None:
    stop = stop_of(decode({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}))
    assert (stop.reason, stop.native) == (StopReason.FILTER, "PROHIBITED_CONTENT")


def test_thoughts_are_part_of_the_output_and_cached_tokens_of_the_input() -> None:
    counts = {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 22,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
        "serviceTier": "standard",
    }
    response = decode({**answer({"text": "a"}), "usageMetadata": counts})
    usage = response.usage
    assert isinstance(usage, Usage)
    assert (usage.input_total, usage.cache_read, usage.output_total, usage.reasoning, usage.total) == (10, 4, 12, 7, 22)
    assert response.service_tier == "standard"


@pytest.mark.parametrize("counts", [{"promptTokenCount": 1}, {"thoughtsTokenCount": 2}, {"candidatesTokenCount": 0}])
def test_counts_that_are_missing_stay_missing(counts: dict[str, Any]) -> None:
    document = {**answer({"text": "a"}), "usageMetadata": counts}
    assert equal(PROTOCOL.encode_response(decode(document), Context()).document, document)


def test_citations_count_code_points() -> None:
    text = "é😀 Paris is old"
    before = len("é😀 ".encode())
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
        "groundingSupports": [
            {
                "segment": {"startIndex": before, "endIndex": before + 5, "text": "Paris"},
                "groundingChunkIndices": [0, 9],
            },
            {"segment": {"startIndex": 1, "endIndex": 3}, "groundingChunkIndices": [0]},  # cuts a letter
            {"segment": {"endIndex": 999}, "groundingChunkIndices": [0]},
        ],
    }
    document = answer({"text": text}, groundingMetadata=grounding)
    part = decode(document).candidates[0].turns[0].parts[0]
    assert isinstance(part, Text)
    want = Citation(kind="web", url="https://a.example", title="A", start=3, end=8)
    assert part.citations == (want,)
    assert text[3:8] == "Paris"
    assert equal(PROTOCOL.encode_response(decode(document), Context()).document, document)


def elsewhere(*parts: Any, stop: Stop | None = None, **members: Any) -> Response:
    turn = Turn(role="assistant", parts=parts)
    candidate = Candidate(turns=(turn,), stop=stop or Stop(reason=StopReason.END))
    return Response(candidates=(candidate,), origin=Origin(protocol="elsewhere"), **members)


def test_an_answer_from_elsewhere_is_one_for_the_sdk() -> None:
    cited = Citation(kind="url_citation", url="https://a.example", start=1, end=2)
    encoded = PROTOCOL.encode_response(
        elsewhere(
            Reasoning(text="hm"),
            Text(text="é!", citations=(cited,)),
            Refusal(text="no"),
            ToolCall(id="call_1", name="f", arguments=JsonText('{"a": 1}')),
            id="r",
            model="m",
            created=1_700_000_000,
            usage=Usage(input_total=5, output_total=9, reasoning=4),
            stop=Stop(reason=StopReason.TOOL),
        ),
        Context(),
    )
    document = loads(dumps(encoded.document))
    parsed = GenerateContentResponse.model_validate(document)
    assert parsed.text == "é!no"
    assert parsed.function_calls is not None
    assert (parsed.function_calls[0].id, parsed.function_calls[0].args) == ("call_1", {"a": 1})
    candidate = document["candidates"][0]
    assert candidate["finishReason"] == "STOP"
    assert candidate["groundingMetadata"]["groundingSupports"][0]["segment"] == {
        "startIndex": 2,
        "endIndex": 3,
        "partIndex": 1,
        "text": "!",
    }
    assert document["usageMetadata"] == {
        "promptTokenCount": 5,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 4,
        "totalTokenCount": 14,
    }
    assert document["createTime"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.END, "STOP"),
        (StopReason.SEQUENCE, "STOP"),
        (StopReason.LENGTH, "MAX_TOKENS"),
        (StopReason.REFUSAL, "SAFETY"),
        (StopReason.FILTER, "SAFETY"),
        (StopReason.ERROR, "OTHER"),
    ],
)
def test_stops_from_elsewhere_have_a_word(reason: StopReason, word: str) -> None:
    document = PROTOCOL.encode_response(elsewhere(Text(text="a"), stop=Stop(reason=reason)), Context()).document
    assert document["candidates"][0]["finishReason"] == word
