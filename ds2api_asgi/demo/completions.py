"""Texts to complete, in the words of the legacy API: a prompt is answered as a user's message would be.

https://platform.openai.com/docs/api-reference/completions (read 2026-11-29). A suffix is checked and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from ..errors import InvalidDocument
from .fields import read_text
from .mind import Thought
from .request import ChatRequest, read_request
from .tokens import pieces
from .wire import FINGERPRINT, interleaved, usage_of

__all__ = ["USUAL_LIMIT", "completion", "completion_chunks", "read_completion"]

USUAL_LIMIT: Final = 16
"""Tokens of an answer to a request that states no ``max_tokens``."""

_LIKE_CHATS: Final = (
    "model", "n", "stop", "stream", "stream_options", "temperature", "top_p", "presence_penalty", "frequency_penalty",
)  # fmt: skip


def read_completion(document: Mapping[str, Any], body: bytes) -> ChatRequest:
    """Check a request; arguments, result and exceptions are those of `request.read_request`."""
    prompt = document.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise InvalidDocument("prompt", "must be a string")
    read_text(document, "suffix", "", default="")
    limit = document.get("max_tokens")
    chat = {name: document[name] for name in _LIKE_CHATS if name in document}
    chat["max_tokens"] = USUAL_LIMIT if limit is None else limit
    chat["messages"] = [{"role": "user", "content": prompt}]
    return replace(read_request(chat, body), thinks=False)


def completion(request: ChatRequest, thoughts: Sequence[Thought], *, created: int) -> dict[str, Any]:
    """The whole answer; arguments as for `wire.answer`."""
    choices = [_choice(index, thought.text, thought.finish) for index, thought in enumerate(thoughts)]
    return {**_base(request, created), "choices": choices, "usage": usage_of(request, thoughts)}


def completion_chunks(request: ChatRequest, thoughts: Sequence[Thought], *, created: int) -> Iterator[dict[str, Any]]:
    """The chunks of a stream, without its ``[DONE]``; arguments as for `wire.answer`."""
    base = _base(request, created)
    for choice in interleaved([_pieces(index, thought) for index, thought in enumerate(thoughts)]):
        yield {**base, "choices": [choice]}
    if request.include_usage:
        yield {**base, "choices": [], "usage": usage_of(request, thoughts)}


def _base(request: ChatRequest, created: int) -> dict[str, Any]:
    return {
        "id": f"cmpl-{request.digest[:24]}",
        "object": "text_completion",
        "created": created,
        "model": request.model,
        "system_fingerprint": FINGERPRINT,
    }


def _pieces(index: int, thought: Thought) -> Iterator[dict[str, Any]]:
    for piece in pieces(thought.text):
        yield _choice(index, piece, None)
    yield _choice(index, "", thought.finish)


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
