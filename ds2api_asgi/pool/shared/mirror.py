"""A roster that follows a ledger: what this process knows of lanes that several processes share.

Operations change the mirror first, as if it were alone, and are written to the ledger on the condition that nothing
has changed there; when something has, they are taken back (`revert`), the changes are read (`absorb`), and they are
done again. Answers may arrive in another order than they were given: each record has a version, and an older one never
replaces a newer one.

What is learned while the ledger cannot be reached stays as *news*, until it can be written. Of two who learned
something about the same lane meanwhile, the one who lets it rest longer is right.

Synchronous, without clock and lock, like the roster itself.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from ..gauge import Gauge, Spent, Taken
from ..health import Lane
from ..keys import Key
from ..roster import Journal, Roster
from ..strategies import Strategy
from .ledger import Change, Seen, Take, WindowUse
from .records import PROVEN, lane_name, lane_of, owner_names, proven_name, text_of

__all__ = ["Mirror"]

_Place = tuple[int, str | None]  # the owner of a lane or a gauge, and its model
_ALWAYS = -1e15  # room that every window has
_TOTAL = "*"  # what all leases are counted under


class _Meter(Struct, frozen=True):
    """What a gauge is called in the ledger.

    Attributes:
        counter: Its counter.
        most: How many leases there may be under it at a time; 0: nobody counts.
        windows: Its windows, in the order of `Gauge.windows`.
    """

    counter: str
    most: int
    windows: tuple[str, ...]


def _meter(gauge: Gauge, owner: int, model: str | None, names: Mapping[int, str]) -> _Meter:
    name = lane_name(names[owner], model)
    return _Meter(
        counter=f"g:{name}",
        most=0 if gauge.most == math.inf else int(gauge.most),
        windows=tuple(
            f"{'requests' if amount else 'tokens'} in {window.seconds:.0f} s:{name}"
            for window, amount in zip(gauge.windows, gauge.amounts(0), strict=True)
        ),
    )


class Mirror:
    """See the module.

    Attributes:
        roster: The roster.
        epoch: The ledger that is followed, or ``""``.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        *,
        strategy: Strategy,
        rng: Random,
        max_concurrency: int | None,
        max_total: int | None,
    ) -> None:
        self.roster = Roster(keys, strategy=strategy, rng=rng, max_concurrency=max_concurrency, max_total=max_total)
        self._most = max_concurrency or 0
        self._total = () if max_total is None else ((_TOTAL, max_total),)
        self.epoch = ""
        self._read = -1
        self._torn = True  # only a reading of everything makes it whole again
        self._names = owner_names(keys, [self.roster.scope_of(index) for index in range(len(keys))])
        self._owners = {name: owner for owner, name in self._names.items()}
        self._counters = [self._names[index] for index in range(len(keys))]
        self._meters = {place: _meter(gauge, *place, self._names) for place, gauge in self.roster.gauges().items()}
        self._capped = {meter.counter: place for place, meter in self._meters.items() if meter.most}
        self._proofs = {proven_name(key): index for index, key in enumerate(keys)}
        self._proof_names = list(self._proofs)
        self._proven: set[int] = set()  # of which the ledger knows
        self._known: dict[_Place, Change] = {}
        self._left: dict[_Place, int] = {}  # versions of what was known when the ledger was left
        self._news: dict[_Place, int] = {}  # what the ledger has not heard -> the version that it had by then

    @property
    def cursor(self) -> int:
        """The ledger's sequence number up to which changes are known; -1: everything has to be read."""
        return -1 if self._torn else self._read

    def begin(self, now: float) -> Journal:
        """Do what time has done, and begin an operation.

        Returns:
            What notes the lanes that the operation changes.
        """
        self.roster.wake(now)
        journal = self.roster.journal = Journal()
        return journal

    def written(self, journal: Journal, served: int | None = None) -> tuple[Change, ...]:
        """What an operation has to write down.

        Args:
            journal: The operation's.
            served: The key that served in it.
        """
        self.roster.journal = None
        records = [self._record(place) for place in journal.touched]
        if journal.forgotten:
            records += [
                Change(name=lane_name(self._names[owner], model), text="")
                for owner, model in self._known
                if model in journal.forgotten
            ]
        if served is not None and served not in self._proven:
            records.append(Change(name=self._proof_names[served], text=PROVEN))
        return tuple(records)

    def take(self, lease: int, index: int, taken: Taken, tokens: int, journal: Journal) -> Take:
        """What a new lease takes.

        Args:
            lease: Its id.
            index: The key's.
            taken: What it reserved, as `Roster.pick` returned it.
            tokens: What was asked for.
            journal: The operation's.
        """
        counters = [(self._counters[index], self._most), *self._total]
        windows: list[WindowUse] = []
        for place, _ in taken:
            meter, gauge = self._meters[place], self.roster.gauges()[place]
            if meter.most:
                counters.append((meter.counter, meter.most))
            windows += [
                WindowUse(name, window.limit, window.seconds, amount, max(amount, 1))
                for name, window, amount in zip(meter.windows, gauge.windows, gauge.amounts(tokens), strict=True)
            ]
        probes = tuple(
            lane_name(self._names[owner], model)
            for owner, model in journal.touched
            if (lane := self.roster.lane(owner, model)) is not None and lane.probe == lease
        )
        return Take(id=str(lease), counters=tuple(counters), windows=tuple(windows), probes=probes)

    def charged(self, number: int, taken: Taken, tokens: int) -> Take:
        """What tokens that a lease has spent take of windows, as a lease of nothing else, which is to be given back.

        Args:
            number: Its id.
            taken: What the lease that spent them reserved.
            tokens: How many.
        """
        windows: list[WindowUse] = []
        for place, _ in taken:
            meter, gauge = self._meters[place], self.roster.gauges()[place]
            amounts = gauge.amounts(tokens)
            requests = len(gauge.windows) - gauge.token_windows
            windows += [
                WindowUse(name, window.limit, window.seconds, amount, _ALWAYS)
                for name, window, amount in list(zip(meter.windows, gauge.windows, amounts, strict=True))[requests:]
            ]
        return Take(id=str(number), counters=(), windows=tuple(windows))

    def corrections(
        self, taken: Taken, parts: Sequence[int], tokens: int, spent: Spent
    ) -> tuple[tuple[str, int, float], ...]:
        """What is corrected when a lease is given back.

        Args:
            taken: What it reserved.
            parts: In which parts the ledger counts it; none: it does not.
            tokens: What was asked for.
            spent: What it cost.
        """
        if not parts:
            return ()
        found: list[tuple[str, int]] = []
        for place, _ in taken:
            differences = self.roster.gauges()[place].differences(tokens, spent)
            found += zip(self._meters[place].windows, differences, strict=True)
        return tuple(
            (name, part, float(difference)) for (name, difference), part in zip(found, parts, strict=True) if difference
        )

    def revert(self, journal: Journal) -> None:
        """Take an operation back."""
        for place in journal.touched:
            known = self._known.get(place)
            self.roster.put(*place, Lane() if known is None else lane_of(known.text, known.probe))
        if journal.forgotten:  # they are read again
            self._torn = True
            self._known.clear()

    def free(
        self, index: int, model: str | None, lease: int, taken: Taken, tokens: int, spent: Spent, now: float
    ) -> None:
        """Take a key back, and what was reserved with it.

        Args:
            index: The key's.
            model: What it was leased for.
            lease: The lease's id.
            taken: What it reserved.
            tokens: What was asked for.
            spent: What it cost.
            now: The ledger's time.
        """
        if not self.roster.seats[index].in_flight:  # it was given back in a count that was told since
            self.roster.hold(index, 1)
        self.roster.free(index, model, lease)
        for place, _ in taken:
            if not self.roster.gauges()[place].in_flight:
                self.roster.gauge_held(*place, 1)
        if taken:
            self.roster.give_back(taken, tokens=tokens, spent=spent, now=now)

    def keep(self, journal: Journal) -> None:
        """Keep what an operation did as news, since it could not be written."""
        self.roster.journal = None
        for place in journal.touched:
            known = self._known.get(place)
            self._news.setdefault(place, self._left.get(place, 0) if known is None else known.version)

    def alone(self, own: Container[int], counts: Mapping[int, int], takens: Iterable[Taken]) -> None:
        """Go on without the ledger: what others hold and probe will not be told any more.

        Args:
            own: The leases of this process.
            counts: How many of them each key has.
            takens: What they reserved.
        """
        self.leave(own)
        for seat in self.roster.seats:
            self.roster.hold(seat.index, counts.get(seat.index, 0))
        for place in self._capped.values():
            self.roster.gauge_held(*place, 0)
        for taken in takens:
            for place, _ in taken:
                if self._meters[place].most:
                    self.roster.gauge_held(*place, self.roster.gauges()[place].in_flight + 1)

    def leave(self, own: Container[int]) -> None:
        """Let everything be read anew, and forget the probes of others meanwhile.

        Args:
            own: The leases of this process.
        """
        self._torn = True
        self._left.update((place, known.version) for place, known in self._known.items())
        self._known.clear()
        for owner, model, lane in list(self.roster.lanes()):
            if lane.probe is not None and lane.probe not in own:
                self.roster.put(owner, model, replace(lane, probe=None))

    def news(self) -> tuple[Change, ...]:
        """What the ledger has not heard yet."""
        return (
            *(self._record(place) for place in self._news),
            *(
                Change(name=name, text=PROVEN)
                for name, index in self._proofs.items()
                if self.roster.is_proven(index) and index not in self._proven
            ),
        )

    def heard(self) -> None:
        """The ledger has heard all news."""
        self._news.clear()

    def absorb(self, seen: Seen) -> None:
        """Take in what a step found."""
        if seen.epoch != self.epoch and not seen.whole:
            return  # the answer of a ledger that has been emptied since
        if seen.epoch != self.epoch:
            if self.epoch:  # it is empty, or nearly: whatever is known here is news there
                self._news = dict.fromkeys(((owner, model) for owner, model, _ in self.roster.lanes()), 0)
            self.epoch, self._torn = seen.epoch, True
            self._known.clear()
            self._proven.clear()
        if seen.whole:
            self._left.clear()
            self._drop_all_but({change.name for change in seen.changes}, seen.sequence)
        # What is no more comes first, so that no model has to be forgotten to make room for another.
        for change in sorted(seen.changes, key=lambda change: bool(change.text)) if seen.changes else ():
            self._follow(change)
        # What has been read since a reading of everything began may have been overwritten by it, and is read again.
        self._read = seen.sequence if seen.whole and self._torn else max(self._read, seen.sequence)
        self._torn = self._torn and not seen.whole
        self.roster.stamp = max(self.roster.stamp, seen.sequence)

    def count(self, seen: Seen) -> None:
        """Learn how many requests are in flight, and how much of windows is used."""
        told = dict(seen.counts)
        if not seen.all_counts:
            for name, count in told.items():
                if name in self._capped:
                    self.roster.gauge_held(*self._capped[name], count)
                elif name in self._owners:
                    self.roster.hold(self._owners[name], count)
            return
        for seat, name in zip(self.roster.seats, self._counters, strict=True):
            self.roster.hold(seat.index, told.get(name, 0))
        for name, place in self._capped.items():
            self.roster.gauge_held(*place, told.get(name, 0))
        windows = dict(seen.windows)
        for place, meter in self._meters.items():
            if meter.windows:
                self.roster.gauge_recalled(*place, [windows.get(name, ()) for name in meter.windows], seen.now)

    def _record(self, place: _Place) -> Change:
        owner, model = place
        lane = self.roster.lane(owner, model) or Lane()
        probe = "" if lane.probe is None else str(lane.probe)
        return Change(name=lane_name(self._names[owner], model), text=text_of(lane), probe=probe)

    def _drop_all_but(self, names: set[str], sequence: int) -> None:
        for owner, model, _ in list(self.roster.lanes()):
            place = (owner, model)
            known = self._known.get(place)
            newer = known is not None and known.version > sequence
            if not newer and place not in self._news and lane_name(self._names[owner], model) not in names:
                self.roster.put(owner, model, Lane())
                self._known.pop(place, None)

    def _follow(self, change: Change) -> None:
        if change.name in self._proofs:
            index = self._proofs[change.name]
            self.roster.prove(index)
            self._proven.add(index)
            return
        owner_name, has_model, model = change.name.partition("\n")
        owner = self._owners.get(owner_name)
        if owner is None:
            return  # a key that this process does not have
        place = (owner, model if has_model else None)
        known = self._known.get(place)
        if known is not None and known.version >= change.version:
            return
        lane = lane_of(change.text, change.probe)
        if place in self._news and self._is_better_known_here(place, lane, change.version):
            self._known[place] = change
            return
        self._news.pop(place, None)
        if change.text:
            self._known[place] = change
            self.roster.put(owner, place[1], lane)
        else:
            self._known.pop(place, None)
            self.roster.put(owner, place[1], lane)
            self.roster.forget(model)

    def _is_better_known_here(self, place: _Place, theirs: Lane, version: int) -> bool:
        if version == self._news[place]:
            return True  # nobody else has learned anything
        mine = self.roster.lane(*place) or Lane()
        if not theirs.state.resting:
            return mine.state.resting
        return mine.state.resting and mine.until > theirs.until
