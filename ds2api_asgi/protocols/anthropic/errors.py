"""Errors: ``{"type": "error", "error": {"type": …, "message": …, "details": …}, "request_id": …}``.

It follows https://docs.anthropic.com/en/api/errors and …/rate-limits (read 2026-11-22); 529 is the provider's own
status for a fleet that is full.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...framing.sse import write_event
from ...universal.failure import Failure, FailureKind, Fault, KeyAction, RetryScope, Row, Verdict, judge, kind_of_status
from ...universal.jsontext import dumps, loads
from ...universal.retry_after import retry_after
from ..base import Limits, WireError
from .fields import NAME

__all__ = [
    "ROWS",
    "classify",
    "decode_error",
    "decode_failure",
    "encode_error",
    "encode_failure",
    "limits",
    "stream_error",
]

_KINDS: Final = {
    "invalid_request_error": FailureKind.INVALID,
    "authentication_error": FailureKind.AUTH,
    "billing_error": FailureKind.BILLING,
    "permission_error": FailureKind.PERMISSION,
    "not_found_error": FailureKind.NOT_FOUND,
    "conflict_error": FailureKind.CONFLICT,
    "request_too_large": FailureKind.TOO_LARGE,
    "rate_limit_error": FailureKind.RATE,
    "timeout_error": FailureKind.TIMEOUT,
    "api_error": FailureKind.SERVER,
    "overloaded_error": FailureKind.OVERLOADED,
}

_SPELLING: Final = {
    FailureKind.INVALID: (400, "invalid_request_error"),
    FailureKind.AUTH: (401, "authentication_error"),
    FailureKind.BILLING: (402, "billing_error"),
    FailureKind.PERMISSION: (403, "permission_error"),
    FailureKind.NOT_FOUND: (404, "not_found_error"),
    FailureKind.METHOD: (405, "invalid_request_error"),
    FailureKind.CONFLICT: (409, "conflict_error"),
    FailureKind.TOO_LARGE: (413, "request_too_large"),
    FailureKind.RATE: (429, "rate_limit_error"),
    FailureKind.CLIENT_CLOSED: (499, "api_error"),
    FailureKind.SERVER: (500, "api_error"),
    FailureKind.BAD_GATEWAY: (502, "api_error"),
    FailureKind.OVERLOADED: (529, "overloaded_error"),
    FailureKind.TIMEOUT: (504, "timeout_error"),
    FailureKind.TRUNCATED: (502, "api_error"),
}


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
    """See `Protocol.decode_error`."""
    try:
        document = loads(body)
    except InvalidDocument:
        document = None
    failure = decode_failure(document, status)
    changes: dict[str, Any] = {}
    hint = retry_after(headers, None)
    if hint is not None:
        changes["retry_after"] = hint[0]
    if failure.request_id is UNSET and headers.get("request-id") and failure.protocol is UNSET:
        changes["request_id"] = headers["request-id"]
    return msgspec.structs.replace(failure, **changes) if changes else failure


def decode_failure(document: Any, status: int | UnsetType) -> Failure:
    """Read an error document, or whatever stands in its place.

    Args:
        document: A JSON value; None where there was none.
        status: The HTTP status, UNSET inside a stream.
    """
    error = document.get("error") if type(document) is dict else None
    if type(error) is not dict or type(error.get("type")) is not str or type(error.get("message")) is not str:
        return _unlike_ours(document, status)
    details = {name: value for name, value in error.items() if name not in {"type", "message"}}
    known = {"error", "type"} if document.get("type") == "error" else {"error"}
    ext = {name: value for name, value in document.items() if name not in known}
    request_id = ext.pop("request_id") if type(ext.get("request_id")) is str else UNSET
    return Failure(
        kind=_kind(error["type"], status),
        message=error["message"],
        status=status,
        type=error["type"],
        request_id=request_id,
        details=details or UNSET,
        ext=ext or UNSET,
        protocol=NAME if document.get("type") == "error" else UNSET,
    )


def _kind(kind: str, status: int | UnsetType) -> FailureKind:
    by_status = FailureKind.SERVER if status is UNSET else kind_of_status(status)
    known = _KINDS.get(kind)
    # Relays say "api_error" for all: the status says more.
    if known is None or (known is FailureKind.SERVER and status is not UNSET):
        return by_status
    if known is FailureKind.INVALID and by_status in {FailureKind.TOO_LARGE, FailureKind.METHOD}:
        return by_status
    return known


def _unlike_ours(document: Any, status: int | UnsetType) -> Failure:
    message = ""
    if type(document) is dict:
        error = document.get("error")
        for holder in (error, document):
            if type(holder) is dict and type(holder.get("message")) is str:
                message = message or holder["message"]
        if type(error) is str:
            message = message or error
        if type(document.get("detail")) is str:
            message = message or document["detail"]
    where = "in its stream" if status is UNSET else f"with status {status}"
    return Failure(
        kind=FailureKind.SERVER if status is UNSET else kind_of_status(status),
        message=message or f"the upstream failed {where} and did not say why",
        status=status,
    )


def encode_error(failure: Failure) -> WireError:
    """See `Protocol.encode_error`."""
    status = _SPELLING[failure.kind][0]
    if failure.protocol == NAME and failure.status is not UNSET:
        status = failure.status
    headers = [(b"content-type", b"application/json")]
    if failure.retry_after is not UNSET:
        headers.append((b"retry-after", b"%d" % math.ceil(failure.retry_after)))
    if failure.request_id is not UNSET:
        headers.append((b"request-id", failure.request_id.encode("latin-1", "replace")))
    return WireError(status=status, headers=tuple(headers), document=encode_failure(failure))


def encode_failure(failure: Failure) -> dict[str, Any]:
    """Write the error document."""
    home = failure.protocol == NAME
    kind = failure.type if home and failure.type is not UNSET else _SPELLING[failure.kind][1]
    error: dict[str, Any] = {"type": kind, "message": failure.message}
    document: dict[str, Any] = {"type": "error", "error": error}
    if failure.request_id is not UNSET:
        document["request_id"] = failure.request_id
    if home:
        error.update(failure.details or {})
        document.update(failure.ext or {})
    elif failure.kind is FailureKind.INVALID and failure.param == "thread":
        # What the SDK's tool runner waits for to go on without a thread.
        error["details"] = {"error_code": "thread_unsupported_request"}
    return document


def stream_error(failure: Failure) -> bytes:
    """See `Protocol.stream_error`."""
    return write_event(dumps(encode_failure(failure)), b"error")


_ERRORS: Final = "https://docs.anthropic.com/en/api/errors"
_LIMITS: Final = "https://docs.anthropic.com/en/api/rate-limits"

ROWS: Final = (
    Row(
        id="400.usage_limit",
        status=(400,),
        message=re.compile(r"^You have reached your specified (?:workspace )?API usage limits"),
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.EXHAUST,
        source=_LIMITS,
    ),
    *(
        Row(
            id=f"429.{code}",
            status=(429,),
            detail=("details.error_code", code),
            fault=Fault.QUOTA,
            retry=RetryScope.KEY,
            key=KeyAction.EXHAUST,
            source=_LIMITS,
        )
        for code in ("enforced_spend_limit_reached", "contract_spend_limit_reached")
    ),
    Row(
        id="429.rate_limit",
        status=(429,),
        fault=Fault.RATE,
        retry=RetryScope.KEY,
        key=KeyAction.COOL,
        source=_LIMITS,
    ),
    Row(
        id="403.permission",
        status=(403,),
        fault=Fault.KEY,
        retry=RetryScope.KEY,
        key=KeyAction.BLOCK_MODEL,
        source=_ERRORS,
    ),
    Row(
        id="413.too_large",
        status=(413,),
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        source=_ERRORS,
    ),
    Row(
        id="500.api_error",
        status=(500,),
        type=("api_error",),
        fault=Fault.MODEL,
        retry=RetryScope.SAME,
        source=_ERRORS,
    ),
    Row(
        id="504.timeout",
        status=(504,),
        type=("timeout_error",),
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        source=_ERRORS,
    ),
    Row(
        id="529.overloaded",
        status=(529,),
        type=("overloaded_error",),
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        source=_ERRORS,
    ),
    Row(
        id="5xx.edge",  # a page of the network in front of the provider
        status=(502, 504, 520, 521, 522, 523, 524, 529),
        fault=Fault.PROVIDER,
        retry=RetryScope.SAME,
    ),
)

_REGAIN: Final = re.compile(r"regain access on (\d{4}-\d{2}-\d{2})(?: at (\d{2}:\d{2}))?")


def classify(failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
    """See `Protocol.classify`."""
    verdict = judge(ROWS, failure, protocol=NAME)
    changes: dict[str, Any] = {}
    hint = retry_after(headers, now)
    if hint is not None:
        changes["hint"], changes["hint_source"] = hint
    elif verdict.hint is None and verdict.fault is Fault.RATE:
        spent = [
            (limit.reset_after, limit.dimension)
            for limit in limits(headers, now=now)
            if limit.remaining == 0 and limit.reset_after is not None
        ]
        if spent:
            seconds, dimension = max(spent)
            changes["hint"], changes["hint_source"] = seconds, f"reset of {dimension}"
    if verdict.fault is Fault.QUOTA:
        changes["until"] = _until(failure, verdict, now)
    if headers.get("x-should-retry", "").strip().lower() == "false":
        changes["same_key"] = False
    return msgspec.structs.replace(verdict, **changes) if changes else verdict


def _until(failure: Failure, verdict: Verdict, now: float) -> float | None:
    """When a quota comes back: the date in the words, or the next month for a spend limit."""
    said = _REGAIN.search(failure.message)
    if said is not None:
        return _time(f"{said[1]}T{said[2] or '00:00'}:00+00:00")
    if verdict.row.endswith("enforced_spend_limit_reached"):
        today = datetime.fromtimestamp(now, UTC)
        year, month = (today.year + 1, 1) if today.month == 12 else (today.year, today.month + 1)
        return datetime(year, month, 1, tzinfo=UTC).timestamp()
    return None


_HEADER: Final = re.compile(r"anthropic-(ratelimit|priority)-([a-z0-9-]+)-(limit|remaining|reset|status|utilization)")


def limits(headers: Mapping[str, str], *, now: float) -> list[Limits]:
    """See `Protocol.limits`; ``priority-…`` and ``unified-…`` dimensions keep their prefix."""
    found: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        match = _HEADER.fullmatch(name)
        if match is not None:
            prefix = "priority-" if match[1] == "priority" else ""
            found.setdefault(prefix + match[2], {})[match[3]] = value
    return [_limits(dimension, values, now) for dimension, values in found.items()]


def _limits(dimension: str, values: dict[str, str], now: float) -> Limits:
    reset = _reset(values.get("reset", ""))
    remaining = _number(values.get("remaining", ""))
    if remaining is None and values.get("status") == "rejected":
        remaining = 0.0
    return Limits(
        dimension=dimension,
        limit=_number(values.get("limit", "")),
        remaining=remaining,
        reset_after=None if reset is None else max(0.0, reset - now),
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _reset(text: str) -> float | None:
    """Unix time of a reset: RFC 3339, or epoch seconds in the ``unified`` headers."""
    return float(text) if re.fullmatch(r"[0-9]{1,11}", text) else _time(text)


def _time(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
