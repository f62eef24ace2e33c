"""What follows from a failure, put together from a protocol's rows and an answer's headers.

The rows decide whose fault it was. How long to wait is said by the headers of waiting, else by the limits that are
used up. ``x-should-retry`` (OpenAI's and Anthropic's servers send it, their SDKs obey it) counts less than the error's
own code and more than its status: ``false`` forbids the same key, ``true`` lets a request that only its status
condemns be repeated. A user's own rows (`judged`) come before all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ..universal.failure import Failure, Fault, RetryScope, Row, Verdict, judge, verdict_by_row
from ..universal.retry_after import retry_after
from . import bedrock_rows
from .base import Limits, Protocol

__all__ = ["judged", "rule_for", "verdict_of"]


def verdict_of(
    failure: Failure,
    headers: Mapping[str, str],
    *,
    rows: Iterable[Row],
    limits: Iterable[Limits],
    protocol: str,
    now: float,
) -> Verdict:
    """Find what follows.

    Args:
        failure: What went wrong.
        headers: The answer's, lower-case names.
        rows: The protocol's, most specific first.
        limits: What the headers said of limits; looked at only where a rate was exceeded.
        protocol: Its name.
        now: Unix time.
    """
    exception = bedrock_rows.exception_of(failure, headers)
    named = None if exception is None else replace(failure, type=exception)
    row = None if named is None else next((row for row in bedrock_rows.ROWS if row.matches(named)), None)
    row = row or next((row for row in rows if row.matches(failure)), None)
    verdict = judge(() if row is None else (row,), named or failure, protocol=protocol)
    changes = _waiting(verdict, headers, limits, now)
    match headers.get("x-should-retry", "").strip().lower():
        case "false":
            changes["same_key"] = False
        case "true" if verdict.retry is RetryScope.NONE and verdict.reason is None and not (row and row.explicit):
            changes["retry"] = RetryScope.SAME
    return replace(verdict, **changes) if changes else verdict


def _waiting(verdict: Verdict, headers: Mapping[str, str], limits: Iterable[Limits], now: float) -> dict[str, Any]:
    hint = retry_after(headers, now)
    if hint is not None:
        return {"hint": hint[0], "hint_source": hint[1]}
    if verdict.fault is Fault.RATE and (verdict.hint is None or verdict.hint_source == "row"):
        spent = [(limit.reset_after, limit.dimension) for limit in limits if limit.remaining == 0 and limit.reset_after]
        if spent:
            seconds, dimension = max(spent)
            return {"hint": seconds, "hint_source": f"reset of {dimension}"}
    return {}


def judged(
    protocol: Protocol, failure: Failure, headers: Mapping[str, str], *, now: float, rules: Sequence[Row] = ()
) -> Verdict:
    """What follows from a failure, where a user has rules of their own.

    Args:
        protocol: Whose failure it is.
        failure: From its ``decode_error``.
        headers: The answer's, lower-case names.
        now: Unix time.
        rules: Rows that come before the protocol's; the verdict of one is named ``rule.ID``.
    """
    rule = rule_for(failure, rules)
    if rule is None:
        return protocol.classify(failure, headers, now=now)
    verdict = verdict_by_row(rule, failure, protocol="rule")
    changes = _waiting(verdict, headers, protocol.limits(headers, now=now), now)
    if verdict.fault is Fault.QUOTA:
        until = protocol.classify(failure, headers, now=now).until
        changes["until"] = until if until is not None or rule.wait is None else now + rule.wait
    if headers.get("x-should-retry", "").strip().lower() == "false":
        changes["same_key"] = False
    return replace(verdict, **changes) if changes else verdict


def rule_for(failure: Failure, rules: Sequence[Row]) -> Row | None:
    """The first of a user's rules that matches; under a success status the one that the error states counts."""
    if not rules:
        return None
    if failure.status is UNSET or failure.status < 400:
        failure = replace(failure, status=_stated(failure.code))
    return next((rule for rule in rules if rule.matches(failure)), None)


def _stated(code: Any) -> Any:
    return code if type(code) is int and 400 <= code <= 599 else UNSET
