"""What a stream has shown so far: its items, and the parts that are open in them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import Citation, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.jsontext import JsonText
from ...universal.node import Opaque
from ...universal.request import Turn
from ..fields import Json

__all__ = ["Live", "Message"]


class Message:
    """A message item, open until its texts have ended and something else begins.

    Attributes:
        place: Where it stood in its own wire, ``""`` for one from elsewhere.
        index: Its place in the output.
        about: Its turn, without parts.
        content: Its content parts; None for those that are open.
        members: Members that it said late.
        left: Whether something else has begun.
    """

    __slots__ = ("about", "content", "index", "left", "members", "place")

    def __init__(self, place: str, index: int, about: Turn) -> None:
        self.place = place
        self.index = index
        self.about = about
        self.content: list[Json | None] = []
        self.members: Json = {}
        self.left = False


class Live:
    """An open part: its deltas are a number and a text between fixed pieces.

    Attributes:
        part: As it opened.
        path: Where it stands, for losses.
        about: The turn of its item, without parts.
        head: What each delta begins with, up to the event's number.
        texts: Its text so far.
        summaries: Its summaries so far.
        citations: Those that came.
        cited: How many of them the client has.
        opaque: Payloads.
        ext: Members that came late.
        message: The message that it stands in, if it does.
        at: Its place in the message.
        index: Its item's place in the output; -1: it has not begun.
        item: Its item's id.
        held: Whether it is said only at its end: the input of a custom tool that the upstream knows as a function.
    """

    __slots__ = (
        "about",
        "at",
        "citations",
        "cited",
        "ext",
        "head",
        "held",
        "index",
        "item",
        "message",
        "opaque",
        "part",
        "path",
        "summaries",
        "texts",
    )

    def __init__(self, part: Part, path: str, about: Turn) -> None:
        self.part = part
        self.path = path
        self.about = about
        self.head = b""
        self.texts: list[str] = []
        self.summaries: list[str] = []
        self.citations: list[Citation] = []
        self.cited = 0
        self.opaque: list[Opaque] = list(getattr(part, "opaque", ()))
        self.ext: Json = dict(getattr(part, "ext", UNSET) or {})
        self.message: Message | None = None
        self.at = 0
        self.index = -1
        self.item = ""
        self.held = False

    def whole(self) -> Part:
        """The part, complete."""
        text = "".join(self.texts)
        part = self.part
        changes: dict[str, Any] = {"ext": self.ext or UNSET}
        match part:
            case Text():
                citations = tuple(self.citations) if self.citations or part.citations is not UNSET else UNSET
                changes.update(text=text, citations=citations, opaque=tuple(self.opaque))
            case Refusal():
                changes.update(text=text)
            case Reasoning():
                told = text if self.texts or part.text is not UNSET else UNSET
                changes.update(text=told, summary=tuple(self.summaries), opaque=tuple(self.opaque))
            case ToolCall():
                changes.update(arguments=JsonText(text), opaque=tuple(self.opaque))
            case _:
                return part
        return replace(part, **changes)
