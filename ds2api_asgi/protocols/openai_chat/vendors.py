"""Request members that each vendor documents, in its own spelling; the pages are those that `dialects` names.

A vendor that is missing here takes all that OpenAI does. Members of a vendor's own stand in the second half of its
entry: only clients that speak its dialect send them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MEMBERS"]


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_EVERY: Final = "model messages stream temperature top_p tools tool_choice response_format reasoning_effort"
"""What every vendor has."""

MEMBERS: Final = {
    "cerebras": _words(
        _EVERY,
        "max_completion_tokens stop seed n logprobs top_logprobs logit_bias presence_penalty frequency_penalty",
        "parallel_tool_calls stream_options service_tier prediction prompt_cache_key user",
        "clear_thinking disable_reasoning min_completion_tokens min_tokens model_parameters reasoning_format",
    ),
    "deepseek": _words(
        _EVERY,
        "max_tokens stop logprobs top_logprobs stream_options",
        "thinking user_id",
    ),
    "fireworks": _words(
        _EVERY,
        "max_tokens stop seed n logprobs top_logprobs logit_bias presence_penalty frequency_penalty top_k",
        "parallel_tool_calls service_tier prediction prompt_cache_key metadata user",
        "thinking reasoning_history min_p typical_p repetition_penalty mirostat_lr mirostat_target ignore_eos echo",
        "echo_last context_length_exceeded_behavior prompt_truncate_len prompt_cache_isolation_key raw_output",
        "perf_metrics_in_response return_token_ids safe_tokenization speculation",
    ),
    # Penalties, metadata and store are documented as not supported yet.
    "groq": _words(
        _EVERY,
        "max_completion_tokens stop seed parallel_tool_calls service_tier user functions function_call",
        "citation_options compound_custom disable_tool_validation documents exclude_domains include_domains",
        "include_reasoning reasoning_format search_settings",
    ),
    "mistral": _words(
        _EVERY,
        "max_tokens stop random_seed n logprobs top_logprobs presence_penalty frequency_penalty top_k",
        "parallel_tool_calls service_tier prediction prompt_cache_key metadata",
        "min_tokens repetition_penalty prompt_logprobs top_prompt_logprobs prompt_mode guardrails safe_prompt",
    ),
    # ``tool_choice`` is listed as not supported: nothing reads it.
    "ollama": _words(
        _EVERY,
        "max_tokens stop seed presence_penalty frequency_penalty stream_options",
        "reasoning",
    )
    - {"tool_choice"},
    "openrouter": _words(
        _EVERY,
        "max_completion_tokens stop seed logprobs top_logprobs logit_bias presence_penalty frequency_penalty top_k",
        "parallel_tool_calls stream_options service_tier modalities prediction metadata user prompt_cache_key",
        "prompt_cache_options verbosity",
        "reasoning min_p top_a repetition_penalty models provider plugins route transforms session_id trace debug",
        "cache_control deferred_tools image_config stop_server_tools_when",
    ),
    # Its ``logprobs`` is a number with another meaning, so ours are not sent.
    "together": _words(
        _EVERY,
        "max_tokens stop seed n logit_bias presence_penalty frequency_penalty top_k",
        "reasoning min_p repetition_penalty chat_template_kwargs safety_model context_length_exceeded_behavior echo",
        "compliance",
    ),
    "vllm": _words(
        _EVERY,
        "max_completion_tokens stop seed n logprobs top_logprobs logit_bias presence_penalty frequency_penalty top_k",
        "parallel_tool_calls stream_options user",
        "min_p repetition_penalty chat_template_kwargs",
    ),
    # Of logit_bias it says "unsupported"; of penalties and stop, that reasoning models answer with an error.
    "xai": _words(
        _EVERY,
        "max_completion_tokens seed n logprobs top_logprobs parallel_tool_calls stream_options user prompt_cache_key",
        "web_search_options",
        "deferred search_parameters",
    ),
}
