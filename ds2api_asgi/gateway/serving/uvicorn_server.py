"""An app on a port: uvicorn, which comes with the extra ``serve``; imported only by commands that serve."""

from __future__ import annotations

import gc
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import uvicorn
from msgspec import Struct

from ...asgi.types import ASGIApp
from .certificate import Certificate

__all__ = ["SHUTDOWN_SECONDS", "Serving", "listen", "serve", "spare_the_collector"]

SHUTDOWN_SECONDS = 3
"""Seconds that running requests get to end after Ctrl-C; uvicorn would wait for streams without limit."""

_BACKLOG = 2048
_GOODBYE = 1.0  # seconds that TLS clients have to answer one
_COLLECT_AFTER = 10_000  # objects
_TICKS = 10  # of uvicorn's, from one look at the certificate to the next; one is a tenth of a second


class Serving(Struct, frozen=True, kw_only=True):
    """How to serve.

    Attributes:
        shutdown: Seconds that running requests get to end after SIGTERM or Ctrl-C; then they are cancelled.
        max_connections: Connections at a time; more are answered 503. None: any number.
        root_path: The prefix that a proxy in front takes away.
        trusted: Addresses of proxies whose ``x-forwarded-for`` is believed.
        certfile: A TLS certificate, with `keyfile`; both are followed. None: plain HTTP.
        keyfile: Its private key.
        logs: Whether uvicorn sets its loggers up; False: the process has (`logs.start_logs`).
    """

    shutdown: float = SHUTDOWN_SECONDS
    max_connections: int | None = None
    root_path: str = ""
    trusted: tuple[str, ...] = ()
    certfile: Path | None = None
    keyfile: Path | None = None
    logs: bool = True


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


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    ready: Callable[[], None],
    ending: Callable[[], None] = lambda: None,
    serving: Serving = Serving(),  # noqa: B008 - frozen
) -> bool:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        app: The app.
        listener: From `listen`.
        ready: Called once, when requests are being answered.
        ending: Called in the event loop when the end begins.
        serving: How to serve.

    Returns:
        Whether it has served: False when the app failed to start, which is logged.
    """
    options: dict[str, Any] = {
        "access_log": False,  # it would show the queries of URLs, and some clients put their key there
        # uvicorn refuses what makes the bound full, the connection that asks among it.
        "limit_concurrency": None if serving.max_connections is None else serving.max_connections + 1,
        "log_level": "warning",
        "proxy_headers": bool(serving.trusted),
        "forwarded_allow_ips": list(serving.trusted),
        "root_path": serving.root_path,
        "server_header": False,
        "ssl_certfile": None if serving.certfile is None else str(serving.certfile),
        "ssl_keyfile": None if serving.keyfile is None else str(serving.keyfile),
        "timeout_graceful_shutdown": max(1, round(serving.shutdown)),
    }
    if not serving.logs:
        options["log_config"] = None
    config = uvicorn.Config(app, **options)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    server = _Server(config, ready, ending, serving)
    with suppress(KeyboardInterrupt):
        try:
            server.run(sockets=[listener])
        except SystemExit:  # uvicorn's way to say that the startup failed
            return False
    return server.was_ready


def spare_the_collector() -> None:
    """Requests leave no garbage in cycles, so the collector only looks through what is in use.

    With its defaults it takes a tenth of the CPU, and holds up requests for 20 ms when it looks through all modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _is_news(record: logging.LogRecord) -> bool:
    """False for the traceback of a request that uvicorn itself cancelled at its end, which another line tells."""
    return not (record.exc_info and type(record.exc_info[1]).__name__ == "CancelledError")


def _is_told(connection: Any) -> bool:
    """Whether a connection is closed on our side, and all that was to be said is."""
    transport = connection.transport
    return transport is not None and transport.is_closing() and transport.get_write_buffer_size() == 0


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], ending: Callable[[], None], serving: Serving
    ) -> None:
        super().__init__(config)
        self.was_ready = False
        self._ready = ready
        self._ending = ending
        self._certificate: Certificate | None = None
        if serving.certfile is not None and serving.keyfile is not None:
            self._certificate = Certificate(serving.certfile, serving.keyfile)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:  # the app failed to start
            return
        spare_the_collector()
        self.was_ready = True
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        context = self.config.ssl
        if self._certificate is not None and context is not None and counter % _TICKS == 0:
            await anyio.to_thread.run_sync(self._certificate.look, context)  # a file system may not answer at once
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        async with anyio.create_task_group() as group:
            if self.config.is_ssl:
                group.start_soon(self._hang_up)
            await super().shutdown(sockets)
            group.cancel_scope.cancel()

    async def _hang_up(self) -> None:
        """Part from TLS clients that were told goodbye and do not answer: idle ones don't, and 30 s would pass."""
        while True:
            told = {one for one in self.server_state.connections if _is_told(one)}
            await anyio.sleep(_GOODBYE)
            for connection in told & self.server_state.connections:
                if _is_told(connection):
                    connection.transport.abort()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in peace: uvicorn would raise the signal once more when all is done, and the process die of it."""
        del frame
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
