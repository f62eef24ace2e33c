"""Members of the Messages API that are one value on both sides, as tables; whatever is not in a table has a function.

It follows https://docs.anthropic.com/en/api/messages and the types of the SDK 2.12 (read 2026-11-22).
"""

from __future__ import annotations

from typing import Final

from ..fields import ANY, BOOLEAN, INTEGER, NUMBER, STRING, STRINGS, Field, table

__all__ = [
    "COUNTERS",
    "HANDLED",
    "OUTPUT",
    "PLACED",
    "PLACED_AT_HOME",
    "REQUEST",
    "RESPONSE",
    "THINKING",
]

REQUEST: Final = table(
    Field("model", "model", STRING),
    Field("max_output_tokens", "max_tokens", INTEGER),
    Field("stream", "stream", BOOLEAN),
    Field("temperature", "temperature", NUMBER),
    Field("top_p", "top_p", NUMBER),
    Field("top_k", "top_k", NUMBER),
    Field("stop", "stop_sequences", STRINGS),
    Field("service_tier", "service_tier", STRING),
    Field("speed", "speed", STRING),
    Field("inference_geo", "inference_geo", STRING),
    Field("container", "container", ANY),
    Field("context_management", "context_management", ANY),
    Field("mcp_servers", "mcp_servers", ANY),
    Field("thread", "thread", ANY),
)
"""Members of the request's root."""

HANDLED: Final = frozenset(
    {"messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata", "cache_control"}
)
"""Members of the request's root that have functions of their own."""

THINKING: Final = table(
    Field("reasoning_mode", "type", STRING),
    Field("reasoning_budget", "budget_tokens", INTEGER),
    Field("reasoning_display", "display", STRING),
)
"""Members of ``thinking``."""

OUTPUT: Final = table(Field("reasoning_effort", "effort", STRING))
"""Members of ``output_config``; ``format`` has a function."""

RESPONSE: Final = table(
    Field("id", "id", STRING),
    Field("model", "model", STRING),
    Field("container", "container", ANY),
    Field("context_management", "context_management", ANY),
)
"""Members of the answer's root."""

COUNTERS: Final = table(
    Field("cache_read", "cache_read_input_tokens", INTEGER),
    Field("cache_write", "cache_creation_input_tokens", INTEGER),
    Field("output_total", "output_tokens", INTEGER),
    Field("server_tools", "server_tool_use", ANY),
)
"""Members of ``usage``; ``input_tokens`` and the two objects of details have functions."""

PLACED: Final = frozenset(
    {
        "cache",
        "max_output_tokens",
        "output_format",
        "parallel_tools",
        "reasoning_budget",
        "reasoning_display",
        "reasoning_effort",
        "reasoning_ext",
        "reasoning_mode",
        "safety_identifier",
        "service_tier",
        "speed",
        "stop",
        "temperature",
        "tool_choice",
        "top_k",
        "top_p",
        "user",
    }
)
"""Universal members that the request encoder writes or reports by itself, whoever the request is from."""

PLACED_AT_HOME: Final = PLACED | {"container", "context_management", "inference_geo", "mcp_servers", "thread"}
"""The same for a request that was born here: other protocols mean other things by these."""
