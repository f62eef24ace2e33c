"""What follows from a failure that has no answer: rows beside those of the protocols, with ids of their own.

A failure's ``code`` is the reason of a `ds2api_asgi.errors.TransportError` (``network``), what of a stream or an app
failed (``answer``), or the bound that was missed (``late``). The rules are our own: no provider's page speaks of them.
"""

from __future__ import annotations

from typing import Final

from .failure import Failure, FailureKind, Fault, RetryScope, Row, Verdict, judge

__all__ = ["UNANSWERED", "network", "unanswered"]


def _row(family: str, code: str, fault: Fault, retry: RetryScope) -> Row:
    return Row(id=f"{family}.{code}", fault=fault, retry=retry, code=(f"{family}.{code}",))


UNANSWERED: Final = (
    *(
        _row("network", reason, Fault.NETWORK, RetryScope.SAME)
        for reason in ("connect", "tls", "write", "reset", "protocol")
    ),
    _row("network", "timeout", Fault.MODEL, RetryScope.ROUTE),
    _row("network", "pool", Fault.SELF, RetryScope.NONE),  # no connection free: another app may have one
    _row("late", "first-content", Fault.MODEL, RetryScope.ROUTE),
    _row("late", "idle", Fault.MODEL, RetryScope.ROUTE),
    _row("late", "content", Fault.MODEL, RetryScope.ROUTE),
    _row("late", "total", Fault.SELF, RetryScope.NONE),
    _row("answer", "cut", Fault.MODEL, RetryScope.ROUTE),
    _row("answer", "raised", Fault.PROVIDER, RetryScope.SAME),
)
"""Transport failures, missed bounds, and answers that broke off."""


def unanswered(row: str) -> Verdict:
    """The verdict on a failure that has no answer.

    Args:
        row: The id of a row of `UNANSWERED` (``"late.idle"``); an unknown one is the provider's fault.
    """
    failure = Failure(kind=FailureKind.BAD_GATEWAY, message="", code=row)
    family, _, rest = row.partition(".")
    found = next((one for one in UNANSWERED if one.matches(failure)), None)
    if found is None:
        fault = Fault.NETWORK if family == "network" else Fault.PROVIDER
        return Verdict(row=f"{family or 'answer'}.{rest or 'unknown'}", fault=fault, retry=RetryScope.SAME)
    return judge((Row(id=rest, fault=found.fault, retry=found.retry),), failure, protocol=family)


def network(reason: str) -> Verdict:
    """The verdict on an upstream that was not reached.

    Args:
        reason: As in `ds2api_asgi.errors.TransportError`.
    """
    return unanswered(f"network.{reason}")
