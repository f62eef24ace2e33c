"""Opaque state across turns: signatures, encrypted thoughts, ids of items, on their way through a foreign client.

`pack` and `stream` put an answer's payloads into capsules (`universal.capsule`) in the slots of the client's protocol
(`slots`), `unpack` takes them out of the history, `origins` leaves only those that the upstream now asked minted
itself, `store` keeps an answer for clients that have no slots.
"""

from .origins import only_for
from .pack import Packer
from .parts import answers_before
from .slots import SLOTS, Slots
from .store import CarryStore, MemoryCarryStore, recall, remember
from .stream import PackingEncoder
from .unpack import unpack

__all__ = [
    "SLOTS",
    "CarryStore",
    "MemoryCarryStore",
    "Packer",
    "PackingEncoder",
    "Slots",
    "answers_before",
    "only_for",
    "recall",
    "remember",
    "unpack",
]
