"""Tables: members that are one value on both sides, by their wire name.

https://docs.ollama.com/api/chat and https://docs.ollama.com/modelfile#parameter (read 2026-11-23).
"""

from __future__ import annotations

from typing import Final

from ..fields import BOOLEAN, INTEGER, NUMBER, STRING, STRINGS, Field, table

__all__ = ["OPTIONS", "PLACED", "REQUEST", "REQUEST_HANDLED", "RESPONSE_HANDLED", "USAGE"]

REQUEST: Final = table(
    Field("model", "model", STRING),
    Field("stream", "stream", BOOLEAN),
    Field("logprobs", "logprobs", BOOLEAN),
    Field("top_logprobs", "top_logprobs", INTEGER),
)
"""Request members; `request` reads the structured ones by itself."""

OPTIONS: Final = table(
    Field("temperature", "temperature", NUMBER),
    Field("top_p", "top_p", NUMBER),
    Field("top_k", "top_k", NUMBER),
    Field("presence_penalty", "presence_penalty", NUMBER),
    Field("frequency_penalty", "frequency_penalty", NUMBER),
    Field("seed", "seed", INTEGER),
    Field("max_output_tokens", "num_predict", INTEGER),
    Field("stop", "stop", STRINGS),
)
"""Members of ``options``; what else stands there (``num_ctx``, ``repeat_penalty`` …) only Ollama knows."""

REQUEST_HANDLED: Final = frozenset({"messages", "tools", "format", "options", "think"})
"""Request members that `request` reads by itself."""

PLACED: Final = (
    frozenset(field.name for field in REQUEST.values())
    | frozenset(field.name for field in OPTIONS.values())
    | {"tool_choice", "output_format", "reasoning_effort", "reasoning_budget", "reasoning_mode"}
)
"""Universal members of a request that the encoder writes, or reports by itself."""

USAGE: Final = {"prompt_eval_count": "input_total", "eval_count": "output_total"}
"""Token counts, which stand in an answer's envelope."""

RESPONSE_HANDLED: Final = frozenset({"model", "created_at", "message", "done", "done_reason", "logprobs", *USAGE})
"""Members of an answer that `response` reads by itself."""
