"""What the laws and the corpus tests need to know of each protocol: its official types, and its recorded traffic.

A protocol that joins adds its entry to `KITS`; every law and every corpus test then holds for it and all its pairs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import anthropic.types
import anthropic.types.message_create_params
import openai.types.chat
import openai.types.chat.completion_create_params
from hypothesis import strategies as st
from pydantic import TypeAdapter

from documents import names
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Protocol
from shared import corpus_items, corpus_stream_bytes

__all__ = ["KITS", "Kit"]

Overrides = dict[tuple[str, str], st.SearchStrategy[Any]]


@dataclass(frozen=True, kw_only=True)
class Kit:
    """One protocol.

    Attributes:
        name: Of the protocol.
        corpus: Its name in the corpus's file names.
        requests: The official SDK's types of a request.
        response: The official SDK's type of an answer.
        events: Validates one event of a stream, as the official SDK has it.
        extensions: Members that go beyond the SDK's types on purpose, and why.
        call_id: What the provider takes as a call id.
        overrides: For `documents_of`: where the types say less than the API.
        needed: Members without which a request is refused, and a value that would do.
        refused: Ids of recorded documents that the provider itself would refuse, and why.
        cut: Ids of recorded streams without an end, and why.
        framing: How the framing of its recorded streams begins; others are another service's.
    """

    name: str
    corpus: str
    requests: tuple[Any, ...]
    response: Any
    events: TypeAdapter[Any]
    extensions: dict[str, str] = field(default_factory=dict)
    call_id: re.Pattern[str]
    overrides: Overrides = field(default_factory=dict)
    needed: dict[str, Any]
    refused: dict[str, str] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)
    framing: str = "sse"

    @property
    def protocol(self) -> Protocol:
        return registry.get(self.name)

    def lacks(self, document: dict[str, Any]) -> bool:
        """Whether a request has not what every request needs."""
        return any(document.get(name) is None for name in self.needed)

    def streams(self) -> list[tuple[str, bytes]]:
        """(id, bytes) of the recorded streams."""
        items = [item for item in corpus_items(self.corpus, "stream") if item["framing"].startswith(self.framing)]
        return [(item["id"], corpus_stream_bytes(item)) for item in items]


_CREATE = openai.types.chat.completion_create_params
_MESSAGES = anthropic.types.message_create_params

KITS = {
    kit.name: kit
    for kit in (
        Kit(
            name="openai-chat",
            corpus="openai_chat",
            requests=(_CREATE.CompletionCreateParamsNonStreaming, _CREATE.CompletionCreateParamsStreaming),
            response=openai.types.chat.ChatCompletion,
            events=TypeAdapter(openai.types.chat.ChatCompletionChunk),
            extensions={
                "reasoning_content": "DeepSeek's and vLLM's member for reasoning, echoed by SDKs and ignored by others",
                "reasoning_details": "OpenRouter's member for reasoning that only its minter can read, echoed by SDKs",
            },
            call_id=re.compile(r".{1,40}", re.DOTALL),
            overrides={
                ("CompletionCreateParamsNonStreaming", "model"): names,
                ("CompletionCreateParamsStreaming", "model"): names,
                ("Choice", "index"): st.integers(0, 3),
            },
            needed={"model": "m"},
            refused={
                "dd0a1097b1ec": "stream is not a boolean",
                "82b23b32ec1f": "an image URL that is not a string",
                "ede0afa42692": "no model, and content that is neither text nor parts",
                "5bd345217b23": "not an answer: the echo of a test server",
            },
            cut={"b7ddc84dcf03": "a hand-written stream without delta, finish reason and [DONE]"},
        ),
        Kit(
            name="anthropic",
            corpus="anthropic_messages",
            requests=(_MESSAGES.MessageCreateParamsNonStreaming, _MESSAGES.MessageCreateParamsStreaming),
            response=anthropic.types.Message,
            events=TypeAdapter(anthropic.types.RawMessageStreamEvent),
            extensions=dict.fromkeys(
                ["temperature", "top_p", "top_k"], "anthropic-version 2023-06-01 takes it, the SDK speaks 2026-10-21"
            ),
            call_id=re.compile(r"[a-zA-Z0-9_-]+"),
            needed={"model": "m", "max_tokens": 9},
        ),
    )
}
