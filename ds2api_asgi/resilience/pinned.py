"""Requests that one target only can serve, and those that may not be asked twice.

A request that names state at a provider (a file, a cached context, an earlier response) is understood by nobody else:
it stays with its first target. One that makes state (a background response, the next turn of a stored conversation)
may also not be repeated there once it may have been worked on, lest the state is made twice.

    at the top                      previous_response_id, conversation, thread, background: true    Pin.ONCE
    an item of type item_reference                                                                  Pin.ONCE
    at the top                      cachedContent, container (an id)                                Pin.TARGET
    anywhere but in tools' data     file_id, file_ids, file_uri, vector_store_ids                   Pin.TARGET

Pages: https://platform.openai.com/docs/api-reference/responses/create, https://docs.anthropic.com/en/api/messages,
https://ai.google.dev/api/generate-content (read 2026-11-28). That ``store`` is on by default in OpenAI's Responses
makes no request unrepeatable: a stored answer that nobody asks for again harms nobody.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, Final

import msgspec

from ..protocols.resources import holds_data

__all__ = ["Pin", "pin_of"]


class Pin(IntEnum):
    """How free a request is; the higher, the less."""

    FREE = 0
    TARGET = 1  # stays with its first target
    ONCE = 2  # and is not repeated there once it may have been worked on


_WORDS: Final = re.compile(
    rb'"(?:previous_response_id|conversation|thread|background|item_reference|cached_?[Cc]ontent|container|file_ids?'
    rb'|file_?[Uu]ri|vector_store_ids)"'
)
"""Nearly no request has any of them, and looking for them is cheaper than reading it."""

_ONCE: Final = ("previous_response_id", "conversation", "thread")
_TARGET: Final = ("cachedContent", "cached_content", "container")
_FILES: Final = frozenset({"file_id", "file_ids", "file_uri", "fileUri", "vector_store_ids"})
_DEEPEST: Final = 64
_decode: Final = msgspec.json.Decoder().decode


def pin_of(body: bytes) -> Pin:
    """How free a request is.

    Args:
        body: A JSON document; anything else is free.
    """
    if _WORDS.search(body) is None:
        return Pin.FREE
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Pin.FREE
    if not isinstance(document, dict):
        return Pin.FREE
    if document.get("background") is True or any(document.get(name) for name in _ONCE):
        return Pin.ONCE
    found = Pin.TARGET if any(isinstance(document.get(name), str) for name in _TARGET) else Pin.FREE
    return max(found, _within(document, _DEEPEST))


def _within(node: Any, depth: int) -> Pin:
    if isinstance(node, list):
        return max((_within(item, depth - 1) for item in node), default=Pin.FREE) if depth else Pin.FREE
    if not isinstance(node, dict) or not depth:
        return Pin.FREE
    if node.get("type") == "item_reference":
        return Pin.ONCE
    found = Pin.FREE
    for name, value in node.items():
        # A code interpreter's container is an id, or describes a new one.
        if value and (name in _FILES or (name == "container" and isinstance(value, str))):
            found = max(found, Pin.TARGET)
        elif not holds_data(name, node):
            found = max(found, _within(value, depth - 1))
    return found
