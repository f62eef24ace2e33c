"""What providers said of their limits: remembered for who looks at the keys, and used for nothing else.

Each process knows what it was told itself. Which keys are preferred is for `health` to say, by the same words.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from ..protocols.base import Limits
from .store import LONGEST_MODEL
from .survey import Headroom

__all__ = ["MAX_HEARD", "STALE", "Heard"]

MAX_HEARD: Final = 1000
"""Quota scopes and models of which is remembered what was said; the one that was heard of least recently goes first."""

STALE: Final = 300.0
"""Seconds after which a word is worth nothing that did not say until when it holds."""


class _Word(Struct, frozen=True):
    limits: tuple[Limits, ...]
    at: float


class Heard:
    """Remembers the last word on each quota scope and model.

    Args:
        scopes: The quota scope of each key, by alias.
        clock: Monotonic seconds.
    """

    def __init__(self, scopes: Mapping[str, str], *, clock: Callable[[], float]) -> None:
        self._scopes = scopes
        self._clock = clock
        self._words: OrderedDict[tuple[str, str | None], _Word] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._words)

    def take(self, key: str, model: str | None, limits: Sequence[Limits]) -> None:
        """An answer said something.

        Args:
            key: The alias of the key that was used.
            model: What was asked.
            limits: What its headers said; nothing is no word.
        """
        limits = tuple(limit for limit in limits if _is_sane(limit))
        scope = self._scopes.get(key)  # None: a lease that began with keys which the pool has no more
        if scope is None or not limits or (model is not None and len(model) > LONGEST_MODEL):
            return
        place = scope, model
        with self._lock:
            self._words[place] = _Word(limits, self._clock())
            self._words.move_to_end(place)
            if len(self._words) > MAX_HEARD:
                self._words.popitem(last=False)

    def inherit(self, other: Heard, same: Mapping[str, str]) -> None:
        """Remember what another one does of quota scopes that both have.

        Args:
            other: The other one.
            same: What keys are called here, by what they are called there.
        """
        scopes = {other._scopes[old]: self._scopes[new] for old, new in same.items()}
        with other._lock:
            words = list(other._words.items())
        with self._lock:
            for (scope, model), word in words:
                if scope in scopes:
                    self._words[scopes[scope], model] = word

    def headroom(self) -> dict[str, list[Headroom]]:
        """What still holds of it, by quota scope."""
        now = self._clock()
        with self._lock:
            words = list(self._words.items())
        found: dict[str, list[Headroom]] = {}
        for (scope, model), word in words:
            age = now - word.at
            rooms = [
                Headroom(
                    of=limit.dimension,
                    model=model,
                    limit=limit.limit,
                    left=max(0.0, limit.remaining or 0.0),
                    resets_in=None if limit.reset_after is None else limit.reset_after - age,
                    source="provider",
                    age=age,
                )
                for limit in word.limits
                if age < (STALE if limit.reset_after is None else limit.reset_after)
            ]
            if rooms:
                found.setdefault(scope, []).extend(rooms)
        return found


def _is_sane(limit: Limits) -> bool:
    """Whether it says what is left; numbers come from afar."""
    told = (limit.limit, limit.remaining, limit.reset_after)
    return limit.remaining is not None and all(value is None or math.isfinite(value) for value in told)
