"""Key pools: several API keys behind one app, each used while it works and left alone while it does not.

    KeyPool(Upstream("https://api.openai.com"), protocol="openai-chat", keys=[KEY_1, KEY_2])

`keys` holds secrets, `health` is the state machine of a key, `strategies` choose among usable keys, `roster` keeps both
in step, `store` is where that lives, and `component` is the ASGI app.
"""

from __future__ import annotations

from .ask import Ask
from .component import KeyPool
from .gauge import Spent
from .health import KeyState, Outcome
from .keys import Key, Secret
from .limits import RateLimits
from .store import KeyStore, Lease, MemoryStore
from .strategies import Affinity, FillFirst, Latency, LeastUsed, Lineup, RoundRobin, Seat, Strategy, Traffic
from .survey import Empty, EmptyReason, KeyReport

__all__ = [
    "Affinity",
    "Ask",
    "Empty",
    "EmptyReason",
    "FillFirst",
    "Key",
    "KeyPool",
    "KeyReport",
    "KeyState",
    "KeyStore",
    "Latency",
    "Lease",
    "LeastUsed",
    "Lineup",
    "MemoryStore",
    "Outcome",
    "RateLimits",
    "RoundRobin",
    "Seat",
    "Secret",
    "Spent",
    "Strategy",
    "Traffic",
]
