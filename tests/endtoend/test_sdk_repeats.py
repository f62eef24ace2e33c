"""SDKs repeat by themselves, twice: their repeats must not multiply ours. Real SDKs, real sockets, counted calls."""

from __future__ import annotations

from typing import Any

import anthropic
import anyio
import openai
import pytest

from ds2api_asgi import Failover, KeyPool, Retry, Upstream
from ds2api_asgi.resilience import BreakerPolicy
from ds2api_asgi.testing import serve

pytestmark = pytest.mark.anyio

CHAT, MESSAGES = "openai-chat", "anthropic"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the clients run in threads of their own


class Dead:
    """An upstream that refuses all, and counts."""

    def __init__(self, status: int, *, headers: dict[str, str] | None = None) -> None:
        self.calls = 0
        self._status = status
        self._headers = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.calls += 1
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), *self._headers]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"error": {"message": "no", "type": "error"}}'})


async def ask(app: Any, protocol: str, *, times: int = 1) -> list[int]:
    """The statuses that an SDK with its default of two repeats raises."""
    statuses: list[int] = []

    def in_a_thread(url: str) -> None:
        message: Any = {"role": "user", "content": "hi"}
        for _ in range(times):
            try:
                if protocol == CHAT:
                    with openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=2) as client:
                        client.chat.completions.create(model="m", messages=[message])
                else:
                    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=2) as claude:
                        claude.messages.create(model="m", max_tokens=9, messages=[message])
            except (openai.APIStatusError, anthropic.APIStatusError) as error:
                statuses.append(error.status_code)

    async with serve(app) as url:
        await anyio.to_thread.run_sync(in_a_thread, url)
    return statuses


@pytest.mark.parametrize("protocol", [CHAT, MESSAGES])
@pytest.mark.parametrize(("status", "calls"), [(500, {3}), (503, {3}), (401, {3}), (400, {1}), (429, {3, 4, 5})])
async def test_a_dead_pool_is_asked_as_often_as_we_say(protocol: str, status: int, calls: set[int]) -> None:
    """3 x 3 x 3 = 27 calls for one request is what naive nests make of it.

    A limited key that is back within the wait's cap is waited for, so 429 may cost a call or two more.
    """
    dead = Dead(status)
    async with serve(dead) as url:
        pool = KeyPool(Upstream(url), protocol=protocol, keys=["sk-1", "sk-2", "sk-3"])
        statuses = await ask(Retry(Retry(pool, backoff=0.0), backoff=0.0), protocol)
    assert len(statuses) == 1
    assert dead.calls in calls


@pytest.mark.parametrize("protocol", [CHAT, MESSAGES])
async def test_a_fleet_of_dead_pools_is_asked_as_often_as_we_say(protocol: str) -> None:
    dead = Dead(500)
    async with serve(dead) as url:
        pools = [Retry(KeyPool(Upstream(url), protocol=protocol, keys=[f"sk-{n}"]), backoff=0.0) for n in range(2)]
        assert await ask(Failover(pools, backoff=0.0), protocol) == [500]
    assert dead.calls <= 6


@pytest.mark.parametrize("protocol", [CHAT, MESSAGES])
async def test_open_breakers_keep_an_sdks_repeats_from_the_upstream(protocol: str) -> None:
    dead = Dead(503)
    async with serve(dead) as url:
        breaker = BreakerPolicy(rest=0.5, jitter=0.0, consecutive=2, panic_interval=60.0)
        app = Failover([Upstream(url + "/a"), Upstream(url + "/b")], protocol=protocol, breaker=breaker, max_attempts=1)
        statuses = await ask(app, protocol, times=3)
    assert len(statuses) == 3
    assert dead.calls <= 2 * 2 + 2 + 2 * 3  # until they open, a panic, and a probe each at most per half a second


@pytest.mark.parametrize("protocol", [CHAT, MESSAGES])
async def test_a_wait_that_is_the_clients_affair_is_waited_for_by_the_sdk(protocol: str) -> None:
    dead = Dead(429, headers={"retry-after": "1"})
    async with serve(dead) as url:
        with anyio.fail_after(20):
            await ask(Retry(Upstream(url), protocol=protocol, wait_cap=0.5), protocol)
    assert dead.calls == 3  # one of ours each time, and the SDK's two repeats, a second apart
