"""An example of the wire for every row of the classification: status and body, 0 for an error inside a stream."""

from __future__ import annotations

import json
from typing import Any

HTML = b"<html><head><title>Bad gateway</title></head></html>"


def openai(code: Any = None, message: str = "m", type_: Any = "invalid_request_error", **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": type_, "param": None, "code": code, **more}}).encode()


def xai(code: str, error: str) -> bytes:
    return json.dumps({"code": code, "error": error}).encode()


def anthropic(type_: str, message: str = "m", **details: Any) -> bytes:
    error = {"type": type_, "message": message, **({"details": details} if details else {})}
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()


def gemini(code: int, status: str, message: str = "m", *details: dict[str, Any]) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode()


def interactions(code: str) -> bytes:
    return json.dumps({"event_type": "error", "error": {"code": code, "message": "m"}}).encode()


def google(kind: str, **members: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **members}


def quota(**members: Any) -> dict[str, Any]:
    return google("QuotaFailure", violations=[members])


def ollama(message: str) -> bytes:
    return json.dumps({"error": message}).encode()


TPM = "Request too large for gpt-5 in organization org-1 on tokens per min (TPM): Limit 30000, Requested 45000."
GROQ_TPM = "Request too large for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM)"
VLLM_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
TOGETHER_LONG = (
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens"
)
XAI_LONG = "This model's maximum prompt length is 131072 but the request contains 136973 tokens."
XAI_KEY = "Incorrect API key provided: sk***gA. You can obtain an API key from https://console.x.ai."
XAI_SPENT = "Your team t has either used all available credits or reached its monthly spending limit."
XAI_FLAGGED = "Content violates usage guidelines. Team: t, Model: m, Failed check: SAFETY_CHECK_TYPE_BIO"
FIREWORKS_SPENT = "Account a is suspended, possibly due to reaching the monthly spending limit"
MISTRAL_FULL = "Service tier capacity exceeded for this model."
LIMITED = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."

OPENAI: dict[str, list[tuple[int, bytes]]] = {
    "quota": [
        (429, openai("insufficient_quota", type_="insufficient_quota")),
        (429, openai("project_spend_limit_exceeded", type_="insufficient_quota")),
        (429, openai(None, type_="insufficient_quota")),
        (0, openai("credit_balance_exhausted")),
    ],
    "quota.spent": [
        (429, xai("Some resource has been exhausted", XAI_SPENT)),
        (403, xai("The caller does not have permission to execute the specified operation", XAI_SPENT)),
    ],
    "403.budget": [(403, openai(403, "Workspace monthly budget of $500.00 exceeded. Contact your org admin."))],
    "412.suspended": [(412, openai("PRECONDITION_FAILED", FIREWORKS_SPENT, "error"))],
    **{
        f"budget.{source}": [(403, openai(403, metadata={"limit_source": f"openrouter_{source}"}))]
        for source in ("key_limit", "workspace_budget", "guardrail_budget")
    },
    "402.in_flight": [(402, openai(402, metadata={"limit_source": "openrouter_in_flight_budget"}))],
    "402.request_too_large": [(402, openai(402, metadata={"reason": "weight_exceeds_budget"}))],
    "429.request_too_large": [
        (429, openai("rate_limit_exceeded", TPM, "tokens")),
        (413, openai("rate_limit_exceeded", GROQ_TPM, "tokens")),
    ],
    "413.rate": [(413, openai("rate_limit_exceeded", "too large", "tokens"))],
    "429.slow_down": [(429, openai("slow_down")), (503, openai("slow_down"))],
    "context_length": [
        (400, openai("context_length_exceeded")),
        (400, openai(400, type_="exceed_context_size_error")),
    ],
    "context_length.type": [(400, openai(400, metadata={"error_type": "context_length_exceeded"}))],
    "content_filter": [
        (400, openai("content_filter")),
        (0, openai("bio_policy")),
        (0, openai("invalid_prompt")),
        (0, openai("misalignment_policy_violation")),
    ],
    **{
        f"content_filter.{word}": [(400, openai(400, metadata={"error_type": word}))]
        for word in ("content_policy_violation", "refusal")
    },
    "content_filter.detail": [(400, openai(None, innererror={"code": "ResponsibleAIPolicyViolation"}))],
    "capacity": [(498, openai("capacity_exceeded")), (0, openai("capacity_exceeded"))],
    "capacity.words": [
        (429, json.dumps({"object": "error", "message": MISTRAL_FULL, "type": "invalid_request_error"}).encode()),
        (503, json.dumps({"object": "error", "message": MISTRAL_FULL, "type": "invalid_request_error"}).encode()),
    ],
    "overloaded": [(503, openai("server_is_overloaded")), (0, openai("provider_overloaded"))],
    "overloaded_error": [(0, openai(None, type_="overloaded_error")), (529, openai(None, type_="overloaded_error"))],
    "403.country": [(403, openai("unsupported_country_region_territory"))],
    "403.resource": [
        (403, openai("AccessDenied", "Access denied due to Virtual Network/Firewall rules.")),
        (403, openai("403", "A Virtual Network is configured for this resource. Please use the correct endpoint.")),
        (403, openai("403", "Your resource has been temporarily blocked because we detected abuse.")),
    ],
    "404.deployment": [(404, openai("DeploymentNotFound"))],
    "404.model": [(404, openai("model_not_found"))],
    "401.invalid_api_key": [(401, openai("invalid_api_key")), (401, HTML)],
    "image": [(0, openai("image_parse_error")), (400, openai("invalid_image_url"))],
    "residency": [(0, openai("data_residency_mismatch"))],
    "vector_store_timeout": [(0, openai("vector_store_timeout"))],
    "rate.word": [(0, openai("rate_limit_exceeded"))],
    "server_error": [(0, openai("server_error"))],
    "502.provider": [(502, openai(502, "Provider returned error"))],
    "529.overloaded": [(529, openai(529))],
    "context_length.words": [
        (400, openai(400, VLLM_LONG, "BadRequestError")),
        (400, json.dumps({"object": "error", "message": VLLM_LONG, "type": "BadRequestError", "code": 400}).encode()),
        (400, xai("Client specified an invalid argument", XAI_LONG)),
        (403, openai(None, TOGETHER_LONG)),
    ],
    "403.moderation": [
        (403, openai(403, "m requires moderation. Your input was flagged")),
        (403, openai(403, "Request blocked: prompt injection patterns detected")),
    ],
    "403.guidelines": [
        (403, xai("The caller does not have permission to execute the specified operation", XAI_FLAGGED))
    ],
    "400.key": [(400, xai("Client specified an invalid argument", XAI_KEY))],
    "400": [(400, openai("unknown_parameter")), (400, b"")],
    "401": [(401, openai(401))],
    "402": [(402, openai("invalid_request_error", "Insufficient Balance")), (402, openai(402))],
    "403": [(403, openai(None))],
    "404": [(404, openai(404, type_="NotFoundError"))],
    "408.409": [(408, openai(408)), (409, openai(None))],
    "412": [(412, openai("PRECONDITION_FAILED", "the LoRA failed to load", "error"))],
    "413": [(413, openai(None, "Request Entity Too Large"))],
    "422": [(422, json.dumps({"detail": [{"msg": "field required"}]}).encode())],
    "429": [(429, openai("rate_limit_exceeded", "Rate limit reached", "requests")), (429, b"slow")],
    "498.capacity": [(498, b"")],
    "499": [(499, openai(None))],
    "500": [(500, openai(None, type_="server_error")), (500, HTML)],
    "503": [(503, openai(None, type_="service_unavailable_error")), (503, openai(503))],
    "cloudflare": [(502, HTML), (504, HTML), (520, HTML), (524, HTML), (529, HTML)],
}
EXAMPLES: dict[str, dict[str, list[tuple[int, bytes]]]] = {
    "openai-chat": OPENAI,
    "openai-responses": OPENAI,
    "anthropic": {
        "400.credit_balance": [
            (400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."))
        ],
        "400.usage_limit": [
            (400, anthropic("invalid_request_error", LIMITED)),
            (0, anthropic("invalid_request_error", LIMITED)),
            (429, anthropic("rate_limit_error", LIMITED)),
        ],
        "400.organization_disabled": [
            (400, anthropic("invalid_request_error", "This organization has been disabled."))
        ],
        **{
            f"400.{code}": [(400, anthropic("invalid_request_error", error_code=code))]
            for code in (
                "organization_on_hold",
                "claude_code_key_creator_not_member",
                "cmek_key_disabled",
                "cmek_key_network_blocked",
            )
        },
        **{
            f"404.{code}": [(404, anthropic("not_found_error", error_code=code))]
            for code in ("file_expired", "thread_not_found")
        },
        "429.ramp_limit_exceeded": [(429, anthropic("rate_limit_error", error_code="ramp_limit_exceeded"))],
        "400.context_window": [
            (400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"))
        ],
        "400.content_policy": [
            (400, anthropic("invalid_request_error", "Output blocked by content filtering policy")),
            (0, anthropic("invalid_request_error", "Output blocked by content filtering policy")),
        ],
        "429.enforced_spend_limit_reached": [
            (429, anthropic("rate_limit_error", error_code="enforced_spend_limit_reached"))
        ],
        "429.contract_spend_limit_reached": [
            (429, anthropic("rate_limit_error", error_code="contract_spend_limit_reached"))
        ],
        "429.acceleration": [
            (429, anthropic("rate_limit_error", "This request would exceed your organization's acceleration limit"))
        ],
        "429.rate_limit": [(429, anthropic("rate_limit_error")), (429, HTML)],
        "stream.rate_limit": [(0, anthropic("rate_limit_error"))],
        "overloaded": [(529, anthropic("overloaded_error")), (0, anthropic("overloaded_error"))],
        "500.api_error": [(500, anthropic("api_error")), (0, anthropic("api_error"))],
        "504.timeout": [(504, anthropic("timeout_error")), (0, anthropic("timeout_error"))],
        "402.billing": [(402, anthropic("billing_error"))],
        "400": [(400, anthropic("invalid_request_error"))],
        "401.authentication": [(401, anthropic("authentication_error"))],
        "403.permission": [(403, anthropic("permission_error"))],
        "404.not_found": [(404, anthropic("not_found_error"))],
        "409.conflict": [(409, anthropic("conflict_error"))],
        "413.too_large": [(413, anthropic("request_too_large"))],
        "5xx.edge": [(502, HTML), (529, HTML), (524, b"")],
    },
    "gemini": {
        "api_key_invalid": [(400, gemini(400, "INVALID_ARGUMENT", "m", google("ErrorInfo", reason="API_KEY_INVALID")))],
        "400.api_key_expired": [(400, gemini(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."))],
        "400.context_window": [
            (
                400,
                gemini(
                    400,
                    "INVALID_ARGUMENT",
                    "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
                ),
            )
        ],
        "400.failed_precondition": [(400, gemini(400, "FAILED_PRECONDITION", "User location is not supported"))],
        "model_capacity": [
            (429, gemini(429, "RESOURCE_EXHAUSTED", "m", google("ErrorInfo", reason="MODEL_CAPACITY_EXHAUSTED"))),
            (503, gemini(503, "UNAVAILABLE", "m", google("ErrorInfo", reason="MODEL_CAPACITY_EXHAUSTED"))),
        ],
        "429.quota": [
            (429, gemini(429, "RESOURCE_EXHAUSTED", "m", quota(quotaId="GenerateRequestsPerDayPerProjectPerModel"))),
            (
                429,
                gemini(
                    429,
                    "RESOURCE_EXHAUSTED",
                    "m",
                    google("ErrorInfo", reason="QUOTA_EXHAUSTED", metadata={"quotaResetDelay": "156h14m36.7s"}),
                ),
            ),
        ],
        "429.no_quota": [(429, gemini(429, "RESOURCE_EXHAUSTED", "m", quota(quotaId="PerDay", quotaValue="0")))],
        "429.rate_limit": [
            (429, gemini(429, "RESOURCE_EXHAUSTED", "m", quota(quotaId="GenerateRequestsPerMinutePerProjectPerModel"))),
            (0, gemini(429, "RESOURCE_EXHAUSTED")),
        ],
        "interactions.quota": [(429, interactions("quota_exceeded"))],
        "interactions.payment": [(402, interactions("payment_required"))],
        "interactions.key": [
            (401, interactions("authentication")),
            (400, interactions("failed_precondition")),
            (0, interactions("permission_denied")),
        ],
        "interactions.model": [(404, interactions("model_not_found")), (0, interactions("model_not_found"))],
        "interactions.blocked": [(0, interactions("prohibited_content")), (400, interactions("safety"))],
        "interactions.rate": [(429, interactions("rate_limit_exceeded")), (0, interactions("too_many_requests"))],
        "interactions.busy": [(0, interactions("service_unavailable")), (504, interactions("deadline_exceeded"))],
        "interactions.server": [(0, interactions("api_error"))],
        "interactions.client": [(0, interactions("cancelled"))],
        "interactions.request": [(0, interactions("invalid_request")), (404, interactions("not_found"))],
        "402.billing": [(402, b"")],
        "400": [(400, gemini(400, "INVALID_ARGUMENT"))],
        "401.unauthenticated": [(401, gemini(401, "UNAUTHENTICATED"))],
        "403.permission": [
            (403, gemini(403, "PERMISSION_DENIED", "m", google("ErrorInfo", reason="SERVICE_DISABLED")))
        ],
        "404.not_found": [(404, gemini(404, "NOT_FOUND"))],
        "409.aborted": [(409, gemini(409, "ABORTED"))],
        "499.cancelled": [(499, gemini(499, "CANCELLED"))],
        "500.internal": [(500, b"[" + gemini(500, "INTERNAL") + b"]"), (0, gemini(500, "INTERNAL"))],
        "503.unavailable": [(503, gemini(503, "UNAVAILABLE", "The model is overloaded.")), (503, HTML)],
        "504.deadline": [(504, gemini(504, "DEADLINE_EXCEEDED"))],
        "5xx.edge": [(502, HTML), (504, HTML)],
    },
    "ollama": {
        "busy": [(503, ollama("server busy, please try again.  maximum pending requests exceeded"))],
        "503": [(503, b"")],
        "memory": [(500, ollama("model requires more system memory (12 GiB) than is available (8 GiB)"))],
        "429": [(429, ollama("too many requests"))],
        "401": [(401, ollama("unauthorized"))],
        "402": [(402, ollama("subscription required"))],
        "403": [(403, ollama("this model needs a subscription"))],
        "404": [(404, ollama("model 'm' not found"))],
        "context_length": [(400, ollama("the input length exceeds the context length"))],
        "400": [(400, ollama("invalid think value"))],
        "502": [(502, ollama("bad gateway"))],
        "500": [(500, ollama("unexpected EOF"))],
    },
}
