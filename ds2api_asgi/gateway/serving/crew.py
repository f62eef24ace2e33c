"""`Crew`: worker processes that serve one port, and the process that looks after them.

| what happens | the crew |
|---|---|
| all have started | says so, once |
| one fails while they start | ends the others, and fails |
| one dies later | starts another, a second later at most |
| SIGHUP | passes it on: each worker reads its configuration anew, and nothing is interrupted |
| SIGTERM, SIGINT | ends them, and kills those that take too long |
| it dies itself | the workers notice, and end |
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Final

from msgspec import Struct

__all__ = ["Crew", "Work"]

Work = Callable[[Any, Callable[[], None]], int]
"""What a worker does: with its argument and what it calls when it is ready; gives its exit code."""

_TICK: Final = 0.1  # seconds between two looks at signals
_PAUSE: Final = 1.0  # seconds before a worker that died young is replaced
_YOUNG: Final = 5.0

_HELD: Final = frozenset() if sys.platform == "win32" else frozenset({signal.SIGINT, signal.SIGHUP})

_logger = logging.getLogger("ds2api_asgi.gateway")


class _Worker(Struct, eq=False):
    process: BaseProcess
    line: connection.Connection
    born: float
    ready: bool = False
    hung_up: bool = False  # SIGHUP came before it was ready


class Crew:
    """Runs workers.

    Args:
        count: How many.
        work: What each does; a function of a module, for it is found again by its name.
        argument: What it gets; it is pickled.
        patience: Seconds that workers may take to end.
    """

    def __init__(self, count: int, work: Work, argument: Any, *, patience: float) -> None:
        self._count = count
        self._work = work
        self._argument = argument
        self._patience = patience
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._ending = False
        self._hung_up = False

    def run(self, ready: Callable[[], None]) -> int:
        """Look after the workers until a signal ends them.

        Args:
            ready: Called once, when all have started.

        Returns:
            The exit code: 0, or 1 when they could not start or had to be killed.
        """
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        if sys.platform != "win32":
            signal.signal(signal.SIGHUP, self._hang_up)
        told = False
        for _ in range(self._count):
            self._start()
        while not self._ending:
            self._look()
            if not told and any(not worker.process.is_alive() for worker in self._workers):
                self._stop()
                return 1
            if not told and all(worker.ready for worker in self._workers):
                told = True
                ready()
            if told:
                self._replace()
            self._pass_on_hang_up()
        return 0 if self._stop() else 1

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._ending = True

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._hung_up = True

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_run, args=(self._work, self._argument, theirs), name="ds2api-worker")
        with _held():  # until the worker can tell what it does about them
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, time.monotonic()))

    def _look(self) -> None:
        """Wait a moment for news."""
        lines = {worker.line: worker for worker in self._workers if not worker.ready}
        for line in connection.wait(list(lines), timeout=_TICK) if lines else ():
            worker = lines[line]  # type: ignore[index]
            try:
                worker.line.recv()
            except EOFError:  # it died; its process says so
                time.sleep(_TICK)
            else:
                worker.ready = True
        if not lines:
            connection.wait([worker.process.sentinel for worker in self._workers], timeout=_TICK)

    def _replace(self) -> None:
        for worker in list(self._workers):
            if worker.process.is_alive() or self._ending:
                continue
            _logger.error("a worker died with exit code %s; another one takes its place", worker.process.exitcode)
            self._workers.remove(worker)
            worker.line.close()
            if time.monotonic() - worker.born < _YOUNG:
                time.sleep(_PAUSE)
            self._start()

    def _pass_on_hang_up(self) -> None:
        """Send SIGHUP to those that are ready, and later to others: it would end a process that does not heed it."""
        if self._hung_up:
            self._hung_up = False
            for worker in self._workers:
                worker.hung_up = True
        due = [worker for worker in self._workers if worker.hung_up and worker.ready]
        for worker in due:
            worker.hung_up = False
        if due:
            self._pass_on(signal.SIGHUP, due)

    def _pass_on(self, number: int, workers: Iterable[_Worker]) -> None:
        for worker in workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, number)

    def _stop(self) -> bool:
        """End all workers; whether none had to be killed."""
        self._pass_on(signal.SIGTERM, self._workers)
        until = time.monotonic() + self._patience
        clean = True
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
                clean = False
            worker.line.close()
        return clean


@contextmanager
def _held() -> Iterator[None]:
    """Hold signals back, also in a process that is begun here."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # beginning this process lets them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(work: Work, argument: Any, line: connection.Connection) -> None:
    """The life of a worker."""
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until somebody heeds it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the crew decides
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    threading.Thread(target=_watch, args=(line,), daemon=True).start()
    sys.exit(work(argument, lambda: line.send(True)))


def _watch(line: connection.Connection) -> None:
    """End this process when the crew is no more."""
    try:
        line.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
