"""What is told of a part, what it carries, and the names of what is carried beside signatures."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.content import Reasoning
from ...universal.node import Opaque
from ...universal.request import Request, Turn

__all__ = ["DETAILS", "EXTRA", "ITEM", "answers_before", "item_payloads", "payloads_of", "said_of", "texts_of"]

ITEM: Final = "item_id"
_PHASE: Final = "phase"
DETAILS: Final = "reasoning_details"
"""The member of an OpenAI Chat message in which vendors sign or encrypt thoughts; as a payload, its JSON."""
EXTRA: Final = "extra_content"
"""The member of an OpenAI Chat call in which Google signs it; as a payload, its JSON."""


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
    roles = [turn.role for turn in request.turns]
    return sum(role == "assistant" and (not at or roles[at - 1] != role) for at, role in enumerate(roles))
