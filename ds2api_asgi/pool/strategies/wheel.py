"""A wheel: everybody's own order of things, by weight, that changes as little as it can when things come and go.

Things hold slots of a hash table, as many as they have units of weight, by their names. Who asks draws slots by a hash
of their own; empty slots, and things that are away, count as misses. So a draw hits a thing by its weight, and a thing
that goes, or weighs less, loses only the draws that hit it; when it is back it has them again, since its slots stay
its own. That is weighted rendezvous hashing by rejection, and costs O(1) while the table fits what is in it; when it
has to grow or shrink (by a factor, therefore seldom) many orders change.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

__all__ = ["DRAWS", "Wheel", "seed_of"]

DRAWS = 96
"""How often a draw may miss before it ends; at worst one in 16 hits, mostly one in 2 to 4."""

_MASK = (1 << 64) - 1
_LEAST = 3  # bits


def seed_of(name: str) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())


class Wheel:
    """Things by name and weight."""

    __slots__ = ("_bits", "_reserved", "_slots", "_total", "_unit", "_weights")

    def __init__(self) -> None:
        self._bits = _LEAST
        self._unit = 1.0  # weight of one slot
        self._total = 0.0
        self._weights: dict[str, float] = {}
        self._slots: dict[int, tuple[str, int]] = {}  # slot -> whose it is, and which of theirs
        self._reserved: dict[str, int] = {}  # how many slots each has, also those that are away

    def __len__(self) -> int:
        return len(self._weights)

    def weigh(self, name: str, weight: float) -> None:
        """Set a thing's weight; 0 takes it away."""
        before = self._weights.pop(name, 0.0)
        if weight > 0:
            self._weights[name] = weight
        self._total = self._total + weight - before if self._weights else 0.0
        wanted = math.ceil(weight / self._unit)
        held = self._reserved.get(name, 0)
        if 2 * (len(self._slots) + max(0, wanted - held)) > 1 << self._bits:
            self._rebuild()
        elif wanted > held:
            self._reserve(name, held, wanted)
        elif 16 * self._total < self._unit * (1 << self._bits) and self._bits > _LEAST:
            self._rebuild()

    def draws(self, seed: int) -> Iterator[str]:
        """The things in the order of this seed; what was drawn may be drawn again, and an end comes after `DRAWS`."""
        slots, weights, unit, shift = self._slots, self._weights, self._unit, 64 - self._bits
        state = seed
        for _ in range(DRAWS):
            state = (state * 6364136223846793005 + 1442695040888963407) & _MASK
            drawn = slots.get(state >> shift)
            if drawn is None:
                continue
            name, number = drawn
            share = weights.get(name, 0.0) / unit - number
            if share >= 1.0 or (share > 0.0 and (state & 0xFFFFFFFF) < share * 4294967296.0):
                yield name

    def copy(self) -> Wheel:
        """The same, independent from here on."""
        wheel = Wheel()
        wheel._bits, wheel._unit, wheel._total = self._bits, self._unit, self._total
        wheel._weights = self._weights.copy()
        wheel._slots = self._slots.copy()
        wheel._reserved = self._reserved.copy()
        return wheel

    def _reserve(self, name: str, start: int, end: int) -> None:
        place = seed_of(name)
        shift, last = 64 - self._bits, (1 << self._bits) - 1
        for number in range(end):
            place = (place * 6364136223846793005 + 1442695040888963407) & _MASK
            if number >= start:
                slot = place >> shift
                while slot in self._slots:
                    slot = (slot + 1) & last
                self._slots[slot] = name, number
        self._reserved[name] = end

    def _rebuild(self) -> None:
        """Fit the table to what is there: between 4 and 8 slots for each thing, of about the mean weight."""
        size = len(self._weights)
        if size:
            self._total = math.fsum(self._weights.values())
            self._unit = 2.0 ** round(math.log2(self._total / size))
        self._slots = {}
        self._reserved = {}
        wanted = {name: math.ceil(weight / self._unit) for name, weight in self._weights.items()}
        self._bits = max(_LEAST, (3 * sum(wanted.values())).bit_length())
        for name in sorted(wanted):  # whoever comes first has the slot: the same in every process
            self._reserve(name, 0, wanted[name])
