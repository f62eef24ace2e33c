"""A gateway's configuration as data: pydantic models, one module for each group of tables.

| module | noun |
|---|---|
| `base` | what all tables have in common |
| `root` | `Config`, the whole file |
| `upstreams` | providers, their keys, transforms |
| `resilience` | retry, failover, breaker, budget, hedge |
| `models` | what models' names mean |
| `access` | client keys and bounds |
| `server` | the process, and what it remembers |
| `observing` | log, metrics, telemetry, cost, console |
| `secrets` | references to secrets |

Tables know nothing of parts; `gateway.build` makes parts of them. Members are called as the parts' own parameters are.
"""

from .root import Config

__all__ = ["Config"]
