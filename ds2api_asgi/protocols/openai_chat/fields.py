"""Tables: members that are one value on both sides, by their wire name.

https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-23), and the openai 3.54 SDK's types.
"""

from __future__ import annotations

from typing import Final

from ..fields import ANY, BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, STRINGS, Field, table

__all__ = ["CHOICE_HANDLED", "PLACED", "REQUEST", "REQUEST_HANDLED", "RESPONSE", "RESPONSE_HANDLED"]


REQUEST: Final = table(
    Field("model", "model", STRING),
    Field("stream", "stream", BOOLEAN),
    Field("temperature", "temperature", NUMBER),
    Field("top_p", "top_p", NUMBER),
    Field("top_k", "top_k", NUMBER),  # not OpenAI's: vLLM, llama.cpp, OpenRouter
    Field("presence_penalty", "presence_penalty", NUMBER),
    Field("frequency_penalty", "frequency_penalty", NUMBER),
    Field("seed", "seed", INTEGER),
    Field("candidates", "n", INTEGER),
    Field("logprobs", "logprobs", BOOLEAN),
    Field("top_logprobs", "top_logprobs", INTEGER),
    Field("logit_bias", "logit_bias", OBJECT),
    Field("parallel_tools", "parallel_tool_calls", BOOLEAN),
    Field("reasoning_effort", "reasoning_effort", STRING),
    Field("verbosity", "verbosity", STRING),
    Field("modalities", "modalities", STRINGS),
    Field("audio", "audio", ANY),
    Field("prediction", "prediction", ANY),
    Field("moderation", "moderation", ANY),
    Field("web_search", "web_search_options", ANY),
    Field("user", "user", STRING),
    Field("safety_identifier", "safety_identifier", STRING),
    Field("metadata", "metadata", OBJECT),
    Field("service_tier", "service_tier", STRING),
    Field("store", "store", BOOLEAN),
    Field("cache_key", "prompt_cache_key", STRING),
    Field("cache_retention", "prompt_cache_retention", STRING),
    Field("cache_options", "prompt_cache_options", ANY),
)
"""Request members; `request` reads the structured ones by itself."""

REQUEST_HANDLED: Final = frozenset(
    {
        "messages",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "stream_options",
        "stop",
        "max_completion_tokens",
        "max_tokens",
        "response_format",
    }
)
"""Request members that `request` reads by itself."""

PLACED: Final = frozenset(field.name for field in REQUEST.values()) | {
    "tool_choice",
    "stream_usage",
    "stream_obfuscation",
    "stop",
    "max_output_tokens",
    "output_format",
    "reasoning_budget",
    "reasoning_mode",
}
"""Universal members of a request that the encoder writes, or reports by itself."""

RESPONSE: Final = table(
    Field("id", "id", STRING),
    Field("model", "model", STRING),
    Field("created", "created", NUMBER),
    Field("service_tier", "service_tier", STRING),
)
"""Members of an answer's envelope, the same in documents and in chunks."""

RESPONSE_HANDLED: Final = frozenset({"object", "choices", "usage"})
"""Members of an answer that `response` reads by itself."""

CHOICE_HANDLED: Final = frozenset({"index", "message", "finish_reason", "logprobs"})
"""Members of a choice that `response` reads by itself."""
