"""Simulated clients: they ask, and ask again as the official SDKs do, until they have an answer or leave."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import anyio
import anyio.lowlevel
from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.headers import RawHeaders, find
from ..asgi.types import ASGIApp
from .attempt import Attempt, Wire, looks_whole
from .loop import VirtualLoop
from .request import Request

__all__ = ["RequestEnd", "Sdk"]

_RETRIED = frozenset({408, 409, 429})
_LONGEST_RETRY_AFTER = 60.0


class RequestEnd(Struct, frozen=True, kw_only=True):
    """What a client got in the end.

    Attributes:
        group: The name of its group.
        begun: When it asked first.
        ended: When it knew.
        first: When the answer that it kept began.
        end: ``"ok"``, an HTTP status, ``"cut"`` (an answer that broke off), ``"left"``, ``"late"`` (its deadline) or
            ``"killed"``.
        attempts: How often it asked.
        waited: Seconds that its attempts waited for keys.
    """

    group: str
    begun: float
    ended: float
    first: float | None
    end: str
    attempts: int
    waited: float


class Sdk:
    """Asks until it has an answer, as the SDKs of OpenAI and Anthropic do.

    Args:
        loop: Whose time it is.
        app: What is asked.
        attempts: Gives each attempt its number.
        done: Is told each attempt when it is over.
        began: Is told each attempt before it is made.
        rng: Where its jitter comes from.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        app: ASGIApp,
        *,
        attempts: Callable[[], int],
        began: Callable[[Attempt], None],
        done: Callable[[Attempt], None],
        rng: Random,
    ) -> None:
        self._loop = loop
        self._app = app
        self._attempts = attempts
        self._began = began
        self._done = done
        self._rng = rng

    async def ask(self, request: Request, *, end: float) -> RequestEnd:
        """Ask.

        Args:
            request: What.
            end: When even the most patient client leaves.
        """
        loop, group = self._loop, request.group
        begun = loop.time()
        deadline = min(end, begun + group.deadline) if group.deadline is not None else end
        leave_at = deadline if request.leave_after is None else min(deadline, begun + request.leave_after)
        kill_at = None if request.kill_after is None else begun + request.kill_after
        made, waited = 0, 0.0
        while True:
            attempt = self._new(request)
            self._began(attempt)
            await Wire(loop, attempt, request).run(self._app, leave_at=leave_at, kill_at=kill_at)
            self._done(attempt)
            made += 1
            waited += attempt.waited()
            word = _word(attempt, leave_at < deadline)
            pause = None if word in ("ok", "left", "late", "killed") else self._pause(attempt, made - 1, group.retries)
            if pause is None or loop.time() + pause >= leave_at:
                break
            await anyio.sleep(pause)
        return RequestEnd(
            group=group.name, begun=begun, ended=loop.time(), first=attempt.first, end=word, attempts=made,
            waited=waited,
        )  # fmt: skip

    def _new(self, request: Request) -> Attempt:
        now = self._loop.time()
        exchange = Exchange(started=now, clock=self._loop.time)
        attempt = Attempt(
            number=self._attempts(), group=request.group.name, protocol=request.protocol, model=request.model,
            stream=request.stream, begun=now, exchange=exchange, facts=[], headers=[], body=bytearray(),
        )  # fmt: skip
        exchange.observe(lambda fact: attempt.facts.append((self._loop.time(), fact)))
        return attempt

    def _pause(self, attempt: Attempt, retries_made: int, retries: int) -> float | None:
        """Seconds until the next attempt, or None: the SDK gives up."""
        if retries_made >= retries:
            return None
        if attempt.status and attempt.status < 400:  # a stream that broke is not asked for again
            return None
        word = find(attempt.headers, b"x-should-retry")
        if word == b"false":
            return None
        if word != b"true" and attempt.status and attempt.status < 500 and attempt.status not in _RETRIED:
            return None
        told = _retry_after(attempt.headers)
        if told is not None and 0 < told <= _LONGEST_RETRY_AFTER:
            return told
        return float(min(0.5 * 2.0**retries_made, 8.0) * (1 - 0.25 * self._rng.random()))


def _retry_after(headers: RawHeaders) -> float | None:
    for name, unit in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = find(headers, name)
        if value is not None:
            try:
                return float(value) * unit
            except ValueError:
                continue
    return None


def _word(attempt: Attempt, leaves: bool) -> str:
    if attempt.killed:
        return "killed"
    if attempt.left is not None:
        return "left" if leaves else "late"
    if attempt.status >= 400:
        return str(attempt.status)
    return "ok" if looks_whole(attempt) else "cut"
