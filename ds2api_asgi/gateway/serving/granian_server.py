"""granian (extra ``granian``) as the server of a gateway; imported only where it is asked for.

granian has a process for each worker, also for one, and looks after them itself. Three things are done in our way:
SIGHUP reaches the workers, whose gateways read their configuration anew (granian would replace the workers); before
workers are ended they are told to drain; and requests over ``max_connections`` are answered 503.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import connection
from typing import Any, Final

from granian.constants import Interfaces
from granian.server import Server
from granian.utils.proxies import wrap_asgi_with_proxy_headers

from ...asgi.respond import respond
from ...asgi.types import ASGIApp, Receive, Scope, Send
from .attended import DRAIN, Attended
from .logs import start_logs
from .orders import Orders
from .uvicorn_server import spare_the_collector

__all__ = ["Crowd", "serve_granian"]

_LEAST_KILL: Final = 5  # seconds beyond the graceful timeout
_FAREWELL: Final = 0.5  # seconds to close websockets in: granian itself would cut them off
_LISTEN: Final = 10.0  # seconds that a worker which has started may take to listen


def serve_granian(orders: Orders, port: int, *, ready: Callable[[], None]) -> int:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        orders: What to serve.
        port: The port, which is free.
        ready: Called once, when all workers have started.

    Returns:
        The exit code.
    """
    gateway = orders.gateway()
    table = gateway.config.server
    multiprocessing.set_start_method("spawn", force=True)  # a fork would share locks and clients
    ours, theirs = multiprocessing.Pipe()
    server = _Server(
        "ds2api",
        address=table.host,
        port=port,
        interface=Interfaces.ASGI,
        workers=table.workers,
        url_path_prefix=table.root_path or None,
        ssl_cert=None if table.certfile is None else orders.folder / table.certfile,
        ssl_key=None if table.keyfile is None else orders.folder / table.keyfile,
        workers_kill_timeout=round(table.graceful_timeout) + _LEAST_KILL,
        respawn_failed_workers=True,
        log_enabled=False,
    )
    told = threading.Thread(target=_await_workers, args=(ours, table.workers, (table.host, port), ready), daemon=True)
    told.start()
    try:
        server.serve(target_loader=partial(_load, orders, theirs), wrap_loader=False)
    except SystemExit as end:
        return 1 if end.code else 0
    finally:
        theirs.close()
        ours.close()
    return 0


class Crowd:
    """Answer 503 where too many requests run at a time.

    Args:
        app: The app.
        most: How many may.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self._most = most
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._running >= self._most:
            document = {"error": {"type": "overloaded", "message": "There are too many requests at this gateway."}}
            await respond(send, status=503, document=document, headers=((b"retry-after", b"1"),))
            return
        self._running += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._running -= 1


class _Server(Server):  # type: ignore[misc, valid-type]
    """See the module."""

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        del spawn_target, target_loader
        self.reload_signal = False
        self.main_loop_interrupt.clear()
        self._tell(signal.SIGHUP)

    def _stop_workers(self) -> None:
        if DRAIN is not None:
            self._tell(DRAIN)
            time.sleep(_FAREWELL)
        super()._stop_workers()

    def _tell(self, number: int) -> None:
        for worker in self.wrks:
            if worker.is_alive():
                os.kill(worker.inner.pid, number)


def _load(orders: Orders, line: connection.Connection) -> ASGIApp:
    """What a worker serves; runs in it."""
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until somebody heeds it
    gateway = orders.gateway()
    start_logs(gateway.config.log)
    table = gateway.config.server

    def ready() -> None:
        spare_the_collector()
        line.send(True)

    app: ASGIApp = Attended(gateway, ready=ready)
    if table.max_connections is not None:
        app = Crowd(app, max(1, table.max_connections // table.workers))
    if table.trust_forwarded:
        app = wrap_asgi_with_proxy_headers(app, trusted_hosts=list(table.trust_forwarded))
    return app


def _await_workers(
    line: connection.Connection, count: int, address: tuple[str, int], ready: Callable[[], None]
) -> None:
    try:
        for _ in range(count):
            line.recv()
    except (EOFError, OSError):
        return
    _await_port(*address)
    ready()


def _await_port(host: str, port: int) -> None:
    """Return when connections are taken: granian's workers listen only after they have started."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    until = time.monotonic() + _LISTEN
    while time.monotonic() < until:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
