"""An nginx for AI model APIs, as pure-ASGI parts.

An LLM endpoint is an ASGI app; every part takes such an app and is such an app:

    pool = KeyPool(Upstream("https://api.openai.com"), protocol="openai-chat", keys=KEYS)
    llm = Translator(Retry(pool), speaks="openai-chat")

| part | what it does |
|---|---|
| `Upstream` | answers by asking a provider |
| `KeyPool` | gives each request a key that works |
| `RenewedToken` | shows a token that is fetched anew before it ends, in a pool's place |
| `Retry`, `Failover` | try again, or elsewhere, until the first content; never cut a stream silently |
| `Translator` | speaks every protocol in front of an app that speaks one |
| `TextTools`, `ThinkTags` | transforms of a `Translator`: tools for models without, thoughts that are printed |
| `Router`, `Route`, `Target`, `Rules` | send each request where its model's name leads, with shares and fallbacks |
| `preset`, `Preset`, `PRESETS` | providers as data: each makes an app of itself |
| `StatefulResponses` | keeps the state of the OpenAI Responses API in front of an app that has none |
| `Access` | lets in who shows a client key, within its models and limits |
| `Bounds` | turns requests away that are too large or too odd |
| `Traced`, `Journal` | tell of each request what was decided and why |
| `Metrics`, `Telemetry`, `cost_of` | numbers for Prometheus, spans for OpenTelemetry, and what answers cost |
| `Watchers`, `JsonLines` | let them watch from one place, and write a log of one JSON document per line |
| `classify`, `rule`, `rows` | what a failure means, rules of your own, and all built-in ones as data |
| `convert` | translates one document, with no web at all |
| `lifespan`, `running`, `Mounted` | open and close parts with their host, mount them where a framework cannot |
"""

from .access import (
    Access,
    Bounds,
    ClientKey,
    ClientKeys,
    ClientLimits,
    KeyLookup,
    LimitStore,
    MemoryLimitStore,
    RedisLimitStore,
)
from .asgi.lifespan import Mounted, lifespan, running
from .errors import (
    BodyTooLarge,
    BrokenStream,
    ClientGone,
    ConfigurationError,
    ConversionError,
    Ds2apiError,
    FramingError,
    InvalidDocument,
    LossRejected,
    TransportError,
)
from .gateway.providers.presets import PRESETS, Preset, preset
from .gateway.routing.router import Router
from .gateway.routing.routes import Route, Rules, Target
from .observe import Cost, Journal, JsonLines, Metrics, Price, Telemetry, Traced, Watchers, cost_of
from .pool import (
    Key,
    KeyPool,
    RateLimits,
    RedisKeyStore,
    RenewedToken,
    Secret,
    SQLiteKeyStore,
    Token,
    token_of_command,
)
from .protocols.classification import classify, rows, rule
from .resilience import Failover, Retry
from .stateful import MemoryResponseStore, ResponseStore, SQLiteResponseStore, StatefulResponses
from .transforms import TextTools, ThinkTags
from .translator import CarryStore, Converted, MemoryCarryStore, Translator, convert
from .universal.failure import Fault, KeyAction, RetryScope, Row, Verdict
from .upstream import Upstream

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "Access",
    "BodyTooLarge",
    "Bounds",
    "BrokenStream",
    "CarryStore",
    "ClientGone",
    "ClientKey",
    "ClientKeys",
    "ClientLimits",
    "ConfigurationError",
    "ConversionError",
    "Converted",
    "Cost",
    "Ds2apiError",
    "Failover",
    "Fault",
    "FramingError",
    "InvalidDocument",
    "Journal",
    "JsonLines",
    "Key",
    "KeyAction",
    "KeyLookup",
    "KeyPool",
    "LimitStore",
    "LossRejected",
    "MemoryCarryStore",
    "MemoryLimitStore",
    "MemoryResponseStore",
    "Metrics",
    "Mounted",
    "Preset",
    "Price",
    "RateLimits",
    "RedisKeyStore",
    "RedisLimitStore",
    "RenewedToken",
    "ResponseStore",
    "Retry",
    "RetryScope",
    "Route",
    "Router",
    "Row",
    "Rules",
    "SQLiteKeyStore",
    "SQLiteResponseStore",
    "Secret",
    "StatefulResponses",
    "Target",
    "Telemetry",
    "TextTools",
    "ThinkTags",
    "Token",
    "Traced",
    "Translator",
    "TransportError",
    "Upstream",
    "Verdict",
    "Watchers",
    "classify",
    "convert",
    "cost_of",
    "lifespan",
    "preset",
    "rows",
    "rule",
    "running",
    "token_of_command",
]
