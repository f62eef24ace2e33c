"""The console of a gateway that `ds2api serve` runs: asked by `ds2api keys`, watched, in nobody's way at the end."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from commands import DS2API, running
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.testing import serve

PASSWORD = "console-canary-77-horses"
KEYS = ("sk-demo-canary-1234567890", "sk-demo-canary-0987654321")
ENVIRON = {**os.environ, "PASSWORD": PASSWORD, "KEY_1": KEYS[0], "KEY_2": KEYS[1]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    model = DemoModel(keys=KEYS, pace=0.015)
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(serve(model)) as url:
        yield url


def write(folder: Path, upstream: str, server: str) -> Path:
    file = folder / "gateway.toml"
    file.write_text(
        f"""
[upstreams.demo]
protocol = "openai-chat"
base_url = "{upstream}"
keys = [
  {{ secret = "env:KEY_1", alias = "first", limits = {{ rpm = 60 }} }},
  {{ secret = "env:KEY_2", alias = "second" }},
]

[models.smart]
targets = ["demo/demo-small"]

[server]
server = "{server}"
port = 0
graceful_timeout = 30.0

[console]
password = "env:PASSWORD"
"""
    )
    return file


def keys(capsys: Any, *words: str) -> tuple[int, str]:
    """The command, in this process: its exit code, and all that it said."""
    code = main(["keys", *words])
    told = capsys.readouterr()
    for secret in (*KEYS, PASSWORD):
        assert secret not in told.out + told.err
    return code, told.out


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_a_served_console_is_asked_watched_and_let_go(
    server: str, upstream: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PASSWORD", PASSWORD)
    file = write(tmp_path, upstream, server)
    with running(*DS2API, "serve", str(file), cwd=tmp_path, env=ENVIRON) as ran:
        door = ("--url", f"{ran.base_url}/console", "--password", "env:PASSWORD")
        client = httpx.Client(base_url=ran.base_url, trust_env=False, timeout=20)
        ask = {"model": "smart", "stream": True, "messages": [{"role": "user", "content": "word " * 50}]}
        assert client.post("/v1/chat/completions", json={**ask, "stream": False}).status_code == 200

        code, told = keys(capsys, *door)
        assert code == 0
        assert "rpm" in told
        assert sum(int(line.split()[4]) for line in told.splitlines()[1:]) == 1
        assert keys(capsys, *door, "disable", "demo/first")[0] == 0
        code, told = keys(capsys, *door, "test", "demo/first")
        assert (code, told[:3]) == (0, "ok:"), told
        state = json.loads(keys(capsys, *door, "--json")[1])
        assert [key["switched_off"] for key in state["pools"][0]["keys"]] == [True, False]
        assert keys(capsys, *door, "enable", "demo/first")[0] == 0

        seen: list[Any] = []
        began = threading.Event()

        def watch() -> None:
            headers = {"authorization": f"Bearer {PASSWORD}"}
            with client.stream("GET", "/console/api/events", headers=headers) as events:
                name = ""
                for line in events.iter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        seen.append((name, json.loads(line.removeprefix("data: "))))
                        began.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert began.wait(60)
        with client.stream("POST", "/v1/chat/completions", json=ask) as answer:
            for _ in answer.iter_raw():
                pass
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not [one for name, one in seen if name == "request" and "end" in one]:
            time.sleep(0.05)
        requests = [one for name, one in seen if name == "request"]
        speaking = [one for one in requests if one.get("phase") == "streaming"]
        assert [one["output"] for one in speaking] == sorted(one["output"] for one in speaking)
        assert len({one["output"] for one in speaking}) >= 2
        assert speaking[0]["key"] in ("first", "second")
        ended = next(one for one in requests if "end" in one)
        assert (ended["end"], ended["model"], ended["id"]) == ("complete", "smart", speaking[0]["id"])
        trace = client.get(
            f"/console/api/requests/{ended['id']}", headers={"authorization": f"Bearer {PASSWORD}"}
        ).json()
        assert trace["trace"]["id"] == ended["id"]

        # A page that looks on holds nobody up, though streams of clients may take 30 seconds.
        stopped = time.monotonic()
        assert ran.end() == 0
        assert time.monotonic() - stopped < 20
        watcher.join(20)
        assert not watcher.is_alive()
        client.close()
