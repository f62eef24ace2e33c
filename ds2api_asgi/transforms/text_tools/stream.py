"""`TextToolStream`: calls in the texts of a stream of events become calls of it.

A text becomes as many parts as it falls into (`parts`). The stop of a candidate waits for its texts to be closed,
since only then is it known whether it has called. A stream that fails says first, as text, what was held back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import UNSET, UnsetType

from ...universal.content import Part, Reasoning, Text, ToolCall
from ...universal.events import Close, Delta, End, Error, Event, Open, Set, StopEvent
from ...universal.response import Stop
from .offer import Tally
from .parts import Keys, Splitter
from .sieve import Sieve
from .verdict import stopped, violation

__all__ = ["TextToolStream"]


class TextToolStream:
    """One stream; any cut of its texts gives the same answer.

    Args:
        tally: Makes the tally of a candidate.
        sieve: Makes a sieve for a text of a candidate.
        searched: Gives the text of a part that may have calls in it; None for any other.
    """

    __slots__ = ("_ended", "_keys", "_numbers", "_searched", "_sieve", "_stops", "_tallies", "_tally", "_texts")

    def __init__(
        self,
        tally: Callable[[int], Tally],
        sieve: Callable[[Tally], Sieve],
        searched: Callable[[Part], str | None],
    ) -> None:
        self._tally = tally
        self._sieve = sieve
        self._searched = searched
        self._tallies: dict[int, Tally] = {}
        self._texts: dict[int, Splitter] = {}
        self._keys: dict[int, int] = {}  # keys of other parts: the source's to ours
        self._stops: dict[int, StopEvent] = {}  # that wait
        self._numbers = Keys()
        self._ended = False

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """The events that these make certain; see `base.TransformStream`."""
        out: list[Event] = []
        for event in events:
            if self._ended:
                break
            self._step(event, out)
        return out

    def _step(self, event: Event, out: list[Event]) -> None:
        match event:
            case Delta(key=key) | Set(key=key) | Close(key=key) if key in self._texts:
                self._step_text(self._texts[key], event, out)
            case Delta(key=key):
                out.append(Delta(self._keys[key], event.text, event.channel))
            case Open():
                self._open(event, out)
            case Set(key=key):
                out.append(Set(self._keys[key], event.field, event.value))
            case Close(key=key):
                out.append(Close(self._keys.pop(key)))
            case StopEvent(choice=choice):
                self._stops[choice] = event
                self._stop(choice, out)
            case Error():
                self._fail(event, out)
            case End():
                self._end(event, out)
            case _:
                out.append(event)

    def _step_text(self, text: Splitter, event: Delta | Set | Close, out: list[Event]) -> None:
        match event:
            case Delta(channel="text"):
                text.feed(event.text, out)
            case Delta() | Set():
                text.set(event)
            case Close(key=key):
                del self._texts[key]
                text.close(out)
                self._stop(text.choice, out)

    def _open(self, event: Open, out: list[Event]) -> None:
        part, choice = event.part, event.choice
        tally = self._tally_of(choice)
        said = self._searched(part)
        if said is None:
            tally.native += isinstance(part, ToolCall)
            self._keys[event.key] = key = self._numbers.new()
            out.append(Open(key, part, choice))
            return
        assert isinstance(part, (Text, Reasoning))
        text = Splitter(part, choice, self._sieve(tally), self._numbers)
        self._texts[event.key] = text
        if said:
            text.feed(said, out)

    def _tally_of(self, choice: int) -> Tally:
        if choice not in self._tallies:
            self._tallies[choice] = self._tally(choice)
        return self._tallies[choice]

    def _stop(self, choice: int, out: list[Event]) -> None:
        """Say a candidate's stop, if it has come and nothing of the candidate is held back."""
        if choice not in self._stops or any(text.choice == choice for text in self._texts.values()):
            return
        event = self._stops.pop(choice)
        tally = self._tally_of(choice)
        if not self._refuse(event.stop, tally, out):
            out.append(StopEvent(stopped(event.stop, tally), choice))
            tally.settled = True

    def _refuse(self, stop: Stop | UnsetType, tally: Tally, out: list[Event]) -> bool:
        failure = violation(stop, tally)
        if failure is not None:
            out.append(Error(failure))
            self._ended = True
        return failure is not None

    def _fail(self, event: Error, out: list[Event]) -> None:
        self._ended = True
        for text in self._texts.values():
            text.cut(out)
        out.append(event)

    def _end(self, event: End, out: list[Event]) -> None:
        self._ended = True
        for tally in self._tallies.values():
            if not tally.settled and self._refuse(UNSET, tally, out):
                return
        out.append(event)
