"""OpenAI Chat Completions."""

from __future__ import annotations

import re

import openai.types.chat
import openai.types.chat.completion_create_params
from hypothesis import strategies as st
from pydantic import TypeAdapter

from documents import base64_texts, names

from .kit import Kit

__all__ = ["KIT"]

_CREATE = openai.types.chat.completion_create_params

KIT = Kit(
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
        ("InputAudio", "data"): base64_texts,
    },
    replay=lambda answer: [answer["choices"][0]["message"]],
    needed={"model": "m"},
    refused={
        "dd0a1097b1ec": "stream is not a boolean",
        "82b23b32ec1f": "an image URL that is not a string",
        "ede0afa42692": "no model, and content that is neither text nor parts",
        "5bd345217b23": "not an answer: the echo of a test server",
    },
    cut={"b7ddc84dcf03": "a hand-written stream without delta, finish reason and [DONE]"},
)
