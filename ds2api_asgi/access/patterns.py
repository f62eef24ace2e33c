"""Which models a key may use: names, with ``*`` for any characters.

Matching is exact to the case. A name may be written in several ways that mean one model, so a client's is tried as it
is, without Gemini's ``models/`` and without Ollama's ``:latest``, and so are the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ..errors import ConfigurationError

__all__ = ["LONGEST", "Patterns"]

LONGEST: Final = 256
"""Characters of a model's name; longer ones are nobody's, and would be slow to match."""

_STARS: Final = re.compile(r"\*+")


class Patterns:
    """A set of models.

    Args:
        patterns: ``"gpt-5.5"``, ``"claude-*"``, ``"*"``.

    Raises:
        ConfigurationError: A pattern is empty, too long, or has more than four stars.
    """

    __slots__ = ("_exact", "_wild")

    def __init__(self, patterns: Iterable[str]) -> None:
        exact: set[str] = set()
        wild: list[str] = []
        for pattern in patterns:
            if not isinstance(pattern, str) or not pattern or len(pattern) > LONGEST:
                raise ConfigurationError(f"a model pattern has 1 to {LONGEST} characters")
            plain = _STARS.sub("*", _plain(pattern))
            if plain.count("*") > 4:
                raise ConfigurationError("a model pattern has at most four stars")
            if "*" in plain:
                wild.append(_expression(plain.split("*")))
            else:
                exact.add(plain)
        self._exact = frozenset(exact)
        self._wild = re.compile("|".join(wild), re.DOTALL) if wild else None

    def match(self, model: str) -> bool:
        """Whether a model is one of the set."""
        if len(model) > LONGEST:
            return False
        name = _plain(model)
        return name in self._exact or (self._wild is not None and self._wild.fullmatch(name) is not None)


def _expression(pieces: list[str]) -> str:
    """Pieces with anything between them. The first place of each will do, so none is sought a second time."""
    first, *middle, last = map(re.escape, pieces)
    return "".join([first, *(f"(?>.*?{piece})" for piece in middle), ".*", last])


def _plain(name: str) -> str:
    return name.removeprefix("models/").removesuffix(":latest")
