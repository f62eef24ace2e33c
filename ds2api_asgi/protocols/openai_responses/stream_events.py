"""Events of a stream: each named and numbered, in the order in which they are written."""

from __future__ import annotations

from typing import Any, Final

from ...framing.sse import write_event
from ...universal.jsontext import dumps, json_string
from ..fields import Json

__all__ = ["DELTA", "END", "Events", "head_of"]

DELTA: Final = b',"delta":'
"""What stands between a delta's number and its text."""

END: Final = b"}\n\n"
"""What ends a delta, behind its text."""


class Events:
    """Writes events.

    Args:
        out: Where the bytes go, in pieces.

    Attributes:
        number: The next event's.
    """

    __slots__ = ("_out", "number")

    def __init__(self, out: list[bytes]) -> None:
        self.number = 0
        self._out = out

    def say(self, kind: str, **members: Any) -> None:
        """Write one event."""
        document = {"type": kind, "sequence_number": self.number, **members}
        self.number += 1
        self._out.append(write_event(dumps(document), kind.encode()))

    def delta(self, head: bytes, text: str) -> None:
        """Write one delta, which begins with its part's `head_of`."""
        self._out += (head, b"%d" % self.number, DELTA, json_string(text), END)
        self.number += 1


def head_of(kind: str, members: Json) -> bytes:
    """What each delta of a part begins with, up to its number."""
    body = dumps({"type": kind, **members})[:-1]
    return b'event: %b\ndata: %b,"sequence_number":' % (kind.encode(), body)
