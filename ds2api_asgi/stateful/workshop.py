"""Where background responses are worked on: a task group that the part's lifespan owns."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from ..asgi.unwrapped import unwrapped
from .background import Ask, Run

__all__ = ["Workshop"]

_logger = logging.getLogger("ds2api_asgi.stateful")


class Workshop:
    """Where background responses are worked on, in one event loop.

    Args:
        places: How many are worked on at a time; others are queued.
        queue: How many may be queued.
    """

    def __init__(self, *, places: int, queue: int) -> None:
        self._limiter = anyio.CapacityLimiter(places)
        self._most = places + queue
        self._runs: dict[tuple[str, str], Run] = {}
        self._group: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Work until the block is left; what is not done by then fails."""
        with unwrapped():
            async with anyio.create_task_group() as group:
                self._group = group
                try:
                    yield
                finally:
                    self._group = None
                    group.cancel_scope.cancel()

    @property
    def full(self) -> bool:
        """Whether no more may be queued."""
        return len(self._runs) >= self._most

    def find(self, client: str, id_: str) -> Run | None:
        """The run of a response, if it is worked on here."""
        return self._runs.get((client, id_))

    def start(self, run: Run, ask: Ask) -> None:
        """Begin with a response whose queued state has been kept."""
        assert self._group is not None
        self._runs[run.client, run.response.id] = run
        run.announce()
        self._group.start_soon(self._serve, run, ask)

    async def _serve(self, run: Run, ask: Ask) -> None:
        try:
            await run.work(ask, self._limiter)
        except Exception:
            _logger.exception("a background response could not be kept")
        finally:
            self._runs.pop((run.client, run.response.id), None)
