"""A real Redis for tests: the one that the environment names, or one of our own that ends with the test.

Tests that share a server keep apart by the names that they give to their keys.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ports import reserved_port

__all__ = ["RedisServer", "shared_redis"]

VARIABLE = "DS2API_REDIS_URL"
"""Names a server that is there: ``redis://127.0.0.1:6379/0``."""

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_MISSING = f"no Redis: {VARIABLE} is not set and there is no redis-server in PATH"


class RedisServer:
    """A ``redis-server`` on a loopback port that keeps nothing, and that a test may stop, pause and start again.

    Attributes:
        port: Where it listens; the same after a restart.
        url: The same as an address.
    """

    def __init__(self) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip(_MISSING)
        self._binary = binary
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self._kept = ExitStack()
        self.port = self._kept.enter_context(reserved_port())
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        assert self._process is None
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "save": "",
            "appendonly": "no",
            "dir": self._folder.name,
        }
        self._process = subprocess.Popen(
            [self._binary, *(word for name, value in options.items() for word in (f"--{name}", value))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended before it had started"
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        """End it at once, as a power cut would; nothing happens when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay open, and nothing is answered until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._kept.close()
        self._folder.cleanup()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def shared_redis() -> Iterator[str]:
    """The address of a Redis for tests that only need one to be there."""
    known = os.environ.get(VARIABLE)
    if known:
        yield known
        return
    server = RedisServer()
    try:
        server.start()
        yield server.url
    finally:
        server.close()
