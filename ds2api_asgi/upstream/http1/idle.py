"""Connections that wait for their next request, for a while."""

from __future__ import annotations

import asyncio

from ..sender import KEEP_ALIVE
from .connection import Connection
from .target import Origin

__all__ = ["Idle"]


class Idle:
    """The connections that are free, by where they lead; the one that was used last is used next, so that others age.

    Args:
        loop: Its clock says how long they have waited, and its timers end those that waited for too long.
    """

    __slots__ = ("_free", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._free: dict[Origin, list[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def put(self, connection: Connection) -> None:
        """Keep a connection."""
        connection.idle_since = self._loop.time()
        self._free.setdefault(connection.origin, []).append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(KEEP_ALIVE, self._sweep)

    def take(self, origin: Origin) -> Connection | None:
        """A connection that is alive, as far as one can tell; None: there is none."""
        free = self._free.get(origin)
        while free:
            connection = free.pop()
            if connection.alive and self._loop.time() - connection.idle_since < KEEP_ALIVE:
                return connection
            connection.close()
        return None

    def stop(self) -> None:
        """End the timer; closing the connections is the caller's affair."""
        self._free.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for origin, free in list(self._free.items()):
            kept = [one for one in free if one.alive and now - one.idle_since < KEEP_ALIVE]
            for connection in set(free) - set(kept):
                connection.close()
            if kept:
                self._free[origin] = kept
            else:
                del self._free[origin]
        if self._free:
            first = min(free[0].idle_since for free in self._free.values())
            self._timer = self._loop.call_at(first + KEEP_ALIVE, self._sweep)
