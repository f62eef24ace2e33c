"""Labels whose values strangers choose: the first few are told apart, all others are one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["MAX_LABEL", "OTHER", "Labels"]

OTHER: Final = "other"
"""What all are called that are not told apart."""

MAX_LABEL: Final = 120
"""Characters of a label's value; what is longer is one of the others."""


class Labels:
    """Values of one label, at most so many.

    Args:
        most: How many are told apart.
        known: Those that are from the beginning, and count towards `most`.
    """

    __slots__ = ("_found", "_most")

    def __init__(self, most: int, known: Iterable[str] = ()) -> None:
        self._most = most
        self._found = set(known)

    def resize(self, most: int) -> None:
        """Tell so many apart from now on; those that are told apart already stay."""
        self._most = most

    def of(self, value: str | None, *, admit: bool = True) -> str:
        """The label for a value.

        Args:
            value: None: unknown, which is ``""``.
            admit: Whether it may take one of the places that are left.
        """
        if not value:
            return ""
        if value in self._found:
            return value
        if not admit or len(self._found) >= self._most or len(value) > MAX_LABEL:
            return OTHER
        self._found.add(value)
        return value
