"""What a text with calls in it falls into: `Said` for its text; `Called`, `Arguments` and `Done` for a call."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from ...universal.request import FunctionTool

__all__ = ["Arguments", "Called", "Done", "Piece", "Said"]


class Said(Struct, frozen=True):
    """Text that is no call; never empty."""

    text: str


class Called(Struct, frozen=True):
    """A call begins.

    Attributes:
        tool: What is called.
        id: The call's id.
    """

    tool: FunctionTool
    id: str


class Arguments(Struct, frozen=True):
    """More of its arguments: JSON text, or a custom tool's free text; never empty."""

    text: str


class Done(Struct, frozen=True):
    """The call is complete; not ``whole`` if its text broke off behind what was said already (`eager` only)."""

    whole: bool = True


Piece: TypeAlias = Said | Called | Arguments | Done
