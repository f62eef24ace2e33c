"""Items that were made of another on their way: a text that held a thought or a call is an item for each of them.

What was made has the id of the item that it was made of, or none; but ids are unique, and tell what kind of item it is:
OpenAI refuses ``msg_1`` for a call. So the text keeps its own, and the others get one that is the same for the same
answer.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.request import Turn
from ..fields import Json
from .profile import PREFIXES, item_id
from .settle import COMPLETED

__all__ = ["Owners"]

_STATED = frozenset({"message", "reasoning", "function_call"})
"""Types of items that state a status."""


class Owners:
    """Who has which id in one answer.

    Args:
        answer: Id of the answer.
    """

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self._used: set[str] = set()

    def turn(self, about: Turn, kind: str, index: int) -> Turn:
        """The turn of an item, with an id of its own.

        Args:
            about: As it was.
            kind: The item's type.
            index: Its place in the output.
        """
        id_ = about.id
        others = {prefix for each, prefix in PREFIXES.items() if each != kind}
        if id_ is not UNSET and id_ not in self._used and id_.partition("_")[0] not in others:
            self._used.add(id_)
            return about
        id_ = item_id(kind, f"{self._answer}:{index}")
        self._used.add(id_)
        return replace(about, id=id_, status=COMPLETED if kind in _STATED else UNSET)

    def items(self, items: list[Json]) -> list[Json]:
        """All items of an answer; those that are kept as they are have theirs."""
        return [self._item(item, index) for index, item in enumerate(items)]

    def _item(self, item: Any, index: int) -> Any:
        kind = item.get("type") if type(item) is dict else None
        if kind not in PREFIXES:
            return item
        id_ = item.get("id")
        about = Turn(role="assistant", id=id_ if type(id_) is str else UNSET)
        own = self.turn(about, kind, index)
        if own is about:
            return item
        item = {**item, "id": own.id}
        if own.status is UNSET:
            item.pop("status", None)
        else:
            item["status"] = own.status
        return item
