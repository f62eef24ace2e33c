"""`Splitter`: the parts that one text falls into; the same rules for whole answers and for streams.

What the text carried beside its words (`ext`, a cache mark) stays on its first piece; what is set on it (payloads,
summaries) comes on its last, at the end. Where no piece is there to carry them, an empty one is made.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import Part, Reasoning, Text, ToolCall
from ...universal.events import Close, Delta, Event, Open, Set
from ...universal.jsontext import JsonText
from .pieces import Arguments, Called, Done, Piece, Said
from .sieve import Sieve

__all__ = ["Keys", "Splitter", "searched"]


def searched(part: Part, *, reasoning: bool) -> str | None:
    """The text of a part that may have calls in it; None for any other.

    Texts with citations have none: these count from the text's start.
    """
    match part:
        case Text() if not part.citations:
            return part.text
        case Reasoning() if reasoning and part.text is not UNSET:
            return part.text
        case _:
            return None


def _carries(part: Part) -> bool:
    """Whether a text without words would still say something: a null says nothing, and neither does its spelling."""
    marked = isinstance(part, Text) and part.cache is not UNSET
    ext = part.ext if isinstance(part, (Text, Reasoning)) else UNSET
    return marked or (ext is not UNSET and any(value is not None for value in ext.values()))


class Keys:
    """Numbers parts, in the order in which they open."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def new(self) -> int:
        """The next number."""
        self._next += 1
        return self._next - 1


class Splitter:
    """One text of a source, and the part that is open for it now.

    Args:
        part: The text, as its source opened it.
        choice: Its candidate.
        sieve: A fresh one.
        keys: Of the stream.

    Attributes:
        choice: As given.
    """

    __slots__ = ("_bare", "_key", "_keys", "_made", "_part", "_sets", "_sieve", "_talking", "choice")

    def __init__(self, part: Text | Reasoning, choice: int, sieve: Sieve, keys: Keys) -> None:
        self.choice = choice
        self._sieve = sieve
        self._keys = keys
        self._sets: list[Set | Delta] = []
        # A list of citations that was empty is so for each piece: some protocols demand one.
        self._bare: Part = Text(text="", citations=part.citations) if isinstance(part, Text) else Reasoning(text="")
        if isinstance(part, Reasoning):
            self._sets += [Set(0, "summary", summary) for summary in part.summary]
            part = replace(part, summary=())
        self._sets += [Set(0, "opaque", opaque) for opaque in part.opaque]
        self._part: Part = replace(part, text="", opaque=())
        self._key = -1
        self._talking = False  # the open part is text, not a call
        self._made = 0

    def feed(self, text: str, out: list[Event]) -> None:
        """More of its text."""
        self._say(self._sieve.feed(text), out)

    def set(self, event: Set | Delta) -> None:
        """What is said of it beside its text."""
        self._sets.append(event)

    def close(self, out: list[Event]) -> None:
        """It is complete."""
        self._say(self._sieve.close(), out)
        self._finish(out)

    def cut(self, out: list[Event]) -> None:
        """It broke off; what was held back is text. The part stays open, as it was in the source."""
        self._say(self._sieve.cut(), out)

    def _finish(self, out: list[Event]) -> None:
        if not self._talking and (self._sets or not self._made or _carries(self._part)):
            self._talk(out)
        for event in self._sets:
            match event:
                case Set():
                    out.append(Set(self._key, event.field, event.value))
                case _:
                    out.append(Delta(self._key, event.text, event.channel))
        self._end(out)

    def _say(self, pieces: list[Piece], out: list[Event]) -> None:
        for piece in pieces:
            match piece:
                case Said():
                    if not self._talking:
                        self._talk(out)
                    out.append(Delta(self._key, piece.text))
                case Called():
                    self._end(out)
                    tool = piece.tool
                    self._open(ToolCall(id=piece.id, name=tool.name, arguments=JsonText(""), kind=tool.kind), out)
                case Arguments():
                    out.append(Delta(self._key, piece.text))
                case Done():
                    self._end(out)

    def _talk(self, out: list[Event]) -> None:
        self._open(self._part, out)
        self._part = self._bare
        self._talking = True

    def _open(self, part: Part, out: list[Event]) -> None:
        self._key = self._keys.new()
        self._made += 1
        out.append(Open(self._key, part, self.choice))

    def _end(self, out: list[Event]) -> None:
        if self._key >= 0:
            out.append(Close(self._key))
        self._key = -1
        self._talking = False
