"""Errors, verdicts and limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.protocols.anthropic import PROTOCOL
from ds2api_asgi.universal.failure import Failure, FailureKind, Fault, KeyAction, RetryScope
from ds2api_asgi.universal.jsontext import dumps, loads

NOW = 1_763_800_000.0  # 2025-11-22


def error(kind: str, message: str = "m", **details: Any) -> bytes:
    return dumps({"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": "req_1"})


def judged(status: int, body: bytes, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PROTOCOL.classify(PROTOCOL.decode_error(status, named, body), named, now=NOW)


@pytest.mark.parametrize(
    "document",
    [
        {"type": "error", "error": {"type": "brand_new_error", "message": "", "details": {"a": 1.0}}, "x": None},
        {"type": "error", "error": {"type": "api_error", "message": "m", "code": 5}, "request_id": None},
    ],
)
def test_unknown_members_and_types_come_back(document: dict[str, Any]) -> None:
    failure = PROTOCOL.decode_error(418, {}, dumps(document))
    assert PROTOCOL.encode_error(failure).document == document
    assert PROTOCOL.encode_error(failure).status == 418


@given(st.binary(max_size=40), st.sampled_from([UNSET, 400, 404, 429, 500, 502, 529]))
def test_any_body_is_a_failure(body: bytes, status: Any) -> None:
    failure = PROTOCOL.decode_error(status, {}, body)
    assert failure.message
    assert PROTOCOL.encode_error(failure).document["error"]["message"]
    PROTOCOL.classify(failure, {}, now=NOW)


def test_other_shapes_still_say_why() -> None:
    for body in (
        b'{"error": "busy"}',
        b'{"error": {"message": "busy"}}',
        b'{"message": "busy"}',
        b'{"detail": "busy"}',
    ):
        assert PROTOCOL.decode_error(503, {}, body).message == "busy"
    assert "<html" not in PROTOCOL.decode_error(502, {}, b"<html>secret</html>").message


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_has_a_spelling_that_reads_back(kind: FailureKind) -> None:
    written = PROTOCOL.encode_error(Failure(kind=kind, message="m", retry_after=1.2))
    assert dict(written.headers)[b"retry-after"] == b"2"
    back = PROTOCOL.decode_error(written.status, {}, dumps(written.document))
    assert back.kind is kind or kind is FailureKind.TRUNCATED


def test_a_full_fleet_is_529() -> None:
    written = PROTOCOL.encode_error(Failure(kind=FailureKind.OVERLOADED, message="m", status=503))
    assert (written.status, written.document["error"]["type"]) == (529, "overloaded_error")


@pytest.mark.parametrize(
    ("status", "body", "fault", "retry", "key"),
    [
        (400, error("invalid_request_error"), Fault.REQUEST, RetryScope.NONE, KeyAction.NONE),
        (401, error("authentication_error"), Fault.KEY, RetryScope.KEY, KeyAction.DISABLE),
        (402, error("billing_error"), Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST),
        (403, error("permission_error"), Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL),
        (404, error("not_found_error"), Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL),
        (409, error("conflict_error"), Fault.REQUEST, RetryScope.SAME, KeyAction.NONE),
        (413, error("request_too_large"), Fault.REQUEST, RetryScope.NONE, KeyAction.NONE),
        (429, error("rate_limit_error"), Fault.RATE, RetryScope.KEY, KeyAction.COOL),
        (500, error("api_error"), Fault.MODEL, RetryScope.SAME, KeyAction.NONE),
        (504, error("timeout_error"), Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE),
        (529, error("overloaded_error"), Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE),
        (502, b"<html>", Fault.PROVIDER, RetryScope.SAME, KeyAction.NONE),
    ],
)
def test_verdicts_follow_the_table(status: int, body: bytes, fault: Fault, retry: RetryScope, key: KeyAction) -> None:
    verdict = judged(status, body)
    assert (verdict.fault, verdict.retry, verdict.key) == (fault, retry, key)


def test_a_spend_limit_lasts_to_the_next_month() -> None:
    body = error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})
    verdict = judged(429, body)
    assert (verdict.fault, verdict.key) == (Fault.QUOTA, KeyAction.EXHAUST)
    assert verdict.until == 1_764_547_200  # 2025-12-01


def test_a_usage_limit_lasts_to_the_date_in_its_words() -> None:
    words = "You have reached your specified API usage limits. You will regain access on 2025-12-01 at 00:00 UTC."
    assert judged(400, error("invalid_request_error", words)).until == 1_764_547_200


def test_hints_come_from_the_header_or_the_spent_dimension() -> None:
    assert judged(429, error("rate_limit_error"), retry_after="7").hint == 7
    spent = {
        "anthropic_ratelimit_requests_remaining": "0",
        "anthropic_ratelimit_requests_reset": "2025-11-22T08:27:00Z",
        "anthropic_ratelimit_tokens_remaining": "5",
        "anthropic_ratelimit_tokens_reset": "2030-01-01T00:00:00Z",
    }
    assert judged(429, error("rate_limit_error"), **spent).hint == pytest.approx(1_763_800_020 - NOW)
    assert judged(429, error("rate_limit_error"), x_should_retry="false").same_key is False


def test_limits_are_read_in_both_spellings_of_time() -> None:
    headers = {
        "anthropic-ratelimit-input-tokens-limit": "100",
        "anthropic-ratelimit-input-tokens-remaining": "40",
        "anthropic-ratelimit-input-tokens-reset": "2025-11-22T08:27:00Z",
        "anthropic-ratelimit-unified-5h-reset": str(int(NOW) + 60),
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-requests-reset": "soon",
    }
    found = {limit.dimension: limit for limit in PROTOCOL.limits(headers, now=NOW)}
    assert (found["input-tokens"].limit, found["input-tokens"].remaining) == (100, 40)
    assert found["unified-5h"].reset_after == 60
    assert found["unified-5h"].remaining == 0
    assert found["requests"].reset_after is None


def test_an_error_in_a_stream_is_an_event() -> None:
    frame = PROTOCOL.stream_error(Failure(kind=FailureKind.TRUNCATED, message="cut"))
    assert frame.startswith(b"event: error\ndata: ")
    assert loads(frame.split(b"data: ")[1])["error"] == {"type": "api_error", "message": "cut"}
