"""The order in which events may come, as a table.

    NEW ──Start──> OPEN ──Open──> IN_BLOCK ──Close (last open part)──> OPEN ──End──> FINISHED
     └─────┴───────────────┴────────────────Error────────────────────────────────> FAILED

Parts may be open side by side. A `StopEvent` may come while parts of its candidate are still open only if they are
closed before `End`. Every event not in the table is a `LifecycleError`: a bug of the decoder that made it.
"""

from __future__ import annotations

from enum import Enum

from .events import Close, Delta, End, Error, Event, Extra, Open, Ping, Set, Start, StopEvent, UsageEvent

__all__ = ["Lifecycle", "LifecycleError", "State"]


class State(Enum):
    """Where a stream is."""

    NEW = "new"
    OPEN = "open"
    IN_BLOCK = "in_block"
    FINISHED = "finished"
    FAILED = "failed"


class LifecycleError(Exception):
    """An event came in a state that has no place for it; a bug in a decoder, never the fault of the wire."""

    def __init__(self, event: Event, state: State, problem: str) -> None:
        super().__init__(f"{type(event).__name__} in state {state.value}: {problem}")


_ANY_OPEN = frozenset({Open, UsageEvent, StopEvent, Extra, Ping, Error})

ALLOWED: dict[State, frozenset[type]] = {
    State.NEW: frozenset({Start, Ping, Error}),
    State.OPEN: _ANY_OPEN | {End},
    State.IN_BLOCK: _ANY_OPEN | {Delta, Set, Close},
    State.FINISHED: frozenset(),
    State.FAILED: frozenset(),
}


class Lifecycle:
    """Follows one stream and refuses what breaks the table.

    Attributes:
        state: Where the stream is.
    """

    __slots__ = ("_open", "_seen", "_stopped", "state")

    def __init__(self) -> None:
        self.state = State.NEW
        self._open: set[int] = set()
        self._seen = -1
        self._stopped: set[int] = set()

    def step(self, event: Event) -> None:
        """Follow one event.

        Raises:
            LifecycleError: The event has no place here.
        """
        if type(event) not in ALLOWED[self.state]:
            raise LifecycleError(event, self.state, "not in the table")
        match event:
            case Start():
                self.state = State.OPEN
            case Open(key=key):
                if key <= self._seen:
                    raise LifecycleError(event, self.state, f"key {key} is not new")
                self._seen = key
                self._open.add(key)
                self.state = State.IN_BLOCK
            case Delta(key=key) | Set(key=key):
                if key not in self._open:
                    raise LifecycleError(event, self.state, f"key {key} is not open")
            case Close(key=key):
                if key not in self._open:
                    raise LifecycleError(event, self.state, f"key {key} is not open")
                self._open.discard(key)
                if not self._open:
                    self.state = State.OPEN
            case StopEvent(choice=choice):
                if choice in self._stopped:
                    raise LifecycleError(event, self.state, f"choice {choice} has stopped")
                self._stopped.add(choice)
            case Error():
                self.state = State.FAILED
            case End():
                self.state = State.FINISHED
            case _:
                pass
