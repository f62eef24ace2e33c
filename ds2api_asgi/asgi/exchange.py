"""The exchange: one client request and all that parts find out about it, as a typed journal.

``scope["ds2api_asgi.exchange"]`` holds the `Exchange`. Scopes are copied per attempt, the journal is shared, so facts
flow down and up. It also carries the one deadline and the one attempt budget that nested parts share. Facts are the
frozen structs of `facts`; the decision trace of a request is its journal, printed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, TypeVar

from .types import Scope

__all__ = ["CREDENTIAL", "KEY", "Exchange", "enter"]

KEY = "ds2api_asgi.exchange"
"""Scope key of the exchange."""

CREDENTIAL = "ds2api_asgi.credential"
"""Scope key that says that the credential header is a pool's and not the client's; its value is the key's alias."""

Fact = TypeVar("Fact")


class Exchange:
    """The journal of one client request.

    Attributes:
        started: When it began, in seconds of its clock.
        deadline: When all work for it must end, in seconds of `anyio.current_time`; ``inf`` while nobody set one.
            Only ever lowered.
        clock: Monotonic seconds; what tells when a fact was noted.
        calls_left: How many upstream calls may still be made for it, over all nested retries; None while nobody
            set a budget.
        hedging: Whether a part may begin a second attempt beside its first: then parts within it may not, since two
            attempts at a time are all that a request gets.
        wants_usage: Whether a part wants the fact `Used` of each answer; the part sets it before it asks its app, for
            counting costs time.
        id: What the request is called in logs; None while nobody named it.
    """

    __slots__ = (
        "_facts",
        "_observers",
        "_stamp",
        "_times",
        "calls_left",
        "clock",
        "deadline",
        "hedging",
        "id",
        "started",
        "wants_usage",
    )

    def __init__(self, *, started: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.started = started
        self.clock = clock
        self.deadline = math.inf
        self.calls_left: int | None = None
        self.hedging = False
        self.wants_usage = False
        self.id: str | None = None
        self._facts: list[Any] = []
        self._times: list[float] = []
        self._stamp = self._times.append  # bound once: facts are noted on the hot path
        self._observers: list[Callable[[Any], None]] = []

    def note(self, fact: object) -> None:
        """Write a fact down and show it to the observers."""
        self._facts.append(fact)
        self._stamp(self.clock())
        for observer in self._observers:
            observer(fact)

    @property
    def newest(self) -> float:
        """When the fact that was written down last came about, on `clock`; a branch's come in later than that."""
        return self._times[-1]

    def last(self, kind: type[Fact]) -> Fact | None:
        """The newest fact of a kind, or None."""
        for fact in reversed(self._facts):
            if isinstance(fact, kind):
                return fact
        return None

    def age(self, kind: type[object]) -> float:
        """Seconds since the newest fact of a kind was noted; infinite when there is none."""
        for moment, fact in zip(reversed(self._times), reversed(self._facts), strict=True):
            if isinstance(fact, kind):
                return self.clock() - moment
        return float("inf")

    def all(self, kind: type[Fact]) -> Iterator[Fact]:
        """All facts of a kind, oldest first."""
        return (fact for fact in self._facts if isinstance(fact, kind))

    def since(self, mark: int, kind: type[Fact]) -> Iterator[Fact]:
        """The facts of a kind noted after `mark` (what ``len(exchange)`` was then), oldest first."""
        return (fact for fact in self._facts[mark:] if isinstance(fact, kind))

    def timed(self) -> Iterator[tuple[float, object]]:
        """Every fact with the seconds since the exchange began, oldest first."""
        noted = zip(self._times, self._facts, strict=True)  # a branch's among them, which come in afterwards
        return ((moment - self.started, fact) for moment, fact in sorted(noted, key=itemgetter(0)))

    def __len__(self) -> int:
        return len(self._facts)

    def __iter__(self) -> Iterator[object]:
        return iter(self._facts)

    def observe(self, observer: Callable[[Any], None]) -> None:
        """Show every later fact to `observer`, in the task that notes it."""
        self._observers.append(observer)

    def branch(self, *, calls: int) -> Exchange:
        """An exchange for an attempt beside another one: it knows what was known so far, and notes for itself.

        Args:
            calls: How many upstream calls may be made in it.
        """
        branch = Exchange(started=self.started, clock=self.clock)
        branch.deadline = self.deadline
        branch.calls_left = calls
        branch.hedging = self.hedging
        branch.wants_usage = self.wants_usage
        branch.id = self.id
        branch._facts += self._facts
        branch._times += self._times
        return branch

    def absorb(self, branch: Exchange, mark: int) -> None:
        """Note what was noted in a branch, and what will be.

        Args:
            branch: From `branch`.
            mark: Its length when it was made.
        """
        for moment, fact in zip(branch._times[mark:], branch._facts[mark:], strict=True):
            self._facts.append(fact)
            self._stamp(moment)
            for observer in self._observers:
                observer(fact)
        branch.observe(self.note)

    def limit(self, *, deadline: float, calls: int) -> None:
        """Lower the deadline and the call budget; whoever is stricter wins, so nested parts cannot multiply them."""
        self.deadline = min(self.deadline, deadline)
        self.calls_left = calls if self.calls_left is None else min(self.calls_left, calls)

    def __repr__(self) -> str:
        return f"<Exchange of {len(self._facts)} facts>"


def enter(scope: Scope, *, clock: Callable[[], float] = time.monotonic) -> tuple[Scope, Exchange]:
    """Find the exchange of a request, or begin one.

    Args:
        scope: An ``http`` or ``websocket`` scope; never changed.
        clock: Monotonic seconds, for one that is begun.

    Returns:
        The scope to hand on (a copy when an exchange was begun) and the exchange.
    """
    exchange = scope.get(KEY)
    if isinstance(exchange, Exchange):
        return scope, exchange
    exchange = Exchange(started=clock(), clock=clock)
    return {**scope, KEY: exchange}, exchange
