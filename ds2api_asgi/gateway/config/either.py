"""Members that may be written in two ways: as a word or as a table with settings of its own.

What is written decides which of the two is meant, so that an error is about that one and there are never two.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Discriminator, Tag

__all__ = ["MARK", "OrFalse", "WordOrNumber", "WordOrTable", "tagged"]

MARK: Final = "·"
"""What a tag begins with, since pydantic puts tags into the places of errors; no member of ours has it."""

T = TypeVar("T")
W = TypeVar("W")

_TABLE: Final = f"{MARK}table"
_WORD: Final = f"{MARK}word"
_NUMBER: Final = f"{MARK}number"


def _form(value: Any) -> str:
    return _TABLE if isinstance(value, dict) or hasattr(value, "model_fields_set") else _WORD


WordOrTable = Annotated[Annotated[W, Tag(_WORD)] | Annotated[T, Tag(_TABLE)], Discriminator(_form)]
"""``WordOrTable[W, T]``: a word, or a table."""

OrFalse = Annotated[Annotated[Literal[False], Tag(_WORD)] | Annotated[T, Tag(_TABLE)], Discriminator(_form)]
"""``OrFalse[T]``: a table, or ``false``."""


def _kind(value: Any) -> str:
    return _NUMBER if isinstance(value, int) and not isinstance(value, bool) else _WORD


WordOrNumber = Annotated[Annotated[str, Tag(_WORD)] | Annotated[int, Tag(_NUMBER)], Discriminator(_kind)]
"""A word, or a whole number."""


def tagged(value: Any) -> str | None:
    """The tag of a table that says by its ``type`` which one it is."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"{MARK}{kind}" if isinstance(kind, str) else None
