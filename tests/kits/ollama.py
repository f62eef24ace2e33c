"""Ollama's chat.

The SDK's types are taken where they say what a server takes. Where they say less they are widened here, member by
member, to what the server's own types have (https://github.com/ollama/ollama/blob/main/api/types.go, read 2026-11-28):
the SDK reads images from files, knows a few words of JSON Schema only, and leaves the ids of calls out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import ollama
from hypothesis import strategies as st
from pydantic import TypeAdapter

from documents import names
from ds2api_asgi.framing import ndjson

from .kit import Kit

__all__ = ["KIT"]


class _Function(ollama.Message.ToolCall.Function):
    index: int | None = None


class _Call(ollama.Message.ToolCall):
    id: str | None = None
    function: _Function


class _Message(ollama.Message):
    images: Sequence[str] | None = None  # type: ignore[assignment]
    tool_calls: Sequence[_Call] | None = None
    tool_call_id: str | None = None


class _ToolFunction(ollama.Tool.Function):
    parameters: Mapping[str, Any] | None = None  # type: ignore[assignment]


class _Tool(ollama.Tool):
    function: _ToolFunction | None = None


class _Request(ollama._types.ChatRequest):
    messages: Sequence[_Message] | None = None
    tools: Sequence[_Tool] | None = None


class _AnswerMessage(ollama.Message):
    images: None = None  # the SDK takes none in an answer: it reads a text for a mapping, and fails
    tool_calls: Sequence[_Call] | None = None


class _Response(ollama.ChatResponse):
    message: _AnswerMessage


def _documents(stream: bytes) -> list[Any]:
    parser = ndjson.NdjsonParser()
    return [json.loads(line) for line in parser.feed(stream) + parser.close()]


_IMAGES = st.lists(st.sampled_from(["aGVsbG8=", "iVBORw0KGgo=", "/9j/4AAQ"]), max_size=2)

KIT = Kit(
    name="ollama",
    corpus="ollama_chat",
    requests=(_Request,),
    response=_Response,
    events=TypeAdapter(_Response),
    call_id=re.compile(r".+", re.DOTALL),
    overrides={("_Request", "model"): names, ("_Message", "images"): _IMAGES},
    needed={"model": "m"},
    framing="ndjson",
    boundary=ndjson.frame_boundary,
    documents=_documents,
    cannot={
        "tool_choice": "there is no choice among tools",
        "parallel_tools": "nor among one and several",
    },
    uncounted=frozenset({"cache_read", "cache_write", "reasoning"}),
    unsaid={"mime": "an image comes without its type"},
    nameless=True,
    recorded=(20, 20, 10),
    errors=False,
)
