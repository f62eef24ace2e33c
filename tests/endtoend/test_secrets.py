"""Canaries: no key, nor a piece or an encoding of one, is seen where anybody looks, whatever goes wrong.

All parts around real sockets, with keys that exist nowhere else, through every way of failing that the demo model and
a socket have. Then everything that people see is searched: answers, logs, facts, snapshots, reprs and tracebacks.
"""

from __future__ import annotations

import base64
import logging
import secrets
import traceback
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from dialogues import PATHS, path_of, request_in
from ds2api_asgi import Failover, Journal, KeyPool, Retry, Traced, Translator, Upstream, running
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.trace import encode_trace
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import BrokenResponse, Driver, ScriptedUpstream, json_script, serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

MODELS = (
    "demo-small", "demo-fail-400", "demo-fail-401", "demo-fail-403", "demo-fail-429", "demo-fail-500", "demo-fail-529",
    "demo-fail-quota", "demo-fail-context", "demo-fail-cut", "demo-fail-eof", "demo-fail-error", "demo-fail-first",
    "unheard-of",
)  # fmt: skip
CLOSED = "http://127.0.0.1:9"
FAULTS = ("401", "403", "429:30", "quota", "500", "529")


def canary() -> str:
    return f"{secrets.token_urlsafe(8)}/=~{secrets.token_urlsafe(24)}"


def forms(secret: str) -> Iterator[bytes]:
    """What a secret looks like to somebody who searches for it."""
    raw = secret.encode()
    yield raw
    yield raw[:8]
    yield raw[-8:]
    yield quote(secret, safe="").encode()
    yield secret.encode().hex().encode()
    for shift in range(3):  # base64 of a text in which it stands, wherever it begins
        yield base64.b64encode(b"." * shift + raw)[4:-4]


class Onlooker:
    """Asks an app with a client's key, and keeps all that anybody could see of it."""

    def __init__(self, app: Any, key: str) -> None:
        self._app = app
        self._key = key
        self.seen: list[str] = []

    async def ask(self, client: str, body: dict[str, Any], **options: Any) -> None:
        headers = {
            "authorization": f"Bearer {self._key}",
            "x-api-key": self._key,
            "x-goog-api-key": self._key,
            "cookie": f"session={self._key}",
        }
        exchange = Exchange(started=anyio.current_time())
        driver = Driver(self._app, headers=headers, scope={KEY: exchange})
        try:
            path = path_of(client, model=str(body.get("model", "demo-small")), stream=body.get("stream"))
            answer = await driver.request(
                "POST", f"{path}{'&' if '?' in path else '?'}key={quote(self._key)}", json=body
            )
            self.seen += [repr(answer), answer.body.decode()]
        except (BrokenResponse, Exception) as error:
            self.seen += [repr(error), "".join(traceback.format_exception(error))]
        self.seen += [repr(exchange), repr(list(exchange))]

    async def ask_everything(self, models: Sequence[str]) -> None:
        for model in models:
            for client in PATHS:
                for stream in (False, True):
                    await self.ask(client, request_in(client, stream=stream) | {"model": model, "stream": stream})
        await self.ask("anthropic", {"model": 5, "secret": self._key[:3]})


def show(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [caplog.text, *(repr(vars(record)) for record in caplog.records)]


def assert_unseen(secret: str, seen: list[str]) -> None:
    haystack = "\n".join(seen).encode()
    for form in forms(secret):
        where = haystack.find(form)
        assert where < 0, haystack[max(0, where - 200) : where + 200]


async def test_a_nest_that_meets_every_failure_shows_no_key(
    caplog: pytest.LogCaptureFixture, anyio_backend: str
) -> None:
    caplog.set_level(logging.DEBUG)
    mine, own = canary(), canary()
    canaries = [mine, own]
    seen: list[str] = []

    async def ask_everything(app: Any, *parts: Any, models: Sequence[str] = MODELS[:1]) -> None:
        journal = Journal()
        async with running(app):
            onlooker = Onlooker(Traced(app, header="x-ds2-trace", sinks=[journal]), mine)
            await onlooker.ask_everything(models)
        assert journal.query(failed=True) or models != MODELS[:1]
        seen.extend(encode_trace(trace) for trace in journal)
        reports = [await part.snapshot() for part in parts if isinstance(part, KeyPool)]
        seen.extend([*onlooker.seen, *map(repr, (app, *parts)), repr(reports)])

    def pool_of(url: str, *faults: str) -> KeyPool:
        keys = [canary() + fault for fault in faults]
        canaries.extend(keys)
        return KeyPool(Upstream(url), protocol="openai-chat", keys=keys)

    def retry(app: Any) -> Any:
        return Retry(app, backoff=0.001, backoff_cap=0.002, wait_cap=0.1)

    async with serve(DemoModel()) as good, serve(DemoModel(keys=["another"])) as refusing:
        pools = [pool_of(good, "", *(f"+{fault}" for fault in FAULTS)), pool_of(refusing, ""), pool_of(CLOSED, "")]
        plain = Upstream(refusing, protocol="openai-chat", api_key=own)
        await ask_everything(Translator(retry(pools[0]), speaks="openai-chat"), pools[0])
        await ask_everything(Translator(Failover(pools[2:0:-1]), speaks="openai-chat"), *pools)
        await ask_everything(Translator(plain, speaks="openai-chat"), plain)
        for model in MODELS:  # a fresh pool for each: keys that are blamed rest
            pool = pool_of(good, "", "", "")
            await ask_everything(Translator(retry(pool), speaks="openai-chat"), pool, models=[model])
    seen += show(caplog)
    assert sum(text.startswith("Answer(") for text in seen) > len(MODELS) * 3
    assert len(caplog.records) > len(MODELS)
    for secret in canaries:
        assert_unseen(secret, seen)


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_a_provider_that_repeats_the_pools_key_does_not_show_it_to_clients(
    status: int, client: str, caplog: pytest.LogCaptureFixture, anyio_backend: str
) -> None:
    """As relays do: ``invalid token: sk-...``."""
    caplog.set_level(logging.DEBUG)
    pooled = canary()
    script = json_script({"error": {"message": f"invalid token: {pooled}", "type": "x", "code": pooled}}, status=status)
    pool = KeyPool(ScriptedUpstream([script]), protocol="openai-chat", keys=[pooled])
    journal = Journal()
    app = Traced(Translator(pool, speaks="openai-chat"), header="x-ds2-trace", sinks=[journal])
    onlooker = Onlooker(app, canary())
    await onlooker.ask(client, request_in(client))
    assert "invalid token: ***" in onlooker.seen[1]
    assert len(journal) == 1
    assert_unseen(pooled, [*onlooker.seen, *map(encode_trace, journal), *show(caplog)])
