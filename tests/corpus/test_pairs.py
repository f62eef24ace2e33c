"""The whole recorded corpus, to every other protocol: what comes out parses with that protocol's official types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from conformity import problems
from ds2api_asgi import convert
from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.protocols import registry
from ds2api_asgi.universal.events import End, Error
from lawkit import RESPONSE_TYPES, request_problems
from shared import corpus_bodies, corpus_items, corpus_stream_bytes, needs_shared

CORPUS = {"openai-chat": "openai_chat", "anthropic": "anthropic_messages"}
PAIRS = [("openai-chat", "anthropic"), ("anthropic", "openai-chat")]
EVENTS: dict[str, TypeAdapter[Any]] = {
    "openai-chat": TypeAdapter(ChatCompletionChunk),
    "anthropic": TypeAdapter(RawMessageStreamEvent),
}
ANSWERS: dict[str, Any] = {"openai-chat": ChatCompletion, "anthropic": Message}

# Members beyond the SDK's types that are meant: vendors' names for reasoning, which SDKs echo.
EXTENSIONS = ("reasoning_content", "reasoning_details")

pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


def _real(lines: list[str]) -> list[str]:
    return [line for line in lines if not any(f".{name}:" in line for name in EXTENSIONS)]


@needs_shared
@pairs
def test_every_request_becomes_a_valid_one(source: str, target: str) -> None:
    wrong: dict[str, Any] = {}
    bodies = corpus_bodies(CORPUS[source], "request")
    for name, body in bodies:
        got = convert(body, kind="request", source=source, target=target)
        found = _real(request_problems(target, json.loads(got.body)))
        if found:
            wrong[name] = found[:3]
    assert wrong == {}
    assert len(bodies) > 100


@needs_shared
@pairs
def test_every_answer_becomes_a_valid_one(source: str, target: str) -> None:
    wrong: dict[str, Any] = {}
    bodies = corpus_bodies(CORPUS[source], "response")
    for name, body in bodies:
        got = convert(body, kind="response", source=source, target=target)
        document = json.loads(got.body)
        if "error" in document:
            continue  # an error under a success status; the errors' own tests have it
        found = _real(problems(document, RESPONSE_TYPES[target]))
        if found:
            wrong[name] = found[:3]
        ANSWERS[target].model_validate(document)
    assert wrong == {}
    assert len(bodies) > 100


@needs_shared
@pairs
def test_every_stream_becomes_a_valid_one(source: str, target: str) -> None:
    wrong: dict[str, Any] = {}
    items = corpus_items(CORPUS[source], "stream")
    for item in items:
        got = convert(corpus_stream_bytes(item), kind="stream", source=source, target=target)
        parser = SseParser()
        events = parser.feed(got.body) + parser.close()
        try:
            for event in events:
                if event.data == b"[DONE]":
                    continue
                document = json.loads(event.data)
                if "error" not in document:
                    EVENTS[target].validate_python(document)
        except ValueError as error:
            wrong[item["id"]] = str(error)[:200]
        decoder = registry.get(target).stream_decoder()
        last = (decoder.feed(got.body) + decoder.close())[-1]
        upstream = registry.get(source).stream_decoder()
        before = (upstream.feed(corpus_stream_bytes(item)) + upstream.close())[-1]
        if not isinstance(last, (End, Error)) or isinstance(last, End) != isinstance(before, End):
            wrong[item["id"]] = f"ends with {type(last).__name__}, was {type(before).__name__}"
    assert wrong == {}
    assert len(items) > 50
