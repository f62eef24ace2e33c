"""What a request asks of a pool."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["ANYTHING", "Ask"]


class Ask(Struct, frozen=True, kw_only=True, gc=False):
    """What a request wants of the key that it gets.

    Attributes:
        model: The model that it names, or None when it names none.
        tried: Aliases of keys that failed for this request.
        tokens: How many tokens it may cost, reserved until its answer says better; 0 where nobody counts tokens.
        conversation: A digest of the conversation that it belongs to, so that turns of one conversation can meet the
            same key; None: none is known.
        caller: Who asks, as `asgi.facts.Caller` says; ``""``: nobody in particular.
        share: The caller's share of what is free, compared with other callers' (2.0: twice as much).
    """

    model: str | None = None
    tried: frozenset[str] = frozenset()
    tokens: int = 0
    conversation: str | None = None
    caller: str = ""
    share: float = 1.0


ANYTHING = Ask()
"""Names nothing, wants nothing."""
