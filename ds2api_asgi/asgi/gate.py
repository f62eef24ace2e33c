"""A response held at the gate: nothing reaches the client until somebody decides that this answer is the one.

Retry and failover judge an answer by its status or its first content; what came before is held here, and is flushed in
order by `open`. After it messages pass at once. An answer that is lost is never opened, and goes with its gate.

| state | a message comes | ``open`` |
|---|---|---|
| HELD | held; over a bound: as ``open`` | flush, OPEN |
| OPEN | passes | nothing |
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from .types import Message

__all__ = ["MAX_HELD_BYTES", "MAX_HELD_MESSAGES", "Gate", "GateState"]

MAX_HELD_BYTES = 256 * 1024
"""Body bytes that a gate holds before it opens by itself."""

MAX_HELD_MESSAGES = 200
"""Messages that a gate holds before it opens by itself."""


class GateState(StrEnum):
    """Where a gate stands."""

    HELD = "held"
    OPEN = "open"


class Gate:
    """The gate without I/O: every method returns the messages that are to be sent now.

    Attributes:
        state: Where the gate stands.
        status: The response's HTTP status; None before it started.
        headers: The response's raw headers; empty before it started.
        complete: Whether the last body message has come in.
    """

    __slots__ = ("_held", "_max_bytes", "_max_messages", "_size", "complete", "headers", "state", "status")

    def __init__(self, *, max_bytes: int = MAX_HELD_BYTES, max_messages: int = MAX_HELD_MESSAGES) -> None:
        self.state = GateState.HELD
        self.status: int | None = None
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.complete = False
        self._held: list[Message] = []
        self._size = 0
        self._max_bytes = max_bytes
        self._max_messages = max_messages

    @property
    def body(self) -> bytes:
        """The body bytes that are held."""
        if not self._size:
            return b""
        return b"".join(message.get("body", b"") for message in self._held if message["type"] == "http.response.body")

    def push(self, message: Message) -> Sequence[Message]:
        """Take a message of the app beneath."""
        self._record(message)
        if self.state is GateState.OPEN:
            return (message,)
        self._held.append(message)
        self._size += len(message.get("body", b""))
        over = self._size > self._max_bytes or len(self._held) > self._max_messages
        return self.open() if over else ()

    def _record(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self.headers = message.get("headers", ())
        elif kind == "http.response.body" and not message.get("more_body", False):
            self.complete = True

    def open(self) -> Sequence[Message]:
        """Let the response through; an open gate has nothing more to give."""
        self.state = GateState.OPEN
        held, self._held, self._size = self._held, [], 0
        return held
