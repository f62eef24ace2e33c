"""What failures mean: an example of the wire for every row, and rules of one's own."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import ConfigurationError, Fault, KeyAction, RetryScope, classify, rows, rule
from ds2api_asgi.protocols import bedrock_rows, registry
from failure_examples import EXAMPLES, LIMITED, anthropic, openai

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
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
    words = {"message": "Input is too long for requested model." if row.message else "m"}
    inside = json.dumps({**words, "__type": f"com.amazon.coral#{name}"}).encode()
    assert classify(400, named, json.dumps(words).encode(), protocol=protocol, now=NOW).row == f"{protocol}.{row.id}"
    if protocol in ("openai-chat", "openai-responses", "anthropic", "ollama"):
        assert classify(400, {}, inside, protocol=protocol, now=NOW).row == f"{protocol}.{row.id}"


def test_a_prompt_that_is_too_long_for_a_model_of_bedrock_is_told_from_other_refusals() -> None:
    refused = {"x-amzn-errortype": "ValidationException"}
    too_long = b'{"message": "Input is too long for requested model."}'
    assert classify(400, refused, too_long, protocol="anthropic").reason == "context-window"
    assert classify(400, refused, b'{"message": "Malformed input request"}', protocol="anthropic").reason is None


def test_bedrocks_exceptions_inside_streams_are_known() -> None:
    for name, row in (
        ("modelStreamErrorException", "ModelStreamErrorException"),
        ("throttlingException", "ThrottlingException"),
    ):
        found = classify(0, {":exception-type": name}, b'{"message": "m"}', protocol="anthropic", phase="stream")
        assert found.row == f"anthropic.bedrock.{row}"


def test_a_key_in_a_country_that_is_not_served_rests_for_long() -> None:
    found = classify(403, {}, openai("unsupported_country_region_territory"), protocol="openai-chat", now=NOW)
    assert (found.key, found.hint, found.hint_source) == (KeyAction.COOL, 3600.0, "row")


@pytest.mark.parametrize("listed", [one for one in rows() if not one.protocol], ids=lambda one: one.id)
def test_failures_without_an_answer_have_rows(listed: Any) -> None:
    verdict = classify(0, {}, listed.id.encode(), protocol="openai-chat", phase="unanswered")
    assert verdict.row == listed.id
    assert (verdict.fault, verdict.retry) == (listed.row.fault, listed.row.retry)


def test_every_row_about_a_provider_names_its_page_and_no_two_have_one_id() -> None:
    ids = [one.id for one in rows()]
    assert len(ids) == len(set(ids))
    for one in rows():
        if one.protocol:
            assert one.row.source.startswith("https://")
            assert one.row.read == "unchecked" or date.fromisoformat(one.row.read)
        else:
            assert (one.row.source, one.row.read) == ("", "")


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
        "context_length.type",
        "context_length.words",
        "400.context_window",
    }
    assert {name for (_, name), reason in found.items() if reason == "content-policy"} == {
        "content_filter",
        "content_filter.content_policy_violation",
        "content_filter.detail",
        "content_filter.refusal",
        "403.guidelines",
        "403.moderation",
        "400.content_policy",
        "interactions.blocked",
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
        {"then": "stop", "status": "400"},
        {"then": "stop", "status": ["400"]},
        {"then": "stop", "message": re.compile(b"bytes")},
        {"then": "stop", "status": 400, "reason": "weather"},
        {"then": "stop", "status": 400, "wait": -1},
    ],
)
def test_a_rule_that_cannot_work_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        rule("x", **wrong)


def test_an_unknown_phase_is_refused() -> None:
    wrong: Any = "late"
    with pytest.raises(ConfigurationError):
        classify(429, {}, b"", protocol="openai-chat", phase=wrong)


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
