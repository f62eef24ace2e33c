"""`Http1Sender`: a request over an idle connection, or a new one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from functools import lru_cache

import anyio

from ...errors import TransportError
from ..sender import RACE_WINDOW
from .connection import Answer, Connection
from .dial import Dial, unreached
from .idle import Idle
from .target import Origin, Target

__all__ = ["Http1Sender"]

_TARGETS = 128  # that are remembered; clients choose paths, so there is a bound


class Http1Sender:
    """Sends over HTTP/1.1; made where an event loop of asyncio runs it.

    Args:
        connect_timeout: Seconds for DNS, TCP and TLS.
        ssl_context: Whom to trust and as whom to appear; None: the shared one.

    Raises:
        RuntimeError: No asyncio event loop is running.
    """

    def __init__(self, *, connect_timeout: float = 5.0, ssl_context: ssl.SSLContext | None = None) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._dial = Dial(loop, timeout=connect_timeout, ssl_context=ssl_context)
        self._idle = Idle(loop)
        self._open: set[Connection] = set()
        self._all_lost: anyio.Event | None = None  # there is one when all are to end
        self._target = lru_cache(maxsize=_TARGETS)(Target)

    async def send(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Answer:
        """See `Sender.send`."""
        try:
            target = self._target(method, url)
            message = target.message(headers, body)
        except ValueError as error:
            raise TransportError("protocol", "no answer from the upstream (protocol)", processed=False) from error
        bodiless = method == "HEAD"
        connection = self._idle.take(target.origin)
        if connection is not None:
            began = self._loop.time()
            answer = connection.ask(message, bodiless=bodiless)
            try:
                await answer.head()
            except TransportError:
                late = self._loop.time() - began > RACE_WINDOW
                if late or not answer.untouched or self._is_over():
                    raise
            else:
                return answer
        connection = await self._connect(target.origin)
        answer = connection.ask(message, bodiless=bodiless)
        await answer.head()
        return answer

    async def aclose(self) -> None:
        """Close all connections."""
        self._idle.stop()
        if self._all_lost is None:
            self._all_lost = anyio.Event()
        for connection in list(self._open):
            connection.close()
        if self._open:
            await self._all_lost.wait()

    async def _connect(self, origin: Origin) -> Connection:
        if self._is_over():
            raise unreached("connect")
        connection = Connection(origin, self._loop, freed=self._idle.put, lost=self._lost)
        await self._dial(connection)
        if self._is_over():
            connection.close()
            raise unreached("connect")
        if connection.alive:
            self._open.add(connection)
        return connection

    def _is_over(self) -> bool:
        return self._all_lost is not None

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open and self._all_lost is not None:
            self._all_lost.set()
