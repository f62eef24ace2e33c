"""Errors, and what follows from them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.protocols.gemini import PROTOCOL
from ds2api_asgi.protocols.gemini.errors import duration
from ds2api_asgi.universal.failure import Failure, FailureKind, Fault, KeyAction, RetryScope, Verdict
from ds2api_asgi.universal.jsontext import dumps, equal
from shared import corpus_items, needs_shared

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
RPC = "type.googleapis.com/google.rpc."


def document(code: int, status: str, *details: dict[str, Any], message: str = "m") -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return {"error": error}


def quota(identity: str, value: str = "10") -> dict[str, Any]:
    return {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaId": identity, "quotaValue": value}]}


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": f"{RPC}ErrorInfo", "reason": reason, "metadata": metadata}


RETRY = {"@type": f"{RPC}RetryInfo", "retryDelay": "34.07s"}


def verdict(body: Any, status: int, now: float = NOW) -> Verdict:
    return PROTOCOL.classify(PROTOCOL.decode_error(status, {}, dumps(body)), {}, now=now)


@pytest.mark.parametrize(
    ("body", "status", "fault", "retry", "key"),
    [
        (document(400, "INVALID_ARGUMENT"), 400, Fault.REQUEST, RetryScope.NONE, KeyAction.NONE),
        (document(400, "INVALID_ARGUMENT", info("API_KEY_INVALID")), 400, Fault.KEY, RetryScope.KEY, KeyAction.DISABLE),
        (
            document(400, "INVALID_ARGUMENT", message="API key expired. Please renew."),
            400,
            Fault.KEY,
            RetryScope.KEY,
            KeyAction.DISABLE,
        ),
        (document(400, "FAILED_PRECONDITION"), 400, Fault.KEY, RetryScope.KEY, KeyAction.DISABLE),
        (document(403, "PERMISSION_DENIED"), 403, Fault.KEY, RetryScope.KEY, KeyAction.DISABLE),
        (document(404, "NOT_FOUND"), 404, Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL),
        (
            document(429, "RESOURCE_EXHAUSTED", quota("RequestsPerMinutePerProject"), RETRY),
            429,
            Fault.RATE,
            RetryScope.KEY,
            KeyAction.COOL,
        ),
        (
            document(429, "RESOURCE_EXHAUSTED", quota("RequestsPerDayPerProject"), RETRY),
            429,
            Fault.QUOTA,
            RetryScope.KEY,
            KeyAction.EXHAUST,
        ),
        (
            document(429, "RESOURCE_EXHAUSTED", quota("RequestsPerDay", "0")),
            429,
            Fault.QUOTA,
            RetryScope.KEY,
            KeyAction.BLOCK_MODEL,
        ),
        (
            document(429, "RESOURCE_EXHAUSTED", info("MODEL_CAPACITY_EXHAUSTED")),
            429,
            Fault.MODEL,
            RetryScope.ROUTE,
            KeyAction.NONE,
        ),
        (document(500, "INTERNAL"), 500, Fault.MODEL, RetryScope.SAME, KeyAction.NONE),
        (document(503, "UNAVAILABLE"), 503, Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE),
        (document(504, "DEADLINE_EXCEEDED"), 504, Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE),
        (document(499, "CANCELLED"), 499, Fault.CLIENT, RetryScope.NONE, KeyAction.NONE),
    ],
)
def test_each_documented_case_has_its_verdict(
    body: Any, status: int, fault: Fault, retry: RetryScope, key: KeyAction
) -> None:
    for shape in (body, [body]):
        found = verdict(shape, status)
        assert (found.fault, found.retry, found.key) == (fault, retry, key)


def test_how_long_to_wait_stands_in_the_details() -> None:
    found = verdict(document(429, "RESOURCE_EXHAUSTED", RETRY), 429)
    assert (found.hint, found.hint_source) == (34.07, "RetryInfo")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (datetime(2026, 11, 23, 7, 59, tzinfo=UTC), datetime(2026, 11, 23, 8, tzinfo=UTC)),
        (datetime(2026, 11, 23, 8, 1, tzinfo=UTC), datetime(2026, 11, 24, 8, tzinfo=UTC)),
        (datetime(2026, 7, 1, 8, tzinfo=UTC), datetime(2026, 7, 2, 7, tzinfo=UTC)),
        (datetime(2026, 3, 8, 12, tzinfo=UTC), datetime(2026, 3, 9, 7, tzinfo=UTC)),  # summer time began
        (datetime(2026, 11, 1, 8, tzinfo=UTC), datetime(2026, 11, 2, 8, tzinfo=UTC)),  # and ended
    ],
)
def test_a_daily_quota_comes_back_at_midnight_in_los_angeles(now: datetime, until: datetime) -> None:
    body = document(429, "RESOURCE_EXHAUSTED", quota("PerDay"))
    assert verdict(body, 429, now.timestamp()).until == until.timestamp()


def test_a_stated_delay_of_a_quota_counts() -> None:
    body = document(429, "RESOURCE_EXHAUSTED", info("X", quotaResetDelay="156h14m36.7s"))
    assert verdict(body, 429).until == NOW + 156 * 3600 + 14 * 60 + 36.7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("34.07s", 34.07),
        ("1h1s", 3601),
        ({"seconds": 3, "nanos": 500_000_000}, 3.5),
        ({"seconds": "3"}, 3),
        ("", None),
        ("-1s", None),
        ("x", None),
        (3, None),
        ({"seconds": -1}, None),
    ],
)
def test_durations(value: Any, seconds: float | None) -> None:
    assert duration(value) == seconds


def test_an_error_comes_back_with_all_it_had() -> None:
    body = {**document(418, "NEW", {"a": 1.0}), "beside": 1}
    failure = PROTOCOL.decode_error(418, {}, dumps(body))
    wire = PROTOCOL.encode_error(failure)
    assert wire.status == 418
    assert equal(wire.document, body)


@needs_shared
def test_recorded_errors_come_back() -> None:
    items = [item for item in corpus_items("errors", "response") if item.get("for_protocol") == "gemini"]
    for item in items:
        failure = PROTOCOL.decode_error(item.get("status", 400), {}, dumps(item["body"]))
        assert equal(PROTOCOL.encode_error(failure).document, item["body"]), item["id"]
    assert items


@given(st.binary(max_size=60), st.sampled_from([400, 401, 429, 500, 599, UNSET]))
def test_any_bytes_are_a_failure(body: bytes, status: Any) -> None:
    failure = PROTOCOL.decode_error(status, {}, body)
    assert PROTOCOL.classify(failure, {}, now=NOW).row
    assert PROTOCOL.encode_error(failure).document["error"]["message"]


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_from_elsewhere_has_a_spelling(kind: FailureKind) -> None:
    failure = Failure(kind=kind, message="words", type="other", details={"a": 1}, protocol="elsewhere", retry_after=1.5)
    wire = PROTOCOL.encode_error(failure)
    error = wire.document["error"]
    assert error["code"] == wire.status >= 400
    assert error["details"] == [{"@type": f"{RPC}RetryInfo", "retryDelay": "1.5s"}]
    assert (b"retry-after", b"2") in wire.headers
    assert b'"a"' not in PROTOCOL.stream_error(failure)
