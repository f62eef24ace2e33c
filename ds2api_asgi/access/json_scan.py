r"""What of a JSON body two parsers may read differently, found in its bytes without building anything.

Strings are emptied by one regular expression, and what is left is looked at by others; all of them take time linear in
the body, and none of them recurses. Bytes that are no JSON are not this module's matter: whoever parses them says so.

* **Depth**: Python's parsers overflow the stack near a thousand levels, others stop at 128 or 64.
* **A member twice** (``{"model": "a", "model": "b"}``): some take the first, most the last. Parsers of Go also take
  ``"MODEL"`` or ``"\u006dodel"`` for ``"model"``, so names are compared as those do.
* **Numbers that are none**: ``NaN``, ``Infinity`` and ``1e400`` compare with no limit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

from ..universal import jsontext

__all__ = ["Scan"]

# Possessive: what is no string to its end is one that has no end, so nothing is looked at twice.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_TOKENS: Final = re.compile(_STRING + rb"|[\[\]{}:,]", re.DOTALL)
_NO_NUMBERS: Final = re.compile(rb"NaN|Infinity")
_BIG: Final = re.compile(rb"[0-9](?:[eE]\+?[0-9]{3}|[0-9]{299})")
_NUMBER: Final = re.compile(rb"[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?")
_LONGEST_NUMBER: Final = 1024
# The escape of an ASCII letter, and letters whose case folding is one (ſ, K), escaped or not.
_DISGUISED: Final = re.compile(rb"\\u(?:00[4-7]|017|212)|\xc5\xbf|\xe2\x84\xaa")


class Scan:
    """Looks at bodies.

    Args:
        max_depth: Levels of arrays and objects.
        unique: Members of the document itself that may stand in it once, in lower case.
    """

    def __init__(self, *, max_depth: int, unique: Iterable[str]) -> None:
        self._max_depth = max_depth
        self._unique = frozenset(unique)
        names = b"|".join(re.escape(name.encode()) for name in sorted(self._unique))
        self._named = re.compile(rb'"(%s)"[ \t\r\n]*+:' % names, re.IGNORECASE) if self._unique else None

    def problem(self, body: bytes) -> str | None:
        """What is wrong with a body, in words for its sender that hold nothing of it; None when nothing is."""
        return self._too_deep(body) or self._odd_number(body) or self._ambiguous(body)

    def _too_deep(self, body: bytes) -> str | None:
        # Each level takes a bracket, so most bodies need no look at where they stand.
        if body.count(b"{") + body.count(b"[") <= self._max_depth:
            return None
        depth = 0
        for bracket in _BRACKETS.findall(_STRINGS.sub(b'""', body)):
            depth += 1 if bracket in b"[{" else -1
            if depth > self._max_depth:
                return f"the body is nested deeper than {self._max_depth} levels"
        return None

    def _odd_number(self, body: bytes) -> str | None:
        if b"NaN" not in body and b"Infinity" not in body and _BIG.search(body) is None:
            return None
        bare = _STRINGS.sub(b'""', body)
        if _NO_NUMBERS.search(bare):
            return "NaN and Infinity are not JSON"
        if _BIG.search(bare) and any(map(_out_of_range, _NUMBER.findall(bare))):
            return "a number is out of range"
        return None

    def _ambiguous(self, body: bytes) -> str | None:
        if self._named is None:
            return None
        if self._is_plain(body):
            return None
        seen: set[str] = set()
        for name in _members(body):
            folded = name.casefold()
            if folded not in self._unique:
                continue
            if folded in seen:
                return f"the member {folded!r} stands in the body twice"
            if name != folded:
                return f"the member {folded!r} is spelled in another case"
            seen.add(folded)
        return None

    def _is_plain(self, body: bytes) -> bool:
        """Whether every name of ours stands in a body once at most, at whatever depth, and none in disguise."""
        seen: set[bytes] = set()
        for match in self._named.finditer(body) if self._named is not None else ():
            if match[1] in seen or match[1].decode() not in self._unique:
                return False
            seen.add(match[1])
        return _DISGUISED.search(body) is None


def _out_of_range(number: bytes) -> bool:
    return len(number) > _LONGEST_NUMBER or math.isinf(float(number))


def _members(body: bytes) -> Iterator[str]:
    """The names of the members of the document itself."""
    depth = 0
    last: bytes | None = None
    for match in _TOKENS.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
        elif token == b":" and depth == 1 and last is not None:
            yield _text(last)
        last = token if token[:1] == b'"' else None


def _text(string: bytes) -> str:
    """What a JSON string says; one that is none says what it looks like."""
    try:
        return str(jsontext.loads(string))
    except ValueError:
        return string[1:-1].decode("utf-8", "replace")
