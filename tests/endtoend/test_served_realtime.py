"""OpenAI Realtime through ``ds2api serve``: a file with ``websockets``, a pool's keys, clients' keys, the end."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from served import Served, served
from socket_provider import Provider, dial, provider, session

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="signals")]

ALICE = "sk-alice-canary-5f0c7a1be2d9"
BOB = "sk-bob-canary-18e1f7d0c2aa"
PASSWORD = "console-canary-77-horses"
KEYS = {"REFUSED": "sk-pool-canary-one-81c2d3", "GOOD": "sk-pool-canary-two-90aa17"}
SERVERS = ["uvicorn", "granian"]
REFUSAL = (401, {"error": {"type": "invalid_request_error", "code": "invalid_api_key", "message": "no"}}, {})

FILE = """
[upstreams.openai]
protocol = "openai-chat"
base_url = "{url}"
keys = [
  {{ secret = "env:REFUSED", alias = "first" }},
  {{ secret = "env:GOOD", alias = "second" }},
]
strategy = "fill-first"
websockets = true

[upstreams.deaf]
protocol = "openai-chat"
base_url = "{url}"

[models.voice]
targets = ["openai/gpt-realtime"]
[models.mute]
targets = ["deaf/gpt-realtime"]

[access]
keys = [
  {{ key = "env:ALICE", name = "alice" }},
  {{ key = "env:BOB", name = "bob", models = ["mute"] }},
]
[console]
password = "env:PASSWORD"
[log]
level = "debug"
format = "json"
"""


@pytest.fixture
def anyio_backend() -> str:
    """The websocket client is asyncio's."""
    return "asyncio"


class Gateway:
    """The gateway, and the provider behind it."""

    def __init__(self, one: Served, made: Provider) -> None:
        self.one = one
        self.provider = made

    async def dial(self, key: str = ALICE, model: str = "voice", **options: Any) -> Any:
        """A session of who shows this key."""
        headers = {"additional_headers": {"authorization": f"Bearer {key}"}}
        return await dial(self.one.url, f"/v1/realtime?model={model}", **{**headers, **options})

    async def keys(self) -> dict[str, Any]:
        """The pool's keys by their aliases, as the console shows them."""

        def ask() -> Any:
            with self.one.client() as client:
                return client.get("/console/api/state", headers={"authorization": f"Bearer {PASSWORD}"}).json()

        pools = (await anyio.to_thread.run_sync(ask))["pools"]
        return {key["alias"]: key for key in next(one for one in pools if one["name"] == "openai")["keys"]}

    async def denied(self, **options: Any) -> int:
        """The status that a handshake is refused with."""
        with pytest.raises(InvalidStatus) as refused:
            await self.dial(**options)
        return int(refused.value.response.status_code)

    async def end(self) -> int:
        return await anyio.to_thread.run_sync(self.one.end)


@asynccontextmanager
async def gateway(server: str, folder: Path) -> AsyncIterator[Gateway]:
    environ = {**KEYS, "ALICE": ALICE, "BOB": BOB, "PASSWORD": PASSWORD}
    async with provider(session, {KEYS["REFUSED"]: REFUSAL}) as made:
        context = served(folder, FILE.format(url=made.url), "--server", server, env=environ)
        one = await anyio.to_thread.run_sync(context.__enter__)
        try:
            yield Gateway(one, made)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(context.__exit__, None, None, None)


@pytest.mark.parametrize("server", SERVERS)
async def test_sessions_go_through_with_the_pools_key_and_end_clearly(server: str, tmp_path: Path) -> None:
    pytest.importorskip(server)
    async with gateway(server, tmp_path) as gate:
        # The SDK: the first key is refused, which it does not notice, and the model's own name is asked for.
        client = openai.AsyncOpenAI(base_url=f"{gate.one.url}/v1", api_key=ALICE, max_retries=0)
        async with client.realtime.connect(model="voice") as connection:
            assert (await connection.recv()).type == "session.created"
            await connection.session.update(session={"type": "realtime", "instructions": "Be kind."})
            updated: Any = await connection.recv()
            assert updated.session.instructions == "Be kind."
            assert (await gate.keys())["second"]["in_flight"] == 1
        assert gate.provider.keys == [KEYS["REFUSED"], KEYS["GOOD"]]
        assert {path for path, _ in gate.provider.heads} == {"/v1/realtime?model=gpt-realtime"}
        assert (await gate.keys())["first"]["state"] == "disabled"
        # A browser: its key is a subprotocol, and a credential that stops here.
        offered = ["realtime", f"openai-insecure-api-key.{ALICE}"]
        async with await gate.dial(additional_headers={}, subprotocols=offered) as browser:
            assert browser.subprotocol == "realtime"
            assert json.loads(await browser.recv())["type"] == "session.created"
        assert gate.provider.heads[-1][1]["sec-websocket-protocol"] == "realtime"
        assert gate.provider.keys[-1] == KEYS["GOOD"]
        # Strangers, models that a client may not use, and upstreams that have no websockets.
        asked = len(gate.provider.heads)
        assert await gate.denied(key="sk-stranger-0b8e6d1f3a7") == 401
        stranger = ["realtime", "openai-insecure-api-key.sk-stranger-0b8e6d1f3a7"]
        assert await gate.denied(additional_headers={}, subprotocols=stranger) == 401
        assert await gate.denied(key=BOB) == 403
        assert await gate.denied(model="mute") == 403  # a server makes it of a close before the handshake is over
        assert await gate.denied(model="nobody") == 404
        assert len(gate.provider.heads) == asked
        # SIGTERM: whoever still talks hears that the service restarts, and nothing is left of it.
        talking = [await gate.dial() for _ in range(3)]
        for one in talking:
            assert json.loads(await one.recv())["type"] == "session.created"
        with anyio.fail_after(15):
            assert await gate.end() == 0
            for one in talking:
                with pytest.raises(ConnectionClosed):
                    await one.recv()
                assert one.close_code in (1001, 1012)
            while gate.provider.open:  # noqa: ASYNC110 - the provider's tasks end on their own
                await anyio.sleep(0.01)
        for secret in (*KEYS.values(), ALICE, BOB, PASSWORD, "sk-stranger"):
            assert secret not in gate.one.said
        assert ALICE not in str(gate.provider.heads)
        assert "Traceback" not in gate.one.said
