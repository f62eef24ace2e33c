"""Capsules: a payload that only its minter can read, in a slot of a protocol that has one for payloads of its own.

A client puts the slot's string back into its history unchanged, whoever minted what is in it. So that no other party
is ever asked to read it, the string says whose it is::

    ds2.1.anthropic.signature.EqQBCgIYAhIM…
    ds2.1.{protocol}.{kind}.{value}

A payload in the slot of its own protocol stands there bare.
"""

from __future__ import annotations

from typing import Final

from ..universal.node import Opaque

__all__ = ["seal", "unseal"]

_MARK: Final = "ds2.1."
_PIECES: Final = 3


def seal(payload: Opaque, *, protocol: str) -> str:
    """The string that carries a payload in a slot of this protocol."""
    if payload.protocol == protocol:
        return payload.value
    return f"{_MARK}{payload.protocol}.{payload.kind}.{payload.value}"


def unseal(slot: str, *, kind: str, protocol: str) -> Opaque:
    """The payload in a slot of this protocol.

    Args:
        slot: The string.
        kind: What a payload of the protocol's own is there.
        protocol: Whose slot it is.
    """
    if slot.startswith(_MARK):
        pieces = slot[len(_MARK) :].split(".", _PIECES - 1)
        if len(pieces) == _PIECES and all(pieces) and pieces[0] != protocol:
            return Opaque(kind=pieces[1], value=pieces[2], protocol=pieces[0])
    return Opaque(kind=kind, value=slot, protocol=protocol)
