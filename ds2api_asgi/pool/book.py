"""What a pool knows about models: which lanes concern each, and how each key stands there.

A model with any trouble has a `Book` of its own, and so has one that a key names; the others share one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum

from .health import Lane
from .strategies import Lineup, Seat

__all__ = ["MAX_MODELS", "USABLE", "Book", "Books", "Standing"]

MAX_MODELS = 64
"""Models that no key names of which troubles are remembered. Clients choose the names, so there must be a bound; the
model that was asked for least recently is forgotten first."""


class Standing(StrEnum):
    """Whether a key can be used for a model now."""

    READY = "ready"
    SOFT = "soft"  # usable, but nothing is left of one of its limits
    PROBE = "probe"  # the next request decides whether it works again
    OUT = "out"


USABLE: tuple[Standing, ...] = (Standing.READY, Standing.SOFT, Standing.PROBE)
"""Each has a lineup."""


class Book:
    """What is known about one model.

    Attributes:
        model: Its name; None: requests that name no model; ``""``: every model without a book of its own.
        lanes: By owner: a key's index, or the number of a quota scope.
        lineups: Keys by standing.
        standings: Each key's standing, by index.
    """

    __slots__ = ("lanes", "lineups", "model", "standings")

    def __init__(self, model: str | None, lineups: dict[Standing, Lineup], standings: list[Standing]) -> None:
        self.model = model
        self.lanes: dict[int, Lane] = {}
        self.lineups = lineups
        self.standings = standings

    def branch(self, model: str) -> Book:
        """A book for a model that shared this one."""
        lineups = {standing: lineup.copy() for standing, lineup in self.lineups.items()}
        return Book(model, lineups, self.standings.copy())

    def move(self, seat: Seat, standing: Standing) -> bool:
        """Put a key where it stands now; tells whether that is elsewhere than before."""
        before = self.standings[seat.index]
        if before is standing:
            return False
        if before is not Standing.OUT:
            self.lineups[before].discard(seat)
        if standing is not Standing.OUT:
            self.lineups[standing].add(seat)
        self.standings[seat.index] = standing
        return True


class Books:
    """All books of a pool.

    Args:
        named: Models that keys name.
        new_book: Makes the first books.

    Attributes:
        any: That of requests that name no model.
        remembered: Those of models that only clients name, the one that was asked for last at the end.
    """

    __slots__ = ("_common", "_listed", "any", "remembered")

    def __init__(self, named: Collection[str], new_book: Callable[[str | None], Book]) -> None:
        self.any = new_book(None)
        self.remembered: OrderedDict[str, Book] = OrderedDict()
        self._common = new_book("") if named else self.any
        self._listed = {model: new_book(model) for model in sorted(named) if model}

    def of(self, model: str | None) -> Book:
        """The book that a request for this model goes by."""
        if model is None:
            return self.any
        if self.remembered and model in self.remembered:
            self.remembered.move_to_end(model)
            return self.remembered[model]
        return self._listed.get(model, self._common)

    def find(self, model: str | None) -> Book | None:
        """The model's own book, if it has one."""
        if model is None:
            return self.any
        return self._listed.get(model) or self.remembered.get(model)

    def add(self, model: str) -> tuple[Book, str | None]:
        """Begin a book of its own for a model.

        Returns:
            The book, and the model that was forgotten for it, if one was.
        """
        book = self.remembered[model] = self._common.branch(model)
        return book, self.remembered.popitem(last=False)[0] if len(self.remembered) > MAX_MODELS else None

    def forget(self, model: str) -> bool:
        """Forget a model that only clients name; tells whether there was a book of it."""
        return self.remembered.pop(model, None) is not None

    def named(self) -> list[Book]:
        """Those that are a model's own."""
        return [*self._listed.values(), *self.remembered.values()]

    def every(self) -> list[Book]:
        """All of them."""
        shared = [self.any] if self._common is self.any else [self.any, self._common]
        return [*shared, *self.named()]

    def about(self, model: str | None) -> Iterable[Book]:
        """Those that change with the lanes of a model; None: all."""
        if model is None:
            return self.every()
        book = self.find(model)
        return () if book is None else (book,)
