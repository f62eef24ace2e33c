"""An event loop of asyncio whose time is virtual: hours pass in the time that their work takes, and always alike.

While something is ready it runs; when nothing is, the clock jumps to the next timer. There are no sockets, threads,
signals or subprocesses, and nothing reads the real time, so that a run is a function of its code and its seed.

asyncio promises an order to what becomes ready within one turn of the loop, but the order in which clients, upstreams
and timers meet in it is nobody's to choose. With `shuffle` each turn runs in an order of its own, drawn from the seed:
what depends on luck then fails in one of many runs, and again in every run of that seed (as in FoundationDB's
simulation). Tasks hash as they are numbered, since anyio keeps them in sets and memory addresses differ between runs.

This is the third module that knows asyncio (beside `asgi.disconnect` and `asgi.loop`): it is an event loop of it.
"""

# ruff: noqa: SLF001 - handles and the running loop have no other door for who writes a loop

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import heapq
import math
from collections.abc import Awaitable, Callable, Coroutine, Generator
from random import Random
from typing import Any, NoReturn, TypeVar

from ..errors import Ds2apiError

__all__ = ["Deadlock", "Leftovers", "Livelock", "VirtualLoop", "new_loop", "run"]

_MOST_TURNS = 100_000
"""Turns of the loop in which no time passes; more than any honest work takes, and under a second of real time."""

_LAST_ROUNDS = 3
"""How often tasks that were left behind are cancelled."""

T = TypeVar("T")


class Deadlock(Ds2apiError):
    """Nothing is ready, no timer is set, and still the main task waits: it would for ever."""


class Livelock(Ds2apiError):
    """Tasks wake each other on and on and no time passes."""


class Leftovers(Ds2apiError):
    """The main task has ended and others have not, or one failed with nobody to hear of it."""


class _Task(asyncio.Task[T]):
    """A task that hashes as it is numbered."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], *, number: int, **arguments: Any) -> None:
        self._number = number
        super().__init__(coroutine, **arguments)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop; `run` is the way to use it.

    Args:
        rng: Where the order within a turn comes from; None: as asyncio has it, first come, first served.

    Attributes:
        complaints: What would have been logged: exceptions of tasks that nobody asked for.
    """

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng
        self._now = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._serial = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._running = False
        self._closed = False
        self.complaints: list[str] = []

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run a coroutine to its end.

        Raises:
            Deadlock: It waits for what will not come.
            Livelock: No time passes any more.
        """
        if self._running or asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop is running already")
        main: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while not main.done():
                self._turn()
        finally:
            self._running = False
            asyncio._set_running_loop(None)
        return main.result()

    def pending(self) -> list[asyncio.Task[Any]]:
        """Tasks that have not ended, oldest first."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return list(self._tasks)

    def _turn(self) -> None:
        """Run what is ready, or let time pass until something is."""
        if not self._ready:
            self._jump()
        spun = 0
        while self._ready:
            batch, self._ready = self._ready, []
            if self._rng is not None and len(batch) > 1:
                self._rng.shuffle(batch)
            for handle in batch:
                if not handle.cancelled():
                    handle._run()
            spun += 1
            if spun > _MOST_TURNS:
                raise Livelock(f"no time passes any more; tasks: {self._describe()}")

    def _jump(self) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise Deadlock(f"nothing will ever happen; these tasks wait: {self._describe()}")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])

    def _describe(self) -> str:
        return "; ".join(_where(task) for task in self.pending()) or "none"

    def call_soon(  # type: ignore[override]  # its stub ties the arguments to the callback
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback after some seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback at a time of `time`; ``inf`` is never."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if when < math.inf:
            self._serial += 1
            heapq.heappush(self._timers, (when, self._serial, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object | None = None,
        context: contextvars.Context | None = None,
        **_options: Any,
    ) -> asyncio.Task[T]:
        """A task of this loop."""
        self._serial += 1
        name = f"task-{self._serial}" if name is None else str(name)
        task = _Task(coro, number=self._serial, loop=self, name=name, context=context)  # type: ignore[arg-type]
        self._tasks.append(task)
        if len(self._tasks) > 64 and len(self._tasks) & (len(self._tasks) - 1) == 0:
            self.pending()
        return task

    def get_task_factory(self) -> None:
        """None: tasks are made by `create_task` only."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note what nobody handled."""
        error = context.get("exception")
        self.complaints.append(f"{context.get('message')}: {error!r}")

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._running

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Forget everything that was planned."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def get_debug(self) -> bool:
        """No: it would cost and say nothing more."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are left in the heap until they are due; asyncio calls this for its own accounts."""

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, **_options: Any
    ) -> NoReturn:
        """There are no threads here.

        Raises:
            NotImplementedError: Always, as all that needs a thread or a socket does.
        """
        raise NotImplementedError("a virtual loop has no threads")


def _where(task: asyncio.Task[Any]) -> str:
    """A task's name and the innermost lines that it waits in."""
    frames = []
    waiting: Any = task.get_coro()
    while waiting is not None and (frame := getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)):
        frames.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return f"{task.get_name()} in {' > '.join(frames[-5:]) or 'its start'}"


def new_loop(rng: Random | None = None) -> VirtualLoop:
    """A loop that has not run; all that needs a socket, a thread or a process raises NotImplementedError.

    Args:
        rng: As for `VirtualLoop`.
    """
    return VirtualLoop(rng)  # type: ignore[abstract]  # asyncio's own raise NotImplementedError


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]], *, seed: int | None = None) -> T:
    """Run a coroutine function in virtual time.

    Args:
        main: Is given the loop, whose ``time`` is the clock for everything in it.
        seed: Of the order within each turn; None: the order in which things became ready.

    Returns:
        What it returned.

    Raises:
        Deadlock: It waits for what will not come.
        Livelock: No time passes any more.
        Leftovers: It left tasks behind, or one failed unheard.
    """
    loop = new_loop(None if seed is None else Random(seed))  # noqa: S311 - shuffles
    collecting = gc.isenabled()
    gc.disable()  # a collector that comes whenever it likes would end forgotten work at another time in each run
    try:
        result = loop.run_until_complete(main(loop))
        left = loop._describe() if loop.pending() else ""
        gc.collect(0)  # all that was made here is young; in Python 3.12 a failed task stands in a cycle
        if left or loop.complaints:
            raise Leftovers("; ".join([*([f"not ended: {left}"] if left else []), *loop.complaints]))
        return result
    finally:
        _clear(loop)
        loop.close()
        if collecting:
            gc.enable()


def _clear(loop: VirtualLoop) -> None:
    """End what was left behind, so that it does not complain later and elsewhere."""
    for _ in range(_LAST_ROUNDS):
        left = loop.pending()
        if not left:
            return
        for task in left:
            task.cancel()
        with contextlib.suppress(Deadlock, Livelock):
            loop.run_until_complete(_all_done(left))
    for task in loop.pending():
        task._log_destroy_pending = False  # type: ignore[attr-defined]


async def _all_done(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)
