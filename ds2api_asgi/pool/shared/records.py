"""How the health of keys is written where processes share it: names and one line of text for each lane.

    k:key-0c1f2a...          disabled 1764460800.25 -inf 17 1 refused -inf
    s:org<LF>claude-opus-5   cooling 1764374400.5 -inf 18 2 rate -inf

The name tells whose lane it is: a key's (``k:`` and its alias), a quota scope's (``s:`` and its label), or that of the
scope that a key without a label is alone in (``o:`` and its alias); a model follows after a line feed. ``p:`` and an
alias says that the key has served. Time is the ledger's. Texts can be read by whoever looks after a server by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import quote

from ..health import Event, KeyState, Lane
from ..keys import Key

__all__ = ["PROVEN", "lane_name", "lane_of", "owner_names", "pool_digest", "proven_name", "text_of"]

PROVEN = "served"
"""The text of the record of a key that has served."""


def owner_names(keys: Sequence[Key], scopes: Sequence[int]) -> dict[int, str]:
    """What the owners of lanes are called.

    Args:
        keys: The pool's.
        scopes: The owner number of each key's quota scope.
    """
    names = {index: f"k:{key.alias}" for index, key in enumerate(keys)}
    for key, scope in zip(keys, scopes, strict=True):
        label = key.quota_scope
        names[scope] = f"o:{key.alias}" if label is None else f"s:{quote(label, errors='surrogatepass')}"
    return names


def lane_name(owner: str, model: str | None) -> str:
    """What a lane is called."""
    return owner if model is None else f"{owner}\n{model}"


def proven_name(key: Key) -> str:
    """What the record is called that says that a key has served."""
    return f"p:{key.alias}"


def text_of(lane: Lane) -> str:
    """Write a lane down, all but its probe."""
    cause = "-" if lane.cause is None else lane.cause.value
    return (
        f"{lane.state.value} {lane.until!r} {lane.soft_until!r} {lane.changed} {lane.strikes} {cause} {lane.doubted!r}"
    )


def lane_of(text: str, probe: str) -> Lane:
    """Read a lane.

    Args:
        text: As `text_of` writes it; ``""``: a lane of which nothing is known.
        probe: The id of the lease that probes it, or ``""``.
    """
    if not text:
        return Lane()
    state, until, soft_until, changed, strikes, cause, doubted = text.split(" ")
    return Lane(
        state=KeyState(state),
        until=float(until),
        soft_until=float(soft_until),
        changed=int(changed),
        probe=int(probe) if probe else None,
        strikes=int(strikes),
        cause=None if cause == "-" else Event(cause),
        doubted=float(doubted),
    )


def pool_digest(keys: Sequence[Key]) -> str:
    """A name for a pool that has none: pools of other keys have another."""
    return hashlib.sha256("\n".join(sorted(key.alias for key in keys)).encode()).hexdigest()[:16]
