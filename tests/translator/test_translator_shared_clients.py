"""The shared SDK drivers in front of the shared strict upstream, which must find no problem in what it is asked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from ds2api_asgi.testing import serve
from ds2api_asgi.translator import Translator
from ds2api_asgi.upstream import Upstream
from shared_clients import COUNTERS, DRIVERS, drive, needs_clients, strict_upstream

SPEAKS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")
MINTERS = {"openai-responses", "anthropic", "gemini"}


def _counting(app: Any, upstream: str) -> Any:
    """The app, but tokens are counted where this upstream can: the drivers want the exact number, not an estimate."""
    counter = Translator(Upstream(upstream, protocol="anthropic", forward_credentials=True), speaks="anthropic")

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        counts = scope.get("path", "").endswith(("/count_tokens", ":countTokens"))
        await (counter if counts else app)(scope, receive, send)

    return dispatch


def _gives_back(line: str, client: str, speaks: str) -> bool:
    """Whether the upstream must find its own signature in the history that led to this line of a driver."""
    if speaks == "gemini":
        return True  # it signs its calls, whether they were thought about or not
    if speaks not in MINTERS or client == "chat":  # that driver does not ask for thoughts
        return False
    return "thinking=False" not in line and "tool_runner" not in line


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One strict upstream for all tests; each has it write a record of its own."""
    with strict_upstream(tmp_path_factory.mktemp("strict") / "start.jsonl") as url:
        yield url


@needs_clients
@pytest.mark.anyio
@pytest.mark.timeout(240)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("speaks", SPEAKS)
async def test_every_client_passes_and_the_upstream_finds_no_problem(
    speaks: str, upstream: str, tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    async with httpx2.AsyncClient(base_url=upstream) as client:
        (await client.put("/__record", params={"file": str(record)})).raise_for_status()
    app = Translator(
        Upstream(upstream, protocol=speaks, forward_credentials=True),
        speaks=speaks,
        # One mode of the Chat driver puts its messages together by hand, without what it does not know.
        carry_store_clients=("ollama", "openai-chat"),
    )
    done: dict[str, subprocess.CompletedProcess[str]] = {}

    async def note(script: str, client: str) -> None:
        done[client] = await anyio.to_thread.run_sync(drive, script, client, url)

    async with (
        serve(app if speaks in COUNTERS else _counting(app, upstream)) as url,
        anyio.create_task_group() as tasks,
    ):
        for script, client in DRIVERS:
            tasks.start_soon(note, script, client)
    for client, driver in done.items():
        assert driver.returncode == 0, f"{client}: {driver.stdout}\n{driver.stderr[-3000:]}"
        told = [line for line in driver.stdout.splitlines() if ", signature " in line]
        assert len(told) >= 4, driver.stdout
        for line in told:
            expected = "returned" if _gives_back(line, client, speaks) else "absent"
            assert line.endswith(f"signature {expected}"), f"{client}: {line}"
    requests = [json.loads(line) for line in record.read_text().splitlines()]
    problems = [problem for request in requests for problem in request.get("problems", ())]
    assert len(requests) > 60
    assert not problems
