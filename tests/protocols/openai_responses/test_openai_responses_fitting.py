"""Requests for Perplexity, which answers 400 to every member that it does not document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from ds2api_asgi.protocols.openai_responses import PROTOCOL
from ds2api_asgi.translator.convert import convert
from ds2api_asgi.universal.request import Request
from lawkit import core_requests

DOCUMENTED = {
    "background",
    "input",
    "instructions",
    "language_preference",
    "max_output_tokens",
    "max_steps",
    "max_tool_calls",
    "metadata",
    "model",
    "models",
    "parallel_tool_calls",
    "preset",
    "previous_response_id",
    "reasoning",
    "response_format",
    "skills",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"name": "x", "schema": {"type": "object"}, "strict": True}


def sent(source: str = "openai-responses", **body: Any) -> tuple[dict[str, Any], set[str]]:
    """What is sent of a request beside its model and conversation, and the paths of what is lost."""
    talk = {"input": "hi"} if source == "openai-responses" else {"messages": [{"role": "user", "content": "hi"}]}
    done = convert(
        {"model": "m", **talk, **body},
        kind="request",
        source=source,
        target="openai-responses",
        target_dialect="perplexity",
    )
    document = json.loads(done.body)
    del document["model"], document["input"]
    return document, {loss.path for loss in done.losses}


@pytest.mark.parametrize(
    ("asked", "expected", "lost"),
    [
        ({"store": False, "top_p": 0.5, "preset": "low"}, {"store": False, "top_p": 0.5, "preset": "low"}, set()),
        ({"include": ["reasoning.encrypted_content"], "prompt_cache_key": "k"}, {}, {"cache_key"}),
        ({"text": {"verbosity": "low"}, "user": "u"}, {}, {"verbosity", "user"}),
        (
            {"reasoning": {"effort": "high", "summary": "auto"}},
            {"reasoning": {"effort": "high"}},
            {"reasoning_display"},
        ),
        ({"reasoning": {"effort": "none"}}, {}, {"reasoning_effort"}),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, {"stream": True}, {"stream_obfuscation"}),
        ({"stream_options": {"include_usage": False}}, {"stream_options": {"include_usage": False}}, set()),
        (
            {"text": {"format": {"type": "json_schema", **SCHEMA}}},
            {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
            set(),
        ),
        ({"text": {"format": {"type": "json_object"}}}, {}, {"output_format"}),
        ({"text": {"format": {"type": "text"}}}, {}, set()),
        ({"tool_choice": {"type": "function", "name": "look"}}, {"tool_choice": {"name": "look"}}, set()),
        ({"tool_choice": {"type": "web_search"}}, {"tool_choice": {"type": "web_search"}}, set()),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]}},
            {"tool_choice": "auto"},
            {"tool_choice"},
        ),
        ({"odd": 1}, {}, {"ext.odd"}),
    ],
)
def test_what_a_client_of_the_protocol_asks_for_fits(asked: Any, expected: Any, lost: set[str]) -> None:
    assert sent(**asked) == (expected, lost)


def test_what_a_chat_client_asks_for_fits() -> None:
    document, lost = sent(
        "openai-chat",
        max_tokens=50,
        user="u",
        seed=3,
        stop=["x"],
        tools=[LOOK],
        response_format={"type": "json_schema", "json_schema": SCHEMA},
        reasoning_effort="low",
    )
    assert document == {
        "max_output_tokens": 50,
        "tools": [{"type": "function", "name": "look", "parameters": LOOK["function"]["parameters"], "strict": False}],
        "reasoning": {"effort": "low"},
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    }
    assert lost == {"user", "seed", "stop"}


@pytest.mark.parametrize(("detail", "lost"), [("auto", set()), ("low", {"turns"})])
def test_images_have_no_detail(detail: str, lost: set[str]) -> None:
    image = {"type": "input_image", "image_url": "https://a.example/b.png"}
    body = {"model": "m", "input": [{"role": "user", "content": [{**image, "detail": detail}]}]}
    encoded = PROTOCOL.encode_request(PROTOCOL.decode_request(body), dialect="perplexity")
    assert encoded.document["input"] == [{"role": "user", "content": [image]}]
    assert {loss.path for loss in encoded.losses} == lost


@given(core_requests())
def test_nothing_is_sent_that_is_not_documented(request: Request) -> None:
    assert PROTOCOL.encode_request(request, dialect="perplexity").document.keys() <= DOCUMENTED
