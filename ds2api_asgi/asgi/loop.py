"""The event loop that runs us, asked in one look.

anyio finds out anew at every call whether asyncio or trio runs, which costs a microsecond, and a small request would
ask ten times. What is given here is anyio's own all the same: its clock and its cancel scopes.
"""

from __future__ import annotations

import asyncio
import math
from functools import cache

import anyio

__all__ = ["asyncio_loop", "asyncio_scope", "cancel_scope", "current_time"]


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
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
