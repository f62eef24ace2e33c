"""OpenAI Responses."""

from __future__ import annotations

import re

import openai.types.responses
import openai.types.responses.response_create_params
from pydantic import TypeAdapter

from documents import names

from .kit import Kit

__all__ = ["KIT"]

_CREATE = openai.types.responses.response_create_params

KIT = Kit(
    name="openai-responses",
    corpus="openai_responses",
    requests=(_CREATE.ResponseCreateParamsNonStreaming, _CREATE.ResponseCreateParamsStreaming),
    response=openai.types.responses.Response,
    events=TypeAdapter(openai.types.responses.ResponseStreamEvent),
    extensions={
        "store": "answers of the API repeat it, the SDK's type does not have it yet",
        "frequency_penalty": "the same",
        "presence_penalty": "the same",
    },
    call_id=re.compile(r".{1,64}", re.DOTALL),
    overrides={
        ("ResponseCreateParamsNonStreaming", "model"): names,
        ("ResponseCreateParamsStreaming", "model"): names,
    },
    needed={"model": "m"},
    refused={
        "741c9498070f": "a refusal without its words",
        "dda42c6c1e6c": "a message without a role",
        "6acf0251dea1": "the same",
        "6a5a9bcd8fd1": "a message of the WebSocket mode, not a request",
    },
    cut={"86ee556e3b99": "a hand-written stream whose last event lacks its last brace"},
    history="input",
    cannot={"stop": "the API has no stop sequences"},
)
