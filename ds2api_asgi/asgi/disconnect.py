"""Work for as long as the client is there: only ``receive`` tells that it left.

No server cancels the task of a client that left, and ``send`` then does nothing, silently; without a listener the work
goes on, and its tokens are paid for nobody. Exactly one part may read ``receive`` at a time (hypercorn and daphne tell
a disconnect once only), so a part that waits listens while it waits, and stops before it hands ``receive`` down.
Cancelling a pending ``receive`` loses nothing. The request body must have been read: a disconnect queues behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.lowlevel

from ..errors import ClientGone
from .types import Receive
from .unwrapped import unwrapped

__all__ = ["Watch", "while_connected"]

T = TypeVar("T")


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
    async with Watch(receive):
        return await work()
    raise AssertionError("unreachable")


class Watch:
    """The body of ``async with Watch(receive)`` is cancelled when the client leaves, or when a deadline passes.

    Leaving the block raises `ClientGone` when the client left. One cancel scope serves both purposes, since every
    scope costs as much as parsing a small request.

    Args:
        receive: The request's ``receive``, its body already read.
        deadline: Seconds on the clock of `anyio.current_time`; may be moved while the body runs.

    Attributes:
        gone: Whether the client left.
    """

    __slots__ = ("_ended", "_first_deadline", "_group", "_receive", "_released", "_stopped", "gone")

    def __init__(self, receive: Receive, *, deadline: float = float("inf")) -> None:
        self._receive = receive
        self._released = False
        self._ended = False
        self._stopped = False
        self._group = anyio.create_task_group()
        self._first_deadline = deadline
        self.gone = False

    @property
    def deadline(self) -> float:
        """When the body is cancelled; setting it costs about a microsecond."""
        return self._group.cancel_scope.deadline

    @deadline.setter
    def deadline(self, value: float) -> None:
        self._group.cancel_scope.deadline = value

    @property
    def expired(self) -> bool:
        """Whether the body was cancelled because the deadline passed; to be asked after the block."""
        return self._group.cancel_scope.cancelled_caught and not self.gone and not self._stopped

    def release(self) -> None:
        """Say that the last message is about to be sent: from here on a disconnect is the end, not an abort."""
        self._released = True

    async def settle(self) -> None:
        """After the last message: let the listening end by itself.

        Servers answer a pending ``receive`` once the response is complete, and to wait for that is cheaper than to
        cancel; it takes one turn of the event loop.
        """
        await anyio.lowlevel.checkpoint()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._group.cancel_scope.deadline = self._first_deadline  # on trio there is no scope before
        self._group.start_soon(self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not self._ended:
            self._stopped = error is None and not self._group.cancel_scope.cancel_called
            self._group.cancel_scope.cancel()
        with unwrapped():
            swallowed = await self._group.__aexit__(kind, error, traceback)
        if self.gone and (error is None or swallowed):
            raise ClientGone
        return bool(swallowed)

    async def _listen(self) -> None:
        while (await self._receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
            # Granian and hypercorn send an empty last part of the body; a stub may send them for ever.
            await anyio.lowlevel.checkpoint()
        self._ended = True
        if not self._released:
            self.gone = True
            self._group.cancel_scope.cancel()
