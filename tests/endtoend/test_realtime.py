"""OpenAI Realtime through the whole nest on real sockets: the official SDK, a door, a pool, a provider."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import openai
import pytest
from websockets.exceptions import InvalidStatus

from ds2api_asgi import Access, ClientKey, Failover, KeyPool, Retry, Translator, Upstream
from ds2api_asgi.testing import serve
from socket_provider import Provider, dial, provider, session

ALICE = "sk-alice-canary-5f0c7a1be2d9"
KEYS = ["sk-pool-canary-one-81c2d3", "sk-pool-canary-two-90aa17", "sk-pool-canary-three-4b6"]


def refused(key: str) -> Any:
    """A 401 that repeats the key, as some providers do."""
    error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": f"Incorrect API key: {key}"}
    return 401, {"error": error}, {}


LIMITED = (
    429,
    {"error": {"type": "requests", "code": "rate_limit_exceeded", "message": "slow"}},
    {"retry-after": "20"},
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The websocket client is asyncio's."""
    return "asyncio"


async def opens_and_refuses(connection: Any) -> None:
    """What OpenAI does with a key that is none."""
    error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": f"Incorrect key: {KEYS[0]}"}
    await connection.send(json.dumps({"type": "error", "event_id": "e", "error": error}))
    await connection.close(3000, "invalid_request_error.invalid_api_key")


class Gateway:
    def __init__(self, url: str, pool: KeyPool, made: Provider) -> None:
        self.url = url
        self.pool = pool
        self.provider = made

    @property
    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=ALICE, max_retries=0)

    async def states(self) -> list[str]:
        return [report.state.value for report in await self.pool.snapshot()]

    async def idle(self) -> None:
        """Return when no key is leased any more."""
        with anyio.fail_after(20):
            while any(report.in_flight for report in await self.pool.snapshot()):  # noqa: ASYNC110
                await anyio.sleep(0.005)


@asynccontextmanager
async def gateway(
    refusals: Mapping[str, Any] | None = None, *, others: Any = "key", ws: str = "websockets-sansio", **options: Any
) -> AsyncIterator[Gateway]:
    """The nest, with a server at its door and a provider behind it."""
    async with provider(session, refusals) as made:
        upstream = Upstream(made.url, protocol="openai-chat", websockets=True)
        pool = KeyPool(upstream, protocol="openai-chat", keys=KEYS, strategy="fill-first", **options)
        nest = Translator(Failover([Retry(pool)]), speaks="openai-chat")
        app = Access(nest, keys=[ClientKey(ALICE, name="alice")], others=others)
        async with serve(app, ws=ws) as url:
            yield Gateway(url, pool, made)


async def test_the_official_sdk_holds_a_session() -> None:
    async with gateway() as gate:
        async with gate.client.realtime.connect(model="gpt-realtime") as connection:
            created = await connection.recv()
            assert created.type == "session.created"
            await connection.session.update(session={"type": "realtime", "instructions": "Be kind."})
            updated = await connection.recv()
            assert updated.type == "session.updated"
            assert updated.session.instructions == "Be kind."
        await gate.idle()
        path, head = gate.provider.heads[0]
        assert path == "/v1/realtime?model=gpt-realtime"
        assert head["authorization"] == f"Bearer {KEYS[0]}"
        assert ALICE not in str(gate.provider.heads)


@pytest.mark.parametrize(
    "refusal", [refused(KEYS[0]), LIMITED, opens_and_refuses], ids=["401", "429", "opens and refuses"]
)
async def test_the_official_sdk_notices_nothing_of_a_bad_key(refusal: Any) -> None:
    async with gateway({KEYS[0]: refusal}) as gate:
        for _ in range(2):
            async with gate.client.realtime.connect(model="gpt-realtime") as connection:
                assert (await connection.recv()).type == "session.created"
        assert gate.provider.keys == [KEYS[0], KEYS[1], KEYS[1]]
        await gate.idle()


async def test_when_no_key_serves_the_client_hears_why_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ds2api_asgi")
    async with gateway({key: refused(key) for key in KEYS}) as gate:
        with pytest.raises(InvalidStatus) as denied:
            await dial(gate.url, additional_headers={"authorization": f"Bearer {ALICE}"})
        answer = denied.value.response
        assert answer.status_code == 401
        assert gate.provider.keys == KEYS
        assert await gate.states() == ["disabled"] * 3
        with pytest.raises(InvalidStatus) as denied:
            await dial(gate.url, additional_headers={"authorization": f"Bearer {ALICE}"})
        assert denied.value.response.status_code == 503
        assert len(gate.provider.keys) == 3
    said = str(answer.headers) + bytes(answer.body).decode() + caplog.text
    assert "refused" in caplog.text
    assert not [key for key in (*KEYS, ALICE) if key in said]


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])  # the latter keeps the header from apps
async def test_a_browser_shows_its_key_as_a_subprotocol_and_it_stops_at_the_door(ws: str) -> None:
    async with gateway(ws=ws) as gate:
        offered = ["realtime", f"openai-insecure-api-key.{ALICE}"]
        async with dial(gate.url, subprotocols=offered) as client:
            assert client.subprotocol == "realtime"
            assert json.loads(await client.recv())["type"] == "session.created"
        _, head = gate.provider.heads[0]
        assert head["sec-websocket-protocol"] == "realtime"
        assert head["authorization"] == f"Bearer {KEYS[0]}"
        assert ALICE not in str(gate.provider.heads)


@pytest.mark.parametrize("others", ["key", "pass", "refuse"])
async def test_a_stranger_reaches_no_provider_whatever_becomes_of_others(others: Any) -> None:
    async with gateway(others=others) as gate:
        for path in ("/v1/realtime?model=m", "/realtime?model=m", "/v1/realtime/?model=m", "/v1/%72ealtime"):
            with pytest.raises(InvalidStatus) as denied:
                await dial(gate.url, path, subprotocols=["realtime", "openai-insecure-api-key.sk-stranger-0b8e6d1f3a7"])
            assert denied.value.response.status_code == 401
        assert gate.provider.heads == []
        async with dial(gate.url, additional_headers={"authorization": f"Bearer {ALICE}"}) as client:
            assert json.loads(await client.recv())["type"] == "session.created"


@pytest.mark.parametrize("ending", ["closes", "vanishes", "provider closes", "provider vanishes"])
async def test_the_key_is_free_again_however_it_ends(ending: str) -> None:
    async def leave(connection: Any) -> None:
        await connection.send('{"type": "session.created"}')
        await connection.recv()
        if ending == "provider closes":
            await connection.close(1011, "session expired")
        else:
            connection.transport.abort()

    scripts = {KEYS[0]: leave} if ending.startswith("provider") else {}
    async with gateway(scripts) as gate:
        client = await dial(gate.url, additional_headers={"authorization": f"Bearer {ALICE}"})
        await client.recv()
        assert [report.in_flight for report in await gate.pool.snapshot()] == [1, 0, 0]
        if ending == "vanishes":
            client.transport.abort()
        elif ending == "closes":
            await client.close(1000)
        else:
            await client.send('{"type": "session.update", "session": {}}')
            with anyio.fail_after(20):
                await client.wait_closed()
            assert client.close_code == {"provider closes": 1011, "provider vanishes": 1014}[ending]
        await gate.idle()
        await gate.provider.closed()
        assert await gate.states() == ["active"] * 3


async def test_connections_wait_for_a_key_that_is_free() -> None:
    async with gateway(max_concurrency=1, queue_timeout=5) as gate:
        headers = {"authorization": f"Bearer {ALICE}"}
        clients = [await dial(gate.url, additional_headers=headers) for _ in KEYS]
        assert sorted(gate.provider.keys) == sorted(KEYS)
        async with anyio.create_task_group() as group:

            async def late() -> None:
                async with dial(gate.url, additional_headers=headers) as client:
                    assert json.loads(await client.recv())["type"] == "session.created"

            group.start_soon(late)
            await anyio.sleep(0.1)
            assert len(gate.provider.keys) == len(KEYS)
            await clients[1].close()
        assert gate.provider.keys[-1] == gate.provider.keys[1]
        for client in clients:
            await client.close()
        await gate.idle()


async def test_many_sessions_at_a_time_do_not_mix() -> None:
    async with gateway() as gate:

        async def one(number: int) -> None:
            async with gate.client.realtime.connect(model=f"model-{number}") as connection:
                assert (await connection.recv()).type == "session.created"
                for turn in range(5):
                    said = f"{number}/{turn}"
                    await connection.session.update(session={"type": "realtime", "instructions": said})
                    updated: Any = await connection.recv()
                    assert updated.session.instructions == said

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, number)
        await gate.idle()
        assert sorted(path for path, _ in gate.provider.heads) == sorted(
            f"/v1/realtime?model=model-{number}" for number in range(20)
        )
