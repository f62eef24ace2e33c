"""Tokens of the demo model: words and punctuation marks.

The rule: a token is a run of letters, digits and underscores, or one other character that is no white space. Hence
``"Hello, world!"`` has four. It is nobody's tokenizer, but it is the same everywhere, so counts can be compared.

A request costs its parts:

    a message, or an item of a Responses input    4, and the tokens of every string in it
    an image                                      85
    audio or a file                               100
    tools, instructions                           the tokens of every string in them

Member names and the strings under ``role``, ``type`` and ``id``-like members are markup and cost nothing; numbers
cost one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["count_tokens", "pieces", "take_tokens"]

MESSAGE_TOKENS = 4
IMAGE_TOKENS = 85
FILE_TOKENS = 100

_TOKEN = re.compile(r"\w+|[^\w\s]")
_PIECE = re.compile(r"\s*\S{1,16}|\s+\Z")
_MARKUP = frozenset({"role", "type", "id", "call_id", "tool_call_id", "status", "detail", "format"})
_MEDIA = {
    "image_url": IMAGE_TOKENS,
    "input_image": IMAGE_TOKENS,
    "input_audio": FILE_TOKENS,
    "file": FILE_TOKENS,
    "input_file": FILE_TOKENS,
}


def count_tokens(value: Any) -> int:
    """Count the tokens of a text, or of a Chat Completions or Responses request.

    Args:
        value: A string, or any JSON value; a mapping with ``messages`` or ``input`` is counted as a request.

    Returns:
        The tokens; 0 for what says nothing.
    """
    if isinstance(value, str):
        return sum(1 for _ in _TOKEN.finditer(value))
    if isinstance(value, Mapping) and ("messages" in value or "input" in value):
        turns = [_turns(value.get(name)) for name in ("messages", "input")]
        return sum(turns) + sum(_weigh(value.get(name)) for name in ("instructions", "tools"))
    return _weigh(value)


def _turns(value: Any) -> int:
    if isinstance(value, str):
        return MESSAGE_TOKENS + count_tokens(value)
    if isinstance(value, list):
        return sum(MESSAGE_TOKENS + _weigh(turn) for turn in value)
    return 0


def _weigh(value: Any) -> int:
    total = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            total += count_tokens(item)
        elif isinstance(item, Mapping):
            kind = item.get("type")
            if isinstance(kind, str) and kind in _MEDIA:
                total += _MEDIA[kind]
            else:
                waiting += [member for name, member in item.items() if name not in _MARKUP]
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, (int, float)) and not isinstance(item, bool):
            total += 1
    return total


def take_tokens(text: str, limit: int) -> tuple[str, int]:
    """Cut a text after its first `limit` tokens.

    Returns:
        What is left, and how many tokens it has; equal to the text when it is short enough.
    """
    end = count = 0
    for match in _TOKEN.finditer(text):
        if count == limit:
            return text[:end], count
        count += 1
        end = match.end()
    return text, count


def pieces(text: str) -> list[str]:
    """Cut a text into what a stream sends at a time: words with the space before them, none over 16 characters.

    Returns:
        The pieces, which joined are the text.
    """
    return _PIECE.findall(text)
