"""What is kept of a response: its document, the input it was asked with, and the events of its stream.

| status | who writes it | may change |
|---|---|---|
| ``queued``, ``in_progress`` | a background response while it runs; somebody renews its lease | yes |
| ``completed``, ``incomplete``, ``failed``, ``cancelled`` | the end of any response | never |
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

from msgspec import Struct

from ..errors import InvalidDocument
from .members import elements, members

__all__ = ["RUNNING", "StoredResponse"]

RUNNING: Final = frozenset({"queued", "in_progress"})
"""Statuses of a response that somebody still works on."""


class StoredResponse(Struct, frozen=True, kw_only=True, dict=True):
    """One response of one client.

    Attributes:
        id: ``"resp_…"``, unique.
        status: ``"completed"``; see the module.
        document: The response object, with all that clients may ask for (encrypted reasoning too).
        input: The items that the request added to the conversation, each as JSON.
        previous: The response that it continued, or None.
        background: Whether it runs, or ran, in the background.
        events: The data of the events of its stream, in order, where they are kept; else none.
        lease: Unix seconds until which its worker vouches for it while it is running; None: nobody does.
    """

    id: str
    status: str
    document: bytes
    input: tuple[bytes, ...] = ()
    previous: str | None = None
    background: bool = False
    events: tuple[bytes, ...] = ()
    lease: float | None = None

    @property
    def running(self) -> bool:
        """Whether somebody still works on it."""
        return self.status in RUNNING

    @cached_property
    def output(self) -> tuple[bytes, ...]:
        """The items of the answer; none where the document has no such array."""
        try:
            return tuple(elements(members(self.document)["output"]))
        except (KeyError, InvalidDocument):
            return ()

    @cached_property
    def size(self) -> int:
        """Bytes that it takes, without what surrounds them."""
        return len(self.document) + sum(map(len, self.input)) + sum(map(len, self.events))
