"""Thoughts whose payload clients of this protocol carry, and payloads that vendors of it have beside a message.

An answer's thought that another protocol signed or encrypted must come back to its minter unchanged, and the protocol
has no member for it. We use OpenRouter's (https://openrouter.ai/docs/use-cases/reasoning-tokens, read 2026-11-23),
which official SDKs echo::

    "reasoning_details": [
      {"type": "reasoning.text", "text": "…", "signature": "ds2.1.…", "format": "ds2", "index": 0},
      {"type": "reasoning.encrypted", "data": "ds2.1.…", "format": "ds2", "index": 1}
    ]

The text stands in ``reasoning_content`` too. Only details in our own format are read back; those of others stay in
``ext`` and go to nobody else. A call's capsule stands where Google's signature does, ``extra_content``, as well
(https://ai.google.dev/gemini-api/docs/openai, read 2026-11-28).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import Reasoning
from ...universal.jsontext import loads
from ...universal.node import Opaque
from .profile import NAME

__all__ = [
    "DETAILS",
    "EXTRA",
    "decode_detail",
    "decode_details",
    "encode_detail",
    "encode_extra",
    "foreign_payloads",
    "joined_details",
    "vendors",
]

_FORMAT: Final = "ds2"
DETAILS: Final = "reasoning_details"
"""The member of a message; as a payload that comes back to its vendor, its JSON."""
EXTRA: Final = "extra_content"
"""The member of a call; as a payload that comes back to its vendor, its JSON."""


def decode_detail(detail: Any) -> Reasoning | None:
    """One detail to the thought that it is; None when it is not in our format."""
    text: str | UnsetType
    match detail:
        case {"type": "reasoning.text", "text": str(told), "signature": str(value), "format": "ds2"}:
            text, kind = told, "signature"
        case {"type": "reasoning.encrypted", "data": str(value), "format": "ds2"}:
            text, kind = UNSET, "redacted"
        case _:
            return None
    return Reasoning(text=text, opaque=(Opaque(kind=kind, value=value, protocol=NAME),))


def encode_detail(part: Reasoning, index: int) -> dict[str, Any] | None:
    """A thought as a detail; None when it has no payload of this protocol, or one of another shape."""
    if len(part.opaque) != 1 or part.summary:
        return None
    payload = part.opaque[0]
    if payload.protocol != NAME:
        return None
    if payload.kind == "signature" and part.text is not UNSET:
        return {
            "type": "reasoning.text",
            "text": part.text,
            "signature": payload.value,
            "format": _FORMAT,
            "index": index,
        }
    if payload.kind == "redacted" and part.text is UNSET:
        return {"type": "reasoning.encrypted", "data": payload.value, "format": _FORMAT, "index": index}
    return None


def joined_details(details: list[Any], more: list[Any]) -> list[Any]:
    """The details of two messages that become one; ours count on."""
    return [
        *details,
        *(
            {**detail, "index": index} if type(detail) is dict and detail.get("format") == _FORMAT else detail
            for index, detail in enumerate(more, len(details))
        ),
    ]


def encode_extra(payloads: tuple[Opaque, ...]) -> dict[str, Any] | None:
    """The ``extra_content`` of a call that payloads of this protocol are; None when there are none."""
    for payload in payloads:
        if payload.protocol == NAME and payload.kind == "thought_signature":
            return {"google": {"thought_signature": payload.value}}
    found = vendors(payloads, EXTRA)
    return found if type(found) is dict else None


def vendors(payloads: tuple[Opaque, ...], kind: str) -> Any:
    """The member that a vendor gave, from the payload that it was; None when there is none."""
    for payload in payloads:
        if payload.protocol == NAME and payload.kind == kind:
            try:
                return loads(payload.value)
            except InvalidDocument:
                return None
    return None


def foreign_payloads(payloads: tuple[Opaque, ...]) -> tuple[Opaque, ...]:
    """Those that have no place here."""
    kinds = (DETAILS, EXTRA, "thought_signature")
    return tuple(each for each in payloads if each.protocol != NAME or each.kind not in kinds)


def decode_details(details: Any, text: Any) -> list[Reasoning] | None:
    """A message's details to thoughts, if they say the same as its ``reasoning_content``.

    Args:
        details: The member ``reasoning_details``.
        text: The member ``reasoning_content``; UNSET when there is none.

    Returns:
        The thoughts, or None when writing them back would give something else: then both members stay as they are.
    """
    if type(details) is not list or not details:
        return None
    thoughts: list[Reasoning] = []
    for index, detail in enumerate(details):
        thought = decode_detail(detail)
        if thought is None or encode_detail(thought, index) != detail:
            return None
        thoughts.append(thought)
    told = "".join(thought.text for thought in thoughts if thought.text is not UNSET)
    return thoughts if (told or UNSET) == text else None
