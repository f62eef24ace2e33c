"""Anthropic Messages."""

from __future__ import annotations

import re

import anthropic.types
import anthropic.types.message_create_params
from pydantic import TypeAdapter

from documents import base64_texts

from .kit import Kit

__all__ = ["KIT"]

_MESSAGES = anthropic.types.message_create_params

KIT = Kit(
    name="anthropic",
    corpus="anthropic_messages",
    requests=(_MESSAGES.MessageCreateParamsNonStreaming, _MESSAGES.MessageCreateParamsStreaming),
    response=anthropic.types.Message,
    events=TypeAdapter(anthropic.types.RawMessageStreamEvent),
    extensions=dict.fromkeys(
        ["temperature", "top_p", "top_k"], "anthropic-version 2023-06-01 takes it, the SDK speaks 2026-10-21"
    ),
    call_id=re.compile(r"[a-zA-Z0-9_-]+"),
    overrides={
        ("Base64ImageSourceParam", "data"): base64_texts,
        ("Base64PDFSourceParam", "data"): base64_texts,
    },
    payloads=(("signature", True), ("redacted", False)),
    replay=lambda answer: [{"role": "assistant", "content": answer["content"]}],
    needed={"model": "m", "max_tokens": 9},
)
