"""The event loop that runs us, asked in one look.

anyio finds out anew at every call whether asyncio or trio runs, which costs a microsecond, and a small request would
ask ten times. What is given here is anyio's own all the same: its clock and its cancel scopes.
"""

from __future__ import annotations

import asyncio
import math
from functools import cache

import anyio

__all__ = ["asyncio_scope", "cancel_scope", "current_time", "on_asyncio"]


def on_asyncio() -> bool:
    """Whether asyncio runs us."""
    try:
        return asyncio.current_task() is not None  # trio as a guest has an asyncio loop, but no task of it
    except RuntimeError:
        return False


def current_time() -> float:
    """What `anyio.current_time` says: seconds."""
    return asyncio.get_running_loop().time() if on_asyncio() else anyio.current_time()


def cancel_scope(*, deadline: float = math.inf) -> anyio.CancelScope:
    """An `anyio.CancelScope`.

    Args:
        deadline: In seconds of `current_time`.
    """
    return (asyncio_scope() if on_asyncio() else anyio.CancelScope)(deadline=deadline)


@cache
def asyncio_scope() -> type[anyio.CancelScope]:
    """The class that `anyio.CancelScope` turns into on asyncio, which must run us."""
    return type(anyio.CancelScope())
