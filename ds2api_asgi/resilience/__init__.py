"""Survive failures: try again, fail over, and never end a broken stream as if it were whole."""

from .failover import Failover
from .plan import Answered, Failed, Outcome, Plan, RetryPolicy, Try, failover_plan, retry_plan
from .retry import Retry
from .timeouts import Timeouts

__all__ = [
    "Answered",
    "Failed",
    "Failover",
    "Outcome",
    "Plan",
    "Retry",
    "RetryPolicy",
    "Timeouts",
    "Try",
    "failover_plan",
    "retry_plan",
]
