"""A gateway in a process of its own: whom it answers where no key is asked for."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.gateway.commands.serve import _kept
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.gateway.serving.attended import Attended
from ds2api_asgi.gateway.serving.orders import Orders
from ds2api_asgi.gateway.serving.uvicorn_server import listen
from ds2api_asgi.testing import Driver
from gateways import HELLO, config_of, demo, table, until

pytestmark = pytest.mark.anyio

CLIENT = "ds2-a8sd7f6a9s8d7f6as98d7f6a9s8d76"
FOREIGN = ["https://elsewhere.example", "http://elsewhere.example:8000", "null", "http://127.0.0.1.elsewhere.example",
           "http://[::1", "http://"]  # fmt: skip
OWN = ["http://localhost:3000", "http://127.0.0.1:8000", "https://[::1]:1", "http://app.localhost", "app://notes", None]


def attended(text: str) -> Attended:
    return Attended(Gateway(config_of(text)), ready=lambda: None)


async def ask(app: Any, origin: str | None, path: str = "/v1/chat/completions") -> int:
    document = {"model": "demo/demo-small", "messages": HELLO}
    headers = {"content-type": "text/plain", **({} if origin is None else {"origin": origin})}
    return (await Driver(app).request("POST", path, json=document, headers=headers)).status


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_page_of_another_site_asks_nothing_of_a_gateway_without_keys() -> None:
    """Any page can make a browser ask what listens on its machine, and it would be paid for."""
    async with demo() as url:
        app = attended(table("demo", url))
        assert [await ask(app, origin) for origin in FOREIGN] == [403] * len(FOREIGN)
        assert [await ask(app, origin) for origin in OWN] == [200] * len(OWN)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_where_keys_are_asked_for_or_all_are_welcome_pages_are_too() -> None:
    async with demo() as url:
        assert await ask(attended(table("demo", url) + "[access]\nopen = true"), FOREIGN[0]) == 200
        keyed = attended(table("demo", url) + f'[access]\nkeys = ["{CLIENT}"]')
        assert await ask(keyed, FOREIGN[0]) == 401


async def test_the_console_judges_for_itself() -> None:
    """A proxy may show it under another name."""
    app = attended(table("demo", "http://127.0.0.1:1") + '[console]\npassword = "long-enough-to-be-one"')
    login = {"origin": "https://gateway.example", "host": "gateway.example", "x": "y"}
    form = {"content-type": "application/x-www-form-urlencoded", **login}
    answer = await Driver(app).request("POST", "/console/login", headers=form, body=b"password=long-enough-to-be-one")
    assert answer.status == 303
    assert await ask(app, FOREIGN[0], "/consolex") == 403


async def test_a_websocket_of_another_site_is_turned_away() -> None:
    app = attended(table("demo", "http://127.0.0.1:1", more="websockets = true"))
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "websocket",
        "path": "/v1/realtime",
        "query_string": b"model=demo/x",
        "headers": [(b"origin", b"null")],
    }
    await app(scope, receive, send)
    assert said == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_a_port_that_others_reach_never_loses_its_door(tmp_path: Path) -> None:
    """A file that takes back its host and its [access] at once: the port is listened on as before."""
    file = tmp_path / "gateway.toml"
    file.write_text(table("demo", "http://127.0.0.1:1"))
    assert Orders(file=str(file), bound="127.0.0.1").gateway().config.access is None
    with pytest.raises(ConfigurationError, match=r"other machines reach this"):
        Orders(file=str(file), bound="0.0.0.0").gateway()
    file.write_text(table("demo", "http://127.0.0.1:1") + "[access]\nopen = true")
    assert Orders(file=str(file), bound="0.0.0.0").gateway().config.access is not None


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_who_is_told_that_it_is_ready_can_signal_it(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(table("demo", "http://127.0.0.1:1") + "[reload]\nwatch = false\n")
    gateway = Gateway.from_toml(file)
    file.write_text(table("fresh", "http://127.0.0.1:1"))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with running(Attended(gateway, ready=lambda: signal.raise_signal(signal.SIGHUP))):
            await until(lambda: list(gateway.config.upstreams) == ["fresh"])
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody could listen beside it")
def test_the_port_of_another_server_is_kept_for_it() -> None:
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    with _kept(listener):
        with socket.socket() as anybody, pytest.raises(OSError, match="in use"):
            anybody.bind(address)
        with socket.create_server(address), socket.create_connection(address):
            pass  # servers say that they may
