"""One `Upstream` over several event loops, one after the other, and under real frameworks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from quart import Quart
from starlette.applications import Starlette
from starlette.routing import Mount

from ds2api_asgi.asgi.lifespan import Mounted, lifespan, running
from ds2api_asgi.asgi.loop import asyncio_loop
from ds2api_asgi.upstream.component import Upstream
from ds2api_asgi.upstream.per_loop import PerLoop, default_sender


class Echo(BaseHTTPRequestHandler):
    """Answers with the path that it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def ask(app: Any, path: str, **extra: Any) -> bytes:
    """Ask as uvicorn does."""
    body = b""
    asked = False
    answered = anyio.Event()

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await answered.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"a=%2F",
        "root_path": "",
        "headers": [(b"host", b"h"), (b"content-type", b"application/json"), (b"content-length", b"2")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
        **extra,
    }
    with anyio.fail_after(10):
        await app(scope, receive, send)
    return body


def test_one_upstream_serves_one_loop_after_another(echo: str) -> None:
    upstream = Upstream(echo)
    for backend in ("asyncio", "asyncio", "trio", "asyncio"):
        assert anyio.run(ask, upstream, "/x", backend=backend) == b'{"path": "/x?a=%2F"}'


@pytest.mark.anyio
async def test_a_loop_whose_sender_was_closed_gets_another() -> None:
    per_loop = PerLoop(lambda: default_sender(connect_timeout=1.0))
    first = await per_loop.open()
    assert await per_loop.get(asyncio_loop()) is await per_loop.get(asyncio_loop()) is first
    await per_loop.aclose()
    second = await per_loop.open()
    assert second is not first
    assert await per_loop.get(asyncio_loop()) is second
    await per_loop.aclose()


def test_two_loops_at_once_have_a_sender_each(echo: str) -> None:
    upstream = Upstream(echo)
    answers: list[bytes] = []

    async def several() -> None:
        answers.extend([await ask(upstream, "/x") for _ in range(5)])

    threads = [threading.Thread(target=asyncio.run, args=(several(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b'{"path": "/x?a=%2F"}'] * 15


def starlette_mount(upstream: Upstream) -> Any:
    return Starlette(routes=[Mount("/llm", upstream)], lifespan=lifespan(upstream))


def fastapi_mount(upstream: Upstream) -> Any:
    host = FastAPI(lifespan=lifespan(upstream))
    host.mount("/llm", upstream)
    return host


def nested_mount(upstream: Upstream) -> Any:
    inner = Starlette(routes=[Mount("/m", upstream)])
    return Starlette(routes=[Mount("/ll", inner), Mount("/llm", upstream)], lifespan=lifespan(upstream))


def litestar_mount(upstream: Upstream) -> Any:
    mount = asgi("/llm", is_mount=True, copy_scope=True)(upstream)
    return Litestar(route_handlers=[mount], lifespan=[lifespan(upstream)])


def around_quart(upstream: Upstream) -> Any:
    host = Quart("host")
    host.asgi_app = Mounted(host.asgi_app, "/llm", upstream)  # type: ignore[method-assign]
    return host


@pytest.mark.parametrize("mount", [starlette_mount, fastapi_mount, nested_mount, litestar_mount, around_quart])
@pytest.mark.parametrize("root", ["", "/api"])
@pytest.mark.parametrize("server", ["prefixing", "not prefixing"])
def test_a_mounted_upstream_asks_for_the_relative_path(echo: str, mount: Any, root: str, server: str) -> None:
    prefix = root if server == "prefixing" else ""

    async def run() -> bytes:
        host = mount(Upstream(echo))
        async with running(host):
            return await ask(host, f"{prefix}/llm/v1/x", root_path=root)

    assert anyio.run(run) == b'{"path": "/v1/x?a=%2F"}'


@pytest.mark.parametrize("mount", [starlette_mount, fastapi_mount, litestar_mount, around_quart])
def test_a_path_that_only_begins_like_the_mount_is_not_asked_for(echo: str, mount: Any) -> None:
    async def run() -> bytes:
        host = mount(Upstream(echo))
        async with running(host):
            return await ask(host, "/llmx/v1/x")

    assert b"/v1/x?a" not in anyio.run(run)
