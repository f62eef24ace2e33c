"""``retry``, ``failover`` and what they consist of; members are called as the parts' own parameters are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...universal.failure import RequestFault
from .base import Amount, Count, Flag, HeaderName, Seconds, Table
from .either import OrFalse

__all__ = ["BreakerTable", "BudgetTable", "FailoverTable", "HedgeTable", "RetryTable"]

_Share = Annotated[Amount, Field(ge=0, lt=1)]
_Part = Annotated[Amount, Field(gt=0, le=1)]
_NotNegative = Annotated[Amount, Field(ge=0)]


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

    capacity: _NotNegative = 100.0
    """Tokens at the start, and at most."""
    per_success: _NotNegative = 0.1
    """Tokens that a success brings."""
    per_retry: _NotNegative = 1.0
    """Tokens that a repeat takes."""


class HedgeTable(Table):
    """When a second attempt begins beside a slow one."""

    quantile: _Part = 0.95
    """Of the times to the first content: an attempt that takes longer is slow."""
    least: _NotNegative = 1.0
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
    """Attempts for failures that are not a key's, the first one among them; 1: nothing is repeated."""
    max_keys_tried: Count = 5
    """Keys that one request may try; they do not count as attempts."""
    max_calls: Count = 6
    """Calls of providers for one request, over all that may repeat it."""
    deadline: Seconds = 600.0
    """Seconds for a request, from its beginning and with all repeats."""
    wait_cap: Seconds = 10.0
    """Seconds that are waited within a request at most because a provider asks for it."""
    backoff: _NotNegative = 0.5
    """Seconds of the first pause at most, where the provider names none; doubled from pause to pause."""
    backoff_cap: _NotNegative = 8.0
    """The bound of that, in seconds."""
    first_content_timeout: Seconds | None = 60.0
    """Seconds from an attempt's beginning to a stream's first content; reasoning models may need 300. Of what is not
    translated (pictures) the answer's start is enough."""
    idle_timeout: Seconds | None = 60.0
    """Seconds between two bytes of a running answer."""
    content_timeout: Seconds | None = 300.0
    """Seconds between contents of a running stream, comments and pings being none; of what is not translated also from
    the answer's start to the first."""
    early_commit_after: Seconds | None = None
    """Seconds after which a client that waits for a stream gets comments, so that no proxy cuts its connection;
    missing: never."""
    hedge: HedgeTable | None = None
    """When a second attempt begins beside a slow one (both cost tokens); missing: never."""
    breaker: OrFalse[BreakerTable] = False
    """When a provider that keeps failing is left alone for a while; `false`: never, which is right for a single one."""
    budget: OrFalse[BudgetTable] = BudgetTable()
    """How much of what a provider gets may be repeats; `false`: anything."""
    keep_pace: Flag = True
    """Whether no attempt is begun that half of the last ones would not have ended in time."""
    client_timeouts: Flag = True
    """Whether an answer comes before the client gives up, where its SDK tells how long it waits."""
    timeout_header: HeaderName | None = None
    """A header by which clients state their timeout in milliseconds (`x-request-timeout-ms`)."""


class FailoverTable(RetryTable):
    """The same among several targets of a model."""

    breaker: OrFalse[BreakerTable] = BreakerTable()
    """When a target that keeps failing is left alone for a while; `false`: never."""
    fallback_on: tuple[RequestFault, ...] = ()
    """Faults of a request that another target may not see as ones: `context-window` (it is too long for the model),
    `content-policy` (it was refused); then that one is asked."""
