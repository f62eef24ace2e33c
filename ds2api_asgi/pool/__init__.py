"""Key pools: several API keys behind one app, each used while it works and left alone while it does not.

    KeyPool(Upstream("https://api.openai.com"), protocol="openai-chat", keys=[KEY_1, KEY_2])

| module | noun |
|---|---|
| `component` | `KeyPool`, the ASGI app |
| `keys`, `limits`, `credentials` | what a pool is told of a key; where its secret goes |
| `attempt`, `handshake` | an answer, or a websocket, watched for what it says of its key |
| `outcome`, `health` | what an answer means for a key; the state machine of a key |
| `errand`, `ask`, `cost`, `conversation` | what a request is about and asks for: a model, tokens, a conversation |
| `makers` | which account has the files, batches and responses that requests name |
| `strategies` | which of the usable keys is next |
| `roster`, `book` | which keys are usable for which model, kept in step |
| `gauge`, `windows` | how much of a limit is used, in a minute and a day |
| `store` | `KeyStore`: where all of that lives; in memory |
| `shared` | what several processes share of it |
| `waiting`, `queue` | who waits for a key, and who is next |
| `refusal` | what a client is told when there is none |
| `survey`, `heard`, `trial` | what operators see of keys: states, what providers said of limits, a key tried out |
| `succession` | what is known of keys, taken over by a roster of other keys |
| `renewed_token` | in a pool's place, where the key is a token that ends |
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
