"""The shared SDK drivers on ``ds2api serve``, in front of the shared strict upstream, which must find no problem."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ports import reserved_port
from served import served
from shared import SHARED

CLIENTS = None if SHARED is None else SHARED / "clients"
START_SECONDS = 20.0
SPEAKS = ("openai-chat", "anthropic", "openai-responses")
DRIVERS = (
    ("run_openai.py", "chat"),
    ("run_openai.py", "responses"),
    ("run_anthropic.py", "anthropic"),
    ("run_genai.py", "gemini"),
    ("run_ollama.py", "ollama"),
)
COUNTING = {"anthropic", "gemini"}
"""Drivers that want the exact number of tokens, where an upstream that counts none makes for an estimate."""

pytestmark = [
    pytest.mark.skipif(
        CLIENTS is None or not (CLIENTS / "fake_upstream.py").exists(),
        reason="the shared SDK drivers are not beside the project (../shared/clients)",
    ),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One strict upstream for all tests; each has it write a record of its own."""
    with strict_upstream(tmp_path_factory.mktemp("strict") / "start.jsonl") as url:
        yield url


@contextmanager
def strict_upstream(record: Path) -> Iterator[str]:
    assert CLIENTS is not None
    command = [sys.executable, str(CLIENTS / "fake_upstream.py"), "--strict", "--record", str(record), "--port"]
    with reserved_port() as port:
        process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


def drive(script: str, protocol: str, url: str) -> subprocess.CompletedProcess[str]:
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


@pytest.mark.parametrize("speaks", SPEAKS)
def test_every_client_passes_and_the_upstream_finds_no_problem(speaks: str, upstream: str, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    httpx.put(f"{upstream}/__record", params={"file": str(record)}, trust_env=False).raise_for_status()
    text = f"""
[upstreams.strict]
protocol = "{speaks}"
base_url = "{upstream}"
keys = ["sk-strict-one-0123456789", "sk-strict-two-0123456789"]
[models."*"]
targets = ["strict"]
"""
    with served(tmp_path, text) as one, ThreadPoolExecutor(len(DRIVERS)) as pool:
        done = {
            client: pool.submit(drive, script, client, one.url)
            for script, client in DRIVERS
            if speaks == "anthropic" or client not in COUNTING
        }
        for client, driver in done.items():
            said = driver.result()
            assert said.returncode == 0, f"{client}: {said.stdout}\n{said.stderr[-3000:]}"
        assert one.end() == 0
        assert "Traceback" not in one.said
        assert "sk-strict" not in one.said
    requests = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(requests) > 10 * len(done)
    assert not [problem for request in requests for problem in request.get("problems", ())]
