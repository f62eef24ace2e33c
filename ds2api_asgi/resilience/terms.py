"""What holds for every request of an engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random

from msgspec import Struct

from ..asgi.body import DEFAULT_MAX_BODY
from ..errors import ConfigurationError
from ..universal.failure import Row
from .breaker import BreakerPolicy
from .budget import BudgetPolicy
from .hedge import Hedge
from .plan import RetryPolicy
from .stated import CLIENT_TIMEOUTS
from .timeouts import Timeouts

__all__ = ["Terms"]


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for every request of an engine.

    Attributes:
        policy: Its deadline and its call budget are enforced by the engine.
        timeouts: For each attempt.
        breaker: When targets that fail are left alone; None: never.
        budget: How much of what a target gets may be repeats and hedges; None: anything.
        keep_pace: Begin no further attempt that half of the last ones would not have finished in time.
        timeout_headers: Headers, in lower case, by which clients say how long they wait, and the seconds of their unit.
        early_commit_after: Seconds of silence after which a client that waits for a stream is sent comments, from the
            beginning or in between; None: never.
        hedge: When a slow first attempt gets another one beside it; None: never.
        rng: Draws the jitter of the breakers; None: a fresh one.
        name: What facts call the engine.
        clock: Monotonic seconds.
        wall: Unix time, to read the dates that providers send.
        max_body: Bytes of a request's body.
        rules: The user's own rows.
    """

    policy: RetryPolicy
    timeouts: Timeouts
    breaker: BreakerPolicy | None = None
    budget: BudgetPolicy | None = None
    keep_pace: bool = True
    timeout_headers: Mapping[bytes, float] = CLIENT_TIMEOUTS
    early_commit_after: float | None = None
    hedge: Hedge | None = None
    rng: Random | None = None
    name: str = "retry"
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    max_body: int = DEFAULT_MAX_BODY
    rules: Sequence[Row] = ()

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: See the ``check`` of each; or a body bound below 0, or comments after no time.
        """
        self.policy.check()
        self.timeouts.check()
        for part in (self.breaker, self.budget, self.hedge):
            if part is not None:
                part.check()
        if self.max_body < 0:
            raise ConfigurationError(f"max_body must be 0 bytes or more, not {self.max_body!r}")
        early = self.early_commit_after
        if early is not None and not early > 0:
            raise ConfigurationError(f"early_commit_after must be more than 0 seconds or None, not {early!r}")
