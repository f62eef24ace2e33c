"""`Resource`: a part with a lifespan of its own, which several generations of a gateway may use one after the other.

| who | does what |
|---|---|
| a generation that begins | `open` s what nobody had opened |
| a generation that has ended | `drop` s it; with its last user it closes |
| `Severable`, around it | breaks its running answers off, when there is no more time for them |
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import anyio.abc

from ...asgi.lifespan import running
from ...asgi.loop import cancel_scope
from ...asgi.types import ASGIApp, Receive, Scope, Send
from ...errors import BrokenStream, ConfigurationError

__all__ = ["Resource", "Severable", "nobody"]

_logger = logging.getLogger("ds2api_asgi.gateway")

_GOING_AWAY = 1012  # RFC 6455's registry: service restart


class Resource:
    """A part that is opened once, and closed when its last user has gone.

    Args:
        app: The part; its lifespan is run.
        closing: What else is to be done at its end.

    Attributes:
        app: The part.
        users: Generations that use it.
    """

    def __init__(self, app: ASGIApp, *, closing: Callable[[], Awaitable[None]] | None = None) -> None:
        self.app = app
        self.users = 0
        self._closing = closing
        self._end: anyio.Event | None = None
        self._ended: anyio.Event | None = None

    async def open(self, group: anyio.abc.TaskGroup) -> None:
        """Start its lifespan in a task of its own, unless it has been started.

        Raises:
            ConfigurationError: It failed to start.
        """
        if self._end is None:
            self._end, self._ended = anyio.Event(), anyio.Event()
            try:
                await group.start(self._run, self._end, self._ended)
            except BaseException:
                self._end = self._ended = None
                raise

    async def close(self) -> None:
        """End its lifespan, and wait until it has ended."""
        if self._end is not None and self._ended is not None:
            self._end.set()
            await self._ended.wait()
            self._end = self._ended = None

    async def drop(self) -> None:
        """One user has gone."""
        self.users -= 1
        if self.users <= 0:
            await self.close()

    async def _run(
        self,
        end: anyio.Event,
        ended: anyio.Event,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        started = False
        try:
            async with running(self.app):
                started = True
                task_status.started()
                await end.wait()
        except ConfigurationError:
            if not started:
                raise
            _logger.exception("a part failed to end")
        finally:
            try:
                if self._closing is not None:
                    with anyio.move_on_after(_CLOSING, shield=True):
                        await self._closing()
            finally:
                ended.set()


_CLOSING = 5.0  # seconds


class Severable:
    """Pass everything on; break off what runs when it is told to, so that parts around it tell their clients.

    Args:
        app: The app, as a rule an `Upstream`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._running: dict[anyio.CancelScope, str] = {}

    def sever(self, *kinds: str) -> int:
        """Break off what runs now.

        Args:
            kinds: The only types of scopes that are meant, as ``"websocket"``; none: all.

        Returns:
            How many requests and websockets that were.
        """
        severed = [scope for scope, kind in self._running.items() if not kinds or kind in kinds]
        for scope in severed:
            scope.cancel()
        return len(severed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the app.

        Raises:
            BrokenStream: The answer was broken off.
        """
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        cutting = cancel_scope()
        self._running[cutting] = scope["type"]
        try:
            with cutting:
                await self.app(scope, receive, send)
        finally:
            del self._running[cutting]
        if cutting.cancelled_caught:
            if scope["type"] == "http":
                raise BrokenStream("reset", "the gateway shuts down")
            with suppress(OSError, RuntimeError):  # it may be closed already
                await send({"type": "websocket.close", "code": _GOING_AWAY, "reason": "the gateway shuts down"})


async def nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """An app without a lifespan, for what has no app of its own."""
    raise NotImplementedError
