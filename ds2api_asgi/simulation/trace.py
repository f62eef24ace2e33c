"""Everything that happens in a simulation, as lines to read."""

from __future__ import annotations

from ..asgi.facts import Attempted, Committed, Judged, KeyLeased, PoolEmpty
from .attempt import Attempt
from .call import Call
from .client import RequestEnd
from .world import Observer, World

__all__ = ["Tracer"]


class Tracer(Observer):
    """Writes it down.

    Attributes:
        lines: One for each event, with the seconds since the start.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def starts(self, world: World) -> None:
        """See `Observer.starts`."""
        self._clock = world.loop.time

    def asks(self, attempt: Attempt) -> None:
        """See `Observer.asks`."""
        kind = "stream" if attempt.stream else "answer"
        self._write(f"request {attempt.number} of {attempt.group} asks for {_a(kind)} {kind} ({attempt.protocol})")
        attempt.exchange.observe(lambda fact: self._fact(attempt.number, fact))

    def begins(self, call: Call) -> None:
        """See `Ears.begins`."""
        key = f" with {call.key}" if call.key else ""
        self._write(f"  call {call.number} of request {call.client} reaches {call.provider}{key} for {call.model}")

    def content(self, call: Call) -> None:
        """See `Ears.content`."""
        self._write(f"  call {call.number} gets content")

    def ends(self, call: Call) -> None:
        """See `Ears.ends`."""
        hint = "" if call.hint is None else f", try again in {call.hint:g} s"
        self._write(f"  call {call.number} ends: {call.end} {call.status or ''}{hint}")

    def answered(self, attempt: Attempt) -> None:
        """See `Observer.answered`."""
        words = [str(attempt.status or "no answer"), "" if attempt.complete else "not to its end"]
        if attempt.left is not None:
            words.append(f"the client left at {attempt.left:.6f}")
        if attempt.killed:
            words.append("cancelled by the server")
        if attempt.error is not None:
            words.append(f"raised {attempt.error!r}")
        self._write(f"request {attempt.number} is over: {', '.join(word for word in words if word)}")

    def concluded(self, request: RequestEnd) -> None:
        """See `Observer.concluded`."""
        self._write(f"a client of {request.group} is done: {request.end} after {request.attempts} attempts")

    def _fact(self, number: int, fact: object) -> None:
        match fact:
            case Attempted() as tried:
                where = f"attempt {tried.number} at target {tried.target}"
                self._write(f"  request {number}: {where}{f' after {tried.after:.3f} s' if tried.after else ''}")
            case KeyLeased() as leased:
                self._write(f"  request {number} leases {leased.key} of {leased.pool}")
            case PoolEmpty() as empty:
                after = "" if empty.retry_after is None else f", {empty.retry_after:.3f} s"
                self._write(f"  request {number} gets no key of {empty.pool}: {empty.reason}{after}")
            case Judged() as judged:
                self._write(f"  request {number}: {judged.by} judges {judged.key or ''} {judged.verdict.row}")
            case Committed() as committed:
                self._write(f"  request {number}: {committed.status} is let through")
            case _:
                self._write(f"  request {number}: {fact!r}")

    def _write(self, line: str) -> None:
        self.lines.append(f"{self._clock():12.6f}  {line}")


def _a(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
