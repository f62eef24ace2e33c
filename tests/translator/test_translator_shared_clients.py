"""The shared SDK drivers in front of the shared strict upstream, which must find no problem in what it is asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from ds2api_asgi.testing import serve
from ds2api_asgi.translator import Translator
from ds2api_asgi.upstream import Upstream
from shared import SHARED

CLIENTS = None if SHARED is None else SHARED / "clients"
needs_clients = pytest.mark.skipif(
    CLIENTS is None or not (CLIENTS / "fake_upstream.py").exists(),
    reason="the shared SDK drivers are not beside the project (../shared/clients)",
)
START_SECONDS = 20.0


@contextmanager
def _strict_upstream(record: Path) -> Iterator[str]:
    assert CLIENTS is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [
        sys.executable,
        str(CLIENTS / "fake_upstream.py"),
        "--port",
        str(port),
        "--strict",
        "--record",
        str(record),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_SECONDS
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


def _drive(script: str, protocol: str, url: str) -> subprocess.CompletedProcess[str]:
    assert CLIENTS is not None
    return subprocess.run(
        [sys.executable, str(CLIENTS / script), url, protocol],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=CLIENTS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


def _counting(app: Any, upstream: str) -> Any:
    """The app, but tokens are counted where they can be: the drivers want the exact number, not an estimate."""
    counter = Upstream(upstream, protocol="anthropic", forward_credentials=True)

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        counts = scope.get("path", "").endswith("/count_tokens")
        await (counter if counts else app)(scope, receive, send)

    return dispatch


@needs_clients
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("speaks", ["openai-chat", "anthropic", "openai-responses"])
@pytest.mark.parametrize(
    ("script", "protocol"),
    [("run_openai.py", "chat"), ("run_openai.py", "responses"), ("run_anthropic.py", "anthropic")],
)
async def test_the_whole_scenario_passes_and_the_upstream_finds_no_problem(
    script: str, protocol: str, speaks: str, tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    with _strict_upstream(record) as upstream:
        app = Translator(Upstream(upstream, protocol=speaks, forward_credentials=True), speaks=speaks)
        async with serve(_counting(app, upstream)) as url:
            done = await anyio.to_thread.run_sync(_drive, script, protocol, url)
    requests = [json.loads(line) for line in record.read_text().splitlines()]
    problems = [problem for request in requests for problem in request.get("problems", ())]
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert requests
    assert not problems
