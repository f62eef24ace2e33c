"""Real processes that share a pool: limits hold for all together, a death gives back, a restart forgets nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import pytest

from ds2api_asgi.testing import serve
from ports import reserved_port

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-shared-canary"
APP = """
    import os
    from ds2api_asgi import KeyPool, Upstream
    from ds2api_asgi.pool import Key, RateLimits, RedisKeyStore, Secret, SQLiteKeyStore

    key = Key(secret=Secret("{secret}"), alias="one", limits=RateLimits({limits}))
    pool = KeyPool(Upstream("{upstream}"), protocol="openai-chat", keys=[key], store={store}, queue_timeout={wait})

    async def app(scope, receive, send):
        async def tell(message):
            if message["type"] == "http.response.start":
                message = {{**message, "headers": [*message["headers"], (b"x-pid", str(os.getpid()).encode())]}}
            await send(message)

        if scope["path"] == "/pid":
            await tell({{"type": "http.response.start", "status": 200, "headers": []}})
            await tell({{"type": "http.response.body"}})
        else:
            await pool(scope, receive, tell)
"""


class Model:
    """An upstream that counts, and answers what it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.now = 0
        self.most_at_once = 0
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.hangs = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.asked += 1
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        assert (b"authorization", f"Bearer {SECRET}".encode()) in list(scope["headers"])
        while self.hangs:  # noqa: ASYNC110 - set by a test that runs in another thread
            await anyio.sleep(0.01)
        await anyio.sleep(0.02)
        self.now -= 1
        answer = b'{"error": {"message": "slow down"}}' if self.status >= 400 else b'{"choices": []}'
        headers = [(b"content-type", b"application/json"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class Site:
    """Where a test's processes run."""

    def __init__(self, folder: Path, upstream: str, store: str) -> None:
        self.folder = folder
        self.upstream = upstream
        self.store = store
        self.processes: list[subprocess.Popen[bytes]] = []
        self._ports = ExitStack()

    async def start(self, *, limits: str, workers: int = 1, wait: float = 0.0) -> tuple[str, subprocess.Popen[bytes]]:
        """Start a server of the pool; its address, once it answers."""
        code = APP.format(secret=SECRET, limits=limits, upstream=self.upstream, store=self.store, wait=wait)
        (self.folder / "gateway_app.py").write_text(textwrap.dedent(code))
        port = self._ports.enter_context(reserved_port())
        command = [sys.executable, "-m", "uvicorn", "gateway_app:app", "--port", str(port), "--workers", str(workers)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}"}
        log = (self.folder / f"{port}.log").open("wb")
        process = subprocess.Popen(  # noqa: ASYNC220 - a few milliseconds of a test
            [*command, "--lifespan", "off"],
            cwd=self.folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        with anyio.fail_after(60):
            while True:
                text = (self.folder / f"{port}.log").read_text()
                assert process.poll() is None, text
                if text.count("Started server process") >= workers and "Uvicorn running" in text:
                    break
                await anyio.sleep(0.05)
            base = f"http://127.0.0.1:{port}"
            pids: set[str] = set()
            while len(pids) < workers:  # the system gives connections to whichever worker it likes
                pids |= {pid for _, pid in await ask_at_once([base] * 10, "/pid")}
        return base, process

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        self._ports.close()


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    options = "lease_ttl=4.0, timeout=20.0"
    if request.param == "sqlite":
        return f"SQLiteKeyStore({str(tmp_path / 'keys.db')!r}, {options})"
    return f"RedisKeyStore({request.getfixturevalue('redis_url')!r}, name='{uuid4().hex}', {options})"


on_both = pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)


@asynccontextmanager
async def site(folder: Path, store: str) -> AsyncIterator[tuple[Site, Model]]:
    model = Model()
    async with serve(model) as upstream:
        found = Site(folder, upstream, store)
        try:
            yield found, model
        finally:
            found.close()


async def ask(base: str, path: str = "/v1/chat/completions") -> tuple[int, str]:
    """One request on a connection of its own: its status, and which process answered."""
    async with httpx2.AsyncClient(timeout=30) as client:
        answer = await client.post(f"{base}{path}", json={"model": "m", "messages": []})
        return answer.status_code, answer.headers["x-pid"]


async def ask_at_once(bases: list[str], path: str = "/v1/chat/completions") -> list[tuple[int, str]]:
    answers: list[tuple[int, str]] = []

    async def one(base: str) -> None:
        answers.append(await ask(base, path))

    async with anyio.create_task_group() as group:
        for base in bases:
            group.start_soon(one, base)
    return answers


@on_both
async def test_two_processes_keep_one_keys_limit_together(store: str, tmp_path: Path) -> None:
    async with site(tmp_path, store) as (place, model):
        if "SQLite" in store:
            base, _ = await place.start(limits="rpm=15", workers=2)
            bases = [base] * 40
        else:
            bases = [(await place.start(limits="rpm=15"))[0], (await place.start(limits="rpm=15"))[0]] * 20
        answers = await ask_at_once(bases)
        while len({pid for _, pid in answers}) < 2:
            answers += await ask_at_once(bases)
        assert Counter(status for status, _ in answers) == {200: 15, 429: len(answers) - 15}
        assert model.asked == 15


@on_both
async def test_a_killed_processes_leases_return_after_their_time(store: str, tmp_path: Path) -> None:
    async with site(tmp_path, store) as (place, model):
        dying, process = await place.start(limits="concurrency=1")
        other, _ = await place.start(limits="concurrency=1")
        model.hangs = True

        async def ask_in_vain() -> None:
            with pytest.raises(httpx2.HTTPError):
                await ask(dying)

        async with anyio.create_task_group() as group:
            group.start_soon(ask_in_vain)
            while not model.asked:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.01)
            # Longer than a lease lasts: it is renewed as long as its process lives.
            for _ in range(5):
                await anyio.sleep(1.0)
                assert (await ask(other))[0] == 429
            os.killpg(process.pid, signal.SIGKILL)
        model.hangs = False
        assert (await ask(other))[0] == 429
        with anyio.fail_after(30):
            while (await ask(other))[0] != 200:  # noqa: ASYNC110 - another process's doing
                await anyio.sleep(0.1)
        assert model.asked == 2


@on_both
async def test_who_waits_gets_the_key_that_another_process_gives_back(store: str, tmp_path: Path) -> None:
    async with site(tmp_path, store) as (place, model):
        bases = [(await place.start(limits="concurrency=1", wait=20.0))[0] for _ in range(2)]
        answers = await ask_at_once(bases * 4)
        assert Counter(status for status, _ in answers) == {200: 8}
        assert (model.asked, model.most_at_once) == (8, 1)


@on_both
async def test_a_restart_keeps_a_cooldown(store: str, tmp_path: Path) -> None:
    async with site(tmp_path, store) as (place, model):
        model.status, model.headers = 429, [(b"retry-after", b"100")]
        base, process = await place.start(limits="rpm=1000")
        assert (await ask(base))[0] == 429
        process.terminate()
        process.wait(20)
        model.status, model.headers = 200, []
        base, _ = await place.start(limits="rpm=1000")
        async with httpx2.AsyncClient(timeout=30) as client:
            answer = await client.post(f"{base}/v1/chat/completions", json={"model": "m", "messages": []})
        assert answer.status_code == 429
        assert 60 < int(answer.headers["retry-after"]) <= 100
        assert model.asked == 1
