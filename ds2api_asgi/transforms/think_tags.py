"""`ThinkTags`: thoughts that a model prints, ``<think>…</think>`` at the start of a text, as reasoning and back.

Only a tag at the start of a text (white space before it is dropped) opens a thought: one in the midst of prose or code
stays text. A thought that is never closed goes on to the end of its text. What is no tag goes out byte for byte, and
a stream is held back only as long as it could still be the beginning of one. Texts with citations stay as they are,
since these count from the text's start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from ..universal.content import Part, Reasoning, Text
from ..universal.events import Close, Delta, Event, Open, Set
from ..universal.loss import Loss, LossKind, Severity
from ..universal.request import Request, Turn
from ..universal.response import Candidate, Response

__all__ = ["BegunThinkTags", "ThinkStream", "ThinkTags"]

_MAX_BLANK: Final = 64
"""White space before a tag that is waited through; a text that begins with more has no tag."""


class ThinkTags:
    """A transform: reasoning as text in what the model reads, text as reasoning in what it wrote.

    Args:
        opening: What a thought begins with.
        closing: What it ends with.
        inside: Whether answers begin inside a thought, since the model's template has printed the opening already.
    """

    __slots__ = ("_closing", "_inside", "_opening")

    def __init__(self, opening: str = "<think>", closing: str = "</think>", *, inside: bool = False) -> None:
        self._opening = opening
        self._closing = closing
        self._inside = inside

    def begin(self, request: Request) -> BegunThinkTags:
        """One request; its answer needs to know nothing of it."""
        return BegunThinkTags(self, self.request(request), tuple(self._losses(request)))

    def request(self, request: Request) -> Request:
        """The request with the thoughts of the assistant's turns as text; those without a text stay.

        A thought that is a turn of its own, as protocols of items have it, stands before the text of the next turn.
        """
        turns: list[Turn] = []
        said = ""
        for turn in request.turns:
            if said and not _begins_with_text(turn):
                turns.append(Turn(role="assistant", parts=(Text(text=said),)))
                said = ""
            if turn.role == "assistant" and turn.parts and all(map(self._tells, turn.parts)):
                said += self._words(turn.parts)
            else:
                turns.append(self._told(turn, said))
                said = ""
        if said:
            turns.append(Turn(role="assistant", parts=(Text(text=said),)))
        return replace(request, turns=tuple(turns))

    def _words(self, parts: Iterable[Part]) -> str:
        return "".join(f"{self._opening}{part.text}{self._closing}" for part in parts if isinstance(part, Reasoning))

    def _told(self, turn: Turn, said: str) -> Turn:
        if turn.role != "assistant" or not (said or any(map(self._tells, turn.parts))):
            return turn
        parts: list[Part] = []
        for part in turn.parts:
            if self._tells(part):
                said += self._words((part,))
                continue
            if said and isinstance(part, Text) and not part.citations:
                parts.append(replace(part, text=said + part.text))
            else:
                parts += [*([Text(text=said)] if said else ()), part]
            said = ""
        if said:
            parts.append(Text(text=said))
        texts = any(isinstance(part, Text) for part in turn.parts)
        # The id of an item that was a thought, or a call, is none of a text's.
        return replace(turn, parts=tuple(parts)) if texts else replace(turn, parts=tuple(parts), id=UNSET, status=UNSET)

    def _tells(self, part: Part) -> bool:
        """Whether a part becomes text."""
        return isinstance(part, Reasoning) and part.text is not UNSET and self._closing not in part.text

    def _losses(self, request: Request) -> Iterable[Loss]:
        for index, turn in enumerate(request.turns):
            for at, part in enumerate(turn.parts if turn.role == "assistant" else ()):
                for name in ("summary", "opaque"):
                    if self._tells(part) and getattr(part, name):
                        yield Loss(
                            path=f"turns[{index}].parts[{at}].{name}",
                            kind=LossKind.DROPPED,
                            severity=Severity.DEGRADED,
                            reason="a thought in a text is nothing but its words",
                        )

    def response(self, response: Response) -> Response:
        """The answer with the thoughts in its texts as reasoning."""
        return replace(response, candidates=tuple(map(self._candidate, response.candidates)))

    def _candidate(self, candidate: Candidate) -> Candidate:
        turns = (
            replace(turn, parts=tuple(piece for part in turn.parts for piece in self._split(part)))
            for turn in candidate.turns
        )
        return replace(candidate, turns=tuple(turns))

    def _split(self, part: Part) -> list[Part]:
        if not isinstance(part, Text) or part.citations:
            return [part]
        cutter = self._cutter()
        texts: dict[bool, list[str]] = {True: [], False: []}
        for thought, piece in (*cutter.feed(part.text), *cutter.close()):
            texts[thought].append(piece)
        thoughts: list[Part] = [Reasoning(text="".join(texts[True]))] if texts[True] else []
        said = "".join(texts[False])
        return [*thoughts, replace(part, text=said)] if said or not thoughts else thoughts

    def _cutter(self) -> _Cutter:
        return _Cutter(self._opening, self._closing, inside=self._inside)

    def stream(self) -> ThinkStream:
        """What does the same to one stream."""
        return ThinkStream(self._opening, self._closing, inside=self._inside)


def _begins_with_text(turn: Turn) -> bool:
    """Whether a thought can stand at the start of a turn: in its text, or before thoughts that do."""
    if turn.role != "assistant":
        return False
    first = next((part for part in turn.parts if not isinstance(part, Reasoning)), None)
    return first is None or (isinstance(first, Text) and not first.citations)


class BegunThinkTags:
    """One request's way through `ThinkTags`; see `base.Begun`.

    Attributes:
        request: The request with thoughts as text.
        losses: Payloads and summaries of thoughts that became text.
    """

    __slots__ = ("_tags", "losses", "request")

    def __init__(self, tags: ThinkTags, request: Request, losses: Sequence[Loss]) -> None:
        self.request = request
        self.losses = losses
        self._tags = tags

    def response(self, response: Response) -> Response:
        """See `ThinkTags.response`."""
        return self._tags.response(response)

    def stream(self) -> ThinkStream:
        """See `ThinkTags.stream`."""
        return self._tags.stream()


class _Cutter:
    """Cuts one text, given in pieces, into its thought and the rest."""

    __slots__ = ("_closing", "_held", "_opening", "_state")

    def __init__(self, opening: str, closing: str, *, inside: bool) -> None:
        self._opening = opening
        self._closing = closing
        self._state = "thought" if inside else "start"
        self._held = ""

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Pieces that are certain: whether each is thought, and what it says; none is empty."""
        out: list[tuple[bool, str]] = []
        text = self._held + text
        self._held = ""
        if self._state == "start":
            text = self._start(text)
        if self._state == "thought":
            text = self._thought(text, out)
        if self._state == "rest" and text:
            out.append((False, text))
        return out

    def _start(self, text: str) -> str:
        begun = text.lstrip()
        blank = len(text) - len(begun)
        if blank <= _MAX_BLANK:
            if begun.startswith(self._opening):
                self._state = "thought"
                return begun[len(self._opening) :]
            if self._opening.startswith(begun):
                self._held = text
                return ""
        self._state = "rest"
        return text

    def _thought(self, text: str, out: list[tuple[bool, str]]) -> str:
        said, closed, rest = text.partition(self._closing)
        if closed:
            self._state = "rest"
        else:
            size = next(n for n in range(min(len(self._closing) - 1, len(said)), -1, -1) if self._may_close(said, n))
            self._held = said[len(said) - size :]
            said = said[: len(said) - size]
        if said:
            out.append((True, said))
        return rest

    def _may_close(self, text: str, size: int) -> bool:
        return text.endswith(self._closing[:size])

    def close(self) -> list[tuple[bool, str]]:
        """What was held back."""
        held, self._held = self._held, ""
        return [(self._state == "thought", held)] if held else []


class _OpenText:
    """A text of the source: what it is cut with, and the part that is open for it now."""

    __slots__ = ("choice", "cutter", "key", "part", "thought")

    def __init__(self, part: Text, choice: int, cutter: _Cutter) -> None:
        self.part = part
        self.choice = choice
        self.cutter = cutter
        self.key = -1
        self.thought = False


class ThinkStream:
    """One stream; any cut of its texts gives the same answer.

    Args:
        opening: See `ThinkTags`, likewise the others.
        closing: See there.
        inside: See there.
    """

    __slots__ = ("_closing", "_inside", "_keys", "_next", "_opening", "_texts")

    def __init__(self, opening: str, closing: str, *, inside: bool) -> None:
        self._opening = opening
        self._closing = closing
        self._inside = inside
        self._texts: dict[int, _OpenText] = {}
        self._keys: dict[int, int] = {}  # keys of other parts: the source's to ours
        self._next = 0

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """The events that these make certain."""
        out: list[Event] = []
        for event in events:
            match event:
                case Delta(key=key, text=said) if key in self._texts:
                    text = self._texts[key]
                    self._say(text, text.cutter.feed(said), out)
                case Delta():
                    out.append(Delta(self._keys[event.key], event.text, event.channel))
                case Open(part=Text() as part) if not part.citations:
                    text = _OpenText(
                        replace(part, text=""),
                        event.choice,
                        _Cutter(self._opening, self._closing, inside=self._inside),
                    )
                    self._texts[event.key] = text
                    self._say(text, text.cutter.feed(part.text), out)
                case Open():
                    self._keys[event.key] = self._next
                    out.append(Open(self._next, event.part, event.choice))
                    self._next += 1
                case Set():
                    out.append(Set(self._settled(event.key, out), event.field, event.value))
                case Close(key=key) if key in self._texts:
                    self._close(self._texts.pop(key), out)
                case Close(key=key):
                    out.append(Close(self._keys[key]))
                case _:
                    out.append(event)
        return out

    def _say(self, text: _OpenText, pieces: list[tuple[bool, str]], out: list[Event]) -> None:
        for thought, piece in pieces:
            if text.key < 0 or text.thought is not thought:
                self._begin(text, out, thought=thought)
            out.append(Delta(text.key, piece))

    def _begin(self, text: _OpenText, out: list[Event], *, thought: bool) -> None:
        if text.key >= 0:
            out.append(Close(text.key))
        text.key, text.thought = self._next, thought
        self._next += 1
        out.append(Open(text.key, Reasoning(text="") if thought else text.part, text.choice))

    def _settled(self, key: int, out: list[Event]) -> int:
        """Our key of a part; what is said of a text is said of what follows its thought."""
        text = self._texts.get(key)
        if text is None:
            return self._keys[key]
        self._say(text, text.cutter.close(), out)
        if text.key < 0 or text.thought:
            self._begin(text, out, thought=False)
        return text.key

    def _close(self, text: _OpenText, out: list[Event]) -> None:
        self._say(text, text.cutter.close(), out)
        if text.key < 0:
            self._begin(text, out, thought=False)
        out.append(Close(text.key))
