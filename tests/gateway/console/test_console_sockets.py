"""The console over real sockets, and mounted by frameworks under a prefix."""

from __future__ import annotations

import http.cookiejar
import re
import time
from typing import Any

import anyio
import httpx2
import pytest

from console_kit import PASSWORD, bearer, nest
from ds2api_asgi.asgi.lifespan import Mounted
from ds2api_asgi.testing import serve

pytestmark = pytest.mark.anyio

POST = b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
STATE = b"GET /api/state HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"


def under(framework: str, console: Any) -> Any:
    if framework == "starlette":
        from starlette.applications import Starlette
        from starlette.routing import Mount

        return Starlette(routes=[Mount("/admin/console", console)])
    if framework == "fastapi":
        from fastapi import FastAPI

        app = FastAPI()
        app.mount("/admin/console", console)
        return app
    if framework == "litestar":
        from litestar import Litestar, asgi

        return Litestar([asgi("/admin/console", is_mount=True, copy_scope=True)(console)], openapi_config=None)
    if framework == "quart":
        from quart import Quart

        app = Quart("mounting")
        app.asgi_app = Mounted(app.asgi_app, "/admin/console", console)
        return app
    return Mounted(console, "/admin/console", console)


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar", "quart", "alone"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_browser_finds_its_way_under_any_prefix(framework: str) -> None:
    made = nest()
    async with (
        serve(under(framework, made.console)) as url,
        httpx2.AsyncClient(base_url=url, follow_redirects=True, cookies=http.cookiejar.CookieJar()) as browser,
    ):
        page = await browser.get("/admin/console")
        assert page.status_code == 200
        assert page.url.path == "/admin/console/"
        assert 'name="password"' in page.text
        for address in re.findall(r'(?:src|href)="(static/[^"]+)"', page.text):
            assert (await browser.get(page.url.join(address))).status_code == 200, address
        page = await browser.post(page.url.join("login"), data={"password": PASSWORD})
        assert (page.status_code, page.url.path) == (200, "/admin/console/")
        token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert token is not None
        (cookie,) = browser.cookies.jar
        assert cookie.path == "/admin/console"
        assert (await browser.get(page.url.join("api/state"))).status_code == 200
        answer = await browser.post(page.url.join("api/keys/openai/one/disable"), headers={"x-csrf-token": token[1]})
        assert answer.json()["key"]["switched_off"] is True
        page = await browser.post(page.url.join("logout"), data={"csrf": token[1]})
        assert 'name="password"' in page.text
        assert not list(browser.cookies.jar)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_that_ends_is_not_held_up_once_the_console_is_drained() -> None:
    made = nest()
    gone = anyio.Event()
    ended = 0.0

    async with anyio.create_task_group() as group:
        async with serve(made.console, timeout_graceful_shutdown=20) as url:

            async def listen() -> None:
                async with (
                    httpx2.AsyncClient(headers=bearer()) as client,
                    client.stream("GET", f"{url}/api/events") as answer,
                ):
                    async for _ in answer.aiter_raw():
                        pass
                gone.set()

            group.start_soon(listen)
            with anyio.fail_after(20):
                while not made.console.listeners:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            made.console.drain()
            ended = time.monotonic()
        await gone.wait()
    assert time.monotonic() - ended < 15  # the server would have waited longer


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n\r\n",
        b"GET /%c3%28%00%0d%0a HTTP/1.1\r\nhost: \xff\xfe\r\nconnection: close\r\n\r\n",
        POST + b"content-length: 99999999\r\n\r\npassword=",
        POST + b"transfer-encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 2 + b"0\r\n\r\n",
        STATE + b"cookie: ds2console-1=\x80\xff; ds2console=" + b"x" * 8000 + b"\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_garbage_on_the_wire_is_answered_or_refused_and_nothing_breaks(raw: bytes, caplog: Any) -> None:
    made = nest()
    async with serve(made.console) as url:
        port = int(url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(raw)
            with anyio.move_on_after(1):
                first = await stream.receive()
                assert first.startswith(b"HTTP/1.1 ")
                assert first[9:12] in (b"200", b"303", b"400", b"401", b"403", b"404", b"405", b"413")
        async with httpx2.AsyncClient(headers=bearer()) as client:
            assert (await client.get(f"{url}/api/state")).status_code == 200
    assert not [record for record in caplog.records if record.exc_info]
