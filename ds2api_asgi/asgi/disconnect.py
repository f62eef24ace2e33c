"""Work for as long as the client is there: only ``receive`` tells that it left.

No server cancels the task of a client that left, and ``send`` then does nothing, silently; without a listener the work
goes on, and its tokens are paid for nobody. Exactly one part may read ``receive`` at a time (hypercorn and daphne tell
a disconnect once only), so a part that waits listens while it waits, and stops before it hands ``receive`` down.
Cancelling a pending ``receive`` loses nothing. The request body must have been read: a disconnect queues behind it.

Beside `loop` this is the one module of this room that knows asyncio. A task group with a listener in it costs 40
microseconds of CPU (measured; all of uvicorn costs 50), and most requests are over before any client can have left. On
asyncio the listener is therefore a plain task that begins after `GRACE`, so that short requests pay for a timer and a
cancel scope only. It ends in the same function that began it, as in a task group.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.lowlevel

from ..errors import ClientGone
from .loop import AsyncioLoop, asyncio_loop, asyncio_scope
from .types import Receive
from .unwrapped import unwrapped

__all__ = ["GRACE", "Watch", "while_connected"]

GRACE = 0.02
"""Seconds for which nobody listens (on asyncio): far under the 100 milliseconds in which work has to end."""

T = TypeVar("T")
Listen = Callable[[], Coroutine[Any, Any, None]]


async def while_connected(receive: Receive, work: Callable[[], Awaitable[T]]) -> T:
    """Do some work; cancel it when the client leaves.

    Args:
        receive: The request's ``receive``, its body already read; nobody else may read it meanwhile.
        work: What to do.

    Returns:
        What the work returned.

    Raises:
        ClientGone: The client left first.
    """
    async with Watch(receive, asyncio_loop()):
        return await work()
    raise AssertionError("unreachable")


class Watch:
    """The body of ``async with Watch(receive, loop)`` is cancelled when the client leaves, or when a deadline passes.

    Leaving the block raises `ClientGone` when the client left, and what ``receive`` raised. One cancel scope serves
    both purposes, since every scope costs as much as parsing a small request.

    Args:
        receive: The request's ``receive``, its body already read.
        loop: What `asyncio_loop` says.
        deadline: Seconds on the clock of `anyio.current_time`; may be moved while the body runs.

    Attributes:
        gone: Whether the client left.
    """

    __slots__ = (
        "_error",
        "_expired",
        "_first_deadline",
        "_listener",
        "_loop",
        "_receive",
        "_released",
        "_scope",
        "gone",
    )

    _listener: _AtOnce | _Later

    def __init__(self, receive: Receive, loop: AsyncioLoop | None, *, deadline: float = math.inf) -> None:
        self._receive = receive
        self._loop = loop
        self._first_deadline = deadline
        self._released = False
        self._expired = False
        self._error: Exception | None = None
        self.gone = False

    @property
    def deadline(self) -> float:
        """When the body is cancelled; to be moved while it runs, for a microsecond at most."""
        return self._listener.deadline

    @deadline.setter
    def deadline(self, value: float) -> None:
        self._listener.deadline = value

    @property
    def expired(self) -> bool:
        """Whether the body was cancelled because the deadline passed; to be asked after the block."""
        return self._expired

    def release(self) -> None:
        """Say that the last message is about to be sent: from here on a disconnect is the end, not an abort."""
        self._released = True

    @property
    def listening(self) -> bool:
        """Whether somebody listens already, so that there is something to `settle`."""
        return self._listener.listening

    async def settle(self) -> None:
        """After the last message: let the listening end by itself.

        Servers answer a pending ``receive`` once the response is complete, and to wait for that is cheaper than to
        cancel; it takes one turn of the event loop.
        """
        if self.listening:
            await anyio.lowlevel.checkpoint()

    async def __aenter__(self) -> Self:
        loop = self._loop
        if loop is None:
            self._listener = at_once = _AtOnce()
            self._scope = await at_once.start(self._listen, self._first_deadline)
        else:
            self._listener = later = _Later(loop)
            self._scope = later.start(self._listen, self._first_deadline)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        was_cancelled = self._scope.cancel_called
        swallowed = await self._listener.stop(kind, error, traceback)
        if error is None or swallowed:
            if self._error is not None:
                raise self._error
            if self.gone:
                raise ClientGone
        self._expired = was_cancelled and swallowed
        return swallowed

    async def _listen(self) -> None:
        try:
            while (await self._receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
                # Granian and hypercorn send an empty last part of the body; a stub may send them for ever.
                await anyio.lowlevel.checkpoint()
        except Exception as error:  # noqa: BLE001 - raised where the block is left
            self._error = error
        else:
            if self._released:
                return
            self.gone = True
        self._scope.cancel()


class _AtOnce:
    """Listens from the start, in a task group."""

    __slots__ = ("_group",)

    listening = True

    @property
    def deadline(self) -> float:
        return self._group.cancel_scope.deadline

    @deadline.setter
    def deadline(self, value: float) -> None:
        self._group.cancel_scope.deadline = value

    async def start(self, listen: Listen, deadline: float) -> anyio.CancelScope:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.cancel_scope.deadline = deadline
        self._group.start_soon(listen)
        return self._group.cancel_scope

    async def stop(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._group.cancel_scope.cancel()
        with unwrapped():
            return bool(await self._group.__aexit__(kind, error, traceback))
        raise AssertionError("unreachable")


class _Later:
    """Listens from `GRACE` on, in a task of asyncio that begins and ends within the scope.

    The scope has no deadline until then, for that would be a second timer; one that is sooner comes sooner.
    """

    __slots__ = ("_deadline", "_due", "_loop", "_scope", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def deadline(self) -> float:
        return self._deadline

    @deadline.setter
    def deadline(self, value: float) -> None:
        self._deadline = value
        if self._timer is None or value < self._due:
            self._scope.deadline = value

    @property
    def listening(self) -> bool:
        return self._task is not None

    def start(self, listen: Listen, deadline: float) -> anyio.CancelScope:
        self._due = due = self._loop.time() + GRACE
        self._deadline = deadline
        self._scope = scope = asyncio_scope()(deadline=deadline if deadline < due else math.inf)
        scope.__enter__()
        self._timer = self._loop.call_at(due, self._begin, listen)
        return scope

    def _begin(self, listen: Listen) -> None:
        self._timer = None  # it holds us, and we would be garbage in a cycle
        self._scope.deadline = self._deadline
        self._task = self._loop.create_task(listen())

    async def stop(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait((self._task,))
        return bool(self._scope.__exit__(kind, error, traceback))
