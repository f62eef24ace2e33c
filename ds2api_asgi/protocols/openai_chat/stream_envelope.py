"""The envelope of a stream's chunks: members that stand beside ``choices``, some in every chunk, some said once.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23).
"""

from __future__ import annotations

from typing import Final

from ...universal.jsontext import dumps
from ..fields import Json

__all__ = ["CHOICES", "END", "OPEN_REASON", "Envelope"]

# Members that OpenAI repeats in every chunk; others are said once.
_EVERY_CHUNK: Final = frozenset({"object", "system_fingerprint"})
CHOICES: Final = b',"choices":['
"""What follows the envelope."""

END: Final = b"]}\n\n"
"""What ends a chunk, behind its choice."""

OPEN_REASON: Final = b',"finish_reason":null}' + END
"""What ends a chunk whose choice goes on, behind its delta."""


class Envelope:
    """Writes chunks.

    Args:
        out: Where the bytes go, in pieces.

    Attributes:
        prefix: What every chunk begins with.
        pending: Members that the next chunk carries, or an empty one if there is none in time.
    """

    __slots__ = ("_members", "_out", "pending", "prefix")

    def __init__(self, out: list[bytes]) -> None:
        self.prefix = b""
        self.pending: Json = {}
        self._members: Json = {}
        self._out = out

    def begin(self, members: Json, ext: Json) -> None:
        """Set what every chunk says, and what is said once."""
        self._members = members
        for name, value in ext.items():
            (members if name in _EVERY_CHUNK else self.pending)[name] = value
        self._repeat()

    def change(self, ext: Json) -> bool:
        """Take members that came later; tells whether `prefix` is another one now."""
        repeated = {name: value for name, value in ext.items() if name in self._members}
        self.pending.update((name, value) for name, value in ext.items() if name not in repeated)
        self._members.update(repeated)
        if repeated:
            self._repeat()
        return bool(repeated)

    def _repeat(self) -> None:
        self.prefix = b"data: " + dumps(self._members)[:-1]

    def chunk(self, choice: int, delta: Json, beside: Json | None = None) -> None:
        """Write one chunk with one choice, with these members beside its delta."""
        body = {"finish_reason": None, **(beside or {}), "index": choice, "delta": delta}
        self._out += (self.head(), dumps(body), END)

    def head(self) -> bytes:
        """What the next chunk begins with, up to its choices."""
        if not self.pending:
            return self.prefix + CHOICES
        members = dumps(self.pending)[1:-1]
        self.pending = {}
        return self.prefix + b"," + members + CHOICES
