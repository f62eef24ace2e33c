"""Callers that do not wait for the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

__all__ = ["leave_waiting"]


async def leave_waiting(call: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
    """Cancel a call as soon as nothing happens any more; for calls that no socket and no thread takes part in."""
    async with anyio.create_task_group() as group:
        group.start_soon(call, *arguments)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
