"""The queue of a pool: who waits for a key, and who is next when there is one.

Callers share what is free by start-time fair queueing: each caller has a tag, the one with the lowest tag is next, and
whoever is served moves on by 1 / share. So a caller with a thousand requests waiting costs another caller's one request
the time of one. Within a caller, first come is first served.

Not everybody can use every key, so waiters are grouped by what they need (`Waiter.kind`). A `Round` offers what is free
to the first in fair order; whoever cannot use it is passed over together with all that need the same or more, and
blocks nobody who can. (A queue that wakes its head, whatever became free, leaves a slot idle and a waiter asleep.)

Synchronous, without clock, lock or loop; `waiting` brings all three.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from .ask import Ask
from .store import Lease
from .survey import Empty

__all__ = ["Kind", "Queue", "Round", "Waiter"]

Kind: TypeAlias = tuple[str | None, tuple[frozenset[str], ...], int]
"""What decides whether a key can be used: the model, the keys that must not be chosen, the tokens."""


class Waiter:
    """One request in the queue.

    Args:
        asks: What it asks for; the later ones when all keys that could be used have been tried by it.
        deadline: Seconds of the pool's clock after which it takes nothing any more.

    Attributes:
        serial: Its place among all that ever waited.
        given: The lease that it got.
        empty: Why it got none when it was tried last.
    """

    __slots__ = ("asks", "deadline", "empty", "given", "kind", "serial")

    def __init__(self, asks: tuple[Ask, ...], deadline: float = math.inf) -> None:
        self.asks = asks
        self.deadline = deadline
        self.kind: Kind = (asks[0].model, tuple(ask.tried for ask in asks), asks[0].tokens)
        self.serial = 0
        self.given: Lease | None = None
        self.empty: Empty | None = None

    @property
    def caller(self) -> str:
        """Who asks."""
        return self.asks[0].caller


class _Flow:
    """The waiters of one caller: a line for each kind."""

    __slots__ = ("lines", "share", "tag")

    def __init__(self, tag: float) -> None:
        self.tag = tag
        self.share = 1.0
        self.lines: dict[Kind, OrderedDict[int, Waiter]] = {}


class Queue:
    """Waiters in fair order.

    Attributes:
        passed: The virtual time: the highest tag that was served.
        waiters: All of them by serial, as they came; only the queue changes it.
    """

    __slots__ = ("_flows", "_heads", "_serial", "passed", "waiters")

    def __init__(self) -> None:
        self.passed = 0.0
        self._serial = 0
        self.waiters: dict[int, Waiter] = {}
        self._flows: dict[str, _Flow] = {}
        self._heads: dict[Kind, list[tuple[float, int, str]]] = {}  # tag, serial of the line's first, caller

    def __len__(self) -> int:
        return len(self.waiters)

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter.serial in self.waiters

    def __iter__(self) -> Iterator[Waiter]:
        """All waiters as they came."""
        return iter(self.waiters.values())

    def join(self, waiter: Waiter) -> None:
        """Take a waiter in, behind all others of its caller."""
        self._serial = waiter.serial = self._serial + 1
        flow = self._flows.get(waiter.caller)
        if flow is None:
            self._tidy()
            flow = self._flows[waiter.caller] = _Flow(self.passed)
        elif not flow.lines:
            flow.tag = max(flow.tag, self.passed)  # nobody saves up turns while he does not wait
        share = waiter.asks[0].share
        flow.share = share if 0 < share < math.inf else 1.0  # a door of the user's own may have said anything
        self.waiters[waiter.serial] = waiter
        line = flow.lines.setdefault(waiter.kind, OrderedDict())
        line[waiter.serial] = waiter
        if len(line) == 1:
            self._announce(waiter.caller, flow, waiter.kind)

    def leave(self, waiter: Waiter) -> bool:
        """Take a waiter out, served or not; tells whether it was there."""
        if self.waiters.pop(waiter.serial, None) is None:
            return False
        flow = self._flows[waiter.caller]
        line = flow.lines[waiter.kind]
        was_first = next(iter(line)) == waiter.serial
        del line[waiter.serial]
        if not line:
            del flow.lines[waiter.kind]
        elif was_first:
            self._announce(waiter.caller, flow, waiter.kind)
        if not self.waiters:
            self._flows.clear()
            self._heads.clear()
            self.passed = 0.0
        return True

    def first(self, kind: Kind, now: float) -> tuple[float, int, Waiter] | None:
        """Who of a kind is next, with what it is compared by; those whose deadline has passed leave."""
        heads = self._heads.get(kind, [])
        while heads:
            tag, serial, caller = heads[0]
            flow = self._flows.get(caller)
            line = flow.lines.get(kind) if flow is not None else None
            if flow is None or line is None or flow.tag != tag or next(iter(line)) != serial:
                heapq.heappop(heads)  # left behind
                continue
            waiter = line[serial]
            if waiter.deadline >= now:
                return tag, serial, waiter
            self.leave(waiter)
        self._heads.pop(kind, None)
        return None

    def kinds(self) -> list[Kind]:
        """What is waited for."""
        return list(self._heads)

    def waits_for(self, model: str | None) -> bool:
        """Tell whether somebody waits for a key for this model."""
        return any(kind[0] == model for kind in self._heads)

    def serve(self, waiter: Waiter) -> None:
        """It got what it waited for: its caller moves on."""
        flow = self._flows[waiter.caller]
        # Who could not use what was free for a while does not get all of it afterwards.
        tag = max(flow.tag, self.passed)
        self.passed = tag
        flow.tag = tag + 1.0 / flow.share
        self.leave(waiter)
        for kind in flow.lines:
            self._announce(waiter.caller, flow, kind)

    def _announce(self, caller: str, flow: _Flow, kind: Kind) -> None:
        heapq.heappush(self._heads.setdefault(kind, []), (flow.tag, next(iter(flow.lines[kind])), caller))

    def _tidy(self) -> None:
        """Forget callers that wait for nothing and are not ahead of the others."""
        if len(self._flows) > 2 * len(self.waiters) + 64:
            self._flows = {caller: flow for caller, flow in self._flows.items() if flow.lines or flow.tag > self.passed}


class Round:
    """Offers what is free to one waiter after the other, until nobody is left who could use it.

    Args:
        queue: Who waits.
        now: Seconds of the pool's clock.
    """

    __slots__ = ("_failed", "_now", "_queue", "opens_in")

    def __init__(self, queue: Queue, now: float) -> None:
        self._queue = queue
        self._now = now
        self._failed: list[Kind] = []
        self.opens_in = math.inf
        """Seconds until time alone may make a key usable for one of those that were passed over."""

    def next(self) -> Waiter | None:
        """The first in fair order who was not passed over."""
        best: tuple[float, int, Waiter] | None = None
        for kind in self._queue.kinds():
            if self._is_hopeless(kind):
                continue
            head = self._queue.first(kind, self._now)
            if head is not None and (best is None or head[:2] < best[:2]):
                best = head
        return None if best is None else best[2]

    def served(self, waiter: Waiter, lease: Lease) -> None:
        """It got a key."""
        self._queue.serve(waiter)
        waiter.given = lease

    def passed_over(self, waiter: Waiter, empty: Empty) -> None:
        """There is no key that it can use, and none for those who need the same or more."""
        waiter.empty = empty
        self._failed.append(waiter.kind)
        if empty.opens_in is not None:
            self.opens_in = min(self.opens_in, empty.opens_in)

    def _is_hopeless(self, kind: Kind) -> bool:
        model, tried, tokens = kind
        return any(model == other[0] and tried == other[1] and tokens >= other[2] for other in self._failed)
