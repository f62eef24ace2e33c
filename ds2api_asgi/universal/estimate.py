"""A local guess of how many tokens a request has, for upstreams that do not count; always marked as a guess.

Four UTF-8 bytes a token is the rule of thumb that providers themselves give
(https://help.openai.com/en/articles/4936856, read 2026-11-23); media cannot be guessed and count nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from . import jsontext
from .content import Inline, Media, Part, PlainText, Reasoning, Refusal, ServerCall, Text, ToolCall, ToolResult
from .request import FunctionTool, Request

__all__ = ["BYTES_PER_TOKEN", "TOKENS_PER_TURN", "estimate_input_tokens"]

BYTES_PER_TOKEN = 4
TOKENS_PER_TURN = 4
"""What marks a message's role and end in the common chat templates."""


def estimate_input_tokens(request: Request) -> int:
    """Guess the input tokens of a request: its text, tools and schemas; at least 1.

    Args:
        request: The request.

    Returns:
        Tokens.
    """
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in _texts(request))
    return max(1, -(-size // BYTES_PER_TOKEN) + TOKENS_PER_TURN * len(request.turns))


def _texts(request: Request) -> Iterable[str]:
    for turn in request.turns:
        for part in turn.parts:
            yield from _part_texts(part)
    for tool in request.tools or ():
        if isinstance(tool, FunctionTool):
            yield tool.name
            yield tool.description or ""
            yield _json(tool.schema)
        else:
            yield _json(tool.json)


def _part_texts(part: Part) -> Iterable[str]:
    match part:
        case Text(text=text) | Refusal(text=text):
            yield text
        case Reasoning():
            yield part.text or ""
            yield from part.summary
        case ToolCall() | ServerCall():
            yield part.name
            yield part.arguments.text
        case ToolResult():
            for inner in part.parts or ():
                yield from _part_texts(inner)
        case Media(source=PlainText(text=text)):
            yield text
        case Media(source=Inline(parts=parts)):
            for inner in parts:
                yield from _part_texts(inner)
        case _:
            return


def _json(value: Any) -> str:
    return "" if value is UNSET else jsontext.dumps(value).decode("utf-8", "surrogatepass")
