"""The shared SDK drivers, and the shared strict upstream that finds problems in what it is asked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ports import reserved_port
from shared import SHARED

_CLIENTS = None if SHARED is None else SHARED / "clients"
_START_SECONDS = 20.0

COUNTERS = {"anthropic", "gemini"}
"""Protocols whose tokens the upstream counts, and whose drivers want the exact number of them."""

DRIVERS = (
    ("run_openai.py", "chat"),
    ("run_openai.py", "responses"),
    ("run_anthropic.py", "anthropic"),
    ("run_genai.py", "gemini"),
    ("run_ollama.py", "ollama"),
)

needs_clients = pytest.mark.skipif(
    _CLIENTS is None or not (_CLIENTS / "fake_upstream.py").exists(),
    reason="the shared SDK drivers are not beside the project (../shared/clients)",
)


@contextmanager
def strict_upstream(record: Path) -> Iterator[str]:
    """The upstream, at the URL that is given, which writes what it was asked into a file."""
    assert _CLIENTS is not None
    command = [sys.executable, str(_CLIENTS / "fake_upstream.py"), "--strict", "--record", str(record), "--port"]
    with reserved_port() as port:
        process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + _START_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < until, "the upstream did not start"
                    assert process.poll() is None
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def drive(script: str, protocol: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run one of `DRIVERS` against what answers at a URL."""
    assert _CLIENTS is not None
    return subprocess.run(
        [sys.executable, str(_CLIENTS / script), url, protocol],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=_CLIENTS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
