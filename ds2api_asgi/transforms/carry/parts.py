"""What is told of a part, what it carries, and the names of what is carried beside signatures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import UNSET

from ...universal.content import Reasoning, Text, ToolCall
from ...universal.node import Opaque
from ...universal.request import Request, Turn
from ...universal.response import Response

__all__ = [
    "DETAILS",
    "EXTRA",
    "ITEM",
    "answers_before",
    "is_plain",
    "item_payloads",
    "may_carry",
    "payloads_of",
    "said_of",
    "texts_of",
]

ITEM: Final = "item_id"
_PHASE: Final = "phase"
DETAILS: Final = "reasoning_details"
"""The member of an OpenAI Chat message in which vendors sign or encrypt thoughts; as a payload, its JSON."""
EXTRA: Final = "extra_content"
"""The member of an OpenAI Chat call in which Google signs it; as a payload, its JSON."""


def may_carry(turns: Iterable[Turn]) -> bool:
    """Whether there may be payloads or capsules in turns: most have none, and are not looked at any closer."""
    for turn in turns:
        if turn.ext is not UNSET and DETAILS in turn.ext:
            return True
        for part in turn.parts:
            if getattr(part, "opaque", ()) or (type(part) is ToolCall and part.ext is not UNSET and EXTRA in part.ext):
                return True
    return False


def is_plain(response: Response) -> bool:
    """Whether an answer says one text and nothing else, as most do: nothing of it needs to be carried."""
    for candidate in response.candidates:
        if len(candidate.turns) != 1:
            return False
        (turn,) = candidate.turns
        if len(turn.parts) != 1 or type(part := turn.parts[0]) is not Text or part.opaque:
            return False
        if not (UNSET is turn.ext is turn.id is turn.phase):
            return False
    return True


def texts_of(part: Reasoning) -> list[str]:
    """All that a thought tells, in order."""
    return [*part.summary, *(() if part.text is UNSET else (part.text,))]


def payloads_of(part: Any) -> tuple[Opaque, ...]:
    """The payloads on a part; those that can have none have none."""
    found: tuple[Opaque, ...] = getattr(part, "opaque", ())
    return found


def said_of(part: Any) -> str:
    """All that a thought or text tells, as one."""
    return "".join(texts_of(part)) if isinstance(part, Reasoning) else str(part.text)


def item_payloads(turn: Turn) -> tuple[Opaque, ...]:
    """What an item of OpenAI Responses says of itself that its next request must repeat."""
    found = ((ITEM, turn.id), (_PHASE, turn.phase))
    return tuple(Opaque(kind=kind, value=value, protocol="") for kind, value in found if value is not UNSET)


def answers_before(request: Request | Any) -> int:
    """How many answers the conversation has: each run of an assistant's turns is one."""
    if request is UNSET:
        return 0
    answers, before = 0, ""
    for turn in request.turns:
        answers += turn.role == "assistant" != before
        before = turn.role
    return answers
