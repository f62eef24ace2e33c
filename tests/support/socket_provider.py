"""A provider of websockets on a real socket, which does as its script says, and what it saw."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import anyio
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Response

Script = Callable[[ServerConnection], Awaitable[None]]


async def echo(connection: ServerConnection) -> None:
    """Send everything back."""
    async for message in connection:
        await connection.send(message)


async def session(connection: ServerConnection) -> None:
    """Realtime as far as its manners go: the server speaks first, and answers every event."""
    await connection.send(json.dumps({"type": "session.created", "event_id": "e0", "session": {"type": "realtime"}}))
    async for message in connection:
        said = json.loads(message)
        await connection.send(json.dumps({"type": "session.updated", "event_id": "e1", "session": said["session"]}))


class Provider:
    """What a provider saw.

    Attributes:
        url: ``http://127.0.0.1:…``.
        heads: Path and headers of each handshake.
        closes: Code and reason of each connection that ended.
        open: How many are open.
    """

    def __init__(self, script: Script, refusals: Mapping[str, Any]) -> None:
        self.url = ""
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.closes: list[tuple[int | None, str | None]] = []
        self.open = 0
        self._script = script
        self._refusals = dict(refusals)

    @property
    def keys(self) -> list[str]:
        return [head.get("authorization", "").removeprefix("Bearer ") for _, head in self.heads]

    def process_request(self, connection: ServerConnection, request: Any) -> Response | None:
        head = {name.lower(): value for name, value in request.headers.raw_items()}
        self.heads.append((request.path, head))
        refusal = self._refusals.get(head.get("authorization", "").removeprefix("Bearer "))
        if not isinstance(refusal, tuple):
            return None
        status, document, headers = refusal
        body = json.dumps(document).encode()
        fields = Headers({"content-type": "application/json", "content-length": str(len(body)), **headers})
        return Response(status, HTTPStatus(status).phrase, fields, body)

    async def handle(self, connection: ServerConnection) -> None:
        self.open += 1
        try:
            await (self._refusals.get(self.keys[-1]) or self._script)(connection)
            await connection.wait_closed()
        finally:
            self.open -= 1
            self.closes.append((connection.close_code, connection.close_reason))

    async def closed(self, number: int = 1) -> tuple[int | None, str | None]:
        """How the connection with this number ended, once it has."""
        with anyio.fail_after(20):
            while len(self.closes) < number:  # noqa: ASYNC110 - the server's tasks end on their own
                await anyio.sleep(0.002)
        return self.closes[number - 1]


@asynccontextmanager
async def provider(script: Script = echo, refusals: Mapping[str, Any] | None = None) -> AsyncIterator[Provider]:
    """Serve a script.

    Args:
        script: For every connection, but those with a key of `refusals`.
        refusals: For a key: status, document and headers that its handshake is denied with, or a script.
    """
    made = Provider(script, refusals or {})
    async with serve(
        made.handle,
        "127.0.0.1",
        0,
        process_request=made.process_request,
        max_size=None,
        subprotocols=["realtime"],  # type: ignore[list-item]
        select_subprotocol=lambda _, offered: "realtime" if "realtime" in offered else None,  # type: ignore[arg-type,return-value]
        close_timeout=0.5,
    ) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


def dial(url: str, path: str = "/v1/realtime?model=gpt-realtime", **options: Any) -> Any:
    """A client's connection, with nothing of its own in the way."""
    return connect(
        url.replace("http", "ws", 1) + path, proxy=None, compression=None, max_size=None, close_timeout=1, **options
    )


def response_done(**usage: Any) -> str:
    """The end of a Realtime response that cost so much: text and sound of both sides, some of it cached."""
    counts = {"text_in": 5, "audio_in": 15, "text_cached": 2, "audio_cached": 4, "text_out": 1, "audio_out": 9, **usage}
    told = {
        "total_tokens": counts["text_in"] + counts["audio_in"] + counts["text_out"] + counts["audio_out"],
        "input_tokens": counts["text_in"] + counts["audio_in"],
        "output_tokens": counts["text_out"] + counts["audio_out"],
        "input_token_details": {
            "text_tokens": counts["text_in"],
            "audio_tokens": counts["audio_in"],
            "cached_tokens": counts["text_cached"] + counts["audio_cached"],
            "cached_tokens_details": {"text_tokens": counts["text_cached"], "audio_tokens": counts["audio_cached"]},
        },
        "output_token_details": {"text_tokens": counts["text_out"], "audio_tokens": counts["audio_out"]},
    }
    response = {"id": "resp_1", "object": "realtime.response", "status": "completed", "output": [], "usage": told}
    return json.dumps({"type": "response.done", "event_id": "e", "response": response})


async def conversation(connection: ServerConnection) -> None:
    """Realtime that answers ``response.create`` with what it cost, and hears what is committed."""
    await connection.send(json.dumps({"type": "session.created", "event_id": "e0", "session": {"type": "realtime"}}))
    async for message in connection:
        kind = json.loads(message)["type"]
        if kind == "response.create":
            await connection.send(
                json.dumps({"type": "response.created", "event_id": "e", "response": {"usage": None}})
            )
            await connection.send(response_done())
        elif kind == "input_audio_buffer.commit":
            usage = {"type": "tokens", "total_tokens": 7, "input_tokens": 4, "output_tokens": 3}
            kind = "conversation.item.input_audio_transcription.completed"
            await connection.send(json.dumps({"type": kind, "transcript": "words of mine", "usage": usage}))
        else:
            await connection.send(json.dumps({"type": "session.updated", "event_id": "e1"}))
