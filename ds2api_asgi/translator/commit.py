"""The commit point of a stream: the first event that says something of the answer itself."""

from __future__ import annotations

from ..universal.content import Reasoning, Refusal, Text
from ..universal.events import Delta, End, Event, Open, Set, StopEvent

__all__ = ["says_content"]


def says_content(event: Event) -> bool:
    """Whether this is the commit point: a failure after it is one in the middle of an answer.

    The start, keep-alives, usage and an empty text that opens are not.
    """
    match event:
        case Delta(text=text):
            return bool(text)
        case Open(part=Text(text=text) | Refusal(text=text)):
            return bool(text)
        case Open(part=Reasoning() as part):
            return bool(part.text or part.summary or part.opaque)
        case Open() | Set() | StopEvent() | End():
            return True
        case _:
            return False
