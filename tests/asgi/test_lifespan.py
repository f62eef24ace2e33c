from __future__ import annotations

from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette

from ds2api_asgi.asgi.lifespan import Mounted, lifespan, running
from ds2api_asgi.asgi.path import relative_path
from ds2api_asgi.errors import ConfigurationError


class Part:
    """An app that holds a task group open for its lifetime, as ours may."""

    def __init__(self, log: list[str], name: str = "part") -> None:
        self.log = log
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.log.append(relative_path(scope))
            return
        assert (await receive())["type"] == "lifespan.startup"
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            self.log.append(f"{self.name} up")
            scope["state"][self.name] = True
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        self.log.append(f"{self.name} down")
        await send({"type": "lifespan.shutdown.complete"})


async def no_lifespan(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("Django can only handle ASGI/HTTP connections")


async def silent(scope: Any, receive: Any, send: Any) -> None:
    return


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no disk"})
    raise RuntimeError("no disk")


@pytest.mark.anyio
async def test_an_app_is_started_and_stopped_in_one_task() -> None:
    log: list[str] = []
    async with running(Part(log)) as state:
        assert log == ["part up"]
        assert state == {"part": True}
    assert log == ["part up", "part down"]


@pytest.mark.anyio
@pytest.mark.parametrize("app", [no_lifespan, silent])
async def test_an_app_without_lifespan_is_left_alone(app: Any) -> None:
    async with running(app):
        pass


@pytest.mark.anyio
async def test_an_app_that_fails_to_start_is_reported() -> None:
    with pytest.raises(ConfigurationError, match="no disk"):
        async with running(refusing):
            pytest.fail("it started")


@pytest.mark.anyio
async def test_an_exception_in_the_block_comes_out_as_itself_after_the_shutdown() -> None:
    log: list[str] = []
    with pytest.raises(LookupError):
        async with running(Part(log)):
            raise LookupError
    assert log == ["part up", "part down"]


@pytest.mark.anyio
async def test_a_cancelled_host_still_lets_the_app_shut_down() -> None:
    log: list[str] = []
    with anyio.CancelScope() as scope:
        async with running(Part(log)):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert log == ["part up", "part down"]


@pytest.mark.anyio
async def test_an_app_that_asks_on_after_its_shutdown_does_not_hold_up_the_host() -> None:
    async def asking(scope: Any, receive: Any, send: Any) -> None:
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})

    with anyio.fail_after(20):
        async with running(asking):
            pass


async def drive(app: Any) -> list[str]:
    """Start and stop an app as a server does."""
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": next(events)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with anyio.fail_after(10):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return sent


COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
@pytest.mark.parametrize(
    "host",
    [
        lambda run: FastAPI(lifespan=run),
        lambda run: Starlette(lifespan=run),
        lambda run: Litestar(lifespan=[run]),
    ],
)
async def test_hosts_run_the_lifespan_of_what_they_mount(host: Any) -> None:
    log: list[str] = []
    run = lifespan(Part(log, "first"), Part(log, "second"))
    assert await drive(host(run)) == COMPLETE
    assert log == ["first up", "second up", "second down", "first down"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
@pytest.mark.parametrize("host", [lambda: Quart("host").asgi_app, lambda: no_lifespan, Starlette])
async def test_mounted_completes_the_shutdown_only_after_both_have_ended(host: Any) -> None:
    log: list[str] = []
    assert await drive(Mounted(host(), "/llm", Part(log))) == COMPLETE
    assert log == ["part up", "part down"]


@pytest.mark.anyio
async def test_mounted_reports_a_failed_start() -> None:
    assert await drive(Mounted(refusing, "/llm", silent)) == ["lifespan.startup.failed"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "root", "inner"),
    [
        ("/llm/v1", "", "/v1"),
        ("/llm", "", "/"),
        ("/api/llm/v1", "/api", "/v1"),
        ("/llm/v1", "/api", "/v1"),
        ("/llmx/v1", "", None),
        ("/api/llmx", "/api", None),
        ("/x/llm/v1", "", None),
        ("/apix/llm", "/api", None),
    ],
)
async def test_mounted_dispatches_at_segment_boundaries(path: str, root: str, inner: str | None) -> None:
    log: list[str] = []
    outer: list[str] = []

    async def host(scope: Any, receive: Any, send: Any) -> None:
        outer.append(scope["path"])

    scope = {"type": "http", "path": path, "root_path": root, "raw_path": path.encode()}
    await Mounted(host, "/llm", Part(log))(scope, None, None)
    assert (log, outer) == (([inner], []) if inner else ([], [path]))
    assert scope["root_path"] == root


@pytest.mark.parametrize("path", ["llm", "/", "/llm/", ""])
def test_a_mount_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError):
        Mounted(silent, path, silent)


def test_what_is_no_app_has_no_lifespan() -> None:
    with pytest.raises(ConfigurationError):
        lifespan([silent])  # type: ignore[arg-type]
