"""What follows from each failure: rows, each with the page it follows, and the time until which a quota is out.

What tells cases apart stands in typed details, or in the words that the Interactions API has for codes; `_evidence`
makes one word of them, which the rows match as a code. It follows https://ai.google.dev/gemini-api/docs/rate-limits
and …/troubleshooting (read 2026-11-23), and …/api-errors (read 2026-11-29).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.failure import Failure, Fault, KeyAction, RetryScope, Row, Verdict
from ..verdict import verdict_of
from .errors import details_of, duration
from .limits import encode_limits, limits
from .profile import NAME

__all__ = ["ROWS", "classify", "encode_limits", "limits"]

_ERRORS: Final = "https://ai.google.dev/gemini-api/docs/troubleshooting"
_LIMITS: Final = "https://ai.google.dev/gemini-api/docs/rate-limits"
_CODES: Final = "https://ai.google.dev/gemini-api/docs/api-errors"
_LENGTH: Final = "https://github.com/google-gemini/gemini-cli/issues/4231"
_SDK: Final = "https://github.com/googleapis/python-genai/blob/main/google/genai/_api_client.py"
_REASONS: Final = "https://cloud.google.com/php/docs/reference/common-protos/latest/Api.ErrorReason"


def _row(
    id: str,  # noqa: A002 - the member's name
    fault: Fault,
    retry: RetryScope,
    key: KeyAction = KeyAction.NONE,
    **more: Any,
) -> Row:
    return Row(id=id, fault=fault, retry=retry, key=key, **{"source": _ERRORS, **more})


def _word(id: str, fault: Fault, retry: RetryScope, key: KeyAction, *code: str, **more: Any) -> Row:  # noqa: A002
    return Row(
        id=f"interactions.{id}",
        fault=fault,
        retry=retry,
        key=key,
        code=code,
        source=_CODES,
        read="2026-11-29",
        **more,
    )


_INTERACTIONS: Final = (
    _word("quota", Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST, "quota_exceeded"),
    _word("payment", Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST, "payment_required"),
    _word(
        "key",
        Fault.KEY,
        RetryScope.KEY,
        KeyAction.DISABLE,
        *("authentication", "permission_denied", "failed_precondition"),
    ),
    _word("model", Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL, "model_not_found"),
    _word(
        "blocked",
        Fault.REQUEST,
        RetryScope.NONE,
        KeyAction.NONE,
        *("safety", "recitation", "language", "prohibited_content", "spii", "blocklist", "content_blocked"),
        *("image_safety", "image_prohibited_content", "image_recitation", "image_other"),
        reason="content-policy",
    ),
    _word("rate", Fault.RATE, RetryScope.KEY, KeyAction.COOL, "rate_limit_exceeded", "too_many_requests"),
    _word("busy", Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE, "service_unavailable", "deadline_exceeded"),
    _word("server", Fault.MODEL, RetryScope.SAME, KeyAction.NONE, "api_error"),
    _word("client", Fault.CLIENT, RetryScope.NONE, KeyAction.NONE, "cancelled"),
    _word(
        "request",
        Fault.REQUEST,
        RetryScope.NONE,
        KeyAction.NONE,
        *("invalid_request", "parameter_unknown", "out_of_range", "not_found", "already_exists", "unimplemented"),
    ),
)
"""Words of the Interactions API, which says the same inside streams and with a status."""

_ROWS: Final = (
    Row(
        id="api_key_invalid",
        code=("API_KEY_INVALID",),
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.DISABLE,
        source=_REASONS,
    ),
    Row(
        id="400.api_key_expired",  # the one case that is told by words alone
        status=(400,),
        message=re.compile(r"API key (?:expired|not valid)", re.IGNORECASE),
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.DISABLE,
        source=_ERRORS,
    ),
    Row(
        id="400.context_window",
        status=(400,),
        message=re.compile(r"input token count.{0,40} exceeds the maximum number of tokens", re.IGNORECASE),
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        reason="context-window",
        source=_LENGTH,
        read="2026-11-29",
    ),
    Row(
        id="400.failed_precondition",
        status=(400,),
        type=("FAILED_PRECONDITION",),
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.DISABLE,
        source=_ERRORS,
    ),
    Row(
        id="model_capacity",
        code=("MODEL_CAPACITY_EXHAUSTED",),
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        source=_ERRORS,
    ),
    Row(
        id="429.quota",
        status=(429,),
        code=("PerDay", "QuotaReset"),
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.EXHAUST,
        source=_LIMITS,
    ),
    Row(
        id="429.no_quota",
        status=(429,),
        code=("NoQuota",),
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.BLOCK_MODEL,
        source=_LIMITS,
    ),
    *_INTERACTIONS,
    Row(
        id="429.rate_limit",
        status=(429,),
        fault=Fault.RATE,
        retry=RetryScope.KEY,
        key=KeyAction.COOL,
        source=_LIMITS,
    ),
    _row(
        "402.billing", Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST, status=(402,), source=_CODES, read="2026-11-29"
    ),
    _row("400", Fault.REQUEST, RetryScope.NONE, status=(400,)),
    _row("401.unauthenticated", Fault.KEY, RetryScope.KEY, KeyAction.DISABLE, status=(401,)),
    _row("403.permission", Fault.KEY, RetryScope.KEY, KeyAction.DISABLE, status=(403,)),
    _row("404.not_found", Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL, status=(404,)),
    _row("409.aborted", Fault.REQUEST, RetryScope.SAME, status=(409,), source=_CODES, read="2026-11-29"),
    _row("499.cancelled", Fault.CLIENT, RetryScope.NONE, status=(499,), source=_CODES, read="2026-11-29"),
    _row("500.internal", Fault.MODEL, RetryScope.SAME, status=(500,)),
    _row("503.unavailable", Fault.MODEL, RetryScope.ROUTE, status=(503,)),
    _row("504.deadline", Fault.MODEL, RetryScope.ROUTE, status=(504,), type=("DEADLINE_EXCEEDED",)),
    # A page of the network in front of the provider.
    _row("5xx.edge", Fault.PROVIDER, RetryScope.SAME, status=(502, 504), source=_SDK, read="2026-11-29"),
)

ROWS: Final = tuple([replace(row, read=row.read or "2026-11-23") for row in _ROWS])
"""What follows from a failure, most specific first."""


def classify(failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
    """See `base.Verdicts.classify`."""
    evidence = _evidence(failure)
    if failure.status is UNSET and type(failure.code) is int and 400 <= failure.code <= 599:  # inside a stream
        failure = replace(failure, status=failure.code)
    told = failure if evidence is None else replace(failure, code=evidence)
    verdict = verdict_of(told, headers, rows=ROWS, limits=(), protocol=NAME, now=now)
    if verdict.hint is not None and verdict.hint_source == "retry-after" and "retry-after" not in headers:
        verdict = replace(verdict, hint_source="RetryInfo")
    if verdict.row.endswith(("429.quota", "interactions.quota")):
        return replace(verdict, until=_until(failure, now))
    return verdict


def _evidence(failure: Failure) -> str | None:
    """What the details say, as one word: the most telling of them."""
    for info in details_of(failure, "ErrorInfo"):
        if info.get("reason") in {"API_KEY_INVALID", "MODEL_CAPACITY_EXHAUSTED"}:
            return str(info["reason"])
        if duration(_metadata(info).get("quotaResetDelay")) is not None:
            return "QuotaReset"
    quotas = [quota for found in details_of(failure, "QuotaFailure") for quota in _violations(found)]
    for quota in quotas:
        if quota.get("quotaValue") in {"0", 0}:
            return "NoQuota"
    if any("PerDay" in str(quota.get("quotaId", "")) for quota in quotas):
        return "PerDay"
    word = failure.details.get("code") if failure.details is not UNSET else None
    return word if type(word) is str else None


def _metadata(info: dict[str, Any]) -> dict[str, Any]:
    metadata = info.get("metadata")
    return metadata if type(metadata) is dict else {}


def _violations(found: dict[str, Any]) -> list[dict[str, Any]]:
    violations = found.get("violations")
    return [item for item in violations if type(item) is dict] if type(violations) is list else []


def _until(failure: Failure, now: float) -> float:
    """When a quota comes back: after the delay that is stated, else at the next midnight of the provider."""
    for info in details_of(failure, "ErrorInfo"):
        delay = duration(_metadata(info).get("quotaResetDelay"))
        if delay is not None:
            return now + delay
    return _midnight(now)


def _midnight(now: float) -> float:
    """The next midnight in Los Angeles, where the provider's days end (daily limits "reset at midnight Pacific time").

    Written out, since time zone data are not on every machine: summer time is from the second Sunday of March, 2 a.m.,
    to the first Sunday of November, 2 a.m.
    """
    moment = datetime.fromtimestamp(now, UTC)
    local = moment + _offset(moment)
    midnight = datetime(local.year, local.month, local.day, tzinfo=UTC) + timedelta(days=1)
    utc = midnight - timedelta(hours=-8)
    return (midnight - _offset(utc)).timestamp()


def _offset(moment: datetime) -> timedelta:
    start = _sunday(moment.year, 3, 2) + timedelta(hours=10)
    end = _sunday(moment.year, 11, 1) + timedelta(hours=9)
    return timedelta(hours=-7 if start <= moment < end else -8)


def _sunday(year: int, month: int, number: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1))
