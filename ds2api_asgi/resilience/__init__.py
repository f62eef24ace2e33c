"""Survive failures: try again, fail over, and never end a broken stream as if it were whole.

`Retry` and `Failover` are one `Engine` with a plan each (`plan`). A plan of your own is a function that makes a
generator of `Try`, which is sent an `Outcome` each time::

    Engine(apps, my_plan, protocol="anthropic", terms=Terms(policy=RetryPolicy(), timeouts=Timeouts()))
"""

from .engine import Engine, PlanFactory, Terms
from .failover import Failover
from .hedge import Hedge
from .plan import Answered, Failed, Outcome, Plan, RetryPolicy, Try, failover_plan, retry_plan
from .retry import Retry
from .timeouts import Timeouts

__all__ = [
    "Answered",
    "Engine",
    "Failed",
    "Failover",
    "Hedge",
    "Outcome",
    "Plan",
    "PlanFactory",
    "Retry",
    "RetryPolicy",
    "Terms",
    "Timeouts",
    "Try",
    "failover_plan",
    "retry_plan",
]
