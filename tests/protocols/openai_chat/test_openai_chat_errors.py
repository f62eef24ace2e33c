"""Errors of OpenAI Chat and its vendors: what they are read as, what follows, and how they are spelled back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.protocols.openai_chat import PROTOCOL
from ds2api_asgi.universal.failure import Failure, FailureKind, Fault, KeyAction, RetryScope
from ds2api_asgi.universal.jsontext import dumps


def error(code: Any = None, *, message: str = "m", type_: Any = None, **members: Any) -> bytes:
    return dumps({"error": {"message": message, "type": type_, "param": None, "code": code, **members}})


REQUEST = (Fault.REQUEST, RetryScope.NONE, KeyAction.NONE)
QUOTA = (Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST)
RATE = (Fault.RATE, RetryScope.KEY, KeyAction.COOL)
TOO_LARGE = (Fault.RATE, RetryScope.ROUTE, KeyAction.NONE)
SERVER = (Fault.MODEL, RetryScope.SAME, KeyAction.NONE)
OVERLOADED = (Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE)
PROVIDER = (Fault.PROVIDER, RetryScope.SAME, KeyAction.NONE)


@pytest.mark.parametrize(
    ("status", "body", "kind", "verdict"),
    [
        (400, error("context_length_exceeded"), FailureKind.INVALID, REQUEST),
        (400, error("content_filter"), FailureKind.INVALID, REQUEST),
        (401, error("invalid_api_key"), FailureKind.AUTH, (Fault.KEY, RetryScope.KEY, KeyAction.DISABLE)),
        (402, error(402), FailureKind.BILLING, QUOTA),
        (403, error(403, message="flagged by moderation"), FailureKind.PERMISSION, REQUEST),
        (404, error("model_not_found"), FailureKind.NOT_FOUND, (Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL)),
        (429, error("rate_limit_exceeded", type_="tokens"), FailureKind.RATE, RATE),
        (429, error("insufficient_quota"), FailureKind.BILLING, QUOTA),
        (429, error(None, type_="insufficient_quota"), FailureKind.BILLING, QUOTA),
        (429, error("rate_limit_exceeded", message="Request too large for gpt on TPM"), FailureKind.RATE, TOO_LARGE),
        (413, error("rate_limit_exceeded", message="Request too large for model"), FailureKind.TOO_LARGE, TOO_LARGE),
        (500, error("server_error"), FailureKind.SERVER, SERVER),
        (503, error(None), FailureKind.OVERLOADED, OVERLOADED),
        (502, b"<html>cloudflare</html>", FailureKind.BAD_GATEWAY, PROVIDER),
        (524, b"", FailureKind.SERVER, PROVIDER),
        (UNSET, error(429), FailureKind.RATE, RATE),
        (UNSET, error("429"), FailureKind.RATE, RATE),
        (200, error("content_filter", status=400), FailureKind.INVALID, REQUEST),
        (UNSET, error(None, type_="overloaded_error"), FailureKind.OVERLOADED, OVERLOADED),
        (UNSET, error("who knows"), FailureKind.SERVER, SERVER),
        # Vendors.
        (402, error("invalid_request_error", message="Insufficient Balance"), FailureKind.BILLING, QUOTA),  # DeepSeek
        (UNSET, error(402), FailureKind.BILLING, QUOTA),  # OpenRouter, under a success status
        (UNSET, error(403, message="flagged by moderation"), FailureKind.PERMISSION, REQUEST),
        (UNSET, error(502), FailureKind.BAD_GATEWAY, OVERLOADED),
        (UNSET, error(503), FailureKind.OVERLOADED, OVERLOADED),
        (200, error(529), FailureKind.OVERLOADED, OVERLOADED),
        (529, error(529, message="Provider returned error"), FailureKind.OVERLOADED, OVERLOADED),
        (498, error("capacity_exceeded"), FailureKind.OVERLOADED, OVERLOADED),  # Groq
        (UNSET, error("capacity_exceeded"), FailureKind.OVERLOADED, OVERLOADED),
        (UNSET, error("tool_use_failed", status_code=400), FailureKind.INVALID, REQUEST),
        (400, error(None, innererror={"code": "ResponsibleAIPolicyViolation"}), FailureKind.INVALID, REQUEST),  # Azure
        (404, error("DeploymentNotFound"), FailureKind.NOT_FOUND, (Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL)),
        (503, error(503, type_="unavailable_error"), FailureKind.OVERLOADED, OVERLOADED),  # llama.cpp, loading
    ],
)
def test_what_follows(status: Any, body: bytes, kind: FailureKind, verdict: Any) -> None:
    failure = PROTOCOL.decode_error(status, {}, body)
    found = PROTOCOL.classify(failure, {}, now=0)
    assert (failure.kind, found.fault, found.retry, found.key) == (kind, *verdict)


@given(st.integers(400, 599) | st.just(UNSET), st.binary(max_size=60))
def test_garbage_is_a_failure_with_words(status: Any, body: bytes) -> None:
    failure = PROTOCOL.decode_error(status, {"content-type": "text/html"}, body)
    assert failure.message
    assert isinstance(PROTOCOL.encode_error(failure).document["error"], (dict, str, list, int, float, type(None)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"no such model"}', "no such model"),
        (b'{"object":"error","message":"vllm says","type":"BadRequestError","code":400}', "vllm says"),
        (b'[{"error":{"message":"in a list"}}]', "in a list"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b"<html><body>secret host</body></html>", "the upstream answered 500"),
        (b"plain words", "plain words"),
        (b"", "the upstream answered 500"),
    ],
)
def test_odd_bodies_are_read(body: bytes, message: str) -> None:
    assert PROTOCOL.decode_error(500, {}, body).message == message


def test_every_kind_has_a_spelling_of_its_own_protocol() -> None:
    for kind in FailureKind:
        wire = PROTOCOL.encode_error(
            Failure(kind=kind, message="m", status=529, protocol="elsewhere", type="x", code="y")
        )
        assert 400 <= wire.status < 600
        assert wire.status != 529
        assert wire.document["error"]["type"] not in ("x", None)
        assert set(wire.document["error"]) == {"message", "type", "param", "code"}


def test_waiting_times_are_told_in_both_headers() -> None:
    wire = PROTOCOL.encode_error(Failure(kind=FailureKind.RATE, message="m", retry_after=1.2, request_id="r"))
    headers = dict(wire.headers)
    assert headers[b"retry-after"] == b"2"
    assert headers[b"retry-after-ms"] == b"1200"
    assert headers[b"x-request-id"] == b"r"


def test_a_used_up_dimension_gives_the_hint_when_no_header_does() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m2.5s",
        "x-ratelimit-remaining-tokens": "100",
        "x-ratelimit-reset-tokens": "6m0s",
        "x-should-retry": "false",
    }
    failure = PROTOCOL.decode_error(429, headers, error("rate_limit_exceeded"))
    verdict = PROTOCOL.classify(failure, headers, now=0)
    assert (verdict.hint, verdict.hint_source, verdict.same_key) == (62.5, "reset of requests", False)
    told = PROTOCOL.classify(failure, {**headers, "retry-after-ms": "1500"}, now=0)
    assert (told.hint, told.hint_source) == (1.5, "retry-after-ms")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("250µs", 0.00025),
        ("59.5s", 59.5),
        ("30", 30.0),
        ("0", 0.0),
        ("-1", None),
        ("nan", None),
        ("1e9", None),
        ("soon", None),
        ("", None),
    ],
)
def test_resets_are_durations_or_seconds(text: str, seconds: float | None) -> None:
    headers = {"x-ratelimit-reset-tokens": text, "x-ratelimit-limit-tokens": "5"}
    (limit,) = PROTOCOL.limits(headers, now=0)
    assert limit.reset_after == (None if seconds is None else pytest.approx(seconds))


@given(
    st.dictionaries(st.sampled_from(["x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"]), st.text(max_size=12))
)
def test_limits_are_total(headers: dict[str, str]) -> None:
    for limit in PROTOCOL.limits(headers, now=0):
        assert limit.reset_after is None or limit.reset_after >= 0
