"""What follows from each failure of OpenAI and the vendors that speak its protocols."""

from __future__ import annotations

import re
from typing import Any, Final

from ...universal.failure import Fault, KeyAction, RetryScope, Row

__all__ = ["QUOTA", "ROWS"]

_CODES: Final = "https://platform.openai.com/docs/guides/error-codes"
_LIMITS: Final = "https://platform.openai.com/docs/guides/rate-limits"
_AZURE: Final = "https://learn.microsoft.com/azure/ai-services/openai/quotas-limits"
_AZURE_ERRORS: Final = "https://learn.microsoft.com/azure/foundry/openai/how-to/troubleshoot-errors"
_AZURE_DEPLOYMENT: Final = (
    "https://learn.microsoft.com/en-us/answers/questions/1189174/how-do-i-resolve-error-deploymentnotfound-for-azur"
)
_GROQ: Final = "https://console.groq.com/docs/errors"
_OPENROUTER: Final = "https://openrouter.ai/docs/api/reference/errors-and-debugging"
_OPENROUTER_LIMITS: Final = "https://openrouter.ai/docs/api/reference/limits"
_OPENROUTER_BUDGETS: Final = "https://openrouter.ai/docs/guides/features/workspaces/workspace-budgets"
_OPENROUTER_SPENT: Final = "https://www.developersdigest.tech/errors/api/openrouter/403-budget-limit-exceeded"
_DEEPSEEK: Final = "https://api-docs.deepseek.com/quick_start/error_codes"
_FIREWORKS: Final = "https://docs.fireworks.ai/guides/inference-error-codes"
_XAI: Final = "https://docs.x.ai/developers/debugging"
_VLLM: Final = "https://github.com/vllm-project/vllm/blob/main/vllm/renderers/params.py"
_RESPONSES: Final = "https://github.com/openai/openai-python/blob/main/src/openai/types/responses/response_error.py"
_GITHUB: Final = "https://github.com"
_CLOUDFLARE: Final = (
    "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/"
)

QUOTA: Final = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
)
"""Codes and types of a key whose money or quota is used up."""

CONTEXT: Final = re.compile(
    r"maximum (?:context|model|prompt) length|context length (?:is|of) only|exceeds? the (?:available )?context|"
    r"longer than the maximum model length|tokens \+ .?max_new_tokens.? must be <=",
    re.IGNORECASE,
)
"""What vLLM, DeepSeek, OpenRouter, xAI, Together and llama.cpp say of a prompt that is too long, without a code."""

CONTEXT_CODES: Final = ("context_length_exceeded", "exceed_context_size_error")
"""What OpenAI and Groq, and llama.cpp, call a prompt that is too long."""

_TOO_LARGE: Final = re.compile(r"Request too large for .{0,300}(?:TPM|TPD|tokens per (?:min|day))", re.DOTALL)

_IMAGES: Final = (
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "invalid_image_mode",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
)
"""Codes of answers that failed."""

_EDGE: Final = (502, 504, 520, 521, 522, 523, 524, 525, 526, 529, 530)


_BEFORE: Final = "2026-11-23"


def _row(
    id: str,  # noqa: A002 - the member's name
    fault: Fault,
    retry: RetryScope,
    key: KeyAction = KeyAction.NONE,
    *,
    source: str,
    read: str = "2026-11-29",
    **match: Any,
) -> Row:
    return Row(id=id, fault=fault, retry=retry, key=key, source=source, read=read, **match)


_COOL: Final = (Fault.RATE, RetryScope.KEY, KeyAction.COOL)
_EXHAUST: Final = (Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST)
_DISABLE: Final = (Fault.KEY, RetryScope.KEY, KeyAction.DISABLE)
_BLOCK: Final = (Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL)
_ROUTE: Final = (Fault.MODEL, RetryScope.ROUTE)
_AGAIN: Final = (Fault.MODEL, RetryScope.SAME)
_STOP: Final = (Fault.REQUEST, RetryScope.NONE)

ROWS: Final = (
    # The error's own codes, types and details.
    _row("quota", *_EXHAUST, word=QUOTA, source=_CODES),
    *(
        _row(f"budget.{name}", *_EXHAUST, detail=("metadata.limit_source", f"openrouter_{name}"), source=page)
        for name, page in (
            ("key_limit", _OPENROUTER_LIMITS),
            ("workspace_budget", _OPENROUTER_SPENT),
            ("guardrail_budget", _OPENROUTER_SPENT),
        )
    ),
    # What waiting requests may cost at most is reserved: it comes back with their answers.
    _row(
        "402.in_flight",
        *_COOL,
        status=(402,),
        detail=("metadata.limit_source", "openrouter_in_flight_budget"),
        source=_OPENROUTER_LIMITS,
    ),
    # More than what waiting requests may cost at all: the key is fine for cheaper ones.
    _row(
        "402.request_too_large",
        Fault.RATE,
        RetryScope.ROUTE,
        status=(402,),
        detail=("metadata.reason", "weight_exceeds_budget"),
        source=_OPENROUTER_LIMITS,
    ),
    # Waiting never helps, and the key is fine for smaller requests. OpenAI says it with 429, Groq with 413; it comes
    # with the code of a rate, which its words must therefore precede.
    _row(
        "429.request_too_large",
        Fault.RATE,
        RetryScope.ROUTE,
        status=(413, 429),
        message=_TOO_LARGE,
        source=_LIMITS,
        read=_BEFORE,
    ),
    _row(
        "413.rate",
        Fault.RATE,
        RetryScope.ROUTE,
        status=(413,),
        word=("rate_limit_exceeded",),
        source=f"{_GITHUB}/HunorLaczko/ha-groq-cloud-api/issues/27",
    ),
    _row("429.slow_down", *_COOL, word=("slow_down",), source=_CODES),
    _row("context_length", *_STOP, word=CONTEXT_CODES, reason="context-window", source=_CODES),
    _row(
        "context_length.type",
        *_STOP,
        detail=("metadata.error_type", "context_length_exceeded"),
        reason="context-window",
        source=_OPENROUTER,
    ),
    *(
        _row(
            f"content_filter.{word}",
            *_STOP,
            detail=("metadata.error_type", word),
            reason="content-policy",
            source=_OPENROUTER,
        )
        for word in ("content_policy_violation", "refusal")
    ),
    _row(
        "content_filter",
        *_STOP,
        code=(
            "content_filter",
            "content_policy_violation",
            "image_content_policy_violation",
            "invalid_prompt",
            "bio_policy",
            "misalignment_policy_violation",
        ),
        reason="content-policy",
        source=_AZURE_ERRORS,
    ),
    _row(
        "content_filter.detail",
        *_STOP,
        detail=("innererror.code", "ResponsibleAIPolicyViolation"),
        reason="content-policy",
        source=_AZURE,
        read=_BEFORE,
    ),
    _row("capacity", *_ROUTE, code=("capacity_exceeded",), source="https://console.groq.com/docs/flex-processing"),
    _row(
        "overloaded",
        *_ROUTE,
        status=(0, 429, 500, 503),
        code=("server_is_overloaded", "provider_overloaded"),
        source=_CODES,
    ),
    _row("overloaded_error", *_ROUTE, type=("overloaded_error",), source=_OPENROUTER, read="unchecked"),
    _row(
        "403.country",
        Fault.KEY,
        RetryScope.KEY,
        KeyAction.COOL,
        code=("unsupported_country_region_territory",),
        wait=3600.0,  # nobody moves house in a minute
        source=_CODES,
    ),
    # The whole resource is refused, whatever the model.
    _row(
        "403.resource",
        *_DISABLE,
        status=(403,),
        message=re.compile(r"Virtual Network|resource has been temporarily blocked", re.IGNORECASE),
        source=_AZURE_ERRORS,
    ),
    _row("404.deployment", *_BLOCK, code=("DeploymentNotFound",), source=_AZURE_DEPLOYMENT),
    _row("404.model", *_BLOCK, code=("model_not_found",), source=f"{_GITHUB}/Codium-ai/AlphaCodium/discussions/51"),
    _row("401.invalid_api_key", *_DISABLE, code=("invalid_api_key",), source=_OPENROUTER),
    _row("image", *_STOP, code=_IMAGES, source=_RESPONSES),
    _row("residency", *_STOP, code=("data_residency_mismatch",), source=_RESPONSES),
    _row("vector_store_timeout", *_AGAIN, code=("vector_store_timeout",), source=_RESPONSES),
    # Under a success status and in streams there is no status to go by.
    _row("rate.word", *_COOL, status=(0,), word=("rate_limit_exceeded", "rate_limit_error"), source=_RESPONSES),
    _row("server_error", *_AGAIN, status=(0,), word=("server_error",), source=_RESPONSES),
    # The code tells OpenRouter's from a network's in front: the provider of the model is away, not OpenRouter.
    _row("502.provider", *_ROUTE, status=(502,), code=(502,), source=_OPENROUTER),
    _row("529.overloaded", *_ROUTE, status=(529,), code=(529,), source=_OPENROUTER, read=_BEFORE),
    # Words, where a provider has nothing else.
    _row(
        "context_length.words",
        *_STOP,
        status=(400, 403, 413, 422),  # 403: https://docs.together.ai/docs/error-codes
        message=CONTEXT,
        reason="context-window",
        source=_VLLM,
    ),
    _row(
        "403.moderation",
        *_STOP,
        status=(403,),
        message=re.compile(r"moderation|flagged|^Request blocked", re.IGNORECASE),
        reason="content-policy",
        source=_OPENROUTER,
    ),
    _row(
        "403.guidelines",
        *_STOP,
        status=(403,),
        message=re.compile(r"^Content violates usage guidelines"),
        reason="content-policy",
        source=f"{_GITHUB}/UKGovernmentBEIS/inspect_ai/pull/2267",
    ),
    _row(
        "quota.spent",
        *_EXHAUST,
        status=(403, 429),
        message=re.compile(r"used all available credits or reached its monthly spending limit"),
        source=f"{_GITHUB}/continuedev/continue/issues/10373",
    ),
    _row(
        "403.budget",
        *_EXHAUST,
        status=(403,),
        message=re.compile(r"\bbudget of \$[\d,.]{1,20} exceeded"),
        source=_OPENROUTER_BUDGETS,
    ),
    _row(
        "412.suspended",
        *_EXHAUST,
        status=(412,),
        message=re.compile(r"^Account .{1,200} is suspended"),
        source=f"{_GITHUB}/pollinations/pollinations/issues/12136",
    ),
    _row("400.key", *_DISABLE, status=(400,), message=re.compile(r"^Incorrect API key provided"), source=_XAI),
    # Full for everybody: no limit of the key's.
    _row(
        "capacity.words",
        *_ROUTE,
        status=(0, 429, 503),
        message=re.compile(r"^Service tier capacity exceeded"),
        source=f"{_GITHUB}/BerriAI/litellm/pull/25078",
    ),
    # Statuses.
    _row("400", *_STOP, status=(400,), source=_DEEPSEEK),
    _row("401", *_DISABLE, status=(401,), source=_CODES),
    _row("402", *_EXHAUST, status=(402,), source=_DEEPSEEK),
    _row("403", *_BLOCK, status=(403,), source=_CODES),
    _row("404", *_BLOCK, status=(404,), source=_CODES, read=_BEFORE),
    _row("408.409", Fault.PROVIDER, RetryScope.SAME, status=(408, 409), source=_CODES, read=_BEFORE),
    _row("412", *_BLOCK, status=(412,), source=_FIREWORKS),  # an adapter that could not be loaded
    _row("413", *_STOP, status=(413,), source=_GROQ),
    _row("422", *_STOP, status=(422,), source=_DEEPSEEK),
    _row("429", *_COOL, status=(429,), source=_LIMITS, read=_BEFORE),
    _row("498.capacity", *_ROUTE, status=(498,), source=_GROQ),
    _row("499", Fault.CLIENT, RetryScope.NONE, status=(499,), source=_GROQ),
    _row("500", *_AGAIN, status=(500,), source=_CODES),
    _row("503", *_ROUTE, status=(503,), source=_CODES),
    _row("cloudflare", Fault.PROVIDER, RetryScope.SAME, status=_EDGE, source=_CLOUDFLARE, read=_BEFORE),
)
"""What follows from a failure, most specific first."""
