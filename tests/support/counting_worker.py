"""A nest with `Metrics` for uvicorn's workers: ``uvicorn --factory counting_worker:app --workers 2``."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ds2api_asgi import KeyPool, Metrics, Retry, Traced, Translator, Watchers
from ds2api_asgi.observe.standing import Pool
from ds2api_asgi.testing import ScriptedUpstream, json_script
from watched import ANSWER, CANARY, SPARE


def app() -> Any:
    """The app of one worker; every answer tells whose it is."""
    metrics = Metrics()
    watchers = Watchers([metrics])
    upstream = watchers.calls(ScriptedUpstream([json_script(ANSWER)], repeat=True), name="up", provider="openai")
    pool: Pool = KeyPool(upstream, protocol="openai-chat", keys=[CANARY, SPARE])
    metrics.look_at(pools=[pool])
    nest = Traced(Translator(Retry(pool), speaks="openai-chat"), watchers=watchers, log=False)

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with metrics.publishing(every=0.1):
            yield

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with life():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return

        async def telling(message: Any) -> None:
            if message["type"] == "http.response.start":
                worker = (b"x-worker", b"%d" % os.getpid())
                message = {**message, "headers": [*message["headers"], worker]}
            await send(message)

        await (metrics.exposition if scope["path"] == "/metrics" else nest)(scope, receive, telling)

    return outer
