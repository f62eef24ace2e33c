"""The shared SDK drivers on ``ds2api serve``, in front of the shared strict upstream, which must find no problem."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from served import served
from shared_clients import COUNTERS, DRIVERS, drive, needs_clients, strict_upstream

SPEAKS = ("openai-chat", "anthropic", "openai-responses")

pytestmark = [needs_clients, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One strict upstream for all tests; each has it write a record of its own."""
    with strict_upstream(tmp_path_factory.mktemp("strict") / "start.jsonl") as url:
        yield url


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
            if speaks == "anthropic" or client not in COUNTERS
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
