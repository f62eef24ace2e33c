"""A failover starts and stops all its apps; a retry hands its lifespan on."""

from __future__ import annotations

import anyio
import pytest

from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.errors import ConfigurationError

pytestmark = pytest.mark.anyio


class Living:
    """An app that logs its lifespan, and holds a task group open in between."""

    def __init__(self, name: str, log: list[str], *, broken: bool = False) -> None:
        self.name = name
        self.log = log
        self.broken = broken

    async def __call__(self, scope, receive, send) -> None:
        await receive()
        if self.broken:
            await send({"type": "lifespan.startup.failed", "message": "no disk"})
            return
        async with anyio.create_task_group():
            scope["state"][self.name] = True
            self.log.append(f"start {self.name}")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.log.append(f"stop {self.name}")
            await send({"type": "lifespan.shutdown.complete"})


async def test_all_apps_start_in_order_and_stop_in_the_opposite_one(stage):
    log: list[str] = []
    a, b = Living("a", log), Living("b", log)
    async with running(stage.failover([a, stage.retry(b), a])) as state:
        assert log == ["start a", "start b"]
        assert state == {"a": True, "b": True}
    assert log == ["start a", "start b", "stop b", "stop a"]


async def test_an_app_that_cannot_start_fails_the_start_and_stops_the_others(stage):
    log: list[str] = []
    with pytest.raises(ConfigurationError, match="no disk"):
        async with running(stage.failover([Living("a", log), Living("b", log, broken=True)])):
            raise AssertionError
    assert log == ["start a", "stop a"]


async def test_apps_without_a_lifespan_are_served_all_the_same(stage):
    async def plain(scope, receive, send):
        assert scope["type"] == "http"

    async with running(stage.failover([plain, plain])) as state:
        assert state == {}
