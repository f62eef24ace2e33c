"""Real servers for one app, in threads and as a process: uvicorn (both parsers), hypercorn (both loops), granian."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from ds2api_asgi.testing import serve
from ports import reserved_port

START_SECONDS = 60.0
STOP_SECONDS = 30.0


@contextmanager
def uvicorn(app: Any, *, root_path: str = "", http: str = "httptools") -> Iterator[str]:
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serve(app, lifespan="on", root_path=root_path, http=http)) as url,
    ):
        yield url


@contextmanager
def uvicorn_h11(app: Any, *, root_path: str = "") -> Iterator[str]:
    with uvicorn(app, root_path=root_path, http="h11") as url:
        yield url


@contextmanager
def hypercorn(app: Any, *, root_path: str = "") -> Iterator[str]:
    from hypercorn.asyncio import serve as run
    from hypercorn.config import Config

    config = Config()
    config.root_path, config.graceful_timeout = root_path, 1.0
    config.errorlog = config.accesslog = None
    stop = threading.Event()

    async def main() -> None:
        await run(app, config, shutdown_trigger=lambda: asyncio.to_thread(stop.wait))

    with reserved_port() as port:
        config.bind = [f"127.0.0.1:{port}"]
        with _thread(lambda: asyncio.run(main()), stop.set, port) as url:
            yield url


@contextmanager
def hypercorn_trio(app: Any, *, root_path: str = "") -> Iterator[str]:
    import trio
    from hypercorn.config import Config
    from hypercorn.trio import serve as run

    config = Config()
    config.root_path, config.graceful_timeout = root_path, 1.0
    config.errorlog = config.accesslog = None
    stop = threading.Event()

    async def main() -> None:
        await run(app, config, shutdown_trigger=lambda: trio.to_thread.run_sync(stop.wait))

    with reserved_port() as port:
        config.bind = [f"127.0.0.1:{port}"]
        with _thread(lambda: trio.run(main), stop.set, port) as url:
            yield url


@contextmanager
def granian(app: Any, *, root_path: str = "") -> Iterator[str]:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    loops: list[asyncio.AbstractEventLoop] = []

    with reserved_port() as port:
        prefix = root_path or None
        server = Server(app, port=port, interface=Interfaces.ASGI, url_path_prefix=prefix, log_enabled=False)

        async def main() -> None:
            loops.append(asyncio.get_running_loop())
            await server.serve()

        def stop() -> None:
            if loops and not loops[0].is_closed():
                loops[0].call_soon_threadsafe(server.stop)

        with _thread(lambda: asyncio.run(main()), stop, port) as url:
            yield url


SERVERS: dict[str, Callable[..., Any]] = {
    "uvicorn": uvicorn,
    "uvicorn-h11": uvicorn_h11,
    "hypercorn": hypercorn,
    "hypercorn-trio": hypercorn_trio,
    "granian": granian,
}


@contextmanager
def granian_process(host: str, provider: str, log: Path, *options: str) -> Iterator[str]:
    """Granian as people start it: its own process and a worker beneath."""
    environment = {**os.environ, "MOUNT_HOST": host, "MOUNT_PROVIDER": provider, "MOUNT_LOG": str(log)}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--no-ws", "--log-level", "error"]
    command += ["--host", "127.0.0.1", *options, "mount_hosts:from_environment"]
    with reserved_port() as port:
        process = subprocess.Popen([*command, "--port", str(port)], env=environment, cwd=Path(__file__).parents[2])
        try:
            _await_port(port, lambda: process.poll() is None)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()


@contextmanager
def _thread(run: Callable[[], None], stop: Callable[[], None], port: int) -> Iterator[str]:
    """A server in a thread; what it raises is raised here."""
    raised: list[BaseException] = []

    def body() -> None:
        try:
            run()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    try:
        _await_port(port, thread.is_alive)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()
        thread.join(STOP_SECONDS)
    assert not thread.is_alive(), "the server does not end"
    if raised:
        raise raised[0]


def _await_port(port: int, lives: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert lives(), "the server ended before it had started"
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.01)
