"""What follows from each failure: rows, each with the page it follows, and the dates until which a quota is out.

It follows https://docs.anthropic.com/en/api/errors and …/rate-limits (read 2026-11-22); 529 is the provider's own
status for a fleet that is full.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from ...universal.failure import Failure, Fault, KeyAction, RetryScope, Row, Verdict
from ..verdict import verdict_of
from .limits import limits
from .profile import NAME
from .times import unix_time

__all__ = ["ROWS", "classify", "limits"]

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
        id="400.context",
        status=(400,),
        message=re.compile(r"prompt is too long|exceed context limit"),
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        source="https://docs.anthropic.com/en/docs/build-with-claude/context-windows",
        fallback="context-window",
    ),
    Row(
        id="400.content_policy",
        status=(400,),
        message=re.compile(r"blocked by content filtering policy"),
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        source=_ERRORS,
        fallback="content-policy",
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
    """See `base.Verdicts.classify`."""
    spent = limits(headers, now=now)
    verdict = verdict_of(failure, headers, rows=ROWS, limits=spent, protocol=NAME, now=now)
    return replace(verdict, until=_until(failure, verdict, now)) if verdict.fault is Fault.QUOTA else verdict


def _until(failure: Failure, verdict: Verdict, now: float) -> float | None:
    """When a quota comes back: the date in the words, or the next month for a spend limit."""
    said = _REGAIN.search(failure.message)
    if said is not None:
        return unix_time(f"{said[1]}T{said[2] or '00:00'}:00+00:00")
    if verdict.row.endswith("enforced_spend_limit_reached"):
        today = datetime.fromtimestamp(now, UTC)
        year, month = (today.year + 1, 1) if today.month == 12 else (today.year, today.month + 1)
        return datetime(year, month, 1, tzinfo=UTC).timestamp()
    return None
