"""One websocket with a leased key: until it is known whether the key is good, nothing of it reaches the client.

The provider refuses a key in one of two ways: it denies the handshake, as it would answer a request; or it opens the
websocket, says what is wrong and closes it. So what comes is held until the first event of the provider, and let go
when that is no error, or after `HOLD` seconds without any. Until then another key may be tried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from ..asgi.denial import DENIAL, deny
from ..asgi.exchange import Exchange
from ..asgi.facts import Judged
from ..asgi.masking import masking_socket
from ..asgi.types import Message, Receive, Scope, Send
from ..asgi.unwrapped import unwrapped
from ..protocols.openai_shared.sockets import error_of_close, error_of_event, usage_of_event
from .attempt import MAX_ERROR_BODY, Attempt
from .outcome import is_the_keys_fault

__all__ = ["HOLD", "MAX_HANDSHAKES", "Handshake", "Line", "nowhere"]

HOLD: Final = 1.0
"""Seconds that an open websocket waits for the provider's first event."""

MAX_HANDSHAKES: Final = 4
"""Keys that are tried for one connection."""


class Line:
    """A client's ``receive`` for several attempts: each hears that the client wants to connect, and that it left."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone: Message | None = None

    async def connected(self) -> bool:
        """Whether the client wants to connect; asked first."""
        return bool((await self.later())["type"] == "websocket.connect")

    @property
    def gone(self) -> bool:
        """Whether the client is known to have left."""
        return self._gone is not None

    async def later(self) -> Message:
        """What comes after ``websocket.connect``."""
        if self._gone is None:
            message: Message = await self._receive()
            if message["type"] != "websocket.disconnect":
                return message
            self._gone = message
        return self._gone

    def attempt(self) -> Receive:
        """A ``receive`` that begins with ``websocket.connect``."""
        connects = True

        async def receive() -> Message:
            nonlocal connects
            if connects:
                connects = False
                return {"type": "websocket.connect"}
            return await self.later()

        return receive


class Handshake:
    """One attempt; `run` once.

    Args:
        scope: The client's.
        exchange: Where verdicts are noted.
        send: The client's.
        secret: The key itself, which no client gets to see.
    """

    def __init__(self, scope: Scope, exchange: Exchange, send: Send, secret: str) -> None:
        self._scope = scope
        self._exchange = exchange
        self._mark = len(exchange)
        self._send = masking_socket(send, secret)
        self._turn = anyio.Lock()
        self._accepted = anyio.Event()
        self._held: list[Message] = []
        self._open = False
        self._over = False
        self._denial: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._body = bytearray()
        self._attempt: Attempt | None = None
        self._cancel: Callable[[], None] | None = None

    @property
    def another(self) -> bool:
        """Whether another key could do better; the client was told nothing yet."""
        judged = next(self._exchange.since(self._mark, Judged), None)
        return not self._open and judged is not None and is_the_keys_fault(judged.verdict)

    @staticmethod
    def inner(scope: Scope) -> Scope:
        """The scope for the app, which may always deny with an HTTP answer."""
        return {**scope, "extensions": {**(scope.get("extensions") or {}), DENIAL: {}}}

    async def run(self, attempt: Attempt, ask: Callable[[Send], Awaitable[None]]) -> None:
        """Ask the app.

        Args:
            attempt: Learns what the answer says of the key.
            ask: Calls the app with a ``send``.
        """
        self._attempt = attempt
        with unwrapped():
            async with anyio.create_task_group() as group:
                self._cancel = group.cancel_scope.cancel
                group.start_soon(self._open_in_time)
                await ask(self.send)
                group.cancel_scope.cancel()

    async def tell(self) -> None:
        """The attempt was the last one: the client is told how it failed."""
        if self._open:
            return
        self._open = True
        if self._denial is None:
            for message in self._held:
                await self._send(message)
            return
        status, headers = self._denial
        await deny(self._scope, self._send, status=status, headers=headers, body=bytes(self._body))

    async def send(self, message: Message) -> None:
        """A message of the app."""
        async with self._turn:
            if self._over:
                return
            await self._judge(message)
            kind = message["type"]
            if self._open:
                await self._send(message)
            elif kind == f"{DENIAL}.start":
                self._denial = message["status"], list(message.get("headers", ()))
            elif kind == f"{DENIAL}.body":
                self._body += message.get("body", b"")[: MAX_ERROR_BODY - len(self._body)]
            else:
                self._held.append(message)
                if kind == "websocket.accept":
                    self._accepted.set()
                elif self.another:
                    self._over = True
                    assert self._cancel is not None
                    self._cancel()
                elif len(self._held) > 1:  # accepted, and it says what is no fault of the key
                    await self._let_go()

    async def _judge(self, message: Message) -> None:
        """Tell the attempt what a message says of the key."""
        attempt, kind = self._attempt, message["type"]
        assert attempt is not None
        if kind == f"{DENIAL}.start":
            await attempt.send({**message, "type": "http.response.start"})
        elif kind == f"{DENIAL}.body":
            await attempt.send({**message, "type": "http.response.body"})
        elif kind == "websocket.send":
            text = message.get("text") or ""
            await attempt.hear(error_of_event(text))
            if attempt.counts:
                await attempt.count(usage_of_event(text))
        elif kind == "websocket.close":
            await attempt.hear(error_of_close(message.get("reason") or ""))

    async def _open_in_time(self) -> None:
        await self._accepted.wait()
        await anyio.sleep(HOLD)
        async with self._turn:
            if not self._open and not self._over:
                await self._let_go()

    async def _let_go(self) -> None:
        """The key is good, as far as can be known."""
        self._open = True
        assert self._attempt is not None
        accept, last = self._held[0], self._held[-1]
        if last["type"] != "websocket.close" and not self._refused:
            await self._attempt.opened(accept.get("headers", ()))
        for message in self._held:
            await self._send(message)
        self._held.clear()

    @property
    def _refused(self) -> bool:
        """Whether the provider was not content, with whatever."""
        return next(self._exchange.since(self._mark, Judged), None) is not None


async def nowhere(message: Message) -> None:
    """Where an attempt's answer goes that is only looked at."""
