"""What every node of the universal format has."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

__all__ = ["Node", "Opaque", "Origin"]


class Node(Struct, frozen=True, kw_only=True):
    """A node: immutable; changed with `msgspec.structs.replace`.

    Attributes:
        ext: Members of the home protocol that the universal format has no place for, verbatim: unknown ones, and
            known ones whose value was null. Only an encoder of the home protocol writes them back; any other reports
            each as a loss (a null is none).
        form: Spelling choices of the home protocol that carry no meaning, as sorted tags
            (``("content:string", "max_tokens")``). Encoders of other protocols may ignore them.
    """

    ext: dict[str, Any] | UnsetType = UNSET
    form: tuple[str, ...] = ()


class Origin(Struct, frozen=True, kw_only=True):
    """Where a document came from.

    Attributes:
        protocol: ``"anthropic"``: whose ``ext`` and ``form`` the nodes carry.
        dialect: ``"2023-06-01"``; ``""`` where the protocol has only one.
    """

    protocol: str
    dialect: str = ""


class Opaque(Struct, frozen=True, kw_only=True):
    """A payload that only the party that minted it can read; returned to it unchanged, shown to no other.

    Attributes:
        kind: ``"signature"``, ``"encrypted"``, ``"redacted"``, ``"item_id"``, ``"phase"``, ``"thought_signature"`` …
        value: The payload.
        protocol: The protocol it was minted in.
        position: Where it stood: ``"on"`` its part, ``"before"`` or ``"after"`` it as a carrier of its own.
        origin: Which upstream of that protocol minted it, as `capsule.Minter.token` has it; ``""``: the document does
            not say.
    """

    kind: str
    value: str
    protocol: str
    position: str = "on"
    origin: str = ""
