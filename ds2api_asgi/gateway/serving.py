"""An app on a port: uvicorn, which comes with the extra ``serve``; imported only by commands that serve."""

from __future__ import annotations

import gc
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from ..asgi.types import ASGIApp

__all__ = ["SHUTDOWN_SECONDS", "listen", "serve"]

SHUTDOWN_SECONDS = 3
"""Seconds that running requests get to end after Ctrl-C; uvicorn would wait for streams without limit."""

_BACKLOG = 2048
_COLLECT_AFTER = 10_000  # objects


def listen(host: str, port: int) -> socket.socket:
    """Take a port.

    Args:
        host: A name or an address, of either version of IP.
        port: 0 for a free one.

    Raises:
        OSError: It is taken, or the host is not one of this machine.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    # Connections inherit it. asyncio sets it by itself, but not on what it takes for no TCP: `create_server` leaves
    # the socket's protocol at 0, and every answer in two writes would then wait 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: ASGIApp, listener: socket.socket, *, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        app: The app.
        listener: From `listen`.
        ready: Called once, when requests are being answered.
    """
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_SECONDS, server_header=False)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    with suppress(KeyboardInterrupt):  # uvicorn ends by itself, then raises the signal again
        _Server(config, ready).run(sockets=[listener])


def _spare_the_collector() -> None:
    """Requests leave no garbage in cycles, so the collector only looks through what is in use.

    With its defaults it takes a tenth of the CPU, and holds up requests for 20 ms when it looks through all modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _is_news(record: logging.LogRecord) -> bool:
    """False for the traceback of a request that uvicorn itself cancelled at its end, which another line tells."""
    return not (record.exc_info and type(record.exc_info[1]).__name__ == "CancelledError")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _spare_the_collector()
        self._ready()
