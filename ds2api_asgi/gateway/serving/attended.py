"""`Attended`: a gateway in a process of its own, which heeds the process's signals.

| signal | what happens |
|---|---|
| SIGHUP | the configuration is read anew; a bad one changes nothing |
| SIGUSR1 | the end begins: nothing is repeated, websockets close, the rest gets its time (where servers have SIGTERM) |
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from typing import Final

import anyio
import anyio.abc

from ...asgi.denial import deny
from ...asgi.lifespan import running
from ...asgi.path import relative_path
from ...asgi.respond import respond
from ...asgi.types import Receive, Scope, Send
from ...asgi.unwrapped import unwrapped
from ...errors import ConfigurationError
from ..config import Config
from ..gateway import Gateway
from .foreign import is_foreign
from .logs import start_logs

__all__ = ["DRAIN", "Attended", "tell_of_restarts"]

DRAIN: Final = None if sys.platform == "win32" else signal.SIGUSR1
"""The signal that begins the end of a worker."""

_logger = logging.getLogger("ds2api_asgi.gateway")


class Attended:
    """Run a gateway, and heed signals as long as it runs; for the main thread of a process.

    Without ``[access]`` it is for this machine, and pages of other sites that its browsers show are not of it: they get
    403 (see `foreign`), except at the console, which judges for itself.

    Args:
        gateway: The gateway.
        ready: Called once, when requests are welcome.
    """

    def __init__(self, gateway: Gateway, *, ready: Callable[[], None]) -> None:
        self.gateway = gateway
        self._ready = ready
        gateway.on_reload(tell_of_restarts)

    def end(self) -> None:
        """Begin the end; to be called in the gateway's event loop."""
        self.gateway.drain(sever_after=self.gateway.config.server.graceful_timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve (the ASGI interface)."""
        if scope["type"] != "lifespan":
            if self.gateway.config.access is None and is_foreign(scope) and not self._is_console(scope):
                await _turn_away(scope, receive, send)
                return
            await self.gateway(scope, receive, send)
            return
        await receive()
        started = False
        try:
            with unwrapped():
                async with running(self.gateway), anyio.create_task_group() as group:
                    if DRAIN is not None:
                        await group.start(self._heed)
                    started = True
                    await send({"type": "lifespan.startup.complete"})
                    self._ready()
                    await receive()
                    group.cancel_scope.cancel()
        except ConfigurationError as error:
            if started:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    def _is_console(self, scope: Scope) -> bool:
        console, path = self.gateway.config.console, relative_path(scope)
        return console is not None and (path == console.path or path.startswith(console.path + "/"))

    async def _heed(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        assert DRAIN is not None
        with anyio.open_signal_receiver(signal.SIGHUP, DRAIN) as signals:
            task_status.started()
            async for number in signals:
                if number == DRAIN:
                    self.end()
                    self.gateway.sever("websocket")  # sessions have no end to wait for
                    continue
                try:
                    if not await self.gateway.reload():
                        _logger.info("the configuration has not changed")
                except ConfigurationError:
                    continue  # it was logged


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await deny(scope, send, status=403)
        return
    words = "A page of another site made this request; [access] with keys or open = true lets pages in."
    document = {"error": {"type": "foreign_origin", "message": words}}
    await respond(send, status=403, document=document, head=scope["method"] == "HEAD")


def tell_of_restarts(before: Config, after: Config) -> None:
    """Say what of a new configuration only a restart brings; the log goes where it is sent now."""
    changed = [
        name for name in type(after.server).model_fields if getattr(before.server, name) != getattr(after.server, name)
    ]
    if changed:
        _logger.warning("[server] %s: changed, and takes effect with a restart only", ", ".join(changed))
    if before.log != after.log:
        try:
            start_logs(after.log)
        except OSError as error:
            _logger.error("[log] file: cannot be opened: %s", error.strerror)  # noqa: TRY400 - the operator's error
