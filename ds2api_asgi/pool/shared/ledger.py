"""What several processes share of a pool, as one atomic step: the seam between `SharedStore` and its back ends.

A ledger does not know what a key's health is. It keeps texts under names and numbers their changes, so that whoever
computed something can have it written down on the condition that nothing has changed since (`Step.strict`): all
judgement stays in one place, in Python. Only what changes with every request would make everybody collide, and is
therefore checked by the ledger itself: how many leases there are under a name, and how much of a window is used.

One `step` is one atomic whole, in this order:

1. leases whose time is over are given back, as if their holder had done it;
2. leases are given back and kept on, sums are added to, windows are corrected;
3. with `strict`, it ends here when anything has changed since `cursor`; with `needs`, when that lease is gone;
4. it ends here when a counter or a window has no room for the new lease;
5. records are written and the lease is taken.

Giving back a lease counts its counters down, and takes it out of the records that it probes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

__all__ = ["KEEP", "Change", "Ledger", "LedgerDown", "Seen", "Status", "Step", "Take", "WindowUse"]

KEEP = 7 * 86_400.0
"""Seconds after which a ledger may forget a pool that nobody uses."""


class LedgerDown(Exception):
    """The ledger cannot be reached, or does not answer."""


class Status(StrEnum):
    """How a step went."""

    DONE = "done"
    CONFLICT = "conflict"  # something has changed since the cursor
    GONE = "gone"  # the lease that it needs is no more
    FULL = "full"  # a counter or a window has no room


class WindowUse(Struct, frozen=True, array_like=True):
    """What a lease takes of a window.

    Attributes:
        name: The window's.
        limit: What may be taken in `seconds`.
        seconds: Its length.
        amount: What is taken.
        room: For how much there must be room.
    """

    name: str
    limit: float
    seconds: float
    amount: float
    room: float


class Take(Struct, frozen=True, array_like=True):
    """A lease to be taken.

    Attributes:
        id: Its id, chosen by whoever takes it.
        counters: Names that it counts under, each with how many there may be at a time; 0: any number.
        windows: What it takes of windows, all at once or not at all.
        probes: The records that it probes.
    """

    id: str
    counters: tuple[tuple[str, int], ...]
    windows: tuple[WindowUse, ...] = ()
    probes: tuple[str, ...] = ()


class Change(Struct, frozen=True, array_like=True):
    """A record as it is now.

    Attributes:
        name: What it is called.
        text: What it says; ``""``: it is no more.
        probe: The lease that probes it, or ``""``.
        version: The sequence number of its last change; 0 in steps.
    """

    name: str
    text: str
    probe: str = ""
    version: int = 0


class Step(Struct, frozen=True, array_like=True):
    """What shall be done and told. The order of members is the ledgers' wire format.

    Attributes:
        cursor: Sequence number up to which changes are known; -1: everything is wanted.
        epoch: The ledger whose sequence that is, so that an emptied one is noticed.
        fresh_epoch: What an empty ledger calls itself from now on.
        base: The sequence goes on from here at least.
        now: Seconds, where time is not the ledger's own; None: it is.
        ttl: Seconds that leases last which are taken or kept on.
        strict: Nothing may have changed since `cursor`.
        needs: The id of a lease that must be there, or ``""``.
        take: The lease to take.
        records: What is written.
        stamp: The sequence number is at least this after `records` are written.
        give: Ids of leases that are given back; unknown ones are none's business.
        renew: Leases that are kept on; those that are not there are taken anew, whatever room there is.
        sums: What is added to numbers that nobody checks.
        corrections: Windows by name, the part that something was counted in, and the difference.
        all_counts: All counts, sums and windows are wanted; where a lease finds no room, they are told anyway.
    """

    cursor: int
    epoch: str
    fresh_epoch: str
    base: int = 0
    now: float | None = None
    ttl: float = 30.0
    strict: bool = False
    needs: str = ""
    take: Take | None = None
    records: tuple[Change, ...] = ()
    stamp: int = 0
    give: tuple[str, ...] = ()
    renew: tuple[Take, ...] = ()
    sums: tuple[tuple[str, int], ...] = ()
    corrections: tuple[tuple[str, int, float], ...] = ()
    all_counts: bool = False


class Seen(Struct, frozen=True, array_like=True):
    """What a step found.

    Attributes:
        status: How it went.
        epoch: The ledger's.
        sequence: Its last sequence number.
        now: Seconds of its clock.
        whole: `changes` is everything there is.
        changes: Records that have changed since the cursor, those of this step among them.
        all_counts: `counts`, `sums` and `windows` are all that there are.
        counts: The counters that were touched, or all.
        sums: All sums, or none.
        windows: All windows with their parts, oldest first, or none: ``("rpm:o:key-1", ((29400001, 2.0),))``.
        parts: In which part of each window the lease is counted.
    """

    status: Status
    epoch: str
    sequence: int
    now: float
    whole: bool
    changes: Sequence[Change]
    all_counts: bool
    counts: Sequence[tuple[str, int]]
    sums: Sequence[tuple[str, int]]
    windows: Sequence[tuple[str, Sequence[tuple[int, float]]]]
    parts: Sequence[int]


class Ledger(Protocol):
    """A back end of `SharedStore`, for one pool.

    Attributes:
        clock: Where this process can look at the ledger's clock; None: only the ledger can, and says so with each step.
    """

    clock: Callable[[], float] | None

    def at_once(self, step: Step) -> Seen | None:
        """Do a step if that needs no waiting at all; None: it does, and nothing was done.

        Raises:
            LedgerDown: It cannot be reached.
        """
        ...

    async def step(self, step: Step) -> Seen:
        """Do a step.

        Raises:
            LedgerDown: It cannot be reached; whether the step was done is not known.
        """
        ...

    def open(self, pool: str) -> None:
        """Say which pool it is for, before the first step; nothing is connected yet.

        Args:
            pool: A name without white space.
        """
        ...
