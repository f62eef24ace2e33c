"""``retry``, ``failover`` and what they consist of; members are called as the parts' own parameters are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Count, Seconds, Table

__all__ = ["BreakerTable", "BudgetTable", "FailoverTable", "HedgeTable", "RetryTable"]

_Share = Annotated[float, Field(ge=0, lt=1)]
_Part = Annotated[float, Field(gt=0, le=1)]


class BreakerTable(Table):
    """When what keeps failing is left alone, and for how long."""

    consecutive: Count = 5
    """Failures in a row that open it."""
    share: _Share = 0.5
    """It opens when more than this share of a window's requests failed …"""
    least: Count = 20
    """… and there were at least so many."""
    window: Seconds = 30.0
    """Seconds of that window."""
    rest: Seconds = 5.0
    """Seconds that it stays open the first time; doubled from one opening to the next."""
    longest_rest: Seconds = 300.0
    """The bound of that, in seconds."""
    jitter: _Share = 0.2
    """Rests are spread by this share to both sides."""
    probes: Count = 2
    """Successes in a row that close it again."""
    panic_interval: Seconds = 1.0
    """While all that could be asked is open, one request in so many seconds is let through."""
    models: Count = 1000
    """Models that are remembered."""


class BudgetTable(Table):
    """How many attempts may be repeats."""

    capacity: Annotated[float, Field(ge=0)] = 100.0
    """Tokens at the start, and at most."""
    per_success: Annotated[float, Field(ge=0)] = 0.1
    """Tokens that a success brings."""
    per_retry: Annotated[float, Field(ge=0)] = 1.0
    """Tokens that a repeat takes."""


class HedgeTable(Table):
    """When a second attempt begins beside a slow one."""

    quantile: _Part = 0.95
    """Of the times to the first content: an attempt that takes longer is slow."""
    least: Annotated[float, Field(ge=0)] = 1.0
    """Seconds before which no attempt is slow."""
    samples: Count = 50
    """Times without which nothing is."""
    share: _Part = 0.05
    """The part of all requests that may have a second attempt."""
    window: Count = 512
    """How many times are kept."""


class RetryTable(Table):
    """What is done about failures, until content has reached the client."""

    max_attempts: Count = 3
    """Attempts, the first one among them."""
    max_keys_tried: Count = 5
    """Keys that may be tried for a request."""
    max_calls: Count = 6
    """Upstream calls of a request, over all parts."""
    deadline: Seconds = 600.0
    """Seconds for all of it."""
    wait_cap: Seconds = 10.0
    """Seconds that may be waited because a provider asks for it."""
    backoff: Annotated[float, Field(ge=0)] = 0.5
    """Seconds before the second attempt, at most; doubled each time."""
    backoff_cap: Annotated[float, Field(ge=0)] = 8.0
    """The bound of that, in seconds."""
    first_content_timeout: Seconds | None = 60.0
    """Seconds until the first content."""
    idle_timeout: Seconds | None = 60.0
    """Seconds without anything in a stream."""
    content_timeout: Seconds | None = 300.0
    """Seconds without content in a stream."""
    early_commit_after: Seconds | None = None
    """Seconds after which a waiting client gets comments, so that its connection is kept."""
    hedge: HedgeTable | None = None
    """Whether a second attempt begins beside a slow one."""
    breaker: BreakerTable | Literal[False] = False
    """Whether what keeps failing is left alone; for a single provider that is rarely wise."""
    budget: BudgetTable | Literal[False] = BudgetTable()
    """How many attempts may be repeats; `false`: all."""
    keep_pace: bool = True
    """Whether attempts that cannot be in time are not made."""
    client_timeouts: bool = True
    """Whether timeouts that clients state are kept."""
    timeout_header: str | None = None
    """A header of clients with their timeout in seconds."""


class FailoverTable(RetryTable):
    """The same among several targets of a model."""

    breaker: BreakerTable | Literal[False] = BreakerTable()
    """Whether a target that keeps failing is left alone."""
    fallback_on: tuple[str, ...] = ()
    """Failures for which another target is asked although the request is to blame (`context_length`, …)."""
