"""How long what may take, watched by one cancel scope per attempt whose deadline is moved."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ..asgi.loop import asyncio_loop, asyncio_scope
from ..errors import ConfigurationError
from ..protocols.base import StreamWatch

__all__ = ["RequestClock", "Timeouts", "Watchdog"]

_COARSENESS = 16
"""The deadline of a running stream moves at most this often per timeout, so a chunk costs one look at the clock."""


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long an attempt may take, in seconds; None: as long as the request as a whole.

    Attributes:
        first_content: From an attempt's start, or from its key where it waited for one, to the first content of a
            stream; reasoning models may need 300. Also what tells them for a model:
            ``lambda model: 300.0 if model.startswith("o3") else 60.0``. Of what is not translated the answer's start is
            enough (`Asked.prolonged`): a picture's first content may be the picture.
        idle: Between bytes of a running stream, comments and pings among them; also how long a client that does not
            read may keep us waiting.
        content: Between content of a running stream; comments and pings are none (DeepSeek sends them for half an
            hour). Of what is not translated also from the answer's start to the first.
    """

    first_content: float | Callable[[str], float | None] | None = 60.0
    idle: float | None = 60.0
    content: float | None = 300.0

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: A timeout that is not above 0.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not callable(value) and not value > 0:
                raise ConfigurationError(f"{name} timeout must be more than 0 seconds or None, not {value!r}")

    def of(self, model: str | None) -> Timeouts:
        """Those for a model, without a function among them.

        Args:
            model: Which a request names, None when it names none.
        """
        first = self.first_content
        return replace(self, first_content=first(model or "")) if callable(first) else self


class RequestClock:
    """The time of `anyio.current_time`, for a twentieth of its price: asked once, then told by a plain clock.

    Args:
        clock: Monotonic seconds, from any start.

    Attributes:
        scope: What makes cancel scopes whose deadlines are of this time.
    """

    __slots__ = ("_ahead", "_clock", "scope")

    def __init__(self, clock: Callable[[], float]) -> None:
        loop = asyncio_loop()
        self._clock = clock
        self._ahead = (anyio.current_time() if loop is None else loop.time()) - clock()
        self.scope: type[anyio.CancelScope] = anyio.CancelScope if loop is None else asyncio_scope()

    def now(self) -> float:
        """Seconds, as `anyio.current_time` counts them."""
        return self._clock() + self._ahead


class Watchdog:
    """Cancels an attempt that takes too long.

    Args:
        clock: The request's.
        total: When the request as a whole must be done, on the clock of `anyio.current_time`.

    Attributes:
        scope: Enclose the attempt in it.
        cause: What the deadline that is set stands for: ``"total"`` or what `allow` was given.
        answered_at: When the answer's first content was there, or all of a document, on the request's clock.
    """

    __slots__ = (
        "_clock",
        "_content",
        "_content_at",
        "_idle",
        "_moved",
        "_probe",
        "_slack",
        "_total",
        "_watch",
        "answered_at",
        "cause",
        "scope",
    )

    def __init__(self, clock: RequestClock, total: float) -> None:
        self._clock = clock
        self.scope = clock.scope(deadline=total)
        self.cause = "total"
        self._total = total
        self._idle = self._content = self._slack = math.inf
        self._moved = self._content_at = 0.0
        self.answered_at = math.nan
        self._probe: StreamWatch | None = None
        self._watch: Callable[[], StreamWatch] | None = None

    @property
    def barked(self) -> bool:
        """Whether a deadline has passed, or the scope was cancelled otherwise."""
        return self.scope.cancel_called

    def allow(self, cause: str, seconds: float | None) -> None:
        """Give what comes now its own deadline, counted from now; the total stays above it."""
        self._set(cause, math.inf if seconds is None else self._clock.now() + seconds)

    def prolong(self, seconds: float) -> None:
        """Give what is under way at least so much time, counted from now."""
        due = self._clock.now() + seconds
        if due > self.scope.deadline:
            self._set(self.cause, due)

    def release(self) -> None:
        """No deadline any more: the answer is complete, and what the app still does is its own affair."""
        self.scope.deadline = math.inf

    def answered(self) -> float:
        """The answer is let through; returns when that is."""
        self.answered_at = now = self._clock.now()
        return now

    def guard(self, timeouts: Timeouts, watch: Callable[[], StreamWatch] | None) -> None:
        """The answer is let through and running from now on, and every read is told by `progress`.

        Args:
            timeouts: `idle` and `content` count.
            watch: Makes a fresh watch of the stream's protocol, to tell content from pings; None: no stream.
        """
        self._idle = math.inf if timeouts.idle is None else timeouts.idle
        if watch is not None and timeouts.content is not None:
            self._content = timeouts.content
            self._watch = watch
        self._slack = min(self._idle, self._content) / _COARSENESS
        self._content_at = now = self.answered()
        self._move(now)

    def progress(self, ready: bytes) -> None:
        """Something came.

        Args:
            ready: The whole events that came.
        """
        now = self._clock.now()
        if self._probe is not None:
            self._probe.feed(ready)
            if self._probe.content or self._probe.terminal:
                self._content_at = now
                self._probe = None
        if now - self._moved >= self._slack:
            self._move(now)

    def _move(self, now: float) -> None:
        self._moved = now
        # A fresh watch from time to time is cheaper than asking of every chunk whether there was content in it.
        if self._watch is not None and self._probe is None:
            self._probe = self._watch()
        idle, content = now + self._idle, self._content_at + self._content
        self._set("idle" if idle <= content else "content", min(idle, content) + self._slack)

    def _set(self, cause: str, due: float) -> None:
        if due >= self._total:
            cause, due = "total", self._total
        self.cause = cause
        if due != self.scope.deadline:  # setting it re-arms a timer
            self.scope.deadline = due
