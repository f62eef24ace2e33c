"""Tool call ids and tool names: every protocol has its own alphabet and length, and some have no ids at all.

The mapping is deterministic (a conversation that grows encodes its old turns as before) and injective within a
conversation: what the target accepts stays as it is; anything else becomes, or gets, a digest of itself.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from .digest import sha256
from .jsontext import JsonText, dumps

__all__ = ["CallIds", "ToolNames", "call_id_of", "invented_id"]

_DIGEST = 12


def invented_id(seed: str) -> str:
    """A call id where the source has none, the same for the same seed: ``call_`` and 20 characters of base32."""
    return "call_" + _letters(seed)[:20]


def _letters(seed: str) -> str:
    return base64.b32encode(sha256(seed)).decode().lower()


def call_id_of(turn: int, ordinal: int, name: str, arguments: JsonText) -> str:
    """The id of an answer's call where the upstream's protocol has none.

    The ordinals tell all calls of a conversation apart; name and arguments tell apart what was called when the same
    turn was answered twice.

    Args:
        turn: How many answers the conversation had before.
        ordinal: How many calls this answer had before.
        name: The tool.
        arguments: Spelling does not matter.
    """
    meant = dumps(_sorted(arguments.value)).decode() if arguments.is_object else arguments.text
    return invented_id(f"{turn}:{ordinal}:{name}:{meant}")


def _sorted(value: Any) -> Any:
    if type(value) is dict:
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, float):
        return float(value)
    return [_sorted(each) for each in value] if type(value) is list else value


class CallIds:
    """Maps the call ids of one conversation into a target's alphabet, in the order in which calls appear.

    An id that comes back on a later call (servers that number from 0 in every turn) is a new call: it gets an id of
    its own, and results after it belong to it. Results without an id answer the calls without one since the last
    result: the first of their name, else the first.

    Args:
        pattern: What a whole id must match.
        length: Characters of the ids that are made, small letters and digits; 0: ``call_`` and 20 of them.

    Attributes:
        back: Target spelling to source spelling, for ids that had to change.
    """

    __slots__ = ("_answered", "_count", "_current", "_length", "_pattern", "_used", "_waiting", "back")

    def __init__(self, pattern: re.Pattern[str], length: int = 0) -> None:
        self._pattern = pattern
        self._length = length
        self._used: set[str] = set()
        self._current: dict[str | None, str] = {}
        self._waiting: list[tuple[str, str]] = []  # calls without an id that have no result yet: name, target
        self._answered = False  # a result has come since the last call, so the next one begins a new step
        self._count = 0
        self.back: dict[str, str] = {}

    def call(self, source: str | None, name: str) -> str:
        """The target's id of the next call.

        Args:
            source: The id in the source, or None where it has none.
            name: The tool; part of the digest where there is no id.
        """
        ordinal = self._count
        self._count += 1
        if source is not None and source not in self._used and self._pattern.fullmatch(source):
            target = source
        else:
            target = self._digest(
                f"{ordinal}:{name}" if source is None else f"{ordinal if source in self._current else ''}:{source}"
            )
            while target in self._used:
                target = self._digest(target)
        self._used.add(target)
        self._current[source] = target
        if self._answered:
            self._answered = False
            self._waiting.clear()
        if source is None:
            self._waiting.append((name, target))
        if source is not None and target != source:
            self.back[target] = source
        return target

    def result(self, source: str | None, name: str | None = None) -> str:
        """The target's id of the call that a result answers: the newest call with this id, or one that matches none.

        Args:
            source: The id in the source, or None where it has none.
            name: The tool, where the result says so; looked at only where there is no id.
        """
        self._answered = True
        if source is None and self._waiting:
            at = next((at for at, (called, _) in enumerate(self._waiting) if called == name), 0)
            return self._waiting.pop(at)[1]
        known = self._current.get(source)
        if known is not None:
            return known
        if source is not None and self._pattern.fullmatch(source):
            return source
        return self._digest(f"orphan:{source}")

    def _digest(self, text: str) -> str:
        return _letters(text)[: self._length] if self._length else invented_id(text)


class ToolNames:
    """Maps tool names into a target's alphabet; a name that has to change stays readable and carries a digest.

    Args:
        pattern: What a whole name must match; it must take letters, digits after a letter, and ``_``.
        longest: Characters of the longest name.

    Attributes:
        back: Target spelling to source spelling, for names that had to change.
    """

    __slots__ = ("_longest", "_pattern", "back")

    def __init__(self, pattern: re.Pattern[str], longest: int) -> None:
        self._pattern = pattern
        self._longest = longest
        self.back: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The target's spelling of a name; the same name always gets the same."""
        if self._pattern.fullmatch(name):
            return name
        room = self._longest - _DIGEST - 1
        # Behind a letter, since some alphabets allow digits everywhere but at the start.
        clean = "".join(char if self._pattern.fullmatch("a" + char) else "_" for char in name[:room])
        if not self._pattern.fullmatch(clean):
            clean = f"_{clean}"[:room]
        target = f"{clean}_{sha256(name).hex()[:_DIGEST]}"
        self.back[target] = name
        return target
