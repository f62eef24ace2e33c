"""A help desk, and a language model beside it: a Quart app with an LLM endpoint for every protocol under ``/llm``.

    uvicorn --app-dir examples/quart_app main:app

It needs no keys and no network: the demo model answers. Set ``UPSTREAM_URL`` (``https://api.openai.com``) and
``UPSTREAM_KEYS`` (``sk-1,sk-2``) to ask a provider that speaks OpenAI Chat Completions, and ``UPSTREAM_MODEL`` to the
model that answers tickets.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, Response, abort, request

from ds2api_asgi import KeyPool, Mounted, Retry, Translator, Upstream
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Driver

MODEL = os.environ.get("UPSTREAM_MODEL", "demo-small")


def make_llm() -> Translator:
    """The endpoint: a translator around retries around a key pool around who answers."""
    url = os.environ.get("UPSTREAM_URL")
    provider = Upstream(url, protocol="openai-chat") if url else DemoModel()
    keys = os.environ.get("UPSTREAM_KEYS", "demo-key").split(",")
    return Translator(Retry(KeyPool(provider, protocol="openai-chat", keys=keys)), speaks="openai-chat")


llm = make_llm()
app = Quart(__name__)
tickets: dict[int, str] = {}


@app.get("/health")
async def health() -> dict[str, str]:
    """Tell that the app is up."""
    return {"status": "ok"}


@app.post("/tickets")
async def open_ticket() -> tuple[dict[str, Any], int]:
    """Keep a question."""
    document = await request.get_json()
    if not isinstance(document, dict) or not isinstance(document.get("text"), str):
        abort(400, "a ticket has a text")
    number = len(tickets) + 1
    tickets[number] = document["text"]
    return {"id": number, "text": document["text"]}, 201


@app.get("/tickets/<int:number>/answer")
async def answer(number: int) -> Response:
    """Stream the model's answer as plain text: the endpoint is an app, so its own host asks it without a socket."""
    if number not in tickets:
        abort(404, "no such ticket")
    question = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": tickets[number]}]}

    async def words() -> AsyncIterator[str]:
        async with Driver(llm).open("POST", "/v1/chat/completions", json=question) as streamed:
            rest = b""
            async for chunk in streamed:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if streamed.status == 200 and line.startswith(b"data: {"):
                        for choice in json.loads(line[6:]).get("choices", ()):
                            yield choice["delta"].get("content") or ""
            if streamed.status != 200:
                yield "the model did not answer"

    return Response(words(), content_type="text/plain; charset=utf-8")


# Quart has no mounts: the endpoint stands before it, under its path, and both start and end together.
app.asgi_app = Mounted(app.asgi_app, "/llm", llm)  # type: ignore[assignment, method-assign]
