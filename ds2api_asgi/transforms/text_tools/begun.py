"""`BegunTextTools`: one request's way through `TextTools`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import Part, Reasoning, Text, ToolCall
from ...universal.events import Event, Start
from ...universal.fold import fold
from ...universal.loss import Loss
from ...universal.request import Request, Turn
from ...universal.response import Candidate, Response
from .offer import Offer, Tally
from .parts import Keys, Splitter, searched
from .sieve import Sieve
from .stream import TextToolStream
from .verdict import stopped, violation

__all__ = ["BegunTextTools"]


class BegunTextTools:
    """See `base.Begun`.

    Args:
        request: What is asked.
        losses: What that does not say.
        offer: What may be called.
        sieve: Makes a sieve for a text of a candidate.
        reasoning: Whether thoughts are searched too.

    Attributes:
        request: The request in words.
        losses: Tools of the provider, which cannot be told; what was said in words instead.
    """

    __slots__ = ("_offer", "_reasoning", "_sieve", "losses", "request")

    def __init__(
        self,
        request: Request,
        losses: Sequence[Loss],
        offer: Offer,
        sieve: Callable[[Tally], Sieve],
        *,
        reasoning: bool,
    ) -> None:
        self.request = request
        self.losses = tuple(losses)
        self._offer = offer
        self._sieve = sieve
        self._reasoning = reasoning

    def stream(self) -> TextToolStream:
        """A fresh object for one stream."""
        return TextToolStream(self._tally, self._sieve, self._searched)

    def _tally(self, choice: int) -> Tally:
        return Tally(self._offer, choice)

    def _searched(self, part: Part) -> str | None:
        # Where nothing may be called nothing is looked for, and no text waits.
        return searched(part, reasoning=self._reasoning) if self._offer.tools else None

    def response(self, response: Response) -> Response:
        """The answer with the calls in its texts; with an error where it had to call and did not."""
        if response.error is not UNSET:
            return response
        candidates: list[Candidate] = []
        failures = []
        for candidate in response.candidates:
            tally = self._tally(candidate.index)
            turns = tuple([self._turn(turn, tally) for turn in candidate.turns])
            failures += [failure] if (failure := violation(candidate.stop, tally)) else []
            stop = candidate.stop if candidate.stop is UNSET else stopped(candidate.stop, tally)
            candidates.append(replace(candidate, turns=turns, stop=stop))
        return replace(response, candidates=tuple(candidates), error=failures[0] if failures else UNSET)

    def _turn(self, turn: Turn, tally: Tally) -> Turn:
        parts: list[Part] = []
        for part in turn.parts:
            said = self._searched(part)
            if said is None:
                tally.native += isinstance(part, ToolCall)
                parts.append(part)
                continue
            assert isinstance(part, (Text, Reasoning))
            parts += self._split(part, said, tally)
        return replace(turn, parts=tuple(parts))

    def _split(self, part: Text | Reasoning, said: str, tally: Tally) -> tuple[Part, ...]:
        events: list[Event] = [Start(protocol="")]
        splitter = Splitter(part, 0, self._sieve(tally), Keys())
        splitter.feed(said, events)
        splitter.close(events)
        return fold(events, protocol="").candidates[0].turns[0].parts
