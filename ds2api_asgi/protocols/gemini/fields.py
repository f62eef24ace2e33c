"""Members that are one value on both sides, as tables; whatever is not in a table has a function.

It follows https://ai.google.dev/api/generate-content (read 2026-11-23) and the types of google-genai 3.4.
"""

from __future__ import annotations

from typing import Final

from ..fields import BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, STRINGS, Field, table

__all__ = ["CONFIG", "CONFIG_HANDLED", "PLACED", "PLACED_AT_HOME", "REQUEST", "REQUEST_HANDLED", "THINKING"]

REQUEST: Final = table(
    Field("service_tier", "serviceTier", STRING),
    Field("store", "store", BOOLEAN),
    Field("metadata", "labels", OBJECT),
)
"""Members of the request's root."""

REQUEST_HANDLED: Final = frozenset(
    {"model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
)
"""Members of the request's root that have functions of their own."""

CONFIG: Final = table(
    Field("temperature", "temperature", NUMBER),
    Field("top_p", "topP", NUMBER),
    Field("top_k", "topK", NUMBER),
    Field("max_output_tokens", "maxOutputTokens", INTEGER),
    Field("candidates", "candidateCount", INTEGER),
    Field("stop", "stopSequences", STRINGS),
    Field("seed", "seed", INTEGER),
    Field("presence_penalty", "presencePenalty", NUMBER),
    Field("frequency_penalty", "frequencyPenalty", NUMBER),
    Field("logprobs", "responseLogprobs", BOOLEAN),
    Field("top_logprobs", "logprobs", INTEGER),
)
"""Members of ``generationConfig``."""

CONFIG_HANDLED: Final = frozenset(
    {"responseModalities", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig"}
)
"""Members of ``generationConfig`` that have functions of their own."""

THINKING: Final = table(Field("reasoning_budget", "thinkingBudget", INTEGER))
"""Members of ``thinkingConfig``; the others have functions."""

PLACED: Final = frozenset(field.name for field in CONFIG.values()) | {
    "modalities",
    "output_format",
    "reasoning_budget",
    "reasoning_display",
    "reasoning_effort",
    "reasoning_ext",
    "reasoning_mode",
    "service_tier",
    "stream_usage",
    "tool_choice",
}
"""Universal members that the request encoder writes or reports by itself, whoever the request is from."""

PLACED_AT_HOME: Final = PLACED | {"metadata", "store"}
"""The same for a request that was born here: other protocols mean other things by these."""
