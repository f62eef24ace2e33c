"""The doors of a gateway: what reaches an upstream without a client's key."""

from __future__ import annotations

from typing import Any

import pytest

from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.testing import Driver, serve
from gateways import config_of, table

pytestmark = pytest.mark.anyio

CLIENT = "ds2-a8sd7f6a9s8d7f6as98d7f6a9s8d76"
ACCESS = f'[access]\nkeys = ["{CLIENT}"]\n[router]\ndefault = "demo"\n'
PREFLIGHT = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/files", "/", "/anything", "//v1/models"])
async def test_a_stranger_s_preflight_reaches_no_upstream(path: str) -> None:
    """It would go there with a key of the pool, as often as anybody likes; no part of a gateway answers CORS."""
    asked: list[str] = []

    async def upstream(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 429, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async with serve(upstream) as url:
        gateway = Gateway(config_of(table("demo", url, keys=("sk-one-000000000000",)) + ACCESS))
        async with running(gateway):
            answer = await Driver(gateway).request("OPTIONS", path, headers=PREFLIGHT, body=b"{}")
            assert answer.status in (401, 405)
            assert not asked
            shown = {**PREFLIGHT, "authorization": f"Bearer {CLIENT}"}
            await Driver(gateway).request("OPTIONS", "/v1/files", headers=shown)
            assert asked
