"""What an answer says that it cost, read as it passes, where no part within notes it.

All protocols state their counts as members with names of their own, in documents and in streams alike; text of a model
that looks like them has its quotes escaped. The last of each name counts, since streams state them again as they grow.
"""

from __future__ import annotations

import re
from typing import Final

from ..universal.estimate import BYTES_PER_TOKEN

__all__ = ["Usage"]

_KEPT: Final = 64  # bytes that may be the beginning of a member whose rest is still to come
_MEMBER: Final = re.compile(
    rb'(?<!\\)"(total_tokens|totalTokenCount|prompt_tokens|completion_tokens|input_tokens|output_tokens'
    rb"|cache_read_input_tokens|cache_creation_input_tokens|prompt_eval_count|eval_count)\"\s{0,8}:\s{0,8}([0-9]{1,15})"
    rb"(?=[\s,}\]])"
)
_FRAME: Final = 320  # bytes of an event around its text
_TOTALS: Final = (b"total_tokens", b"totalTokenCount")


class Usage:
    """Counts one answer.

    Attributes:
        tokens: Input and output together; None while the answer has not said it.
        written: A guess at the output of a stream that never says it, as those of Chat Completions do unless they
            are asked to: an event a token, and more where events are long; 0 for what is no stream.
    """

    __slots__ = ("_bytes", "_events", "_found", "_rest")

    def __init__(self) -> None:
        self._bytes = 0
        self._events = 0
        self._found: dict[bytes, int] = {}
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Look at bytes on their way."""
        self._bytes += len(data)
        self._events += data.count(b"data:")
        if b"_tokens" not in data and b"okenCount" not in data and b"_count" not in data and not self._rest:
            self._rest = data[-_KEPT:] if b'"' in data[-_KEPT:] else b""
            return
        whole = self._rest + data
        for name, number in _MEMBER.findall(whole):
            self._found[name] = int(number)
        self._rest = whole[-_KEPT:]

    @property
    def written(self) -> int:
        """See the class."""
        return max(self._events, (self._bytes - self._events * _FRAME) // BYTES_PER_TOKEN) if self._events else 0

    @property
    def tokens(self) -> int | None:
        """See the class."""
        found = self._found
        if not found:
            return None
        total = next((found[name] for name in _TOTALS if name in found), None)
        return sum(found.values()) if total is None else total
