"""Key pools: several API keys behind one app, each used while it works and left alone while it does not.

    KeyPool(Upstream("https://api.openai.com"), protocol="openai-chat", keys=[KEY_1, KEY_2])

`keys` holds secrets and `limits` what may be asked of them; `health` is the state machine of a key, `gauge` counts how
much of a limit is used (in the `windows` of a minute and a day), `strategies` choose among usable keys, `roster` keeps
all three in step, and `store` is where that lives. `queue` knows who waits for a key and who is next, `waiting` is its
clock and its event loops. `component` is the ASGI app, `attempt` watches an answer, `cost` guesses tokens before it and
`refusal` is what a client is told when there is no key. `handshake` is an attempt at a websocket,
`makers` remembers whose account has a response that later ones build on. `heard` remembers what providers say of their
limits, for who looks at the keys, and `trial` tries a key out by itself. `renewed_token` stands in a pool's place where
the key is a token that ends.

What several processes share is in `shared`.
"""

from __future__ import annotations

from .ask import Ask
from .component import KeyPool
from .gauge import Spent
from .health import KeyState, Outcome
from .keys import Key, Secret
from .limits import RateLimits
from .renewed_token import RenewedToken, Token, TokenSource, token_of_command
from .shared.redis import RedisKeyStore
from .shared.sqlite import SQLiteKeyStore
from .store import KeyStore, Lease, MemoryStore
from .strategies import Affinity, FillFirst, Latency, LeastUsed, Lineup, RoundRobin, Seat, Strategy, Traffic
from .survey import Empty, EmptyReason, Headroom, KeyReport
from .trial import KeyTrial

__all__ = [
    "Affinity",
    "Ask",
    "Empty",
    "EmptyReason",
    "FillFirst",
    "Headroom",
    "Key",
    "KeyPool",
    "KeyReport",
    "KeyState",
    "KeyStore",
    "KeyTrial",
    "Latency",
    "Lease",
    "LeastUsed",
    "Lineup",
    "MemoryStore",
    "Outcome",
    "RateLimits",
    "RedisKeyStore",
    "RenewedToken",
    "RoundRobin",
    "SQLiteKeyStore",
    "Seat",
    "Secret",
    "Spent",
    "Strategy",
    "Token",
    "TokenSource",
    "Traffic",
    "token_of_command",
]
