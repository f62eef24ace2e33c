"""`Questions`: plain questions on a terminal or a pipe, each with what an empty line means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO, TypeVar

__all__ = ["Questions", "Unanswered"]

T = TypeVar("T")

_TRIES = 5


class Unanswered(Exception):
    """There is nobody to answer, and no default."""


class Questions:
    """Asks.

    Args:
        given: Where answers come from, a line each; at its end, defaults are taken.
        out: Where questions go.
    """

    def __init__(self, given: TextIO, out: TextIO) -> None:
        self._given = given
        self._out = out

    def tell(self, text: str = "") -> None:
        """Say something."""
        self._out.write(f"{text}\n")

    def ask(self, question: str, default: str | None, read: Callable[[str], T]) -> T:
        """Ask until the answer is right.

        Args:
            question: In words.
            default: What an empty line means; None: nothing, so it is asked again.
            read: Makes of an answer what it means; raises ValueError, in words that do not repeat it.

        Raises:
            Unanswered: Nobody answers, or five times in vain.
        """
        for _ in range(_TRIES):
            self._out.write(f"{question}{'' if default is None else f' [{default}]'}: ")
            self._out.flush()
            line = self._given.readline()
            if not line:
                self._out.write("\n")
            answer = line.strip() or default
            if answer is None:
                if not line:
                    break
                continue
            try:
                return read(answer)
            except ValueError as error:
                self.tell(f"  {error}")
                if not line:
                    break
        raise Unanswered(question)

    def ask_yes(self, question: str, *, default: bool) -> bool:
        """Ask for yes or no."""

        def read(answer: str) -> bool:
            word = answer.lower()
            if word in ("y", "yes"):
                return True
            if word in ("n", "no"):
                return False
            raise ValueError("y or n")

        return self.ask(f"{question} (y/n)", "y" if default else "n", read)
