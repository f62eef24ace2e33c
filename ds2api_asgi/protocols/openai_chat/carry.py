"""Reasoning that only its minter can read, carried by clients of this protocol.

An answer's thought that another protocol signed or encrypted must come back to its minter unchanged, and the protocol
has no member for it. We use OpenRouter's (https://openrouter.ai/docs/use-cases/reasoning-tokens, read 2026-11-23),
which official SDKs echo::

    "reasoning_details": [
      {"type": "reasoning.text", "text": "…", "signature": "…", "format": "ds2.1.anthropic", "index": 0},
      {"type": "reasoning.encrypted", "data": "…", "format": "ds2.1.anthropic", "index": 1},
      {"type": "reasoning.encrypted", "data": "…", "text": "…", "format": "ds2.1.{protocol}.{kind}", "index": 2}
    ]

The text stands in ``reasoning_content`` too. Only details in our own format are read back; those of others stay in
``ext`` and go to nobody else.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...universal.content import Reasoning
from ...universal.node import Opaque

__all__ = ["decode_detail", "decode_details", "encode_detail", "text_of"]

_FORMAT: Final = "ds2.1."


def decode_detail(detail: Any) -> Reasoning | None:
    """One detail to the thought that it is; None when it is not in our format."""
    text: str | UnsetType
    match detail:
        case {"type": "reasoning.text", "text": str(told), "signature": str(value), "format": str(named)}:
            text, kind = told, "signature"
        case {"type": "reasoning.encrypted", "data": str(value), "format": str(named)}:
            text, kind = UNSET, "redacted"
        case _:
            return None
    if not named.startswith(_FORMAT):
        return None
    protocol, dot, said = named[len(_FORMAT) :].partition(".")
    if dot:
        text, kind = detail.get("text", UNSET), said
        if text is not UNSET and type(text) is not str:
            return None
    return Reasoning(text=text, opaque=(Opaque(kind=kind, value=value, protocol=protocol),))


def encode_detail(part: Reasoning, index: int) -> dict[str, Any] | None:
    """A thought as a detail; None when it has no payload, or one of another shape."""
    if len(part.opaque) != 1:
        return None
    payload = part.opaque[0]
    named = _FORMAT + payload.protocol
    if payload.kind not in ("signature", "redacted"):
        told = text_of(part)
        text = {"text": told} if told else {}
        data = {"type": "reasoning.encrypted", "data": payload.value, **text}
        return {**data, "format": f"{named}.{payload.kind}", "index": index}
    if part.summary:
        return None
    if payload.kind == "signature" and part.text is not UNSET:
        return {
            "type": "reasoning.text",
            "text": part.text,
            "signature": payload.value,
            "format": named,
            "index": index,
        }
    if payload.kind == "redacted" and part.text is UNSET:
        return {"type": "reasoning.encrypted", "data": payload.value, "format": named, "index": index}
    return None


def text_of(part: Reasoning) -> str:
    """All that can be read of a thought, as ``reasoning_content`` has it."""
    return "".join(part.summary) + (part.text or "")


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
