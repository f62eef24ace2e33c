"""One item of a stream: its deltas to events, and what its last word adds to them.

https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-23). Deltas count; the whole texts
that follow them only supply what was missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import UNSET

from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.events import Close, Delta, Event, Open, Set
from ...universal.request import Turn
from ..fields import Json
from .citations import decode_citation
from .items import decode_item
from .parts import decode_part
from .settle import COMPLETED, item_tags, tagged

__all__ = ["Item", "Piece"]


class Piece:
    """An open part.

    Attributes:
        key: Its number.
        part: As it opened.
        length: Code points of its text so far.
        citations: How many of them came.
        summaries: Code points of each summary.
    """

    __slots__ = ("citations", "key", "length", "part", "summaries")

    def __init__(self, key: int, part: Part) -> None:
        self.key = key
        self.part = part
        self.length = len(_text(part))
        self.citations = len(part.citations or ()) if isinstance(part, Text) else 0
        self.summaries = [len(text) for text in part.summary] if isinstance(part, Reasoning) else []


class Item:
    """One item in the making.

    Args:
        index: Its place.
        document: As it was added.
        keys: Numbers for parts, shared by all items of a stream.
        out: Takes the events of its beginning.

    Attributes:
        pieces: Its open parts by their place in it.
        closed: Whether its last word has come.
    """

    __slots__ = ("_index", "_keys", "_tags", "_turn", "closed", "pieces")

    def __init__(self, index: int, document: Json, keys: Iterator[int], out: list[Event]) -> None:
        self._index = index
        self._keys = keys
        self._turn = decode_item(document, "", strict=False)
        self._tags = item_tags(index, self._turn)
        self.pieces: dict[int, Piece] = {}
        self.closed = False
        parts = self._turn.parts
        if len(parts) == 1 and isinstance(parts[0], (ToolCall, Reasoning)):
            part = parts[0]
            # Its payload is known at its end only.
            self._open(0, Reasoning(ext=UNSET) if isinstance(part, Reasoning) else part, out)

    @property
    def calls(self) -> bool:
        """Whether it is a call of the client's tools."""
        return any(isinstance(part, ToolCall) for part in self._turn.parts)

    def _open(self, at: int, part: Part, out: list[Event]) -> Piece:
        piece = self.pieces[at] = Piece(next(self._keys), part)
        out.append(Open(piece.key, tagged(part, self._tags)))
        return piece

    def begin(self, at: int, document: Any, out: list[Event]) -> None:
        """A part of a message was added."""
        if at not in self.pieces and not self.closed:
            part = decode_part(document, "assistant", "", strict=False)
            if isinstance(part, (Text, Refusal)):
                self._open(at, part, out)

    def say(self, at: int, text: str, *, refused: bool, out: list[Event]) -> None:
        """More text of a part of a message, of a call's arguments or of a thought."""
        if self.closed:
            return
        piece = self.pieces.get(at)
        if piece is None:
            if not self._message:
                return
            piece = self._open(at, Refusal(text="") if refused else Text(text=""), out)
        piece.length += len(text)
        out.append(Delta(piece.key, text))

    @property
    def _message(self) -> bool:
        return not any(isinstance(part, (ToolCall, Reasoning, OpaquePart)) for part in self._turn.parts)

    def told(self, at: int, text: str, out: list[Event]) -> None:
        """The whole text of a part: give what of it did not come."""
        piece = self.pieces.get(at)
        if piece is not None and not self.closed:
            self._rest(piece, text, "text", piece.length, out)
            piece.length = max(piece.length, len(text))

    def _rest(self, piece: Piece, text: str, channel: Literal["text", "summary"], known: int, out: list[Event]) -> None:
        if len(text) > known:
            out.append(Delta(piece.key, text[known:], channel))

    def summary(self, at: int, text: str, out: list[Event], *, whole: bool = False) -> None:
        """More text of a summary of a thought, or all of it."""
        piece = self.pieces.get(0)
        if piece is None or self.closed or not isinstance(piece.part, Reasoning):
            return
        while len(piece.summaries) <= at:
            piece.summaries.append(0)
            out.append(Set(piece.key, "summary", ""))
        if whole:
            text = text[piece.summaries[at] :]
        if text and at == len(piece.summaries) - 1:  # one that has been followed by another is over
            piece.summaries[at] += len(text)
            out.append(Delta(piece.key, text, "summary"))

    def cite(self, at: int, annotation: Any, out: list[Event]) -> None:
        """A citation was added to a text."""
        piece = self.pieces.get(at)
        citation = decode_citation(annotation)
        if piece is not None and citation is not None and not self.closed and isinstance(piece.part, Text):
            piece.citations += 1
            out.append(Set(piece.key, "citation", citation))

    def finish(self, document: Any, out: list[Event]) -> None:
        """The item is complete: give what is new in it, and close its parts."""
        if self.closed:
            return
        turn = decode_item(document, "", strict=False)
        parts = dict(enumerate(turn.parts))
        if not self.pieces.keys() <= parts.keys():  # a server that counts its thoughts too: the order tells
            self.pieces = dict(enumerate(self.pieces.values()))
        for at in sorted({*self.pieces, *parts}):
            part, piece = parts.get(at), self.pieces.get(at)
            if piece is None:
                piece = self._open(at, part, out)  # type: ignore[arg-type]
            elif part is not None:
                self._reconcile(piece, part, out)
            if at == min({*self.pieces, *parts}) and not isinstance(part, OpaquePart):
                self._amend(piece, turn, out)
            out.append(Close(piece.key))
        self._turn = turn if turn.parts else self._turn
        self.closed = True

    def close(self, out: list[Event]) -> None:
        """The stream ends without a last word on this item."""
        if not self.closed:
            out += [Close(piece.key) for piece in self.pieces.values()]
            self.closed = True

    def _reconcile(self, piece: Piece, part: Part, out: list[Event]) -> None:
        self._rest(piece, _text(part), "text", piece.length, out)
        if isinstance(part, Text) and part.citations:
            out += [Set(piece.key, "citation", citation) for citation in part.citations[piece.citations :]]
        if isinstance(part, Reasoning) and isinstance(piece.part, Reasoning):
            for at, text in enumerate(part.summary):
                self.summary(at, text, out, whole=True)
            out += [Set(piece.key, "opaque", payload) for payload in part.opaque]
        before, after = getattr(piece.part, "ext", UNSET) or {}, getattr(part, "ext", UNSET) or {}
        news = {key: value for key, value in after.items() if key not in before or before[key] != value}
        if news:
            out.append(Set(piece.key, "ext", news))

    def _amend(self, piece: Piece, turn: Turn, out: list[Event]) -> None:
        """What the item says of itself beside its parts, and did not say when it was added."""
        members: Json = {
            key: value for key, value in (turn.ext or {}).items() if (self._turn.ext or {}).get(key, UNSET) != value
        }
        if turn.status != (COMPLETED if "status" in self._tags else UNSET):
            members["status"] = turn.status or None
        if turn.phase != self._turn.phase:
            members["phase"] = turn.phase or None
        if members:
            out.append(Set(piece.key, "ext", {"": members}))


def _text(part: Part) -> str:
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case ToolCall():
            return part.arguments.text
        case Reasoning():
            return part.text or ""
        case _:
            return ""
