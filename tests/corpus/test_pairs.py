"""The whole recorded corpus, to every other protocol: what comes out parses with that protocol's official types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from conformity import problems
from ds2api_asgi import InvalidDocument, convert
from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.protocols import registry
from ds2api_asgi.universal.events import End, Error
from lawkit import RESPONSE_TYPES, beyond_types, request_problems
from shared import corpus_bodies, corpus_items, corpus_stream_bytes, needs_shared

CORPUS = {"openai-chat": "openai_chat", "anthropic": "anthropic_messages"}
PAIRS = [("openai-chat", "anthropic"), ("anthropic", "openai-chat")]
EVENTS: dict[str, TypeAdapter[Any]] = {
    "openai-chat": TypeAdapter(ChatCompletionChunk),
    "anthropic": TypeAdapter(RawMessageStreamEvent),
}
ANSWERS: dict[str, Any] = {"openai-chat": ChatCompletion, "anthropic": Message}

# Hand-written test data of public projects that the provider itself would refuse: refused by us too, with the path.
_NO_MODEL = "the model is missing; the provider answers 400"
_NO_MAX_TOKENS = "max_tokens is missing; the provider answers 400"
_PATH_MODEL = "recorded on a cloud whose path names the model; the body alone is no request of the provider's own API"
REFUSED = {
    "dd0a1097b1ec": "stream is not a boolean",
    "82b23b32ec1f": "an image URL that is not a string",
    **dict.fromkeys(
        [
            "ede0afa42692",
            "28a7998a47b3",
            "ecaed18f2228",
            "1867d7ac7581",
            "69141d4c3883",
            "43c71d9d9dd2",
            "5b04149a5e3c",
            "0ca835e25779",
        ],
        _NO_MODEL,
    ),
    **dict.fromkeys(
        [
            "a403a7efdb22",
            "c643e8a88548",
            "28b770424180",
            "dd48cd9a0916",
            "b9363176bcdc",
            "ae84a6eeb2d3",
            "ea3c913242c9",
            "b0e59238e6ec",
            "308bd0efd7a8",
            "e10c8a1c1cb6",
            "ce116b2333bd",
            "1b4f9fd126d0",
            "142170604a86",
            "a8dd4bc2e606",
        ],
        _NO_MAX_TOKENS,
    ),
    **dict.fromkeys(["6a696ff07a9f", "e1802f135294", "8e83728c4fd2", "b12880682b48"], _PATH_MODEL),
    "5bd345217b23": "not an answer: the echo of a test server",
}

pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


@needs_shared
@pairs
def test_every_request_becomes_a_valid_one(source: str, target: str) -> None:
    wrong: dict[str, Any] = {}
    bodies = corpus_bodies(CORPUS[source], "request")
    for name, body in bodies:
        if name in REFUSED:
            with pytest.raises(InvalidDocument):
                convert(body, kind="request", source=source, target=target)
            continue
        got = convert(body, kind="request", source=source, target=target)
        found = beyond_types(request_problems(target, json.loads(got.body)))
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
        if name in REFUSED:
            with pytest.raises(InvalidDocument):
                convert(body, kind="response", source=source, target=target)
            continue
        got = convert(body, kind="response", source=source, target=target)
        document = json.loads(got.body)
        if "error" in document:
            continue  # an error under a success status; the errors' own tests have it
        found = beyond_types(problems(document, RESPONSE_TYPES[target]))
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
