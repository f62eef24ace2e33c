"""What follows from each failure of OpenAI and the vendors that speak its protocols (pages read 2026-11-23)."""

from __future__ import annotations

import re
from typing import Final

from ..universal.failure import Fault, KeyAction, RetryScope, Row

__all__ = ["QUOTA", "ROWS"]

_CODES: Final = "https://platform.openai.com/docs/guides/error-codes"
_LIMITS: Final = "https://platform.openai.com/docs/guides/rate-limits"
_AZURE: Final = "https://learn.microsoft.com/azure/ai-services/openai/quotas-limits"
_GROQ: Final = "https://console.groq.com/docs/errors"
_OPENROUTER: Final = "https://openrouter.ai/docs/api/reference/errors-and-debugging"
_DEEPSEEK: Final = "https://api-docs.deepseek.com/quick_start/error_codes"
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

_CONTEXT: Final = re.compile(r"maximum context length|exceeds the available context size", re.IGNORECASE)
_TOO_LARGE: Final = re.compile(r"Request too large for|request too large", re.IGNORECASE)

ROWS: Final = (
    Row(
        id="quota.code",
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.EXHAUST,
        code=QUOTA,
        source=_CODES,
    ),
    Row(
        id="quota.type",
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.EXHAUST,
        type=QUOTA,
        source=_CODES,
    ),
    Row(
        id="429.request_too_large",
        fault=Fault.RATE,
        retry=RetryScope.ROUTE,
        status=(413, 429),
        message=_TOO_LARGE,
        source=_LIMITS,
    ),
    Row(
        id="429.slow_down",
        fault=Fault.RATE,
        retry=RetryScope.KEY,
        key=KeyAction.COOL,
        code=("slow_down",),
        source=_CODES,
    ),
    Row(
        id="429",
        fault=Fault.RATE,
        retry=RetryScope.KEY,
        key=KeyAction.COOL,
        status=(429,),
        source=_LIMITS,
    ),
    Row(id="498.capacity", fault=Fault.MODEL, retry=RetryScope.ROUTE, status=(498,), source=_GROQ),
    Row(
        id="capacity",
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        code=("capacity_exceeded",),
        source="https://console.groq.com/docs/flex-processing",
    ),
    Row(
        id="401",
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.DISABLE,
        status=(401,),
        source=_CODES,
    ),
    Row(
        id="402",
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.EXHAUST,
        status=(402,),
        source=_DEEPSEEK,
    ),
    Row(
        id="context",
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        code=("context_length_exceeded",),
        source=_CODES,
        fallback="context-window",
    ),
    Row(
        id="context.words",  # vLLM, llama.cpp
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        status=(400,),
        message=_CONTEXT,
        source="https://docs.vllm.ai/en/stable/serving/openai_compatible_server/",
        fallback="context-window",
    ),
    Row(
        id="content_filter",
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        code=("content_filter", "content_policy_violation", "invalid_prompt"),
        source=_AZURE,
        fallback="content-policy",
    ),
    Row(
        id="content_filter.detail",
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        detail=("innererror.code", "ResponsibleAIPolicyViolation"),
        source=_AZURE,
        fallback="content-policy",
    ),
    Row(
        id="403.country",
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.COOL,
        code=("unsupported_country_region_territory",),
        source=_CODES,
    ),
    Row(
        id="403.moderation",
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        status=(403,),
        message=re.compile(r"moderation|flagged", re.IGNORECASE),
        source=_OPENROUTER,
        fallback="content-policy",
    ),
    Row(
        id="403",
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.BLOCK_MODEL,
        status=(403,),
        source=_CODES,
    ),
    Row(
        id="404",
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.BLOCK_MODEL,
        status=(404,),
        source=_CODES,
    ),
    Row(id="408.409", fault=Fault.PROVIDER, retry=RetryScope.SAME, status=(408, 409), source=_CODES),
    Row(
        id="503",
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        status=(503,),
        source=_CODES,
    ),
    Row(
        id="overloaded",
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        code=("server_is_overloaded", "provider_overloaded"),
        source=_CODES,
    ),
    # The code tells OpenRouter's from Cloudflare's: the provider of the model is overloaded, not OpenRouter.
    Row(
        id="529.overloaded",
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        status=(529,),
        code=(529,),
        source=_OPENROUTER,
    ),
    Row(
        id="cloudflare",
        fault=Fault.PROVIDER,
        retry=RetryScope.SAME,
        status=(502, 504, 520, 521, 522, 523, 524, 525, 526, 529, 530),
        source=_CLOUDFLARE,
    ),
    Row(id="500", fault=Fault.MODEL, retry=RetryScope.SAME, status=(500,), source=_CODES),
)
"""What follows from a failure, most specific first."""
