"""What a stream has shown so far: its choices, and the parts that are open in them."""

from __future__ import annotations

from ...universal.content import Citation, Part
from ...universal.node import Opaque

__all__ = ["Live", "Shown"]


class Shown:
    """What the client has seen of a choice.

    Attributes:
        parts: How many parts opened.
        calls: How many of them are calls.
        details: How many details of reasoning were given to it.
        length: Code points of content, where the next part's citations begin to count.
        refused: Whether the model declined in words.
    """

    __slots__ = ("calls", "details", "length", "parts", "refused")

    def __init__(self) -> None:
        self.parts = 0
        self.calls = 0
        self.details = 0
        self.length = 0
        self.refused = False


class Live:
    """An open part: its deltas are a text between two fixed pieces.

    Attributes:
        part: As it opened.
        choice: The choice that it is in.
        path: Where it stands, for losses.
        head: What each chunk of it begins with, up to the text.
        tail: What each ends with.
        length: Code points that came so far.
        number: A call's index.
        start: Code points of content before it in its message.
        told: Its text, where that is needed again at the end.
        held: Whether it is said only then: the input of a custom tool.
        opaque: Payloads, said at the end.
        citations: Said at the end.
    """

    __slots__ = (
        "choice",
        "citations",
        "head",
        "held",
        "length",
        "number",
        "opaque",
        "part",
        "path",
        "start",
        "tail",
        "told",
    )

    def __init__(self, part: Part, choice: int, path: str, *, start: int = 0) -> None:
        self.part = part
        self.choice = choice
        self.path = path
        self.head = b""
        self.tail = b""
        self.length = 0
        self.number = 0
        self.start = start
        self.told: list[str] | None = None
        self.held = False
        self.opaque: list[Opaque] = []
        self.citations: list[Citation] = []
