"""`Sight`: what parts see of the gateway that they are in."""

from __future__ import annotations

from typing import Protocol

from ...pool import KeyPool
from ..console.part import BreakerSeen
from ..serving.peers import Peers

__all__ = ["Sight"]


class Sight(Protocol):
    """What parts see of the gateway that they are in."""

    started: float
    generation: int
    reloaded: float | None
    reload_error: str | None
    peers: Peers | None

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        ...

    @property
    def pools(self) -> dict[str, KeyPool]:
        """The key pools by their upstreams' names."""
        ...

    def breakers(self) -> list[BreakerSeen]:
        """How the breakers are."""
        ...
