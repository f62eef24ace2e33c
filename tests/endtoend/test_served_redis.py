"""``ds2api serve`` with Redis as its store: keys and clients' limits are shared, and outlive reloads."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve
from redis_server import RedisServer
from served import Served, question, served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

CLIENT = "sk-canary-client-9a8b7c6d5e"
PASSWORD = "console-canary-77-horses"
KEYS = ("sk-canary-dead-1a2b3c4d", "sk-canary-good-5e6f7a8b")


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """Knows one of the keys only."""
    model = DemoModel(keys=KEYS[1:])
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(serve(model)) as url:
        yield url


def file(upstream: str, *, limit: str = "rpd = 5", more: str = "") -> str:
    return f"""
[upstreams.demo]
protocol = "openai-chat"
base_url = "{upstream}"
keys = [{{ secret = "env:DEAD", alias = "dead" }}, {{ secret = "env:GOOD", alias = "good" }}]
strategy = "fill-first"
[models.smart]
targets = ["demo/demo-small"]
[access]
keys = [{{ key = "env:CLIENT", name = "alice", limits = {{ {limit} }} }}]
[store]
type = "redis"
url = "env:REDIS"
timeout = 20
[console]
password = "env:PASSWORD"
[reload]
watch = false
{more}
"""


def ask(one: Served, model: str = "smart") -> int:
    with one.client(headers={"authorization": f"Bearer {CLIENT}"}) as client:
        return client.post("/v1/chat/completions", json=question(model)).status_code


def states(one: Served) -> dict[str, str]:
    with one.client() as client:
        state: Any = client.get("/console/api/state", headers={"authorization": f"Bearer {PASSWORD}"}).json()
    return {key["alias"]: key["state"] for pool in state["pools"] for key in pool["keys"]}


def until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_health_and_limits_are_shared_and_outlive_a_reload(
    upstream: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    environ = {
        **os.environ, "DEAD": KEYS[0], "GOOD": KEYS[1], "CLIENT": CLIENT, "PASSWORD": PASSWORD,
        "REDIS": redis_server.url,
    }  # fmt: skip
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with served(first, file(upstream), env=environ) as one:
        assert [ask(one) for _ in range(3)] == [200] * 3
        until(lambda: states(one) == {"dead": "disabled", "good": "active"})
        # A second gateway on the same store knows which key is dead, and what the client has used.
        with served(second, file(upstream), env=environ) as other:
            assert states(other) == {"dead": "disabled", "good": "active"}
            assert [ask(other) for _ in range(3)] == [200, 200, 429]
            assert other.end() == 0
        assert ask(one) == 429
        # A reload keeps both, until the limit is another.
        one.write(file(upstream, more='[models.fresh]\ntargets = ["demo/demo-small"]\n'))
        one.process.send_signal(signal.SIGHUP)
        until(lambda: "took over the configuration, number 2 " in one.said)
        assert ask(one, "fresh") == 429
        one.write(file(upstream, limit="rpm = 600"))
        one.process.send_signal(signal.SIGHUP)
        until(lambda: "took over the configuration, number 3 " in one.said)
        until(lambda: ask(one) == 200)
        assert ask(one, "fresh") == 404
        assert states(one) == {"dead": "disabled", "good": "active"}
        # A store that is gone keeps nobody from serving or reloading: `on_failure` is "local".
        redis_server.stop()
        one.write(file(upstream, limit="rpm = 1000"))
        one.process.send_signal(signal.SIGHUP)
        until(lambda: "took over the configuration, number 4 " in one.said)
        assert ask(one) == 200
        assert one.end() == 0
        for secret in (*KEYS, CLIENT, PASSWORD):
            assert secret not in one.said
        assert "Traceback" not in one.said
