"""Opaque state across turns: signatures, encrypted thoughts, ids of items, on their way through a foreign client.

| module | what |
|---|---|
| `pack`, `stream` | an answer's payloads into capsules (`universal.capsule`), whole or event by event |
| `slots` | where a client's protocol has room for them |
| `unpack`, `pieces`, `message` | out of the history again, whatever became of its parts |
| `origins` | only those that the upstream now asked minted itself |
| `store` | answers of clients that have no slots |
| `parts` | what a part tells, and what it carries |
"""

from .origins import only_for
from .pack import Packer
from .parts import answers_before, is_plain, may_carry
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
    "is_plain",
    "may_carry",
    "only_for",
    "recall",
    "remember",
    "unpack",
]
