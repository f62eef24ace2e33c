"""The usual request and the usual answer, flat: a conversation of plain texts, and one text for an answer.

Most requests of most clients say no more than this, and so do their answers. A protocol may read and write these
without a tree and without a document (`protocols.plain`); what says anything else is none of these, and goes the way
that knows everything.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from .response import Usage

__all__ = [
    "PlainAnswer",
    "PlainBound",
    "PlainRequest",
    "PlainStops",
    "PlainText",
    "PlainTexts",
    "PlainTier",
    "PlainTurn",
    "PlainTurns",
    "is_blank",
]

PlainBound: TypeAlias = Annotated[int, Meta(gt=0)]
"""A bound of tokens; a zero may have been ``-0``, which is not the same text."""


PlainTier: TypeAlias = Annotated[str, Meta(max_length=40)]
"""A service tier; servers choose the word, and it is remembered."""


class PlainText(Struct, forbid_unknown_fields=True, gc=False):
    """A text among others.

    Attributes:
        type: ``"text"``.
        text: The text.
    """

    type: Literal["text"]
    text: str


PlainTexts: TypeAlias = Annotated[list[PlainText], Meta(min_length=1)]


class PlainTurn(Struct, forbid_unknown_fields=True, gc=False):
    """A message of nothing but texts.

    Attributes:
        role: Who speaks.
        content: One text, or a list of at least one.
    """

    role: Literal["system", "user", "assistant"]
    content: str | PlainTexts


PlainTurns: TypeAlias = Annotated[list[PlainTurn], Meta(min_length=1)]
PlainStops: TypeAlias = Annotated[list[str], Meta(min_length=1)]


class PlainRequest(Struct, kw_only=True, gc=False):
    """What is asked for in one piece; a member that the client left out is UNSET.

    Attributes:
        model: The model's name.
        turns: The conversation, at least one turn; the system prompt is the first.
        stream: Whether the client said that it wants no stream.
        max_output_tokens: Bound of the answer.
        temperature: A number, spelled as it was.
        top_p: A number, spelled as it was.
        stop: Stop sequences, at least one.
        user: Who asks.
    """

    model: str
    turns: PlainTurns
    stream: bool | UnsetType = UNSET
    max_output_tokens: PlainBound | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    stop: PlainStops | UnsetType = UNSET
    user: str | UnsetType = UNSET


class PlainAnswer(Struct, kw_only=True, gc=False):
    """One text that is complete, or was cut at the bound of tokens.

    Attributes:
        id: The answer's id, not empty.
        model: The model that answered.
        created: Unix time in seconds; UNSET where the protocol states none.
        text: What was said.
        cited: Whether the text had a list of citations, which was empty.
        cut: Whether it ended at the bound.
        usage: What it cost; both totals are known, and no other sum.
        service_tier: The tier that served it.
        ext: Members of the document that only its own protocol knows, in their order.
        text_ext: The same of what holds the text, and why it ended.
        usage_ext: The same of its usage.
    """

    id: str
    model: str
    created: int | UnsetType = UNSET
    text: str
    cited: bool = False
    cut: bool
    usage: Usage
    service_tier: PlainTier | UnsetType = UNSET
    ext: tuple[str, ...] = ()
    text_ext: tuple[str, ...] = ()
    usage_ext: tuple[str, ...] = ()


def is_blank(content: str | PlainTexts) -> bool:
    """Whether one of the texts has no visible character."""
    if isinstance(content, str):
        return not content or content.isspace()
    return any(not each.text or each.text.isspace() for each in content)
