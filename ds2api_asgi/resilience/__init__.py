"""Survive failures: try again, fail over, and never end a broken stream as if it were whole.

`Retry` and `Failover` are one `Engine` with a plan each (`plan`). A plan of your own is a function that makes a
generator of `Try`, which is sent an `Outcome` each time::

    Engine(apps, my_plan, protocol="anthropic", terms=Terms(policy=RetryPolicy(), timeouts=Timeouts()))
"""

from .breaker import BreakerPolicy, BreakerState
from .budget import BudgetPolicy
from .engine import Engine, PlanFactory, Terms
from .failover import Failover
from .hedge import Hedge
from .plan import Answered, Ended, Failed, Outcome, Plan, Reason, RetryPolicy, Try, failover_plan, retry_plan
from .retry import Retry
from .targets import BreakerReport
from .timeouts import Timeouts

__all__ = [
    "Answered",
    "BreakerPolicy",
    "BreakerReport",
    "BreakerState",
    "BudgetPolicy",
    "Ended",
    "Engine",
    "Failed",
    "Failover",
    "Hedge",
    "Outcome",
    "Plan",
    "PlanFactory",
    "Reason",
    "Retry",
    "RetryPolicy",
    "Terms",
    "Timeouts",
    "Try",
    "failover_plan",
    "retry_plan",
]
