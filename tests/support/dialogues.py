"""Small requests and answers in several protocols, for tests that speak one and serve the other."""

from __future__ import annotations

import json
from typing import Any

from ds2api_asgi.testing import EVENT_STREAM, Script, Start

ANTHROPIC_HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "sk-client"}
OPENAI_HEADERS = {"authorization": "Bearer sk-client"}
GEMINI_HEADERS = {"x-goog-api-key": "sk-client"}
PATHS = {
    "anthropic": "/v1/messages",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/demo-small:generateContent",
    "ollama": "/api/chat",
}
PAIRS = [(client, speaks) for client in PATHS for speaks in PATHS if client != speaks]
STREAM_PATHS = {**PATHS, "gemini": "/v1beta/models/demo-small:streamGenerateContent?alt=sse"}
HEADERS = {
    "anthropic": ANTHROPIC_HEADERS,
    "openai-chat": OPENAI_HEADERS,
    "openai-responses": OPENAI_HEADERS,
    "gemini": GEMINI_HEADERS,
    "ollama": OPENAI_HEADERS,
}
CONTENT = {
    "anthropic": "content",
    "openai-chat": "choices",
    "openai-responses": "output",
    "gemini": "candidates",
    "ollama": "message",
}
"""The member of an answer that says something."""


def path_of(protocol: str, *, stream: bool | None = None, model: str = "demo-small") -> str:
    """Where a request goes: some protocols tell the model and streams by their path."""
    return (STREAM_PATHS[protocol] if stream else PATHS[protocol]).replace("demo-small", model)


def anthropic_request(*, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A message that says hello."""
    document = {"model": "demo-small", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}], **more}
    return document if stream is None else {**document, "stream": stream}


def openai_request(*, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A completion that says hello."""
    document = {"model": "demo-small", "messages": [{"role": "user", "content": "hello"}], **more}
    return document if stream is None else {**document, "stream": stream}


def gemini_request(*, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """Contents that say hello."""
    return {"contents": [{"role": "user", "parts": [{"text": "hello"}]}], **more}


def ollama_request(*, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A message that says hello; silence would ask for a stream."""
    return {**openai_request(**more), "stream": stream is True}


def responses_request(*, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A question for a response that says hello."""
    document = {"model": "demo-small", "input": [{"role": "user", "content": "hello"}], **more}
    return document if stream is None else {**document, "stream": stream}


_REQUESTS = {
    "anthropic": anthropic_request,
    "openai-chat": openai_request,
    "openai-responses": responses_request,
    "gemini": gemini_request,
    "ollama": ollama_request,
}


def request_in(protocol: str, *, stream: bool | None = None, **more: Any) -> dict[str, Any]:
    """A request in a protocol."""
    return _REQUESTS[protocol](stream=stream, **more)


def responses_answer(text: str = "Hi there", **more: Any) -> dict[str, Any]:
    """A whole response."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "demo-small",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 5,
        },
        **more,
    }


def responses_frames(*texts: str) -> list[bytes]:
    """The frames of a whole stream: created, item, part, the texts, their ends."""
    whole = responses_answer("".join(texts))
    (item,) = whole["output"]
    (part,) = item["content"]
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    added = {**item, "status": "in_progress", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": added},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": text, "logprobs": []} for text in texts),
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in numbered]


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


def gemini_answer(text: str = "Hi there", **more: Any) -> dict[str, Any]:
    """A whole answer, and the last chunk of a stream."""
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": "demo-small",
        "responseId": "r1",
        **more,
    }


def gemini_frames(*texts: str) -> list[bytes]:
    """The frames of a whole stream: the counts so far, the texts, the finish."""
    around = {"modelVersion": "demo-small", "responseId": "r1"}
    chunks: list[dict[str, Any]] = [
        {"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}, **around},
        *(
            {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}], **around}
            for text in texts
        ),
        gemini_answer(""),
    ]
    return [b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks]


def ollama_answer(text: str = "Hi there", **more: Any) -> dict[str, Any]:
    """A whole answer, and the last line of a stream."""
    return {
        "model": "demo-small",
        "created_at": "2023-11-14T22:13:20Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 2,
        **more,
    }


def ollama_frames(*texts: str) -> list[bytes]:
    """The lines of a whole stream: the texts, the end."""
    around = {"model": "demo-small", "created_at": "2023-11-14T22:13:20Z", "done": False}
    lines = [{**around, "message": {"role": "assistant", "content": text}} for text in texts]
    return [json.dumps(line).encode() + b"\n" for line in [*lines, ollama_answer("")]]


_FRAMES = {
    "anthropic": anthropic_frames,
    "openai-chat": openai_frames,
    "openai-responses": responses_frames,
    "gemini": gemini_frames,
    "ollama": ollama_frames,
}
_ANSWERS = {
    "anthropic": anthropic_answer,
    "openai-chat": openai_answer,
    "openai-responses": responses_answer,
    "gemini": gemini_answer,
    "ollama": ollama_answer,
}
STREAM_TYPES = {name: "application/x-ndjson" if name == "ollama" else "text/event-stream" for name in PATHS}
"""The content-type of streams."""
STREAM_HEADERS = {name: ((b"content-type", kind.encode()),) for name, kind in STREAM_TYPES.items()}


def frames_in(protocol: str, *texts: str) -> list[bytes]:
    """The frames of a whole stream in a protocol."""
    return _FRAMES[protocol](*texts)


def answer_in(protocol: str, text: str = "Hi there") -> dict[str, Any]:
    """A whole answer in a protocol."""
    return _ANSWERS[protocol](text)


def words_of(protocol: str, document: dict[str, Any]) -> str:
    """The text of a whole answer."""
    if protocol == "anthropic":
        return "".join(block["text"] for block in document["content"])
    if protocol == "openai-responses":
        return "".join(part["text"] for item in document["output"] for part in item["content"])
    if protocol == "gemini":
        return "".join(part["text"] for part in document["candidates"][0]["content"]["parts"])
    if protocol == "ollama":
        return str(document["message"]["content"])
    return str(document["choices"][0]["message"]["content"])


def error_in(protocol: str, message: str) -> dict[str, Any]:
    """An error of a server, in a protocol."""
    if protocol == "anthropic":
        return {"type": "error", "error": {"type": "api_error", "message": message}}
    if protocol == "gemini":
        return {"error": {"code": 500, "message": message, "status": "INTERNAL"}}
    if protocol == "ollama":
        return {"error": message}
    return {"error": {"message": message, "type": "server_error"}}


def streamed(*frames: bytes) -> Script:
    """A script that streams frames, a body message each; lines of JSON are Ollama's."""
    lines = bool(frames) and frames[0].startswith(b"{")
    return [Start(200, ((b"content-type", b"application/x-ndjson"),) if lines else EVENT_STREAM), *frames]


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The JSON values of a stream: of server-sent events, ``[DONE]`` as ``{"done": true}``, or of lines of JSON."""
    if body.startswith(b"{"):
        return [json.loads(line) for line in body.split(b"\n") if line]
    data = [line[5:].strip() for line in body.decode().split("\n") if line.startswith("data:")]
    return [{"done": True} if text == "[DONE]" else json.loads(text) for text in data]


def text_of(protocol: str, body: bytes) -> str:
    """The text of a streamed answer."""
    found = []
    for event in events_of(body):
        if protocol == "anthropic":
            found.append(event.get("delta", {}).get("text", ""))
        elif protocol == "openai-responses":
            found.append(event["delta"] if event.get("type") == "response.output_text.delta" else "")
        elif protocol == "gemini":
            parts = [part for c in event.get("candidates", ()) for part in c["content"].get("parts", ())]
            found += [part.get("text", "") for part in parts]
        elif protocol == "ollama":
            found.append(event.get("message", {}).get("content", ""))
        else:
            found += [choice["delta"].get("content") or "" for choice in event.get("choices", ())]
    return "".join(found)


def ended_well(protocol: str, body: bytes) -> bool:
    """Whether a streamed answer has the success end of its protocol."""
    events = events_of(body)
    if protocol == "anthropic":
        return bool(events) and events[-1].get("type") == "message_stop"
    if protocol == "openai-responses":
        return bool(events) and events[-1].get("type") == "response.completed"
    if protocol == "gemini":
        return bool(events) and any("finishReason" in c for c in events[-1].get("candidates", ()))
    if protocol == "ollama":
        return bool(events) and events[-1].get("done") is True
    return {"done": True} in events


def is_error(event: dict[str, Any]) -> bool:
    """Whether an event of a stream is an error of its protocol."""
    return "error" in event or event.get("type") in ("error", "response.failed")


def error_of(protocol: str, document: dict[str, Any]) -> dict[str, Any]:
    """The error object of an error document or event, whose shape is checked."""
    if protocol == "anthropic":
        assert document["type"] == "error", document
    if document.get("type") == "response.failed":
        document = document["response"]
    if protocol == "openai-responses" and document.get("type") == "error" and "error" not in document:
        document = {"error": document}  # the members of the event are the error's
    error = document["error"]
    if protocol == "ollama":
        assert type(error) is str, document
        error = {"message": error}
    assert isinstance(error, dict), document
    if protocol == "gemini":
        assert isinstance(error["code"], int)
        assert isinstance(error["status"], str)
    elif protocol == "anthropic":
        assert isinstance(error.get("type"), str)
    assert isinstance(error["message"], str)
    assert error["message"]
    return dict(error)
