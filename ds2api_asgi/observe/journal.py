"""Where traces go: `Sink`, and `Journal`, which keeps the last ones in memory."""

from __future__ import annotations

import logging
import typing
from collections import deque
from collections.abc import Callable, Iterator

from ..asgi.trace import Trace
from ..errors import ConfigurationError

__all__ = ["Journal", "Sink"]

logger = logging.getLogger("ds2api_asgi.observe")


class Sink(typing.Protocol):
    """Takes the trace of each request when it has ended.

    It is called in the request's task and must not block; what it raises is logged and never reaches the request.
    """

    def __call__(self, trace: Trace) -> None:
        """Take a trace."""
        ...


class Journal:
    """The traces of the last requests, newest first; a `Sink`.

    Args:
        size: How many are kept.

    Raises:
        ConfigurationError: The size is below 1.
    """

    def __init__(self, size: int = 1000) -> None:
        if size < 1:
            raise ConfigurationError("a journal keeps at least one trace")
        self._kept: deque[Trace] = deque(maxlen=size)
        self._subscribers: list[Callable[[Trace], None]] = []

    def __call__(self, trace: Trace) -> None:
        """Keep a trace, and show it to the subscribers; one that raises does not keep it from the others."""
        self._kept.append(trace)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(trace)
            except Exception:
                logger.exception("a subscriber of the journal raised")

    def get(self, id: str) -> Trace | None:  # noqa: A002 - the member's name
        """The newest trace of this id, or None."""
        return next((trace for trace in self if trace.id == id), None)

    def query(self, *, failed: bool | None = None, limit: int = 100) -> list[Trace]:
        """The newest traces.

        Args:
            failed: Only those that failed (True) or did not (False); None: all.
            limit: How many at most.
        """
        found: list[Trace] = []
        for trace in self:
            if len(found) >= limit:
                break
            if failed is None or trace.failed is failed:
                found.append(trace)
        return found

    def subscribe(self, subscriber: Callable[[Trace], None]) -> Callable[[], None]:
        """Show every later trace to `subscriber`, in the request's task.

        Returns:
            What ends it; calling that twice does nothing.
        """
        self._subscribers.append(subscriber)

        def end() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return end

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Trace]:
        return iter(list(reversed(self._kept)))
