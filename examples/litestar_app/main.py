"""A shop's catalogue, and a language model beside it: a Litestar app with an LLM endpoint under ``/llm``.

    uvicorn --app-dir examples/litestar_app main:app

It needs no keys and no network: the demo model answers. Set ``UPSTREAM_URL`` (``https://api.openai.com``) and
``UPSTREAM_KEYS`` (``sk-1,sk-2``) to ask a provider that speaks OpenAI Chat Completions.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from litestar import Litestar, asgi, get
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter

from ds2api_asgi import KeyPool, Retry, Translator, Upstream, lifespan
from ds2api_asgi.demo import DemoModel


def make_llm() -> Translator:
    """The endpoint: a translator around retries around a key pool around who answers."""
    url = os.environ.get("UPSTREAM_URL")
    provider = Upstream(url, protocol="openai-chat") if url else DemoModel()
    keys = os.environ.get("UPSTREAM_KEYS", "demo-key").split(",")
    return Translator(Retry(KeyPool(provider, protocol="openai-chat", keys=keys)), speaks="openai-chat")


@dataclass(frozen=True)
class Item:
    """Something to buy; the price is in cents."""

    name: str
    price: int


CATALOGUE = {item.name: item for item in (Item("kettle", 3900), Item("teapot", 2500), Item("cup", 700))}


@get("/health")
async def health() -> dict[str, str]:
    """Tell that the app is up."""
    return {"status": "ok"}


@get("/items")
async def list_items() -> list[Item]:
    """The catalogue."""
    return list(CATALOGUE.values())


@get("/items/{name:str}")
async def get_item(name: Annotated[str, PathParameter()]) -> Item:
    """One item."""
    if name not in CATALOGUE:
        raise NotFoundException("no such item")
    return CATALOGUE[name]


llm = make_llm()
app = Litestar(
    [health, list_items, get_item, asgi("/llm", is_mount=True, copy_scope=True)(llm)],
    lifespan=[lifespan(llm)],
)
