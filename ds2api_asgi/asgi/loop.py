"""The event loop that runs us, asked in one look.

anyio finds out anew at every call whether asyncio or trio runs, which costs a microsecond, and a small request would
ask ten times. What is given here is anyio's own all the same: its clock and its cancel scopes.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import anyio

__all__ = ["AsyncioLoop", "Bell", "asyncio_loop", "asyncio_scope", "cancel_scope", "current_time"]

AsyncioLoop: TypeAlias = asyncio.AbstractEventLoop


def asyncio_loop() -> AsyncioLoop | None:
    """The loop of asyncio that runs us, or None: it is trio that does."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return None if asyncio.current_task(loop) is None else loop  # trio as a guest has a loop, but no task of it


def current_time() -> float:
    """What `anyio.current_time` says: seconds."""
    loop = asyncio_loop()
    return anyio.current_time() if loop is None else loop.time()


def cancel_scope(*, deadline: float = math.inf) -> anyio.CancelScope:
    """An `anyio.CancelScope`.

    Args:
        deadline: In seconds of `current_time`.
    """
    return (anyio.CancelScope if asyncio_loop() is None else asyncio_scope())(deadline=deadline)


@cache
def asyncio_scope() -> type[anyio.CancelScope]:
    """The class that `anyio.CancelScope` turns into on asyncio, which must run us."""
    return type(anyio.CancelScope())


class Bell:
    """Wakes the task that made it, from whatever thread and event loop; made where it waits."""

    __slots__ = ("_event", "_home")

    def __init__(self) -> None:
        self._home = _here()
        self._event = anyio.Event()

    def ring(self) -> bool:
        """Wake the task; heard also when it does not wait yet.

        Returns:
            False when its event loop is over, so that nobody can hear it.
        """
        home = self._home
        if home is not None and _here() is home:
            self._set()
            return True
        call: Callable[[Callable[[], Any]], Any]
        call = home.call_soon_threadsafe if isinstance(home, asyncio.AbstractEventLoop) else home.run_sync_soon
        try:
            call(self._set)
        except RuntimeError:  # closed; trio's RunFinishedError is one too
            return False
        return True

    async def wait(self) -> None:
        """Wait until it rings, or return at once when it rang since the last time."""
        await self._event.wait()
        self._event = anyio.Event()

    def _set(self) -> None:
        self._event.set()


def _here() -> Any:
    """The event loop that runs us: asyncio's loop, or trio's token; None in a thread without one."""
    loop = asyncio_loop()
    if loop is not None:
        return loop
    trio = sys.modules.get("trio")  # whoever runs on it has imported it
    if trio is None:
        return None
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        return None
