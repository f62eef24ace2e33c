"""``ds2api serve`` as a process on a file, and a provider whose streams end when they are told to."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from commands import DS2API, Running, running
from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.asgi.types import Receive, Scope, Send

__all__ = ["HELLO", "Held", "Served", "question", "served"]

HELLO = [{"role": "user", "content": "Hello"}]


def question(model: str, *, stream: bool = False) -> dict[str, Any]:
    """A request of Chat Completions."""
    return {"model": model, "messages": HELLO, "stream": stream}


class Held:
    """Speaks Chat Completions, and knows no other path; its streams go on from `hold` to `release`.

    Attributes:
        running: How many are held now.
    """

    def __init__(self) -> None:
        self.running = 0
        self._free = threading.Event()
        self._free.set()

    def hold(self) -> None:
        """Let no stream end from now on."""
        self._free.clear()

    def release(self) -> None:
        """Let all end, and those that come later at once."""
        self._free.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await read_body(receive)
        if scope["method"] != "POST":  # who lists models asks all upstreams
            await respond(send, status=404, document={"error": {"message": "no"}})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await self._say(send, {"role": "assistant", "content": "Held"})
        self.running += 1
        try:
            while not self._free.is_set():  # noqa: ASYNC110 - another thread tells
                await anyio.sleep(0.01)
        finally:
            self.running -= 1
        await self._say(send, {"content": " and free"})
        await self._say(send, {}, finish="stop")
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _say(self, send: Send, delta: dict[str, Any], *, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "held", "choices": [choice]}
        body = b"data: %s\n\n" % json.dumps(event).encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})


class Served:
    """A running gateway.

    Attributes:
        url: Where it is.
        folder: Where its file is, ``gateway.toml``.
        process: Its process.
    """

    def __init__(self, ran: Running, folder: Path) -> None:
        self._ran = ran
        self.url = ran.base_url
        self.folder = folder
        self.process = ran.process

    @property
    def said(self) -> str:
        """All that it said."""
        return self._ran.said

    def announced(self, name: str) -> str:
        """The address that it said something is at, as ``openai-chat``."""
        found = re.search(rf"^  {name}: (?:[A-Z]+ )?(\S+)$", self.said, re.MULTILINE)
        assert found is not None, self.said
        return found[1]

    def client(self, **options: Any) -> httpx.Client:
        """A client of it; ``verify`` only matters with TLS, and is slow to make."""
        options = {"base_url": self.url, "trust_env": False, "verify": False, "timeout": 20, **options}
        return httpx.Client(**options)

    def write(self, text: str) -> None:
        """Replace the file as editors do."""
        new = self.folder / "gateway.new"
        new.write_text(text)
        new.replace(self.folder / "gateway.toml")

    def end(self, *, seconds: float = 20) -> int:
        """SIGTERM; its exit code."""
        return self._ran.end(seconds=seconds)


@contextmanager
def served(folder: Path, text: str, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Serve a file from a folder."""
    (folder / "gateway.toml").write_text(text)
    (folder / "gateway.toml").chmod(0o600)
    command = (*DS2API, "serve", "gateway.toml", "--port", "0", *options)
    environ = {**os.environ, **(env or {}), "PYTHONPATH": os.getcwd()}
    with running(*command, cwd=folder, env=environ) as ran:
        yield Served(ran, folder)
