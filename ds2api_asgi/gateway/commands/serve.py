"""``ds2api serve``: a gateway from a file, on a port.

| exit code | end |
|---|---|
| 0 | ended by SIGTERM or Ctrl-C; running requests had their time |
| 1 | it could not start: what is wrong stands on standard error, with file and line |
| 2 | wrong usage |
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ... import __version__
from ...errors import ConfigurationError
from ...protocols import registry
from ...protocols.base import Operation
from .arguments import port, reason_of

if TYPE_CHECKING:
    from ..config import Config
    from ..config.server import ServerTable
    from ..serving.orders import Orders

__all__ = ["DESCRIPTION", "configure", "run"]

DESCRIPTION = """Serve a gateway from a TOML file. A change of the file is taken over at work, as SIGHUP does; SIGTERM
and Ctrl-C let running requests end first."""

_MARGIN = 3.0  # seconds that the last words of broken-off streams may take


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", nargs="?", default="gateway.toml", metavar="FILE", help="default: gateway.toml")
    parser.add_argument("--host", help="in place of the file's; default: 127.0.0.1")
    parser.add_argument("--port", type=port, help="in place of the file's; 0: any that is free; default: 8000")
    parser.add_argument("--workers", type=_workers, metavar="N", help="processes, in place of the file's; default: 1")
    parser.add_argument("--server", choices=("uvicorn", "granian"), help="in place of the file's; default: uvicorn")
    parser.add_argument("--check", action="store_true", help="look whether it could be served, and end")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code is as the module says."""
    if sys.platform != "win32" and not arguments.check:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until somebody heeds it; it would end the process
    try:
        from ..serving.orders import Orders
    except ModuleNotFoundError as error:
        return _fail(f"serving needs {error.name}: pip install 'ds2api-asgi[serve]'")
    orders = Orders(
        file=str(Path(arguments.file).absolute()),
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        server=arguments.server,
    )
    try:
        config = orders.gateway().config  # all of it, for what can be wrong only shows when it is put together
        _try_certificate(config.server, orders.folder)
    except ConfigurationError as error:
        return _fail(str(error))
    if arguments.check:
        sys.stdout.write(f"{arguments.file}: could be served\n")
        return 0
    try:
        return _serve(orders, config)
    except ModuleNotFoundError as error:
        extra = "granian" if error.name == "granian" else "serve"
        return _fail(f"serving needs {error.name}: pip install 'ds2api-asgi[{extra}]'")
    except ConfigurationError as error:
        return _fail(str(error))


def _try_certificate(table: ServerTable, folder: Path) -> None:
    """See whether a server could use what it is given.

    Raises:
        ConfigurationError: See `load_pair`.
    """
    from ..assembly.blaming import blaming
    from ..assembly.certificates import load_pair

    if table.certfile is not None and table.keyfile is not None:
        with blaming("server"):
            load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder / table.certfile, folder / table.keyfile)


def _serve(orders: Orders, config: Config) -> int:
    from ..serving.logs import start_logs
    from ..serving.uvicorn_server import listen

    table = config.server
    try:
        start_logs(config.log)
    except OSError as error:
        return _fail(f"[log] file: cannot be opened: {reason_of(error)}")
    try:
        listener = listen(table.host, table.port)
    except OSError as error:
        return _fail(f"cannot listen on {table.host}:{table.port}: {reason_of(error)}")
    orders = orders.on(table.host)
    with listener, ExitStack() as stack:
        port: int = listener.getsockname()[1]
        ready = partial(_announce, config, port)
        if table.workers > 1:
            orders = orders.among(stack.enter_context(_shared_folder()), table.workers)
        if table.server == "granian":
            from ..serving.granian_server import serve_granian

            stack.enter_context(_kept(listener))  # it takes the port itself
            return serve_granian(orders, port, ready=ready)
        if table.workers > 1:
            from ..serving.crew import Crew

            patience = table.graceful_timeout + 2 * _MARGIN
            return Crew(table.workers, _work, (orders, listener), patience=patience).run(ready)
        return _work((orders, listener), ready)


def _work(argument: tuple[Orders, socket.socket], ready: Callable[[], None]) -> int:
    """Serve in this process."""
    from ..serving.attended import Attended
    from ..serving.logs import start_logs
    from ..serving.uvicorn_server import Serving, serve

    orders, listener = argument
    gateway = orders.gateway()
    start_logs(gateway.config.log)
    table = gateway.config.server
    serving = Serving(
        shutdown=table.graceful_timeout + _MARGIN,
        max_connections=None if table.max_connections is None else max(1, table.max_connections // table.workers),
        root_path=table.root_path,
        trusted=table.trust_forwarded,
        certfile=None if table.certfile is None else orders.folder / table.certfile,
        keyfile=None if table.keyfile is None else orders.folder / table.keyfile,
        logs=False,
    )
    attended = Attended(gateway, ready=lambda: None)
    served = serve(attended, listener, ready=ready, ending=attended.end, serving=serving)
    return 0 if served else 1


@contextmanager
def _kept(listener: socket.socket) -> Iterator[None]:
    """Let another socket listen in place of this one, while the system gives the port to nobody who takes any."""
    address = listener.getsockname()
    listener.close()
    with socket.socket(listener.family) as keeper:
        if sys.platform == "linux":  # elsewhere nobody could listen beside it
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                keeper.bind(address)
        yield


@contextmanager
def _shared_folder() -> Iterator[str]:
    """A folder of this user's alone for what workers share.

    These are numbers in files (see `observe.workers`), unless the environment says where else, and the sockets over
    which they ask each other (see `serving.peers`).
    """
    from ...observe.workers import VARIABLE, prepare

    with tempfile.TemporaryDirectory(prefix="ds2api-", ignore_cleanup_errors=True) as own:
        directory = os.environ.get(VARIABLE) or own
        os.environ[VARIABLE] = directory
        prepare(directory)
        yield own


def _announce(config: Config, port: int) -> None:
    """Tell that the gateway is ready, and what is where."""
    table = config.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(table.host, table.host)
    scheme = "http" if table.certfile is None else "https"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"  # no prefix: that is the proxy's
    workers = f"{table.workers} workers" if table.workers > 1 else "1 worker"
    lines = [f"Ready: {url} (ds2api {__version__}, {table.server}, {workers}; Ctrl-C ends it)"]
    for name in registry.names():
        route = registry.get(name).route(Operation.GENERATE, stream=False, model="MODEL", dialect="")
        if route is not None:
            lines.append(f"  {name}: {route.method} {url}{route.path}")
    if config.console is not None:
        lines.append(f"  console: {url}{config.console.path}/")
    if config.metrics is not None:
        lines.append(f"  metrics: {url}{config.metrics.path}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _fail(problem: str) -> int:
    sys.stderr.write("".join(f"ds2api serve: {line}\n" for line in problem.splitlines()))
    return 1


def _workers(text: str) -> int:
    workers = int(text)
    if workers < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return workers
