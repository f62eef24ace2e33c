"""What failures mean: an example of the wire for every row, and rules of one's own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import ConfigurationError, Fault, KeyAction, RetryScope, classify, rows, rule
from ds2api_asgi.protocols import bedrock_rows, registry

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
HTML = b"<html><head><title>Bad gateway</title></head></html>"


def openai(code: Any = None, message: str = "m", type_: Any = "invalid_request_error", **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": type_, "param": None, "code": code, **more}}).encode()


def anthropic(type_: str, message: str = "m", **details: Any) -> bytes:
    error = {"type": type_, "message": message, **({"details": details} if details else {})}
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()


def gemini(code: int, status: str, message: str = "m", *details: dict[str, Any]) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode()


def google(kind: str, **members: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **members}


def quota(**members: Any) -> dict[str, Any]:
    return google("QuotaFailure", violations=[members])


def ollama(message: str) -> bytes:
    return json.dumps({"error": message}).encode()


TPM = "Request too large for gpt-5 in organization org-1 on tokens per min (TPM): Limit 30000, Requested 45000."
GROQ_TPM = "Request too large for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM)"
VLLM_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
LIMITED = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."

OPENAI: dict[str, list[tuple[int, bytes]]] = {
    "quota": [
        (429, openai("insufficient_quota", type_="insufficient_quota")),
        (429, openai("project_spend_limit_exceeded", type_="insufficient_quota")),
        (429, openai(None, type_="insufficient_quota")),
        (0, openai("credit_balance_exhausted")),
    ],
    "402.in_flight": [(402, openai(402, metadata={"limit_source": "openrouter_in_flight_budget"}))],
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
    "content_filter": [(400, openai("content_filter")), (0, openai("bio_policy")), (0, openai("invalid_prompt"))],
    "content_filter.detail": [(400, openai(None, innererror={"code": "ResponsibleAIPolicyViolation"}))],
    "capacity": [(498, openai("capacity_exceeded")), (0, openai("capacity_exceeded"))],
    "overloaded": [(503, openai("server_is_overloaded")), (0, openai("provider_overloaded"))],
    "overloaded_error": [(0, openai(None, type_="overloaded_error")), (529, openai(None, type_="overloaded_error"))],
    "403.country": [(403, openai("unsupported_country_region_territory"))],
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
    ],
    "403.moderation": [(403, openai(403, "m requires moderation. Your input was flagged"))],
    "400": [(400, openai("unknown_parameter")), (400, b"")],
    "401": [(401, openai(401))],
    "402": [(402, openai("invalid_request_error", "Insufficient Balance")), (402, openai(402))],
    "403": [(403, openai(None))],
    "404": [(404, openai(404, type_="NotFoundError"))],
    "408.409": [(408, openai(408)), (409, openai(None))],
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
        "400.usage_limit": [(400, anthropic("invalid_request_error", LIMITED))],
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
            (429, json.dumps({"error": {"code": "rate_limit_exceeded", "message": "m"}}).encode()),
        ],
        "interactions.quota": [(429, json.dumps({"error": {"code": "quota_exceeded", "message": "m"}}).encode())],
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
CASES = [
    pytest.param(protocol, name, status, body, id=f"{protocol}.{name}-{number}")
    for protocol, table in EXAMPLES.items()
    for name, cases in table.items()
    for number, (status, body) in enumerate(cases)
]


@pytest.mark.parametrize(("protocol", "name", "status", "body"), CASES)
def test_an_example_of_the_wire_is_judged_by_its_row(protocol: str, name: str, status: int, body: bytes) -> None:
    phase: Any = "answer" if status else "stream"
    assert classify(status, {}, body, protocol=protocol, phase=phase, now=NOW).row == f"{protocol}.{name}"


def test_every_row_has_an_example_so_that_none_is_unreachable() -> None:
    exampled = {f"{protocol}.{name}" for protocol, table in EXAMPLES.items() for name in table}
    judged = {one.id for one in rows() if one.protocol and one.row not in bedrock_rows.ROWS}
    assert exampled == judged


@pytest.mark.parametrize("protocol", registry.names())
@pytest.mark.parametrize("row", bedrock_rows.ROWS, ids=lambda row: row.id)
def test_bedrocks_exceptions_are_known_in_every_protocol(protocol: str, row: Any) -> None:
    (name,) = row.type
    named = {"X-Amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/"}
    inside = json.dumps({"message": "m", "__type": f"com.amazon.coral#{name}"}).encode()
    assert classify(400, named, b'{"message": "m"}', protocol=protocol, now=NOW).row == f"{protocol}.{row.id}"
    if protocol in ("openai-chat", "openai-responses", "anthropic", "ollama"):
        assert classify(400, {}, inside, protocol=protocol, now=NOW).row == f"{protocol}.{row.id}"


@pytest.mark.parametrize("listed", [one for one in rows() if not one.protocol], ids=lambda one: one.id)
def test_failures_without_an_answer_have_rows(listed: Any) -> None:
    verdict = classify(0, {}, listed.id.encode(), protocol="openai-chat", phase="unanswered")
    assert verdict.row == listed.id
    assert (verdict.fault, verdict.retry) == (listed.row.fault, listed.row.retry)


def test_every_row_names_its_page_and_no_two_have_one_id() -> None:
    ids = [one.id for one in rows()]
    assert len(ids) == len(set(ids))
    assert all(one.row.source.startswith("https://") and one.row.read for one in rows())


def test_dates_of_quotas_are_read() -> None:
    month = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    spent = anthropic("rate_limit_error", error_code="enforced_spend_limit_reached")
    assert classify(429, {}, spent, protocol="anthropic", now=NOW).until == month
    limited = anthropic("invalid_request_error", LIMITED)
    assert classify(400, {}, limited, protocol="anthropic", now=NOW).until == month


@pytest.mark.parametrize(
    ("said", "body", "expected"),
    [
        ("true", openai(None), (RetryScope.SAME, True)),  # counts more than a status
        ("true", openai("context_length_exceeded"), (RetryScope.NONE, True)),  # and less than a code
        ("false", openai(None), (RetryScope.NONE, False)),
    ],
)
def test_should_retry_stands_between_code_and_status(said: str, body: bytes, expected: tuple[Any, bool]) -> None:
    verdict = classify(400, {"x-should-retry": said}, body, protocol="openai-chat", now=NOW)
    assert (verdict.retry, verdict.same_key) == expected


def test_a_full_window_and_a_policy_are_told_from_all_other_faults() -> None:
    found = {
        (protocol, name): classify(
            status, {}, body, protocol=protocol, phase="answer" if status else "stream", now=NOW
        ).reason
        for protocol, table in EXAMPLES.items()
        for name, ((status, body), *_) in table.items()
    }
    assert {name for (_, name), reason in found.items() if reason == "context-window"} == {
        "context_length",
        "context_length.words",
        "400.context_window",
    }
    assert {name for (_, name), reason in found.items() if reason == "content-policy"} == {
        "content_filter",
        "content_filter.detail",
        "403.moderation",
        "400.content_policy",
    }


def test_a_rule_comes_first_and_keeps_what_the_upstream_asks_for() -> None:
    own = rule("plan", "exhaust-key", status=403, message="UPGRADE your plan", wait=3600)
    body = openai(None, "Please upgrade your plan")
    verdict = classify(403, {}, body, protocol="openai-chat", rules=[own], now=NOW)
    assert (verdict.row, verdict.fault, verdict.key) == ("rule.plan", Fault.QUOTA, KeyAction.EXHAUST)
    assert verdict.until == NOW + 3600
    assert classify(403, {}, openai(None), protocol="openai-chat", rules=[own], now=NOW).row == "openai-chat.403"
    cool = rule("busy", "cool-key", code="busy", wait=5)
    assert classify(400, {}, openai("busy"), protocol="openai-chat", rules=[cool], now=NOW).hint == 5
    told = classify(400, {"retry-after": "9"}, openai("busy"), protocol="openai-chat", rules=[cool], now=NOW)
    assert (told.hint, told.hint_source) == (9, "retry-after")


@pytest.mark.parametrize(
    "wrong",
    [
        {"then": "stop"},
        {"then": "explode", "status": 400},
        {"then": "stop", "status": 400, "wait": float("nan")},
        {"then": "stop", "status": 400, "wait": -1},
    ],
)
def test_a_rule_that_cannot_work_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        rule("x", **wrong)


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        classify(400, {}, b"", protocol="openai-chat", dialect="who")


@pytest.mark.parametrize("protocol", registry.names())
@given(
    status=st.integers(100, 599),
    name=st.sampled_from(["retry-after", "x-ratelimit-reset", "x-should-retry", "x-amzn-errortype", "date"]),
    value=st.text(max_size=20) | st.sampled_from(["nan", "inf", "-1", "1e9", "99999999999", "6m0s"]),
    body=st.binary(max_size=40) | st.sampled_from(sorted({case.values[3] for case in CASES})),  # type: ignore[arg-type]
    phase=st.sampled_from(["answer", "stream", "unanswered"]),
)
def test_it_is_total(protocol: str, status: int, name: str, value: str, body: bytes, phase: Any) -> None:
    verdict = classify(status, {name: value}, body, protocol=protocol, phase=phase, now=NOW)
    assert verdict.row
    assert verdict.hint is None or 0 <= verdict.hint < 1e12


AT_MS = str(int((NOW + 30) * 1000))  # as OpenRouter says it
LIMITS = [
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h2m3.5s"}, ("requests", 0, 3723.5)),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12ms"}, ("tokens", 0, 0.012)),
    ({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}, ("tokens", None, 0)),  # Azure
    ({"x-ratelimit-reset-tokens": "59"}, ("tokens", None, 59)),
    ({"x-ratelimit-remaining-requests-day": "9", "x-ratelimit-reset-requests-day": "33011.38"},
     ("requests-day", 9, 33011.38)),  # Cerebras
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": AT_MS}, ("requests", 0, 30)),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW + 30))}, ("requests", 0, 30)),
    ({"x-tokenlimit-remaining": "0", "x-tokenlimit-reset": "3"}, ("tokens", 0, 3)),  # Together
    ({"x-ratelimit-remaining-tokens-prompt": "5"}, ("tokens-prompt", 5, None)),  # Fireworks
]  # fmt: skip


@pytest.mark.parametrize(("headers", "expected"), LIMITS)
def test_limits_are_read_in_each_vendors_spelling(headers: dict[str, str], expected: tuple[Any, ...]) -> None:
    (limit,) = registry.get("openai-chat").limits(headers, now=NOW)
    assert (limit.dimension, limit.remaining, limit.reset_after) == pytest.approx(expected)


@pytest.mark.parametrize("protocol", registry.names())
@given(
    st.dictionaries(
        st.sampled_from([f"{a}-{b}{c}" for a in ("x-ratelimit", "anthropic-ratelimit-unified", "x-tokenlimit")
                         for b in ("limit", "remaining", "reset") for c in ("", "-tokens")]),
        st.text(max_size=24) | st.sampled_from(["nan", "inf", "-0", "1e400", "9" * 30, "1h" * 20, "٣"]),
    )
)  # fmt: skip
def test_limits_are_total_and_never_negative(protocol: str, headers: dict[str, str]) -> None:
    for limit in registry.get(protocol).limits(headers, now=NOW):
        for number in (limit.limit, limit.remaining, limit.reset_after):
            assert number is None or 0 <= number < 1e19
