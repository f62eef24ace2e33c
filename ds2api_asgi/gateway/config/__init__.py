"""A gateway's configuration: its tables as data, and how a file is read.

`read_config` reads one, `examine` tells everything that is wrong or doubtful. The tables are pydantic models, one
module for each group of them:

| module | noun |
|---|---|
| `base`, `either` | what all tables have in common |
| `root` | `Config`, the whole file |
| `upstreams` | providers, their keys, transforms |
| `resilience` | retry, failover, breaker, budget, hedge |
| `rules` | what failures mean |
| `models` | what models' names mean |
| `access` | client keys and bounds |
| `server` | the process, and what it remembers |
| `observing` | log, metrics, telemetry, cost, console |
| `secrets`, `contents` | references to secrets, files that hold them |
| `reading` | a file, and everything that is wrong with it |
| `places` | lines of a TOML document |
| `problems`, `guess`, `known` | errors in words, with suggestions |
| `checks`, `check_files`, `check_upstreams`, `check_models`, `check_access` | what tables demand of each other |
| `warnings` | what is probably not meant |
| `schema` | all of it for editors |

Tables know nothing of parts; `gateway.assembly` makes parts of them. Members are called as the parts' own parameters
are.
"""

from .reading import Examined, examine, read_config
from .root import Config

__all__ = ["Config", "Examined", "examine", "read_config"]
