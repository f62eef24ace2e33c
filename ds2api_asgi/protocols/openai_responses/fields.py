"""Tables: members that are one value on both sides, by their wire name.

https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-23), and the openai 3.54 SDK's types.
"""

from __future__ import annotations

from typing import Final

from ..fields import ANY, BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, Field, table

__all__ = ["COUNTED", "ECHOES", "PLACED", "REQUEST", "REQUEST_HANDLED", "RESPONSE", "RESPONSE_HANDLED"]


REQUEST: Final = table(
    Field("model", "model", STRING),
    Field("stream", "stream", BOOLEAN),
    Field("max_output_tokens", "max_output_tokens", INTEGER),
    Field("temperature", "temperature", NUMBER),
    Field("top_p", "top_p", NUMBER),
    Field("top_logprobs", "top_logprobs", INTEGER),
    Field("parallel_tools", "parallel_tool_calls", BOOLEAN),
    Field("moderation", "moderation", ANY),
    Field("user", "user", STRING),
    Field("safety_identifier", "safety_identifier", STRING),
    Field("metadata", "metadata", OBJECT),
    Field("service_tier", "service_tier", STRING),
    Field("store", "store", BOOLEAN),
    Field("cache_key", "prompt_cache_key", STRING),
    Field("cache_retention", "prompt_cache_retention", STRING),
    Field("cache_options", "prompt_cache_options", ANY),
    Field("previous_response_id", "previous_response_id", STRING),
    Field("conversation", "conversation", ANY),
    Field("prompt", "prompt", ANY),
)
"""Request members; `request` reads the structured ones by itself."""

REQUEST_HANDLED: Final = frozenset(
    {
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "stream_options",
        "include",
        "background",
    }
)
"""Request members that `request` reads by itself."""

PLACED: Final = frozenset(field.name for field in REQUEST.values()) | {
    "tool_choice",
    "stream_obfuscation",
    "output_format",
    "verbosity",
    "logprobs",
    "reasoning_effort",
    "reasoning_display",
    "reasoning_budget",
    "reasoning_mode",
    "reasoning_ext",
    "background",
}
"""Universal members of a request that the encoder writes, or reports by itself."""

COUNTED: Final = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "personality",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)
"""All that a question for a token count may have (``POST /v1/responses/input_tokens``)."""

RESPONSE: Final = table(
    Field("id", "id", STRING),
    Field("model", "model", STRING),
    Field("created", "created_at", NUMBER),
    Field("service_tier", "service_tier", STRING),
)
"""Members of an answer's envelope, the same in documents and in streams."""

RESPONSE_HANDLED: Final = frozenset({"object", "output", "usage", "status", "incomplete_details"})
"""Members of an answer that `response` reads by itself."""

ECHOES: Final = frozenset(
    {
        "background",
        "completed_at",
        "conversation",
        "frequency_penalty",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "presence_penalty",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
"""Members of an answer that repeat its request, or say of its making what nobody needs elsewhere."""
