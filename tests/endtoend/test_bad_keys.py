"""A bad key never costs a client an error that another key could have served: real sockets, real parts."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dialogues import PATHS, path_of, request_in
from ds2api_asgi import KeyPool, Retry, Translator, Upstream, running
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Driver, serve

pytestmark = pytest.mark.anyio

LIMITED, REFUSED, GOOD = "sk-one+429:30", "sk-two+401", "sk-three"


async def _burst(app: Any, count: int, *, client: str, stream: bool) -> list[int]:
    statuses: list[int] = []
    path, body = path_of(client, stream=stream), request_in(client, stream=stream)

    async def ask() -> None:
        answer = await Driver(app).request("POST", path, json=body)
        assert answer.complete
        assert b'"error"' not in answer.body.replace(b'"error":null', b"")
        statuses.append(answer.status)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(ask)
    return statuses


@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "openai-responses", "gemini"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_limited_and_a_refused_key_cost_nobody_anything(client: str, stream: bool) -> None:
    demo = DemoModel()
    async with serve(demo) as base:
        upstream = Upstream(base, connect_timeout=60.0)  # a hundred at once take long on a busy machine
        pool = KeyPool(upstream, protocol="openai-chat", keys=[LIMITED, REFUSED, GOOD])
        app = Translator(Retry(pool), speaks="openai-chat", on_loss="allow")
        async with running(app):
            assert await _burst(app, 100, client=client, stream=stream) == [200] * 100
            first = {key: demo.requests.of(key=key) for key in (LIMITED, REFUSED, GOOD)}
            assert first[GOOD] == 100
            assert demo.requests.total == sum(first.values())
            # Whoever was under way with a bad key when it was found out tried another; nobody after.
            assert await _burst(app, 100, client=client, stream=stream) == [200] * 100
            assert {key: demo.requests.of(key=key) for key in first} == {**first, GOOD: 200}
            states = {report.alias: report.state.name for report in await pool.snapshot()}
            assert sorted(states.values()) == ["ACTIVE", "COOLING", "DISABLED"]


async def test_a_bad_request_asks_once_and_blames_no_key() -> None:
    demo = DemoModel()
    async with serve(demo) as base:
        pool = KeyPool(Upstream(base), protocol="openai-chat", keys=[f"sk-{n}" for n in range(50)])
        app = Retry(pool)
        async with running(app):
            body = {"model": "demo-small", "messages": [{"role": "user", "content": 5}]}
            answer = await Driver(app).request("POST", PATHS["openai-chat"], json=body)
            assert answer.status == 400
            assert demo.requests.total == 1
            assert {report.state.name for report in await pool.snapshot()} == {"ACTIVE"}
