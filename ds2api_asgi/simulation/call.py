"""One request that reached a provider: `Call`, how it ended (`End`), and who is told of it (`Ears`)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from ..asgi.disconnect import Watch

__all__ = ["Call", "Ears", "End"]


class End(StrEnum):
    """How a call ended."""

    SERVED = "served"
    RATE = "rate"
    QUOTA = "quota"
    DEAD = "dead"
    FAULT = "fault"  # the provider's: 500 and above, or no connection
    CUT = "cut"
    LEFT = "left"  # whoever asked has left


class Call(Struct, kw_only=True, eq=False):
    """One request that reached a provider.

    Attributes:
        number: 1 for the first one of the simulation.
        client: The number of the client's attempt that it belongs to.
        provider: Whose.
        key: The name of the key; ``""``: none was needed.
        model: Asked for.
        stream: Whether a stream.
        begun: When, in seconds since the start.
        pieces: Of how many pieces the answer consists.
        content: When the first content of the answer was sent; None: never.
        ended: When it was over.
        end: How; None: it is not.
        status: What was answered.
        hint: Seconds that a 429 promised.
        refused: Whether there was no connection, so that the provider counts nothing.
        resets: Whether it told what is left of the limits, and when they are whole again.
        said: Whether the answer's last byte was handed over.
        tokens: What the provider counted.
        watch: Listens to whoever asked, until the last message is about to be sent.
    """

    number: int
    client: int
    provider: str
    key: str
    model: str
    stream: bool
    begun: float
    pieces: int = 1
    content: float | None = None
    ended: float | None = None
    end: End | None = None
    status: int = 0
    hint: float | None = None
    refused: bool = False
    resets: bool = False
    said: bool = False
    tokens: int = 0
    watch: Watch | None = None


class Ears:
    """Who is told of calls; does nothing."""

    def begins(self, call: Call) -> None:
        """A call has reached the provider."""

    def content(self, call: Call) -> None:
        """The first content of its answer is about to be sent, or the end of a stream without any: the key works."""

    def ends(self, call: Call) -> None:
        """It is over: the last message is about to be sent, or nobody listens any more."""
