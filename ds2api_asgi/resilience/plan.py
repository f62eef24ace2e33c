"""What a plan is: it says which app to try next and after how long, is told the outcome, and stops; without any I/O.

A plan is a synchronous generator (the idea of httpx's ``Auth.auth_flow``): it yields a `Try`, is sent the `Outcome`,
and ends when nothing more should be tried. `engine.Engine` runs plans and adds what no plan may exceed: the deadline
and the number of upstream calls. Ours are in `plans`.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from ..asgi.facts import PoolEmpty, Skipped
from ..errors import ConfigurationError
from ..universal.failure import Verdict

__all__ = ["Answered", "Ended", "Failed", "Outcome", "Plan", "Reason", "RetryPolicy", "Try"]


class Try(Struct, frozen=True):
    """Try an app.

    Attributes:
        target: Index of the app, from 0.
        after: Seconds to wait before.
        elsewhere: Whether another app follows when this one gives up, so that parts within need not insist.
        panic: Try it although its breaker is open: nobody else is left.
    """

    target: int
    after: float = 0.0
    elsewhere: bool = False
    panic: bool = False


class Answered(Struct, frozen=True):
    """The client has its answer, or what there was of it; nothing more can be tried."""


class Failed(Struct, frozen=True, kw_only=True):
    """An attempt failed before anything of it reached the client.

    Attributes:
        verdict: What follows from the failure.
        status: The HTTP status of the failed answer.
        keyed: Whether a key pool took part, so that the next attempt draws another key.
        empty: What the pool said when it had no key to give, else None.
        calls: How many upstream calls the attempt cost: more than 1 when it was a retry itself, 0 when it ended
            before any upstream was asked.
        processed: Whether an upstream may have begun to work on the request.
    """

    verdict: Verdict
    status: int
    keyed: bool = False
    empty: PoolEmpty | None = None
    calls: int = 1
    processed: bool = True


class Reason(StrEnum):
    """Why nothing more is tried, as `ds2api_asgi.asgi.facts.Stopped` tells it."""

    REQUEST = "request"
    FINAL = "final"
    ATTEMPTS = "attempts"
    KEYS = "keys"
    CALLS = "calls"
    DEADLINE = "deadline"
    WAIT = "wait"
    EMPTY = "empty"
    BREAKER = "breaker"
    BUDGET = "budget"
    PACE = "pace"
    PINNED = "pinned"
    DRAIN = "drain"
    PLAN = "plan"


class Ended(Struct, frozen=True):
    """What our plans return.

    Attributes:
        outcome: The last one.
        reason: Why the plan ended; None when there is an answer.
    """

    outcome: Outcome
    reason: Reason | None = None


Outcome: TypeAlias = Answered | Failed | Skipped
Plan: TypeAlias = Generator[Try, Outcome, object]


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How much is tried. Times are in seconds.

    Attributes:
        max_attempts: Attempts on one app for failures that are not a key's; 1 never repeats.
        max_keys_tried: Keys that one request may try; not counted as attempts.
        max_calls: Upstream calls per client request, over everything nested.
        deadline: For the whole request, from its start.
        wait_cap: The longest wait within a request that an upstream's hint may cause.
        backoff: The first pause lasts at most this long; doubled from pause to pause.
        backoff_cap: No pause without a hint is longer.
    """

    max_attempts: int = 3
    max_keys_tried: int = 5
    max_calls: int = 6
    deadline: float = 600.0
    wait_cap: float = 10.0
    backoff: float = 0.5
    backoff_cap: float = 8.0

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: A count below 1, a negative or undefined time, or a deadline of 0.
        """
        for name in ("max_attempts", "max_keys_tried", "max_calls"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name} must be an integer of at least 1, not {value!r}")
        for name in ("wait_cap", "backoff", "backoff_cap"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(f"{name} must be 0 seconds or more, not {getattr(self, name)!r}")
        if not self.deadline > 0:
            raise ConfigurationError(f"deadline must be more than 0 seconds, not {self.deadline!r}")
