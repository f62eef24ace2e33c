"""The door: client keys, what they may use and how much, and bounds for what comes in.

    Access(app, keys=[ClientKey("sha256:9f86…", name="alice", limits=ClientLimits(rpm=60))])

| module | noun |
|---|---|
| `component` | the ASGI app |
| `client_key`, `client_limits`, `patterns` | a client's key: how much it may use, and which models |
| `key_lookup` | where keys are found by their digests |
| `bounds`, `json_scan` | how large a request may be, and what parsers read differently |
| `permission`, `asked`, `model_list`, `realtime` | the models that a key may use, ask for and see |
| `turnstile`, `admitted`, `usage`, `socket` | what a request takes, and what its answer says that it cost |
| `gcra`, `budget` | one limit, pure |
| `limit_store`, `redis_limit_store` | where the use of limits is counted |
| `refusal` | answers of the door itself |
"""

from __future__ import annotations

from .bounds import Bounds, Checks
from .client_key import ClientKey
from .client_limits import ClientLimits
from .component import Access
from .gcra import Allowed, Denied, Gcra
from .key_lookup import ClientKeys, KeyLookup
from .limit_store import LimitStore, MemoryLimitStore
from .redis_limit_store import RedisLimitStore

__all__ = [
    "Access",
    "Allowed",
    "Bounds",
    "Checks",
    "ClientKey",
    "ClientKeys",
    "ClientLimits",
    "Denied",
    "Gcra",
    "KeyLookup",
    "LimitStore",
    "MemoryLimitStore",
    "RedisLimitStore",
]
