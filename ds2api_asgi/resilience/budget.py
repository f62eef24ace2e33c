"""Retry budgets: how much more than it was asked for an upstream may be asked.

A token bucket: a repeated attempt takes a token, a success brings a tenth of one. While an upstream serves, one request
in ten may be repeated for ever; when it fails for everybody, repeats stop after the first hundred, and its load is what
clients ask for and no more. Going on to another app for the first time is free: an outage of the first app must not use
up what its stand-in has. A hedge costs what a repeat does, whomever it asks.
"""

from __future__ import annotations

from msgspec import Struct

from ..errors import ConfigurationError

__all__ = ["BudgetPolicy", "RetryBudget"]


class BudgetPolicy(Struct, frozen=True, kw_only=True):
    """How many attempts may be repeats, per target.

    Attributes:
        capacity: Tokens at the start, and at most.
        per_success: Tokens that a success brings.
        per_retry: Tokens that a repeated attempt takes; one of another key too.
    """

    capacity: float = 100.0
    per_success: float = 0.1
    per_retry: float = 1.0

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: A negative or undefined number, or a capacity below what one repeat takes.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ConfigurationError(f"the retry budget's {name} must be a number from 0 on, not {value!r}")
        if self.capacity < self.per_retry:
            raise ConfigurationError(
                "a retry budget whose capacity is below per_retry allows no retry; use max_attempts=1"
            )


class RetryBudget:
    """One target's bucket.

    Args:
        policy: How much it holds.

    Attributes:
        tokens: What is left.
    """

    __slots__ = ("_policy", "tokens")

    def __init__(self, policy: BudgetPolicy) -> None:
        self._policy = policy
        self.tokens = policy.capacity

    def succeed(self) -> None:
        """An attempt was answered."""
        if self.tokens < self._policy.capacity:
            self.tokens = min(self._policy.capacity, self.tokens + self._policy.per_success)

    def take(self) -> bool:
        """Take what a repeat costs; False when there is not enough."""
        if self.tokens < self._policy.per_retry:
            return False
        self.tokens -= self._policy.per_retry
        return True
