"""Small requests and answers in the two protocols, for tests that speak one and serve the other."""

from __future__ import annotations

import json
from typing import Any

from ds2api_asgi.testing import EVENT_STREAM, Script, Start

ANTHROPIC_HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "sk-client"}
OPENAI_HEADERS = {"authorization": "Bearer sk-client"}
PATHS = {"anthropic": "/v1/messages", "openai-chat": "/v1/chat/completions"}
HEADERS = {"anthropic": ANTHROPIC_HEADERS, "openai-chat": OPENAI_HEADERS}


def anthropic_request(*, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A message that says hello."""
    document = {"model": "demo-small", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}], **more}
    return document if stream is None else {**document, "stream": stream}


def openai_request(*, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A completion that says hello."""
    document = {"model": "demo-small", "messages": [{"role": "user", "content": "hello"}], **more}
    return document if stream is None else {**document, "stream": stream}


def request_in(protocol: str, *, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A request in a protocol."""
    return (
        anthropic_request(stream=stream, **more) if protocol == "anthropic" else openai_request(stream=stream, **more)
    )


def openai_answer(text: str = "Hi there", **more: Any) -> dict[str, Any]:
    """A whole completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "demo-small",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        **more,
    }


def openai_chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "demo-small",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def openai_frames(*texts: str) -> list[bytes]:
    """The frames of a whole stream: the role, the texts, the finish, ``[DONE]``."""
    chunks = [
        openai_chunk({"role": "assistant", "content": ""}),
        *(openai_chunk({"content": text}) for text in texts),
        openai_chunk({}, "stop"),
    ]
    return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]


def anthropic_answer(text: str = "Hi there", **more: Any) -> dict[str, Any]:
    """A whole message."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "demo-small",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        **more,
    }


def anthropic_frames(*texts: str) -> list[bytes]:
    """The frames of a whole stream: start, block, the texts, the stop."""
    start = {**anthropic_answer(), "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def frames_in(protocol: str, *texts: str) -> list[bytes]:
    """The frames of a whole stream in a protocol."""
    return anthropic_frames(*texts) if protocol == "anthropic" else openai_frames(*texts)


def answer_in(protocol: str, text: str = "Hi there") -> dict[str, Any]:
    """A whole answer in a protocol."""
    return anthropic_answer(text) if protocol == "anthropic" else openai_answer(text)


def streamed(*frames: bytes) -> Script:
    """A script that streams frames, a body message each."""
    return [Start(200, EVENT_STREAM), *frames]


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The JSON values of a stream of server-sent events, ``[DONE]`` as ``{"done": true}``."""
    data = [line[5:].strip() for line in body.decode().split("\n") if line.startswith("data:")]
    return [{"done": True} if text == "[DONE]" else json.loads(text) for text in data]


def text_of(protocol: str, body: bytes) -> str:
    """The text of a streamed answer."""
    found = []
    for event in events_of(body):
        if protocol == "anthropic":
            found.append(event.get("delta", {}).get("text", ""))
        else:
            found += [choice["delta"].get("content") or "" for choice in event.get("choices", ())]
    return "".join(found)


def ended_well(protocol: str, body: bytes) -> bool:
    """Whether a streamed answer has the success end of its protocol."""
    events = events_of(body)
    if protocol == "anthropic":
        return bool(events) and events[-1].get("type") == "message_stop"
    return {"done": True} in events


def error_of(protocol: str, document: dict[str, Any]) -> dict[str, Any]:
    """The error object of an error document or event, whose shape is checked."""
    if protocol == "anthropic":
        assert document["type"] == "error", document
    error = document["error"]
    assert isinstance(error["type"], str) or protocol != "anthropic"
    assert isinstance(error["message"], str)
    assert error["message"]
    return dict(error)
