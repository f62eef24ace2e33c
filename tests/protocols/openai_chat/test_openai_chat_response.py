"""Answers of OpenAI Chat: identity, quirks of vendors, and what becomes of answers of other protocols."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET
from openai.types.chat import ChatCompletion

from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.openai_chat import PROTOCOL
from ds2api_asgi.universal.content import Citation, Part, Reasoning, Refusal, ServerCall, Text, ToolCall
from ds2api_asgi.universal.failure import FailureKind
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.loss import Severity
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage
from shared import corpus_items, needs_shared


def answer(message: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {
        "id": "i",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"message": message, **choice}],
    }


def foreign(*parts: Part, reason: StopReason = StopReason.END, **members: Any) -> Response:
    candidate = Candidate(turns=(Turn(role="assistant", parts=parts),), stop=Stop(reason=reason))
    return Response(id="i", model="m", candidates=(candidate,), origin=Origin(protocol="elsewhere"), **members)


def encode(response: Response, context: Context | None = None) -> dict[str, Any]:
    document = PROTOCOL.encode_response(response, context or Context(now=7)).document
    ChatCompletion.model_validate(loads(dumps(document)), strict=True)
    return document


@needs_shared
def test_an_error_under_a_success_status_is_an_error() -> None:
    item = next(item for item in corpus_items("errors", "response") if item["id"] == "5c3c4631c395")
    response = PROTOCOL.decode_response(item["body"])
    assert response.error is not UNSET
    assert response.error.code == "content_filter"
    assert PROTOCOL.encode_response(response, Context()).document == item["body"]


ODD: list[dict[str, Any]] = [
    answer({"role": "assistant", "content": None, "tool_calls": None, "refusal": None}, index=0, finish_reason=None),
    answer({"content": [{"type": "text", "text": "a"}]}, finish_reason="eos", logprobs=None),
    answer({"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f"}}, 7]}, finish_reason=""),
    answer({"role": None, "content": 7, "reasoning": {"x": 1}}, index="0", finish_reason=3),
    answer({"role": 7}, index=0),
    answer({"role": "assistant", "content": "a", "annotations": []}, usage=1),
    answer(
        {"role": "assistant", "content": "ab", "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]}
    ),
    answer({"role": "assistant", "content": "a", "annotations": [{"type": "file_citation"}]}),
    answer({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}),
    answer({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.0}}}]}),
    {"choices": []},
    {"choices": [7, {}], "object": "x", "usage": None, "model": 7, "created": 1.5},
    {"error": {"message": "m", "code": 429}, "choices": None},
    {"choices": [], "usage": {"prompt_tokens": 1.5, "prompt_cache_hit_tokens": 3, "completion_tokens_details": {}}},
    {"choices": [], "usage": {"prompt_tokens": 2, "prompt_tokens_details": {"cached_tokens": None, "x": 1}}},
]


@pytest.mark.parametrize("document", ODD, ids=range(len(ODD)))
def test_odd_answers_are_kept(document: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode_response(PROTOCOL.decode_response(document), Context())
    assert equal(encoded.document, document)


def test_usage_is_read_inclusively() -> None:
    response = PROTOCOL.decode_response(
        {"choices": [], "usage": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 9}}}
    )
    assert response.usage == Usage(input_total=10, cache_read=9)


def test_an_answer_is_one_message_with_one_text_of_each_kind() -> None:
    response = foreign(
        Reasoning(text="th"), Text(text="a"), Text(text="b"), usage=Usage(input_total=3, output_total=4, cache_read=1)
    )
    document = encode(response)
    assert document["created"] == 7
    assert document["choices"][0]["message"] == {
        "role": "assistant",
        "content": "ab",
        "reasoning_content": "th",
        "refusal": None,
    }
    assert document["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
    }


def test_a_call_makes_the_reason_tool_calls_whatever_the_source_says() -> None:
    for reason in (StopReason.END, StopReason.TOOL, StopReason.OTHER):
        document = encode(foreign(ToolCall(name="f", arguments=JsonText('{"a": 1.0}')), reason=reason))
        choice = document["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        made = choice["message"]["tool_calls"][0]
        assert made["function"] == {"name": "f", "arguments": '{"a": 1.0}'}
        assert (
            made["id"]
            == encode(foreign(ToolCall(name="f", arguments=JsonText("{}"))))["choices"][0]["message"]["tool_calls"][0][
                "id"
            ]
        )


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.LENGTH, "length"),
        (StopReason.CONTEXT, "length"),
        (StopReason.PAUSE, "length"),
        (StopReason.SEQUENCE, "stop"),
        (StopReason.REFUSAL, "content_filter"),
        (StopReason.FILTER, "content_filter"),
    ],
)
def test_reasons_that_it_has_not_go_by_the_nearest_word(reason: StopReason, word: str) -> None:
    assert encode(foreign(Text(text="a"), reason=reason))["choices"][0]["finish_reason"] == word


def test_words_of_refusal_end_with_stop() -> None:
    choice = encode(foreign(Refusal(text="no"), reason=StopReason.REFUSAL))["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("stop", "no")


def test_tools_of_the_provider_never_become_calls() -> None:
    encoded = PROTOCOL.encode_response(
        foreign(ServerCall(kind="server_tool_use", name="web_search", arguments=JsonText("{}")), Text(text="a")),
        Context(),
    )
    assert "tool_calls" not in encoded.document["choices"][0]["message"]
    assert Severity.SEMANTIC in {loss.severity for loss in encoded.losses}


def test_citations_count_from_the_start_of_the_message() -> None:
    cited = Text(text="bc", citations=(Citation(kind="web", url="u", title="t"), Citation(kind="page")))
    message = encode(foreign(Text(text="a"), cited))["choices"][0]["message"]
    assert message["annotations"] == [
        {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 3}}
    ]


def test_names_and_ids_come_back_and_custom_tools_get_their_text() -> None:
    context = Context(
        tool_names={"short": "files.read"}, call_ids={"call_x": "orig"}, custom_tools=frozenset({"patch"})
    )
    document = encode(
        foreign(
            ToolCall(id="call_x", name="short", arguments=JsonText("{}")),
            ToolCall(id="b", name="patch", arguments=JsonText('{"input": "a\\nb"}')),
            ToolCall(id="c", name="patch", arguments=JsonText('{"other": 1}')),
        ),
        context,
    )
    assert document["choices"][0]["message"]["tool_calls"] == [
        {"type": "function", "id": "orig", "function": {"name": "files.read", "arguments": "{}"}},
        {"type": "custom", "id": "b", "custom": {"name": "patch", "input": "a\nb"}},
        {"type": "custom", "id": "c", "custom": {"name": "patch", "input": '{"other": 1}'}},
    ]


def test_a_client_of_functions_is_answered_with_function_call() -> None:
    request = PROTOCOL.decode_request({"model": "m", "messages": [], "functions": [{"name": "f"}]})
    choice = encode(foreign(ToolCall(id="i", name="f", arguments=JsonText("{}"))), Context(request=request))["choices"][
        0
    ]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}


def test_payloads_of_reasoning_are_given_to_the_client_to_carry() -> None:
    parts = (
        Reasoning(text="th", opaque=(Opaque(kind="signature", value="S", protocol="openai-chat"),)),
        Reasoning(opaque=(Opaque(kind="redacted", value="D", protocol="openai-chat"),)),
        Text(text="a"),
    )
    encoded = PROTOCOL.encode_response(foreign(*parts), Context())
    back = PROTOCOL.decode_response(loads(dumps(encoded.document)))
    assert back.candidates[0].turns[0].parts == parts


def test_a_failure_inside_an_answer_is_read_by_its_own_words() -> None:
    response = PROTOCOL.decode_response({"choices": [], "error": {"message": "slow", "code": 429}})
    assert response.error is not UNSET
    assert response.error.kind is FailureKind.RATE
