"""A storm over real sockets: far more clients than slots, and every one of them is answered."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import httpx2
import pytest

from ds2api_asgi import KeyPool, Retry
from ds2api_asgi.testing import serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

CLIENTS, KEYS, EACH = 500, 3, 2
ANSWER = b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}'


class SlowUpstream:
    """Counts the requests that run at a time, by key."""

    def __init__(self) -> None:
        self.running: Counter[bytes] = Counter()
        self.most = 0
        self.served = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        key = dict(scope["headers"])[b"authorization"]
        self.running[key] += 1
        self.most = max(self.most, self.running[key])
        try:
            await anyio.sleep(0.03)
        finally:
            self.running[key] -= 1
        self.served += 1
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})


async def test_five_hundred_clients_on_six_slots_are_served_or_told_when_to_come_again() -> None:
    upstream = SlowUpstream()
    pool = KeyPool(
        upstream,
        protocol="openai-chat",
        keys=[f"sk-{number}" for number in range(KEYS)],
        max_concurrency=EACH,
        max_queue=150,
        queue_timeout=10.0,
    )
    answers: list[httpx2.Response] = []
    async with serve(Retry(pool), lifespan="off") as url:
        limits = httpx2.Limits(max_connections=CLIENTS)
        async with httpx2.AsyncClient(limits=limits, timeout=60) as client:

            async def one() -> None:
                answers.append(await client.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": []}))

            async with anyio.create_task_group() as group:
                for _ in range(CLIENTS):
                    group.start_soon(one)
            # Nothing of it is left over: the next one is served at once.
            with anyio.fail_after(20):
                last = await client.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": []})
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}, statuses
    assert (statuses.total(), last.status_code) == (CLIENTS, 200)
    assert statuses[200] == upstream.served - 1
    assert upstream.most <= EACH
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert 0 < float(answer.headers["retry-after-ms"]) <= 60_000
    assert sum(report.in_flight for report in await pool.snapshot()) == 0
    assert len(pool._room) == 0
