r"""An upstream that plays a script: for each request the next one, step by step; it keeps what it was sent.

::

    upstream = ScriptedUpstream(
        [
            json_script({"error": {"message": "slow down"}}, status=429, headers=[(b"retry-after", b"1")]),
            [Start(200, EVENT_STREAM), b"data: {}\n\n", Break()],
        ]
    )

It is an ASGI app: run it in process, or over a socket with `ds2api_asgi.testing.server.serve`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, assert_never

import anyio
import anyio.to_thread
from msgspec import Struct

from ..asgi.body import read_body
from ..asgi.disconnect import while_connected
from ..asgi.headers import find
from ..asgi.types import Receive, Scope, Send
from ..errors import ClientGone, ConfigurationError
from ..universal import jsontext

__all__ = [
    "EVENT_STREAM",
    "Break",
    "Hang",
    "Pause",
    "ReceivedRequest",
    "Script",
    "ScriptBroke",
    "ScriptedUpstream",
    "Set",
    "Start",
    "Step",
    "Wait",
    "event_script",
    "json_script",
]

MAX_KEPT = 1_000
"""Requests that are kept; the oldest go first."""

EVENT_STREAM = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
"""Headers of a stream of events."""


class ScriptBroke(Exception):
    """What `Break` raises: a server then closes the connection, without a last chunk if the response had started."""


class Start(Struct, frozen=True):
    """Start the response."""

    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Pause(Struct, frozen=True):
    """Wait for some seconds."""

    seconds: float


class Wait(Struct, frozen=True):
    """Wait until an event is set; over a socket, where the test has another loop, take a ``threading.Event``."""

    event: anyio.Event | threading.Event


class Set(Struct, frozen=True):
    """Set an event, to tell the test that the script has come this far."""

    event: anyio.Event | threading.Event


class Hang(Struct, frozen=True):
    """Do nothing until the client leaves."""


class Break(Struct, frozen=True):
    """Raise `ScriptBroke`."""


Step = bytes | Start | Pause | Wait | Set | Hang | Break
Script = Sequence[Step]


class ReceivedRequest(Struct, kw_only=True):
    """A request that came in.

    Attributes:
        left: Whether the client left before the script was over.
    """

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    left: bool = False

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        value = find(self.headers, name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def json(self) -> Any:
        """The body as JSON; raises InvalidDocument when it is none."""
        return jsontext.loads(self.body)


def json_script(document: Any, *, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> Script:
    """A script that answers with a JSON document."""
    return [Start(status, ((b"content-type", b"application/json"), *headers)), jsontext.dumps(document)]


def event_script(*events: Any, then: Sequence[Step] = (), done: bool = False) -> Script:
    """A script that streams ``data:`` events.

    Args:
        events: JSON values, an event each, a body message each.
        then: Steps after them.
        done: Whether ``data: [DONE]`` comes after the events.
    """
    frames = [b"data: " + jsontext.dumps(event) + b"\n\n" for event in events]
    return [Start(200, EVENT_STREAM), *frames, *([b"data: [DONE]\n\n"] if done else []), *then]


class ScriptedUpstream:
    """Plays a script for each request, in order.

    The response ends cleanly after the last step of its script. A request after the last script is answered by 500.

    Args:
        scripts: What to do for the first request, the second, ...
        repeat: Begin again with the first script after the last one.

    Attributes:
        requests: What came in, oldest first, at most `MAX_KEPT`.

    Raises:
        ConfigurationError: A script sends a body before its `Start`, or starts twice, or starts never.
    """

    def __init__(self, scripts: Sequence[Script], *, repeat: bool = False) -> None:
        self._scripts = [_checked(script) for script in scripts]
        self._repeat = repeat
        self._played = 0
        self.requests: deque[ReceivedRequest] = deque(maxlen=MAX_KEPT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Play the next script; lifespans are refused, as apps without one do."""
        if scope["type"] != "http":
            raise RuntimeError(f"a scripted upstream has no {scope['type']}")
        script = self._next()
        try:
            body = await read_body(receive)
        except ClientGone:
            return
        request = ReceivedRequest(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            headers=list(scope["headers"]),
            body=body.body,
        )
        self.requests.append(request)
        try:
            await while_connected(body, lambda: _play(script, send))
        except ClientGone:
            request.left = True
            return
        if any(isinstance(step, Start) for step in script):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _next(self) -> Script:
        index = self._played
        self._played += 1
        if self._repeat and self._scripts:
            index %= len(self._scripts)
        if index < len(self._scripts):
            return self._scripts[index]
        return json_script({"error": {"message": "the script is over", "type": "scripted_upstream"}}, status=500)


def _checked(script: Script) -> Script:
    started = False
    for step in script:
        if isinstance(step, Start) and started:
            raise ConfigurationError("a script starts twice")
        if isinstance(step, bytes) and not started:
            raise ConfigurationError("a script sends a body before its Start")
        started = started or isinstance(step, Start)
    if not started and not any(isinstance(step, (Break, Hang)) for step in script):
        raise ConfigurationError("a script answers nothing")
    return script


async def _play(script: Script, send: Send) -> None:
    for step in script:
        match step:
            case bytes():
                await send({"type": "http.response.body", "body": step, "more_body": True})
            case Start(status, headers):
                await send({"type": "http.response.start", "status": status, "headers": list(headers)})
            case Pause(seconds):
                await anyio.sleep(seconds)
            case Wait(event):
                await _wait(event)
            case Set(event):
                event.set()
            case Hang():
                await anyio.sleep_forever()
            case Break():
                raise ScriptBroke("the script says so")
            case _:
                assert_never(step)


async def _wait(event: anyio.Event | threading.Event) -> None:
    if isinstance(event, threading.Event):
        await anyio.to_thread.run_sync(event.wait, abandon_on_cancel=True)
    else:
        await event.wait()
