"""Answers as Chat Completions spells them: one document, or the chunks of a stream.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23). A stream is a role chunk for each
choice, reasoning, text and calls in fragments, a finish chunk for each choice, and a usage chunk when it was asked
for. The choices of ``n`` are interleaved. Parallel calls follow each other, since the SDK's ``.stream()`` takes a call
for done when the next one begins; a model with ``interleave`` in its name mixes their arguments, as the wire allows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any, TypeVar

from .mind import Planned, Thought
from .request import ChatRequest
from .tokens import pieces

__all__ = ["FINGERPRINT", "answer", "chunks", "completion_id", "interleaved", "usage_of"]

FRAGMENT = 8
"""Characters of arguments that one delta carries."""

FINGERPRINT = "fp_demo"

Item = TypeVar("Item")


def completion_id(request: ChatRequest) -> str:
    """The id of the answer to a request: the same for the same body."""
    return f"chatcmpl-{request.digest[:24]}"


def answer(request: ChatRequest, thoughts: Sequence[Thought], *, created: int) -> dict[str, Any]:
    """The whole answer.

    Args:
        request: What was asked.
        thoughts: One for each choice.
        created: Unix time in seconds.
    """
    return {
        "id": completion_id(request),
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [_choice(request, thought, index) for index, thought in enumerate(thoughts)],
        "usage": usage_of(request, thoughts),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def chunks(request: ChatRequest, thoughts: Sequence[Thought], *, created: int) -> Iterator[dict[str, Any]]:
    """The chunks of a stream, without its ``[DONE]``; arguments as for `answer`."""
    base = {
        "id": completion_id(request),
        "object": "chat.completion.chunk",
        "created": created,
        "model": request.model,
        "system_fingerprint": FINGERPRINT,
    }
    usage = {"usage": None} if request.include_usage else {}
    for choice in interleaved([_choice_chunks(request, thought, index) for index, thought in enumerate(thoughts)]):
        yield {**base, "choices": [choice], **usage}
    if request.include_usage:
        yield {**base, "choices": [], "usage": usage_of(request, thoughts)}


def _choice(request: ChatRequest, thought: Thought, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if thought.calls else thought.text}
    if thought.reasoning:
        message["reasoning_content"] = thought.reasoning
    message["refusal"] = None
    if thought.calls:
        message["tool_calls"] = [_call(request, call, index, at) for at, call in enumerate(thought.calls)]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": thought.finish}


def _choice_chunks(request: ChatRequest, thought: Thought, index: int) -> Iterator[dict[str, Any]]:
    for delta in _deltas(request, thought, index):
        yield {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
    yield {"index": index, "delta": {}, "logprobs": None, "finish_reason": thought.finish}


def _deltas(request: ChatRequest, thought: Thought, index: int) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if thought.calls else "", "refusal": None}
    for piece in pieces(thought.reasoning):
        yield {"reasoning_content": piece}
    for piece in pieces(thought.text):
        yield {"content": piece}
    calls = [_call_deltas(request, call, index, at) for at, call in enumerate(thought.calls)]
    for delta in interleaved(calls) if "interleave" in request.model else chain(*calls):
        yield {"tool_calls": [delta]}


def _call_deltas(request: ChatRequest, call: Planned, choice: int, at: int) -> Iterator[dict[str, Any]]:
    yield {"index": at, **_call(request, call, choice, at, text="")}
    for start in range(0, len(call.text), FRAGMENT):
        yield {"index": at, call.tool.kind: {_member(call): call.text[start : start + FRAGMENT]}}


def _call(request: ChatRequest, call: Planned, choice: int, at: int, *, text: str | None = None) -> dict[str, Any]:
    """A call; `text` stands for its arguments where they follow in fragments."""
    digest = hashlib.sha256(f"{request.digest}/{choice}/{at}".encode()).hexdigest()
    body = {"name": call.tool.name, _member(call): call.text if text is None else text}
    return {"id": f"call_{digest[:24]}", "type": call.tool.kind, call.tool.kind: body}


def _member(call: Planned) -> str:
    return "arguments" if call.tool.kind == "function" else "input"


def usage_of(request: ChatRequest, thoughts: Sequence[Thought]) -> dict[str, Any]:
    """What a request and its answer count."""
    completion = sum(thought.tokens for thought in thoughts)
    return {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": request.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(thought.reasoning_tokens for thought in thoughts),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def interleaved(iterators: Sequence[Iterable[Item]]) -> Iterator[Item]:
    """One item of each in turn, until all are used up."""
    nothing = object()
    for row in zip_longest(*iterators, fillvalue=nothing):
        for item in row:
            if item is not nothing:
                yield item  # type: ignore[misc]  # the fill value went out above
