"""Survive failures: try again, fail over, and never end a broken stream as if it were whole.

`Retry` and `Failover` are one `Engine` with a plan each (`plan`). A plan of your own is a function that makes a
generator of `Try`, which is sent an `Outcome` each time::

    Engine(apps, my_plan, protocol="anthropic", terms=Terms(policy=RetryPolicy(), timeouts=Timeouts()))

| module | noun |
|---|---|
| `retry`, `failover` | the two apps |
| `plan`, `plans` | what to try next, as a generator; the two that are ours |
| `steps` | what the engine makes of its words |
| `engine`, `terms`, `asked` | runs plans over apps; what holds for every request, and for all attempts of one |
| `course`, `attempt`, `race`, `pair` | one attempt at a target, start to end; the app run; two side by side |
| `hedge` | when a second one is begun |
| `passage`, `alive`, `frames` | the answer on its way: held, let through, kept alive; whole events only |
| `answer`, `judging` | answers that went wrong, held; what a failure means |
| `targets`, `breaker`, `budget`, `pace` | what is learned: who fails, who is repeated too much, how fast they are |
| `line`, `stated`, `timeouts` | the client's end, how long it says that it waits, and how long what may take |
| `pinned` | requests that one target only can serve, and those that may not be asked twice |
| `untouched` | requests that are not ours to repeat |
"""

from .breaker import BreakerPolicy, BreakerState
from .budget import BudgetPolicy
from .engine import Engine, PlanFactory, Terms
from .failover import Failover
from .hedge import Hedge
from .plan import Answered, Ended, Failed, Outcome, Plan, Reason, RetryPolicy, Try
from .plans import failover_plan, retry_plan
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
