"""Which keys can be used for which model: lanes and lineups kept in step, so that no pick has to look for a usable key.

Each model with any trouble has a `Book`; the others share one. When a lane turns, only the keys that run through it
change places in the books that it concerns. What time does to lanes waits in a heap and is done before the next pick.

Synchronous, without clock and lock: the store that owns a `Roster` brings both.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import count
from random import Random

from .ask import Ask
from .book import USABLE, Book, Books, Standing
from .gauge import Gauge, Gauges, Spent, Taken, gauges_of
from .health import Event, KeyState, Lane, Outcome
from .keys import Key
from .strategies import Seat, Strategy, Traffic
from .strategies.tiers import Tiers, by_tier, lineup_for

__all__ = ["Journal", "Roster"]


class Journal:
    """What an operation did to lanes.

    Attributes:
        touched: Owner and model of the lanes that changed.
        forgotten: Models that were forgotten, for there are too many.
    """

    def __init__(self) -> None:
        self.touched: set[tuple[int, str | None]] = set()
        self.forgotten: list[str] = []


class Roster:
    """The keys of one pool.

    Attributes:
        seats: One for each key, in the pool's order.
        turns: Counts what changed; what was computed from the roster holds until it moves on.
        stamp: Counts the turns of lanes; leases remember it as the moment at which they were born.
        traffic: What all keys have in common: the requests in flight, and the time.
        journal: What happened to lanes, for stores that share them; None: nobody asks.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        *,
        strategy: Strategy,
        rng: Random,
        max_concurrency: int | None,
        max_total: int | None = None,
    ) -> None:
        self.traffic = Traffic()
        self.seats = [
            Seat(
                index=index,
                weight=key.weight,
                alias=key.alias,
                scope=key.quota_scope or "",
                priority=key.priority,
                traffic=self.traffic,
            )
            for index, key in enumerate(keys)
        ]
        self._tiered = len({key.priority for key in keys}) > 1
        self.turns = 0
        self.stamp = 0
        self.journal: Journal | None = None
        self._most = math.inf if max_total is None else max_total
        self._limit = math.inf if max_concurrency is None else max_concurrency
        self._allowed = [key.models for key in keys]
        self._proven = [False] * len(keys)
        self._scopes, self._members = _owners(keys)
        self._scope_in_flight = [0] * len(self._members)
        self._gauges = gauges_of(keys, self._scopes)
        self._counts_tokens = any(gauge.counts_tokens for gauge in self._gauges.values())
        self._strategy = strategy
        self._rng = rng
        self._wakes: list[tuple[float, int, int, str | None]] = []
        self._wake_serial = count()  # lanes that wake at the same moment are not compared further
        named = {model for allowed in self._allowed if allowed is not None for model in allowed}
        named |= {model for _, model in self._gauges if model is not None}
        self._books = Books(named, self._new_book)

    def pick(
        self, ask: Ask, model: str | None, tried: Container[int], lease: int, now: float
    ) -> tuple[Seat, Taken] | None:
        """Reserve a key for a lease, if any can be used: check and reserve are one.

        The first attempt of a request probes a key whose rest is over, if there is one: that is how keys come back.
        Later attempts prefer keys that are known to work.

        Of several priorities, a lower one is used only when no key of a higher one can be. A key of which nothing is
        left of a limit counts as one that cannot, while any other can: it would most likely be refused. A key of a
        lower priority is not probed while there is a better one.

        Args:
            ask: What the request asks for.
            model: What it is remembered under, or None when it names no model.
            tried: Indexes of keys that failed for this request.
            lease: The id of the lease that will hold the key.
            now: Seconds of the monotonic clock.

        Returns:
            The key, and what was reserved of configured limits.
        """
        if self.traffic.in_flight >= self._most:
            return None
        book = self._books.of(model)
        is_first_attempt = not tried
        if self._counts_tokens and ask.tokens:
            tried = _TooSmall(self, tried, model, ask.tokens, now)
        ready, soft, probes = map(book.lineups.__getitem__, USABLE)
        if not is_first_attempt:
            seat = ready.pick(tried, ask) or soft.pick(tried, ask) or probes.pick(tried, ask)
        elif isinstance(probes, Tiers) and isinstance(ready, Tiers):
            seat = by_tier((probes, ready), tried, ask) or soft.pick(tried, ask)
        else:
            seat = probes.pick(tried, ask) or ready.pick(tried, ask) or soft.pick(tried, ask)
        if seat is None:
            return None
        seat.take()
        self._scope_in_flight[self._scopes[seat.index]] += 1
        if seat.in_flight >= self._limit:
            self._settle((seat.index,), self._books.every())
        taken = self._take(seat.index, model, ask.tokens, now) if self._gauges else ()
        if book.lanes or self._books.any.lanes:
            for owner, name, lane in self._path(seat.index, book):
                if lane.state is KeyState.HALF_OPEN:
                    lane.probe = lease
                    self._lane_changed(owner, name)
        return seat, taken

    def free(self, index: int, model: str | None, lease: int) -> None:
        """Take a key back; a probe that came back without an answer leaves the next request to probe."""
        seat = self.seats[index]
        was_full = seat.in_flight >= self._limit
        seat.free()
        self._scope_in_flight[self._scopes[index]] -= 1
        if was_full:
            self._settle((index,), self._books.every())
        book = self._books.of(model)
        if book.lanes or self._books.any.lanes:
            for owner, name, lane in self._path(index, book):
                if lane.probe == lease:
                    lane.probe = None
                    self._lane_changed(owner, name)

    def charge(self, taken: Taken, tokens: int, now: float) -> None:
        """Count tokens that a lease has spent while it lasts, over what it reserved.

        Args:
            taken: As `pick` returned it.
            tokens: How many.
            now: Seconds of the monotonic clock.
        """
        for (owner, model), _ in taken:
            gauge = self._gauges[owner, model]
            was_full = gauge.is_full
            gauge.charge(tokens, now)
            self._gauge_changed(owner, model, gauge, was_full=was_full, now=now)

    def give_back(self, taken: Taken, *, tokens: int, spent: Spent, now: float) -> None:
        """Correct what a lease reserved of configured limits.

        Args:
            taken: As `pick` returned it.
            tokens: What was asked for.
            spent: What it cost.
            now: Seconds of the monotonic clock.
        """
        for (owner, model), parts in taken:
            gauge = self._gauges[owner, model]
            was_full = gauge.is_full
            gauge.give_back(parts, tokens=tokens, spent=spent)
            self._gauge_changed(owner, model, gauge, was_full=was_full, now=now)

    def serve(self, index: int, model: str | None, outcome: Outcome, *, born: int, now: float) -> bool:
        """A successful answer: every lane that it ran through works. Tells whether one recovered by it."""
        self._proven[index] = True
        before = self.stamp
        book = self._books.of(model)
        if book.lanes or self._books.any.lanes:
            for owner, name, lane in self._path(index, book):
                if lane.serve(born=born, stamp=self.stamp + 1):
                    self.stamp += 1
                    self._lane_changed(owner, name)
        if outcome.soft is not None or outcome.left is not None:
            self.spare(index, model, outcome, now=now)
        return self.stamp > before

    def spare(self, index: int, model: str | None, outcome: Outcome, *, now: float) -> None:
        """An answer told what is left of the limits of a key's quota scope: while it is too little, prefer others."""
        owner = self._scopes[index]
        soft = outcome.soft_for(self._scope_in_flight[owner] - 1)  # without this one, which is counted already
        if soft is not None and self._lane(owner, model).soften(now + soft):
            self._lane_changed(owner, model)

    def fail(self, index: int, model: str | None, outcome: Outcome, *, born: int, now: float) -> bool:
        """A failed answer that was the key's fault; tells whether a lane changed."""
        owner, name = self._scopes[index], model
        if outcome.event is Event.REFUSED:
            owner, name = index, None
        elif outcome.event is Event.QUOTA:
            name = None
        elif outcome.event is Event.FORBIDDEN:
            if model is None:  # which model it may not use is not known, and it may still be good for all others
                return False
            owner = index
        lane = self._lane(owner, name)
        if not lane.fail(outcome, proven=self._proven[index], born=born, stamp=self.stamp + 1, now=now):
            return False
        self.stamp += 1
        self._lane_changed(owner, name)
        return True

    def switch(self, index: int, *, on: bool) -> None:
        """An operator's word: off, or on with everything forgotten that kept the key or its quota scope from work."""
        self.stamp += 1
        if not on:
            self._lane(index, None).disable(self.stamp)
            self._lane_changed(index, None)
            return
        for book in self._books.every():
            for owner in (index, self._scopes[index]):
                if owner in book.lanes:
                    book.lanes[owner].enable(self.stamp)
                    self._lane_changed(owner, book.model)

    def wake(self, now: float) -> None:
        """Do what time has done since."""
        self.traffic.now = now
        while self._wakes and self._wakes[0][0] <= now:
            when, _, owner, model = heapq.heappop(self._wakes)
            gauge = self._gauges.get((owner, model)) if self._gauges else None
            if gauge is not None and gauge.wake == when:
                gauge.wake = math.inf
                self._gauge_changed(owner, model, gauge, was_full=gauge.is_full, now=now)
            book = self._books.find(model)
            lane = book.lanes.get(owner) if book is not None else None
            if lane is None or lane.wake != when:
                continue  # forgotten with its model, or called earlier
            lane.wake = math.inf
            lane.elapse(now)
            self._lane_changed(owner, model)

    def put(self, owner: int, model: str | None, lane: Lane) -> None:
        """Let a lane be as another one, that of whoever shares it."""
        book = self._books.find(model)
        if lane == Lane() and (book is None or owner not in book.lanes):
            return
        mine = self._lane(owner, model)
        lane.wake = mine.wake
        for name in lane.__struct_fields__:
            setattr(mine, name, getattr(lane, name))
        self._lane_changed(owner, model)

    def forget(self, model: str) -> None:
        """Forget a model outside of allow-lists, as whoever shares its lanes has."""
        self.turns += self._books.forget(model)

    def hold(self, index: int, in_flight: int) -> None:
        """Let a key have so many requests in flight, as whoever shares it counts."""
        difference = in_flight - self.seats[index].in_flight
        if not difference:
            return
        was_full = self._is_full(index)
        self.traffic.in_flight += difference
        self.seats[index].in_flight = in_flight
        self._scope_in_flight[self._scopes[index]] += difference
        if was_full is not self._is_full(index):
            self._settle((index,), self._books.every())

    def gauges(self) -> Gauges:
        """All gauges; only `gauge_held` and `gauge_recalled` may change them."""
        return self._gauges

    def gauge_held(self, owner: int, model: str | None, in_flight: int) -> None:
        """Let a gauge have so many requests in flight, as whoever shares it counts."""
        gauge = self._gauges[owner, model]
        was_full = gauge.is_full
        gauge.in_flight = in_flight
        if gauge.is_full != was_full:
            self.turns += 1
            self._settle(self._members[owner], self._books.about(model))

    def gauge_recalled(
        self, owner: int, model: str | None, windows: Sequence[Iterable[tuple[int, float]]], now: float
    ) -> None:
        """Let a gauge's windows be as whoever shares them counts; see `Window.recall`."""
        gauge = self._gauges[owner, model]
        was_full = gauge.is_full
        for window, parts in zip(gauge.windows, windows, strict=True):
            window.recall(parts)
        self._gauge_changed(owner, model, gauge, was_full=was_full, now=now)

    def gauge_looked(self, owner: int, model: str | None) -> None:
        """A gauge's windows have been changed from outside: its keys stand as they say."""
        gauge = self._gauges[owner, model]
        self._gauge_changed(owner, model, gauge, was_full=gauge.is_full, now=self.traffic.now)
        self._settle(self._members[owner], self._books.about(model))

    def lane(self, owner: int, model: str | None) -> Lane | None:
        """A lane, if anything is known of it."""
        book = self._books.find(model)
        return None if book is None else book.lanes.get(owner)

    def lanes(self) -> Iterator[tuple[int, str | None, Lane]]:
        """Every lane of which something is known, with its owner and its model."""
        for book in self._books.every():
            for owner, lane in book.lanes.items():
                yield owner, book.model, lane

    def is_proven(self, index: int) -> bool:
        """Tell whether the key has served."""
        return self._proven[index]

    def prove(self, index: int) -> None:
        """The key has served, for whoever shares it."""
        self._proven[index] = True

    def is_allowed(self, index: int, model: str | None) -> bool:
        """Tell whether the key's allow-list lets it be used for a model."""
        allowed = self._allowed[index]
        return model is None or allowed is None or model in allowed

    def lanes_of(self, index: int, model: str | None) -> Iterator[Lane]:
        """The lanes that a request for this model would run through."""
        return (lane for _, _, lane in self._path(index, self._books.of(model)))

    def gauges_of(self, index: int, model: str | None) -> Iterator[Gauge]:
        """The gauges of configured limits that a request for this model would count in."""
        return (gauge for _, gauge in self._gauges_on(index, model))

    def is_at_its_most(self) -> bool:
        """Tell whether the whole pool may have no more requests at a time."""
        return self.traffic.in_flight >= self._most

    def models(self) -> Iterator[tuple[str, dict[int, Lane]]]:
        """Every model of which something is known, with its lanes by owner."""
        for book in self._books.named():
            yield str(book.model), book.lanes

    def knowledge_of(self, model: str | None) -> object:
        """What a request for this model goes by, to be compared: the same for all models of which nothing is known."""
        return self._books.of(model)

    def scope_of(self, index: int) -> int:
        """The owner number of the key's quota scope, as in `models`."""
        return self._scopes[index]

    def is_usable(self, index: int, model: str | None, tokens: int, now: float) -> bool:
        """Tell whether `pick` could choose the key."""
        if self._books.of(model).standings[index] is Standing.OUT:
            return False
        return not self._gauges or all(g.ready_at(tokens, now) <= now for g in self.gauges_of(index, model))

    def _new_book(self, model: str | None) -> Book:
        lineups = {standing: lineup_for(self._strategy, self._rng, tiered=self._tiered) for standing in USABLE}
        book = Book(model, lineups, [Standing.OUT] * len(self.seats))
        for seat in self.seats:
            if self.is_allowed(seat.index, model):
                book.move(seat, Standing.READY)
        return book

    def _lane(self, owner: int, model: str | None) -> Lane:
        """The lane of an owner for a model, made when it is needed for the first time."""
        book = self._books.find(model)
        if book is None:
            assert model is not None
            book, forgotten = self._books.add(model)
            if forgotten is not None and self.journal is not None:
                self.journal.forgotten.append(forgotten)
        return book.lanes.setdefault(owner, Lane())

    def _path(self, index: int, book: Book) -> Iterator[tuple[int, str | None, Lane]]:
        """The lanes that a key runs through for a model, with their owners and models."""
        anything = self._books.any
        for owner in (index, self._scopes[index]):
            lane = anything.lanes.get(owner)
            if lane is not None:
                yield owner, None, lane
            lane = book.lanes.get(owner) if book is not anything else None
            if lane is not None:
                yield owner, book.model, lane

    def _lane_changed(self, owner: int, model: str | None) -> None:
        lane = self._lane(owner, model)
        self.turns += 1
        if self.journal is not None:
            self.journal.touched.add((owner, model))
        # One call waits for each lane: one that comes too early, because the deadline moved out, is set anew.
        wake = lane.next_wake()
        if wake < lane.wake:
            lane.wake = wake
            heapq.heappush(self._wakes, (wake, next(self._wake_serial), owner, model))
        self._settle(self._members[owner], self._books.about(model))

    def _gauges_on(self, index: int, model: str | None) -> Iterator[tuple[tuple[int, str | None], Gauge]]:
        owner = self._scopes[index]
        for name in (None,) if model is None else (None, model):
            gauge = self._gauges.get((owner, name))
            if gauge is not None:
                yield (owner, name), gauge

    def _take(self, index: int, model: str | None, tokens: int, now: float) -> Taken:
        taken = []
        for (owner, name), gauge in self._gauges_on(index, model):
            taken.append(((owner, name), gauge.take(tokens, now)))
            self._gauge_changed(owner, name, gauge, was_full=False, now=now)
        return tuple(taken)

    def _gauge_changed(self, owner: int, model: str | None, gauge: Gauge, *, was_full: bool, now: float) -> None:
        self.turns += 1
        ready = gauge.ready_at(1, now)
        gauge.closed = ready > now
        if gauge.closed and ready < gauge.wake:
            gauge.wake = ready
            heapq.heappush(self._wakes, (ready, next(self._wake_serial), owner, model))
        if gauge.is_full != was_full:
            self._settle(self._members[owner], self._books.about(model))

    def _settle(self, indexes: Iterable[int], books: Iterable[Book]) -> None:
        for book in books:
            for index in indexes:
                self.turns += book.move(self.seats[index], self._standing(index, book))

    def _is_full(self, index: int) -> bool:
        return self.seats[index].in_flight >= self._limit

    def _standing(self, index: int, book: Book) -> Standing:
        if not self.is_allowed(index, book.model) or self._is_full(index):
            return Standing.OUT
        if self._gauges and any(gauge.is_full for _, gauge in self._gauges_on(index, book.model)):
            return Standing.OUT
        standing = Standing.READY
        for _, _, lane in self._path(index, book):
            if lane.state.resting or lane.probe is not None:
                return Standing.OUT
            if lane.state is KeyState.HALF_OPEN:
                standing = Standing.PROBE
            elif lane.is_soft and standing is Standing.READY:
                standing = Standing.SOFT
        return standing


class _TooSmall:
    """The keys that must not be picked for a request: those that were tried, and those without room for its tokens.

    Lineups ask it about the keys that they would pick, so nobody looks at all of them to find one with room.
    """

    __slots__ = ("_model", "_now", "_roster", "_tokens", "_tried")

    def __init__(self, roster: Roster, tried: Container[int], model: str | None, tokens: int, now: float) -> None:
        self._roster = roster
        self._tried = tried
        self._model = model
        self._tokens = tokens
        self._now = now

    def __contains__(self, index: object) -> bool:
        if index in self._tried:
            return True
        assert isinstance(index, int)
        gauges = self._roster.gauges_of(index, self._model)
        return any(gauge.ready_at(self._tokens, self._now) > self._now for gauge in gauges)


def _owners(keys: Sequence[Key]) -> tuple[list[int], list[tuple[int, ...]]]:
    """Number the owners of lanes: keys by their index, quota scopes after them.

    Returns:
        Each key's scope, and each owner's keys.
    """
    members: list[list[int]] = [[index] for index in range(len(keys))]
    numbers: dict[str, int] = {}
    scopes: list[int] = []
    for index, key in enumerate(keys):
        label = key.quota_scope
        number = len(members) if label is None else numbers.setdefault(label, len(members))
        if number == len(members):
            members.append([])
        members[number].append(index)
        scopes.append(number)
    return scopes, [tuple(indexes) for indexes in members]
