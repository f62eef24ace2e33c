"""What follows from a failure, put together from a protocol's rows and an answer's headers.

The rows decide whose fault it was. How long to wait is said by the headers of waiting, else by the limits that are
used up; ``x-should-retry: false`` (OpenAI's and Anthropic's servers send it, their SDKs obey it) forbids the same key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from ..universal.failure import Failure, Fault, Row, Verdict, judge
from ..universal.retry_after import retry_after
from .base import Limits

__all__ = ["verdict_of"]


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
    verdict = judge(rows, failure, protocol=protocol)
    changes: dict[str, Any] = {}
    hint = retry_after(headers, now)
    if hint is not None:
        changes["hint"], changes["hint_source"] = hint
    elif verdict.hint is None and verdict.fault is Fault.RATE:
        spent = [(limit.reset_after, limit.dimension) for limit in limits if limit.remaining == 0 and limit.reset_after]
        if spent:
            changes["hint"], dimension = max(spent)
            changes["hint_source"] = f"reset of {dimension}"
    if headers.get("x-should-retry", "").strip().lower() == "false":
        changes["same_key"] = False
    return replace(verdict, **changes) if changes else verdict
