"""Senders by event loop: a connection belongs to the loop that it was made on, and one app may serve several."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, Callable
from functools import cache
from importlib.util import find_spec
from weakref import ref

import anyio
from anyio.lowlevel import RunVar

from ..asgi.loop import AsyncioLoop, asyncio_loop
from .httpx_sender import HttpxSender
from .sender import Sender

__all__ = ["CLOSE_TIMEOUT", "PerLoop", "default_sender"]

CLOSE_TIMEOUT = 1.0
"""Seconds that closing a sender may take."""

_logger = logging.getLogger("ds2api_asgi.upstream")


def default_sender(
    *,
    connect_timeout: float,
    write_timeout: float = 30.0,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> Sender:
    """The fastest sender that works here: `Http1Sender` on asyncio where the extra ``fast`` is installed, else httpx2.

    Args:
        connect_timeout: Seconds.
        write_timeout: Seconds between two writes of a request, where httpx2 is it; the other has no such bound.
        ssl_context: Whom to trust and as whom to appear; None: `shared_ssl_context`.
        proxy: Address of a proxy, through which httpx2 sends; None: there is none.
    """
    if proxy is None and asyncio_loop() is not None and _has_fast():
        from .http1 import Http1Sender

        return Http1Sender(connect_timeout=connect_timeout, ssl_context=ssl_context)
    return HttpxSender(
        connect_timeout=connect_timeout, write_timeout=write_timeout, ssl_context=ssl_context, proxy=proxy
    )


@cache
def _has_fast() -> bool:
    """Whether the extra ``fast`` is installed."""
    return all(find_spec(name) is not None for name in ("httptools", "aiohappyeyeballs"))


class _Opened:
    __slots__ = ("closing", "loop", "sender")

    def __init__(self, sender: Sender, closing: AsyncGenerator[None, None]) -> None:
        self.sender = sender
        self.closing = closing
        loop = asyncio_loop()
        self.loop = None if loop is None else ref(loop)


class PerLoop:
    """One sender for each event loop, opened when first needed, closed with the loop at the latest.

    Where nobody runs the app's lifespan, an async generator waits for the loop's end, when asyncio and trio close all
    of those; servers that stop their loop without that (uvicorn by SIGTERM, granian) leave closing to the process.

    Args:
        make: Makes a sender for the running loop.
    """

    def __init__(self, make: Callable[[], Sender]) -> None:
        self._make = make
        self._opened: RunVar[_Opened | None] = RunVar("ds2api_asgi.upstream.sender", None)
        # The one that was asked for last: nearly all processes have one loop, and a `RunVar` finds it in a microsecond.
        self._latest: _Opened | None = None
        self._warned = False

    async def get(self, loop: AsyncioLoop | None) -> Sender:
        """The running loop's sender; opened now, with a warning, when no lifespan has opened it.

        Args:
            loop: What `asyncio_loop` says.
        """
        latest = self._latest
        if latest is not None and latest.loop is not None and loop is not None and latest.loop() is loop:
            return latest.sender
        self._latest = opened = self._opened.get()
        if opened is not None:
            return opened.sender
        if not self._warned:
            self._warned = True
            _logger.warning(
                "an Upstream was opened by its first request, since nobody runs its lifespan: "
                "hand ds2api_asgi.lifespan(app) to the framework that mounts it"
            )
        return await self.open()

    async def open(self) -> Sender:
        """Open the running loop's sender."""
        opened = self._opened.get()
        if opened is None:
            sender = self._make()
            opened = _Opened(sender, self._until_the_end(sender))
            self._opened.set(opened)
            await anext(opened.closing)
        return opened.sender

    async def aclose(self) -> None:
        """Close the running loop's sender; a later `get` opens another."""
        opened = self._opened.get()
        if opened is not None:
            await opened.closing.aclose()

    async def _until_the_end(self, sender: Sender) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            # The loop's registry would keep the sender, and the sender the loop.
            self._opened.set(None)
            self._latest = None
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await sender.aclose()
