"""What vendors send otherwise than OpenAI: one case for each quirk, read without being told the vendor.

Each has an inline twin; the recorded original is read too where the corpus is beside the project.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.openai_chat import PROTOCOL
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.content import Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import Error, Event
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import fold
from ds2api_asgi.universal.response import Response, StopReason
from shared import corpus_items, corpus_stream_bytes, needs_shared

DONE = b"data: [DONE]\n\n"


def chunk(*choices: dict[str, Any], **members: Any) -> bytes:
    document = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [*choices]}
    return b"data: %s\n\n" % json.dumps({**document, **members}).encode()


def delta(finish_reason: Any = None, **members: Any) -> dict[str, Any]:
    return {"index": 0, "delta": members, "finish_reason": finish_reason}


def call(**members: Any) -> dict[str, Any]:
    return {"index": 0, "id": "call_1", "type": "function", **members}


def function(name: str | None = None, arguments: Any = None) -> dict[str, Any]:
    inner = {"name": name, "arguments": arguments}
    return {key: value for key, value in inner.items() if value is not None}


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
STOP = chunk(delta("stop"))
CALLED = chunk(delta("tool_calls"))
HI = {"text": "Hi", "stop": StopReason.END}
LOOK = {"calls": [("call_1", "look", '{"a":1}')], "stop": StopReason.TOOL}
COUNTED = {**HI, "usage": (3, 2)}

STREAMS: dict[str, tuple[list[bytes], dict[str, Any]]] = {
    "comments before the stream and within it (OpenRouter, DeepSeek)": (
        [
            b": OPENROUTER PROCESSING\n\n",
            chunk(delta(content="H")),
            b": keep-alive\n\n",
            chunk(delta(content="i")),
            STOP,
        ],
        HI,
    ),
    "blank lines while it waits (DeepSeek)": ([b"\n\n\n", chunk(delta(content="Hi")), STOP, DONE], HI),
    "CRLF (Perplexity)": (
        [chunk(delta(content="Hi")).replace(b"\n", b"\r\n"), STOP.replace(b"\n", b"\r\n")],
        HI,
    ),
    "no [DONE] (Writer, Perplexity)": ([chunk(delta(content="Hi")), STOP], HI),
    "[DONE] without a finish reason (Snowflake)": ([chunk(delta(content="Hi")), DONE], HI),
    'finish_reason "" until the end (Snowflake)': (
        [chunk(delta("", content="H")), chunk(delta("", content="i")), DONE],
        HI,
    ),
    'finish_reason "eos" (Together)': ([chunk(delta(content="Hi")), chunk(delta("eos")), DONE], HI),
    "an empty first chunk (Azure)": (
        [
            chunk(id="", object="", created=0, model="", prompt_filter_results=[{"prompt_index": 0}]),
            chunk(delta(role="assistant", content="")),
            chunk(delta(content="Hi")),
            STOP,
            DONE,
        ],
        HI,
    ),
    "role in every delta (OpenRouter, Ollama)": (
        [chunk(delta(role="assistant", content="H")), chunk(delta(role="assistant", content="i")), STOP, DONE],
        HI,
    ),
    "padding (Mistral, OpenAI)": (
        [chunk(delta(content="Hi"), p="abcdef"), chunk(delta("stop", content=""), obfuscation="xy"), DONE],
        HI,
    ),
    "all text so far beside each delta (Perplexity)": (
        [
            chunk({**delta(content="H"), "message": {"role": "assistant", "content": "H"}}),
            chunk({**delta(content="i"), "message": {"role": "assistant", "content": "Hi"}}),
            chunk({**delta("stop", content=""), "message": {"role": "assistant", "content": "Hi"}}),
        ],
        HI,
    ),
    "usage in a chunk without choices (OpenAI, Azure, xAI)": (
        [chunk(delta(content="Hi")), STOP, chunk(usage=USAGE), DONE],
        COUNTED,
    ),
    "usage in the finish chunk (DeepSeek, Mistral)": (
        [chunk(delta(content="Hi")), chunk(delta("stop", content=""), usage=USAGE), DONE],
        COUNTED,
    ),
    "usage in every chunk, null or growing (Perplexity, OpenAI)": (
        [
            chunk(delta(content="H"), usage=None),
            chunk(delta(content="i"), usage={**USAGE, "completion_tokens": 1}),
            chunk(delta("stop"), usage=USAGE),
        ],
        COUNTED,
    ),
    "usage in a chunk whose choices repeat the end (OpenRouter)": (
        [chunk(delta(content="Hi")), STOP, chunk(delta("stop", content="", role="assistant"), usage=USAGE), DONE],
        COUNTED,
    ),
    "usage within the choice (Moonshot)": (
        [chunk(delta(content="Hi")), chunk({**delta("stop"), "usage": USAGE}), DONE],
        COUNTED,
    ),
    "usage in x_groq (Groq)": (
        [chunk(delta(content="Hi"), x_groq={"id": "req_1"}), chunk(delta("stop"), x_groq={"usage": USAGE}), DONE],
        COUNTED,
    ),
    "timings beside usage (llama.cpp)": (
        [
            chunk(delta(role="assistant", content=None)),
            chunk(delta(content="Hi")),
            chunk(delta("stop"), timings={"predicted_n": 2}),
            chunk(usage=USAGE, timings={"predicted_n": 2}),
            DONE,
        ],
        COUNTED,
    ),
    "thoughts as reasoning_content (DeepSeek, xAI)": (
        [chunk(delta(reasoning_content="so")), chunk(delta(content="Hi", reasoning_content=None)), STOP, DONE],
        {**HI, "thought": "so"},
    ),
    "thoughts as reasoning (Groq, Cerebras, vLLM)": (
        [chunk(delta(reasoning="so")), chunk(delta(content="Hi")), STOP, DONE],
        {**HI, "thought": "so"},
    ),
    "thoughts as reasoning and reasoning_details (OpenRouter)": (
        [
            chunk(
                delta(
                    content="", reasoning="so", reasoning_details=[{"type": "reasoning.text", "text": "so", "index": 0}]
                )
            ),
            chunk(delta(content="Hi", reasoning=None)),
            STOP,
            DONE,
        ],
        {**HI, "thought": "so"},
    ),
    "content as a list of parts (Mistral)": (
        [
            chunk(delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "s"}]}])),
            chunk(delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "o"}], "closed": True}])),
            chunk(delta(content=[{"type": "text", "text": "H"}])),
            chunk(delta(content="i")),
            STOP,
            DONE,
        ],
        {**HI, "thought": "so"},
    ),
    "tool_calls null and empty (Mistral, vLLM)": (
        [chunk(delta(content="H", tool_calls=None)), chunk(delta(content="i", tool_calls=[])), STOP, DONE],
        HI,
    ),
    "a whole call in one delta (xAI, Groq, Ollama)": (
        [chunk(delta(tool_calls=[call(function=function("look", '{"a":1}'))])), CALLED, DONE],
        LOOK,
    ),
    "a whole call in the finish chunk (Mistral)": (
        [chunk(delta("tool_calls", tool_calls=[{"id": "call_1", "function": function("look", '{"a":1}')}])), DONE],
        LOOK,
    ),
    "no index (Gemini's Chat API)": (
        [
            chunk(
                delta(
                    tool_calls=[
                        {"id": "call_1", "type": "function", "function": function("look", '{"a":1}')},
                        {"id": "call_2", "type": "function", "function": function("look", "{}")},
                    ]
                )
            ),
            CALLED,
            DONE,
        ],
        {"calls": [("call_1", "look", '{"a":1}'), ("call_2", "look", "{}")], "stop": StopReason.TOOL},
    ),
    "no type (Mistral)": (
        [chunk(delta(tool_calls=[{"index": 0, "id": "call_1", "function": function("look", '{"a":1}')}])), CALLED],
        LOOK,
    ),
    "the first index is 1 (OpenRouter's o3-mini)": (
        [
            chunk(delta(tool_calls=[call(index=1, function=function("look", ""))])),
            chunk(delta(tool_calls=[{"index": 1, "function": function(None, '{"a":1}')}])),
            CALLED,
        ],
        LOOK,
    ),
    'id "" after the first delta (Qwen)': (
        [
            chunk(delta(tool_calls=[call(function=function("look", ""))])),
            chunk(delta(tool_calls=[call(id="", function=function(None, '{"a"'))])),
            chunk(delta(tool_calls=[call(id="", function=function(None, ":1}"))])),
            CALLED,
        ],
        LOOK,
    ),
    "id and name in every delta": (
        [
            chunk(delta(tool_calls=[call(function=function("look", '{"a"'))])),
            chunk(delta(tool_calls=[call(function=function("look", ":1}"))])),
            CALLED,
        ],
        LOOK,
    ),
    "arguments null, then text (Writer)": (
        [
            chunk(delta(tool_calls=[call(function={"name": "look", "arguments": None})])),
            chunk(delta(tool_calls=[call(function={"name": None, "arguments": '{"a":1}'})])),
            CALLED,
        ],
        LOOK,
    ),
    "arguments absent": (
        [chunk(delta(tool_calls=[call(function={"name": "look"})])), CALLED],
        {"calls": [("call_1", "look", "")], "stop": StopReason.TOOL},
    ),
    "arguments as an object": (
        [chunk(delta(tool_calls=[call(function={"name": "look", "arguments": {"a": 1}})])), CALLED],
        LOOK,
    ),
    'finish_reason "stop" after calls (OpenRouter\'s o3-mini)': (
        [chunk(delta(tool_calls=[call(function=function("look", '{"a":1}'))])), STOP, DONE],
        {**LOOK, "stop": StopReason.END},
    ),
    "an error beside choices (OpenRouter)": (
        [
            chunk(delta(content="Hi")),
            chunk(delta("error", content=""), error={"code": 502, "message": "lost"}),
            DONE,
        ],
        {"text": "Hi", "failure": FailureKind.BAD_GATEWAY},
    ),
    "an error within the choice (OpenRouter)": (
        [chunk(delta(content="Hi")), chunk({**delta("error"), "error": {"code": 429, "message": "slow"}}), DONE],
        {"text": "Hi", "failure": FailureKind.RATE},
    ),
    "event: error (Groq)": (
        [
            chunk(delta(content="Hi")),
            b'event: error\ndata: {"error": {"message": "no", "type": "x", "status_code": 400}}\n\n',
        ],
        {"text": "Hi", "failure": FailureKind.INVALID},
    ),
    "an error with a number as its code (llama.cpp)": (
        [b'data: {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}\n\n'],
        {"failure": FailureKind.OVERLOADED},
    ),
    "an error that is the whole document (Mistral, older vLLM)": (
        [b'data: {"object": "error", "message": "no", "type": "BadRequestError", "param": null, "code": 400}\n\n'],
        {"failure": FailureKind.INVALID},
    ),
}


def facts(response: Response, failure: Failure | None = None) -> dict[str, Any]:
    """What a reader of the answer learns, without what it does not say."""
    candidate = response.candidates[0] if response.candidates else None
    parts = [part for turn in candidate.turns for part in turn.parts] if candidate else []
    calls = [(part.id, part.name, part.arguments.text) for part in parts if isinstance(part, ToolCall)]
    found = {
        "thought": "".join(part.text for part in parts if isinstance(part, Reasoning) and part.text is not UNSET),
        "text": "".join(part.text for part in parts if isinstance(part, Text)),
        "calls": calls,
        "stop": candidate.stop.reason if candidate and candidate.stop is not UNSET else None,
        "usage": (response.usage.input_total, response.usage.output_total) if response.usage is not UNSET else None,
        "failure": failure.kind if failure else None,
    }
    return {key: value for key, value in found.items() if value}


def events_of(pieces: list[bytes]) -> list[Event]:
    decoder = PROTOCOL.stream_decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def stream_facts(data: bytes, size: int) -> dict[str, Any]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    events = events_of(pieces)
    failure = next((event.failure for event in events if isinstance(event, Error)), None)
    response = fold([event for event in events if not isinstance(event, Error)], protocol="openai-chat")
    found = facts(response, failure)
    if failure is not None:
        found.pop("stop", None)
    return found


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_with_this_quirk_says_what_it_says(name: str, size: int) -> None:
    pieces, expected = STREAMS[name]
    assert stream_facts(b"".join(pieces), size) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_the_watch_sees_the_end_or_the_error_of_a_stream_with_this_quirk(name: str) -> None:
    pieces, expected = STREAMS[name]
    watch = PROTOCOL.stream_watch()
    for piece in pieces:
        watch.feed(piece)
    failure = expected.get("failure")
    assert (watch.failure.kind if watch.failure else None) == failure
    assert failure or watch.terminal
    assert watch.content or set(expected) == {"failure"}


@pytest.mark.parametrize("name", STREAMS)
def test_a_client_of_this_protocol_can_read_what_becomes_of_it(name: str) -> None:
    """The official SDKs index calls by number, and agents go on only if the reason says so."""
    pieces, expected = STREAMS[name]
    if "failure" in expected or "calls" not in expected:
        return
    events = events_of(pieces)

    encoder = PROTOCOL.stream_encoder(Context(now=1))
    out = encoder.write(events)
    chunks = [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: {")]
    indexes = [
        call["index"] for one in chunks for choice in one["choices"] for call in choice["delta"].get("tool_calls", ())
    ]
    assert sorted(set(indexes)) == list(range(len(expected["calls"])))


def message(**members: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **members}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def answered(finish_reason: Any, **members: Any) -> dict[str, Any]:
    document = message(**members)
    document["choices"][0]["finish_reason"] = finish_reason
    return document


ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "reasoning_content": (message(content="Hi", reasoning_content="so"), {**HI, "thought": "so"}),
    "reasoning": (message(content="Hi", reasoning="so"), {**HI, "thought": "so"}),
    "reasoning and reasoning_details (OpenRouter)": (
        message(content="Hi", reasoning="so", reasoning_details=[{"type": "reasoning.text", "text": "so"}]),
        {**HI, "thought": "so"},
    ),
    "content as a list (Mistral)": (
        message(
            content=[
                {"type": "thinking", "thinking": [{"type": "text", "text": "so"}], "closed": True},
                {"type": "text", "text": "Hi"},
            ]
        ),
        {**HI, "thought": "so"},
    ),
    "no content (Groq)": (
        answered("tool_calls", tool_calls=[call(function=function("look", '{"a":1}'))]),
        LOOK,
    ),
    "tool_calls null (Mistral)": (message(content="Hi", tool_calls=None), HI),
    "tool_calls empty (vLLM, HF)": (message(content="Hi", tool_calls=[]), HI),
    "a call without a type": (
        answered("tool_calls", tool_calls=[{"id": "call_1", "function": function("look", '{"a":1}')}]),
        LOOK,
    ),
    "arguments null": (
        answered("tool_calls", tool_calls=[call(function={"name": "look", "arguments": None})]),
        {"calls": [("call_1", "look", "")], "stop": StopReason.TOOL},
    ),
    "arguments absent (OpenRouter)": (
        answered("tool_calls", tool_calls=[call(function={"name": "look"})]),
        {"calls": [("call_1", "look", "")], "stop": StopReason.TOOL},
    ),
    "arguments as an object": (
        answered("tool_calls", tool_calls=[call(function={"name": "look", "arguments": {"a": 1}})]),
        LOOK,
    ),
    'id "" (Gemini\'s Chat API)': (
        answered("tool_calls", tool_calls=[call(id="", function=function("look", '{"a":1}'))]),
        {"calls": [("", "look", '{"a":1}')], "stop": StopReason.TOOL},
    ),
    'finish_reason "stop" with calls': (
        answered("stop", tool_calls=[call(index=1, function=function("look", '{"a":1}'))]),
        {**LOOK, "stop": StopReason.END},
    ),
    'finish_reason "" (Snowflake)': (answered("", content="Hi"), HI),
    'finish_reason "eos" (Together)': (answered("eos", content="Hi"), HI),
    "a choice without a message (Azure)": (
        {**message(), "choices": [{"index": 0, "finish_reason": "content_filter", "logprobs": None}]},
        {"stop": StopReason.FILTER},
    ),
    "timings (llama.cpp), x_groq and a tier of its own (Groq)": (
        {**message(content="Hi"), "timings": {"prompt_n": 1}, "x_groq": {"id": "r"}, "service_tier": "on_demand"},
        HI,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_with_this_quirk_says_what_it_says(name: str) -> None:
    document, expected = ANSWERS[name]
    response = PROTOCOL.decode_response(document)
    assert response.error is UNSET
    assert facts(response) == expected


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_with_this_quirk_is_written_back_as_it_was(name: str) -> None:
    document, _ = ANSWERS[name]
    written = PROTOCOL.encode_response(PROTOCOL.decode_response(document), Context(now=1))
    assert json.loads(jsontext.dumps(written.document)) == document


FILTERED = {
    "error": {
        "message": "The response was filtered",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}
HIDDEN: dict[str, tuple[Any, FailureKind]] = {
    "an error object (OpenRouter)": (
        {"error": {"code": 502, "message": "down"}, "user_id": "u"},
        FailureKind.BAD_GATEWAY,
    ),
    "an error beside choices": ({"error": {"code": 429, "message": "slow"}, "choices": []}, FailureKind.RATE),
    "an error in the choice": (
        {"id": "g", "choices": [{"error": {"code": 503, "message": "busy"}, "finish_reason": "error"}]},
        FailureKind.OVERLOADED,
    ),
    "the content filter's (Azure)": (FILTERED, FailureKind.INVALID),
    "the whole document (older vLLM)": (
        {"object": "error", "message": "no such model", "type": "NotFoundError", "param": None, "code": 404},
        FailureKind.NOT_FOUND,
    ),
    "a bare string (Ollama)": ({"error": "llama runner process has terminated"}, FailureKind.SERVER),
}
"""Bodies of answers with status 200."""


@pytest.mark.parametrize("name", HIDDEN)
def test_an_error_under_a_success_status_is_a_failure(name: str) -> None:
    document, kind = HIDDEN[name]
    body = json.dumps(document).encode()
    found = PROTOCOL.answer_error(body)  # type: ignore[attr-defined] - only some protocols have it
    told = PROTOCOL.decode_response(PROTOCOL.parse(body)).error
    assert (found.kind, told.kind) == (kind, kind)
    assert found.status is UNSET


@pytest.mark.parametrize(
    "document",
    [
        message(content='they said {"error": 1} and "error"'),
        answered("tool_calls", tool_calls=[call(function=function("look", '{"error":"x"}'))]),
        {**message(content="Hi"), "error": None},
        {**message(content="Hi"), "choices": [*message(content="Hi")["choices"], {"index": 1, "error": {"code": 500}}]},
        {"object": "list", "data": [{"id": "m", "meta": {"error": None}}]},
    ],
)
def test_an_answer_that_only_speaks_of_errors_is_none(document: Any) -> None:
    found = PROTOCOL.answer_error(json.dumps(document).encode())  # type: ignore[attr-defined]
    assert found is None


@pytest.mark.parametrize("body", [b"", b'"error"', b'{"error"', b'["error"]', b'{"error": \xff}'])
def test_what_is_no_document_is_left_to_those_who_read_it(body: bytes) -> None:
    assert PROTOCOL.answer_error(body) is None  # type: ignore[attr-defined]


RECORDED = {
    "e2861f0dc0f6": {"stop": StopReason.TOOL, "usage": (633, 75)},
    "2018e6637e24": {"text": "1 2 3", "stop": StopReason.END},
    "9dcb0a9f1ca4": {"stop": StopReason.END, "usage": (15, 78)},
    "9747dddef5d5": {"failure": FailureKind.INVALID},
    "0f472f0ee36e": {"failure": FailureKind.INVALID},
    "afa55ea7bfb4": {"text": "144", "stop": StopReason.END, "usage": (31, 66)},
    "d9cfd60c9355": {"usage": (78, 90)},
    "338f7a531544": {"stop": StopReason.TOOL, "usage": (208, 26)},
    "b93de4c14e1f": {"stop": StopReason.TOOL, "usage": (212, 153)},
}
"""Recorded streams by their id in the corpus, and some of what they say."""
CALLING = {"e2861f0dc0f6", "d9cfd60c9355", "338f7a531544", "b93de4c14e1f"}


@needs_shared
@pytest.mark.parametrize("id_", RECORDED)
def test_the_recorded_stream_says_it_too(id_: str) -> None:
    item = next(item for item in corpus_items("openai_chat", "stream") if item["id"] == id_)
    found = stream_facts(corpus_stream_bytes(item), 1 << 20)
    assert {key: found.get(key) for key in RECORDED[id_]} == RECORDED[id_]
    assert bool(found.get("calls")) == (id_ in CALLING)
    assert all(json.loads(arguments or "{}") is not None for _, _, arguments in found.get("calls", ()))


@needs_shared
def test_the_recorded_filter_of_azure_is_a_failure() -> None:
    item = next(item for item in corpus_items("errors", "response") if item["id"] == "5c3c4631c395")
    failure = PROTOCOL.answer_error(json.dumps(item["body"]).encode())  # type: ignore[attr-defined]
    assert (item["status"], failure.kind, failure.code) == (200, FailureKind.INVALID, "content_filter")
