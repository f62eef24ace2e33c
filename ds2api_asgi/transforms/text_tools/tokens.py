"""JSON text cut into its members without being parsed, so that every value keeps its spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["items", "members"]

_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]', re.DOTALL)


def members(text: str) -> list[tuple[str, str]]:
    """The members of a JSON object, which must be valid: each key and value as spelled, without white space around."""
    out: list[tuple[str, str]] = []
    for piece in _split(text):
        key = _TOKEN.match(piece)
        assert key is not None
        out.append((key.group(), piece[key.end() :].lstrip()[1:].lstrip()))
    return out


def items(text: str) -> list[str]:
    """The items of a JSON array, which must be valid, as spelled."""
    return list(_split(text))


def _split(text: str) -> Iterator[str]:
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        match token.group():
            case "{" | "[":
                depth += 1
                if depth == 1:
                    begin = token.end()
            case "}" | "]":
                depth -= 1
                if depth == 0 and (last := text[begin : token.start()].strip()):
                    yield last
            case "," if depth == 1:
                yield text[begin : token.start()].strip()
                begin = token.end()
            case _:
                pass
