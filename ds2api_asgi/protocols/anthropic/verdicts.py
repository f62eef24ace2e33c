"""What follows from each failure: rows, each with the page it follows, and the dates until which a quota is out.

It follows https://docs.anthropic.com/en/api/errors and …/rate-limits (read 2026-11-22), and the codes of errors in the
provider's SDK 2.14.0 (read 2026-11-29). 529 is the provider's own status for a fleet that is full.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from ...universal.failure import Failure, Fault, KeyAction, RetryScope, Row, Verdict
from ..verdict import verdict_of
from .limits import encode_limits, limits
from .profile import NAME
from .times import unix_time

__all__ = ["ROWS", "classify", "encode_limits", "limits"]

_ERRORS: Final = "https://docs.anthropic.com/en/api/errors"
_LIMITS: Final = "https://docs.anthropic.com/en/api/rate-limits"
_CODES: Final = "https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/_error_classes.py"
_REPORTS: Final = "https://github.com/anthropics/claude-code/issues"
_CLOUDFLARE: Final = (
    "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/"
)
_EDGE: Final = (502, 504, 520, 521, 522, 523, 524, 525, 526, 529, 530)
_COOL: Final = (Fault.RATE, RetryScope.KEY, KeyAction.COOL)
_EXHAUST: Final = (Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST)
_DISABLE: Final = (Fault.KEY, RetryScope.KEY, KeyAction.DISABLE)
_NOW: Final = "2026-11-29"


def _row(
    id: str,  # noqa: A002 - the member's name
    fault: Fault,
    retry: RetryScope,
    key: KeyAction = KeyAction.NONE,
    **more: Any,
) -> Row:
    return Row(id=id, fault=fault, retry=retry, key=key, **more)


_ROWS: Final = (
    Row(
        id="400.credit_balance",
        status=(0, 400),
        message=re.compile(r"^Your credit balance is too low"),
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.EXHAUST,
        source=f"{_REPORTS}/66314",
        read=_NOW,
    ),
    Row(
        id="400.usage_limit",
        status=(0, 400, 429),  # 429: of a Claude Code workspace
        message=re.compile(r"^You have reached your specified (?:workspace )?API usage limits"),
        fault=Fault.QUOTA,
        retry=RetryScope.KEY,
        key=KeyAction.EXHAUST,
        source=_LIMITS,
    ),
    Row(
        id="400.context_window",
        status=(400,),
        message=re.compile(r"^prompt is too long|input length and `max_tokens` exceed context limit"),
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        reason="context-window",
        source=f"{_REPORTS}/12186",
        read=_NOW,
    ),
    Row(
        id="400.content_policy",
        status=(0, 400),
        message=re.compile(r"blocked by content filtering policy", re.IGNORECASE),
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        reason="content-policy",
        source=f"{_REPORTS}/58367",
        read=_NOW,
    ),
    # Nothing works with such a key until somebody does something about it.
    _row(
        "400.organization_disabled",
        *_DISABLE,
        status=(400,),
        message=re.compile(r"^This organization has been disabled"),
        source=f"{_REPORTS}/72457",
        read=_NOW,
    ),
    *(
        _row(
            f"400.{code}",
            *_DISABLE,
            status=(400,),
            detail=("details.error_code", code),
            source=_CODES,
            read=_NOW,
        )
        for code in (
            "organization_on_hold",
            "claude_code_key_creator_not_member",
            "cmek_key_disabled",
            "cmek_key_network_blocked",
        )
    ),
    # What is not there is no model, so that the key may go on using it.
    *(
        _row(
            f"404.{code}",
            Fault.REQUEST,
            RetryScope.NONE,
            status=(404,),
            detail=("details.error_code", code),
            source=_CODES,
            read=_NOW,
        )
        for code in ("file_expired", "thread_not_found")
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
    # Usage that rises sharply: a pause, and then slowly.
    _row(
        "429.ramp_limit_exceeded",
        *_COOL,
        status=(429,),
        detail=("details.error_code", "ramp_limit_exceeded"),
        wait=60.0,
        source=_CODES,
        read=_NOW,
    ),
    Row(
        id="429.acceleration",
        status=(429,),
        message=re.compile(r"acceleration limit", re.IGNORECASE),
        fault=Fault.RATE,
        retry=RetryScope.KEY,
        key=KeyAction.COOL,
        wait=60.0,
        source=_ERRORS,
        read=_NOW,
    ),
    _row("429.rate_limit", *_COOL, status=(429,), source=_LIMITS),
    # In a stream there is no status; relays say "api_error" for all, so that it counts with its own status only.
    _row("stream.rate_limit", *_COOL, status=(0,), type=("rate_limit_error",), source=_LIMITS),
    _row("overloaded", Fault.MODEL, RetryScope.ROUTE, status=(0, 529), type=("overloaded_error",), source=_ERRORS),
    _row("500.api_error", Fault.MODEL, RetryScope.SAME, status=(0, 500), type=("api_error",), source=_ERRORS),
    _row("504.timeout", Fault.MODEL, RetryScope.ROUTE, status=(0, 504), type=("timeout_error",), source=_ERRORS),
    _row("402.billing", *_EXHAUST, type=("billing_error",), source=_ERRORS),
    _row("400", Fault.REQUEST, RetryScope.NONE, status=(400,), source=_ERRORS),
    _row("401.authentication", *_DISABLE, status=(401,), source=_ERRORS),
    _row("403.permission", Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL, status=(403,), source=_ERRORS),
    _row("404.not_found", Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL, status=(404,), source=_ERRORS),
    _row("409.conflict", Fault.REQUEST, RetryScope.SAME, status=(409,), source=_ERRORS),
    _row("413.too_large", Fault.REQUEST, RetryScope.NONE, status=(413,), source=_ERRORS),
    # A page of the network in front of the provider.
    _row("5xx.edge", Fault.PROVIDER, RetryScope.SAME, status=_EDGE, source=_CLOUDFLARE),
)

ROWS: Final = tuple([replace(row, read=row.read or "2026-11-22") for row in _ROWS])
"""What follows from a failure, most specific first."""

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
