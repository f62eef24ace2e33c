"""Gateways over demo upstreams: files, configurations, and what their upstreams saw."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.config import Config
from ds2api_asgi.gateway.config.secrets import Surroundings
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.testing import Driver, serve
from ds2api_asgi.testing.driver import Answer

__all__ = ["HELLO", "chat", "config_of", "demo", "gateway_of", "table", "until"]

HELLO = [{"role": "user", "content": "Hello"}]


def config_of(text: str, *, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Config:
    """A configuration from TOML."""
    surroundings = Surroundings(environ=environ or {}, folder=folder or Path.cwd())
    return Config.model_validate(tomllib.loads(text), context=surroundings)


def table(name: str, url: str, *, keys: tuple[str, ...] = (), more: str = "", protocol: str = "openai-chat") -> str:
    """An upstream's table."""
    listed = ", ".join(f'"{key}"' for key in keys)
    return f'[upstreams.{name}]\nprotocol = "{protocol}"\nbase_url = "{url}"\nkeys = [{listed}]\n{more}\n'


@asynccontextmanager
async def demo(model: DemoModel | None = None) -> AsyncIterator[str]:
    """The demo model on a port."""
    async with serve(model or DemoModel()) as url:
        yield url


@asynccontextmanager
async def gateway_of(text: str, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway with its lifespan."""
    gateway = Gateway(config_of(text), **settings)
    async with running(gateway):
        yield gateway


async def chat(gateway: Any, model: str = "demo-small", *, stream: bool = False, **more: Any) -> Answer:
    """Ask for a chat completion."""
    headers = more.pop("headers", {})
    document = {"model": model, "messages": HELLO, "stream": stream, **more}
    return await Driver(gateway).request("POST", "/v1/chat/completions", json=document, headers=headers)


async def until(condition: Any, *, seconds: float = 30.0) -> None:
    """Wait until something is so."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.005)
