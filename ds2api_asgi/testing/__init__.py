"""The kit for tests: a streaming driver, a transport for SDKs in process, a scripted upstream, a server in a thread.

| module | noun |
|---|---|
| `driver` | `Driver`: an app asked without a socket |
| `transport` | the same for clients of httpx |
| `wire` | one exchange, beneath both |
| `scripted` | `ScriptedUpstream`: an app that plays a script |
| `server` | `serve`: an app on a port |
"""

from __future__ import annotations

from .driver import Answer, Driver, Response
from .scripted import (
    EVENT_STREAM,
    Break,
    Hang,
    Pause,
    ReceivedRequest,
    Script,
    ScriptBroke,
    ScriptedUpstream,
    Set,
    Start,
    Step,
    Wait,
    event_script,
    json_script,
)
from .server import serve
from .transport import InProcessTransport, in_process_client
from .wire import BrokenResponse, NoResponse

__all__ = [
    "EVENT_STREAM",
    "Answer",
    "Break",
    "BrokenResponse",
    "Driver",
    "Hang",
    "InProcessTransport",
    "NoResponse",
    "Pause",
    "ReceivedRequest",
    "Response",
    "Script",
    "ScriptBroke",
    "ScriptedUpstream",
    "Set",
    "Start",
    "Step",
    "Wait",
    "event_script",
    "in_process_client",
    "json_script",
    "serve",
]
