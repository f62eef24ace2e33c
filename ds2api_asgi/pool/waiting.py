"""The waiting room of a pool: the queue with its clock, lock and event loops.

A key that comes free is handed to the next waiter in the same synchronous section, before anybody else can ask for one;
and who comes while others wait goes through the queue as they do. So nobody barges in, and no wake-up is lost to a
waiter that cannot use the key. What time does (a rest ends, a window has room) is seen by one of the waiters, the
leader, which sleeps until the earliest such moment; when it goes, another one leads.

That holds for the store in this process. A store that waits, because several processes share it, cannot hand over in
one step: there the queue orders the requests of this process only, and its leader asks the store again when a lease
was released here, and every `_POLL` seconds or so for what was released elsewhere.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from random import Random

import anyio
from msgspec import Struct

from ..asgi.disconnect import Watch
from ..asgi.loop import Bell, asyncio_loop, cancel_scope, current_time
from ..asgi.types import Receive
from .ask import Ask
from .gauge import NOTHING_SENT, RESERVED, Spent
from .health import Outcome
from .queue import Queue, Round, Waiter
from .store import KeyStore, Lease, MemoryStore
from .survey import SOON, Empty, EmptyReason

__all__ = ["RELEASE_TIMEOUT", "Visit", "WaitingRoom"]

RELEASE_TIMEOUT = 5.0
"""Seconds; a store that cannot be reached must not keep a request for longer."""

_POLL = 0.25
_LEAST = 0.001  # seconds; between two looks of the leader, whatever rounding makes of the moments it is told
_LONGEST_ADVICE = 60.0  # seconds; a guess from how long leases are held is worth no more
_LEARN = 0.1  # the weight of the newest lease in the average
_TRIED = Empty(reason=EmptyReason.TRIED)


class Visit(Struct, frozen=True, kw_only=True):
    """What a request got, and how long it waited for that.

    Attributes:
        found: A lease, or why there is none.
        waited: Seconds, or None when it did not wait.
        position: How many waited before it when it came.
    """

    found: Lease | Empty
    waited: float | None = None
    position: int = 0


class _Guest(Waiter):
    """A waiter with a task that can be woken."""

    __slots__ = ("bell",)

    def __init__(self, asks: tuple[Ask, ...], deadline: float) -> None:
        super().__init__(asks, deadline)
        self.bell: Bell | None = None


class WaitingRoom:
    """Where requests get keys, and wait for them.

    Args:
        store: Where the keys are.
        most: How many requests may wait at a time.
        clock: Monotonic seconds, the store's where it is in this process.
        rng: Draws the jitter of polls.

    Attributes:
        held: How long a lease is held, in seconds: a moving average; None: none came back yet.
        most: How many requests may wait at a time.
    """

    def __init__(self, store: KeyStore, *, most: int, clock: Callable[[], float], rng: Random | None = None) -> None:
        self.held: float | None = None
        self._store = store
        # What never waits cannot be interrupted: no task, lock or shield is needed around it.
        self._here = store if type(store) is MemoryStore else None
        self.most = most
        self._clock = clock
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, guards nothing
        self._lock = threading.Lock()
        self._queue = Queue()
        self._leader: _Guest | None = None
        self._look_at = math.inf
        self._in_flight = 0  # leases of all keys, as a store that waits said when it had no key

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    async def enter(self, asks: tuple[Ask, ...]) -> Lease | Empty:
        """Get a key without waiting for one; who waits already comes first.

        Args:
            asks: What is asked for; the later ones when all keys that could be used were tried by it.
        """
        if not self._queue.waiters:
            return await self._ask(asks) if self._here is None else _first_answer(self._here, asks)
        if self._here is None:
            return Empty(reason=EmptyReason.BUSY, retry_after=SOON, in_flight=self._in_flight)
        guest = _Guest(asks, math.inf)
        with self._lock:
            self._queue.join(guest)
            self._serve(self._here)
            self._leave(guest)
        return guest.given or self._reason(guest, self._here)

    async def enter_past(self, asks: tuple[Ask, ...], empty: Empty) -> Lease | Empty:
        """Get a key past those who wait for other models: for who cannot wait, since another app may answer at once.

        Before a store that waits, `enter` asks for nobody while others wait.

        Args:
            asks: As for `enter`.
            empty: What `enter` said.
        """
        if self._here is not None or not self._queue or self._queue.waits_for(asks[0].model):
            return empty
        return await self._ask(asks)

    async def wait(self, asks: tuple[Ask, ...], empty: Empty, *, seconds: float, receive: Receive | None) -> Visit:
        """Wait for a key.

        Args:
            asks: As for `enter`.
            empty: What `enter` said.
            seconds: How long at most.
            receive: The request's, its body read, to see whether its client leaves; None: nobody looks.

        Returns:
            What it got; at once, when it cannot get a key in time.

        Raises:
            ClientGone: The client left.
        """
        began = self._clock()
        guest = _Guest(asks, began + seconds)
        with self._lock:
            position = len(self._queue)
            if position >= self.most or not self._is_worth_it(empty, position, seconds):
                return Visit(found=self.advised(empty, position))
            guest.bell = Bell()
            self._queue.join(guest)
            if self._here is not None:  # what came free since it was told that there is nothing
                self._serve(self._here)
            elif self._leader is not None:
                self._ring(self._leader)
        try:
            await self._sit(guest, guest.bell, current_time() + seconds, receive)
        except BaseException:
            await self._abandon(guest)
            raise
        found = guest.given or self.advised(guest.empty or empty, len(self._queue))
        return Visit(found=found, waited=max(self._clock() - began, 0.0), position=position)

    async def report(self, lease: Lease, outcome: Outcome) -> bool:
        """Tell the store how a key did, which may make one usable: a probe that served lets the others in.

        Args:
            lease: The lease.
            outcome: What an answer says of its key.

        Returns:
            As `KeyStore.report`.
        """
        if self._here is None:
            changed = await self._store.report(lease, outcome)
        else:
            changed = self._here.report_now(lease, outcome)
        self.changed()
        return changed

    async def charge(self, lease: Lease, tokens: int) -> None:
        """Count tokens that a lease has spent while it lasts.

        Args:
            lease: The lease.
            tokens: How many.
        """
        await self._store.charge(lease, tokens)

    async def release(self, lease: Lease, spent: Spent = RESERVED, *, held: float) -> None:
        """Give a key back, which the next waiter has at once.

        Args:
            lease: The lease.
            spent: What it cost.
            held: How long it was held, in seconds.
        """
        before = self.held
        self.held = held if before is None else before + _LEARN * (held - before)
        if self._here is None:
            await self._store.release(lease, spent)
        else:
            self._here.release_now(lease, spent)
        self.changed()

    def changed(self) -> None:
        """Something may have made a key usable."""
        if not self._queue.waiters:
            return
        with self._lock:
            if self._here is not None:
                self._serve(self._here)
            elif self._leader is not None:
                self._look_at = -math.inf
                self._ring(self._leader)

    def resize(self, most: int) -> None:
        """Let so many wait at a time from now on; who waits already stays.

        Args:
            most: How many.
        """
        self.most = most
        self.changed()

    def advised(self, empty: Empty, position: int) -> Empty:
        """The same with the time after which it makes sense to come again.

        Args:
            empty: What the store said.
            position: How many are before whoever is told.
        """
        if empty.reason is not EmptyReason.BUSY:
            return empty
        seconds = self._turn_in(empty, position)
        if empty.opens_in is not None:
            seconds = min(seconds, empty.opens_in)
        return Empty(reason=empty.reason, retry_after=max(seconds, _LEAST), in_flight=empty.in_flight)

    async def _sit(self, guest: _Guest, bell: Bell, until: float, receive: Receive | None) -> None:
        if receive is None:
            await self._sit_down(guest, bell, until)
            return
        async with Watch(receive, asyncio_loop()):
            await self._sit_down(guest, bell, until)

    async def _sit_down(self, guest: _Guest, bell: Bell, until: float) -> None:
        while guest.given is None:
            pause = until - current_time()
            if pause <= 0:
                break
            with self._lock:
                if self._leader is None:
                    self._leader = guest
                leads = self._leader is guest
                look_in = max(self._look_at - self._clock(), _LEAST) if leads else math.inf
            with cancel_scope(deadline=current_time() + min(pause, look_in, self._poll() if leads else math.inf)):
                await bell.wait()
            if leads and guest.given is None:
                await self._look(guest)
        with self._lock:
            self._leave(guest)

    def _poll(self) -> float:
        return math.inf if self._here is not None else _POLL * self._rng.uniform(0.5, 1.5)

    async def _look(self, leader: _Guest) -> None:
        """The leader tries whether there is a key for anybody; one that has got one leaves the rest to the next."""
        if self._here is not None:
            with self._lock:
                self._serve(self._here)
            return
        self._look_at = math.inf
        offers = Round(self._queue, self._clock())
        while leader.given is None and (waiter := self._locked_next(offers)) is not None:
            found = await self._ask(waiter.asks)
            if isinstance(found, Empty):
                offers.passed_over(waiter, found)
            elif not self._locked_hand(offers, waiter, found):
                with anyio.move_on_after(RELEASE_TIMEOUT, shield=True):
                    await self._store.release(found, NOTHING_SENT)
        looked_at_all = leader.given is None
        self._look_at = min(self._look_at, self._clock() + offers.opens_in) if looked_at_all else -math.inf

    def _locked_next(self, offers: Round) -> Waiter | None:
        with self._lock:
            return offers.next()

    def _locked_hand(self, offers: Round, waiter: Waiter, lease: Lease) -> bool:
        with self._lock:
            return waiter in self._queue and self._hand(offers, waiter, lease)

    def _serve(self, store: MemoryStore) -> None:
        """Hand out what is free, in fair order; in one synchronous section."""
        offers = Round(self._queue, self._clock())
        while (waiter := offers.next()) is not None:
            found = _first_answer(store, waiter.asks)
            if isinstance(found, Empty):
                offers.passed_over(waiter, found)
            elif not self._hand(offers, waiter, found):
                store.release_now(found, NOTHING_SENT)
        before, self._look_at = self._look_at, self._clock() + offers.opens_in
        if self._look_at < before and self._leader is not None:
            self._ring(self._leader)

    def _hand(self, offers: Round, waiter: Waiter, lease: Lease) -> bool:
        offers.served(waiter, lease)
        assert isinstance(waiter, _Guest)
        if waiter.bell is None or waiter.bell.ring():
            return True
        waiter.given = None  # its event loop is no more
        return False

    def _ring(self, guest: _Guest) -> None:
        if guest.bell is not None and not guest.bell.ring():
            self._leave(guest)

    def _leave(self, guest: _Guest) -> None:
        self._queue.leave(guest)
        if self._leader is guest:
            self._leader = None
            for other in self._queue:
                assert isinstance(other, _Guest)
                if other.bell is not None and other.bell.ring():
                    self._leader = other
                    break

    async def _abandon(self, guest: _Guest) -> None:
        """Its task ends without a key; one that was handed to it meanwhile goes to the next."""
        with self._lock:
            self._leave(guest)
            lease = guest.given
            if self._here is not None:
                if lease is not None:
                    self._here.release_now(lease, NOTHING_SENT)
                self._serve(self._here)
                return
        if lease is not None:
            with anyio.move_on_after(RELEASE_TIMEOUT, shield=True):
                await self._store.release(lease, NOTHING_SENT)
        self.changed()

    async def _ask(self, asks: tuple[Ask, ...]) -> Lease | Empty:
        if self._here is not None:
            return _first_answer(self._here, asks)
        found: Lease | Empty = _TRIED
        for ask in asks:
            found = await self._store.acquire(ask)
            if not isinstance(found, Empty) or found.reason is not EmptyReason.TRIED:
                break
        if isinstance(found, Empty):
            self._in_flight = found.in_flight
        return found

    def _reason(self, guest: _Guest, store: MemoryStore) -> Lease | Empty:
        """Why there is no key for somebody who was passed over, maybe without being tried."""
        return guest.empty or _first_answer(store, guest.asks)

    def _is_worth_it(self, empty: Empty, position: int, seconds: float) -> bool:
        """Whether a key can be had in time, by what is known now."""
        if empty.reason is EmptyReason.BUSY:
            # The next to come free is worth waiting for, whatever the average says; the hundredth is not.
            soon = self.held is None or position < max(empty.in_flight, 1)
            return seconds > 0 and (soon or self._turn_in(empty, position) <= seconds)
        return empty.retry_after is not None and empty.retry_after <= seconds

    def _turn_in(self, empty: Empty, position: int) -> float:
        """Seconds until so many leases and one more have come back, at the rate at which they do."""
        held = SOON if self.held is None else self.held
        return min(held * (position + 1) / max(empty.in_flight, 1), _LONGEST_ADVICE)


def _first_answer(store: MemoryStore, asks: tuple[Ask, ...]) -> Lease | Empty:
    found: Lease | Empty = _TRIED
    for ask in asks:
        found = store.acquire_now(ask)
        if not isinstance(found, Empty) or found.reason is not EmptyReason.TRIED:
            break
    return found
