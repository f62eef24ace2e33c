"""A local guess of how many tokens a request has, for upstreams that do not count; always marked as a guess.

Four UTF-8 bytes a token is the rule of thumb that providers themselves give
(https://help.openai.com/en/articles/4936856, read 2026-11-23). Media cannot be guessed: in a decoded request they count
nothing, in a body that nobody has decoded each counts as a usual picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from . import jsontext
from .content import Inline, Media, Part, PlainText, Reasoning, Refusal, ServerCall, Text, ToolCall, ToolResult
from .request import FunctionTool, Request

__all__ = ["BYTES_PER_TOKEN", "TOKENS_PER_TURN", "estimate_body_tokens", "estimate_input_tokens"]

BYTES_PER_TOKEN = 4
TOKENS_PER_TURN = 4
"""What marks a message's role and end in the common chat templates."""

_MEDIA_TOKENS = 1_000  # of a picture or a page; providers count 85 to some thousands
_LEAST_MEDIA = 2_048  # bytes in base64; shorter runs of such letters are words
_RUN = re.compile(rb"[A-Za-z0-9+/=_-]*+")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"


def estimate_body_tokens(body: bytes) -> int:
    """Guess the input tokens of a request that is still bytes, in any protocol; linear, and total on garbage.

    Args:
        body: The request's body.

    Returns:
        Tokens; 0 for an empty body.
    """
    media, covered = _media(body)
    return (len(body) - covered) // BYTES_PER_TOKEN + media * _MEDIA_TOKENS


def estimate_input_tokens(request: Request) -> int:
    """Guess the input tokens of a request: its text, tools and schemas; at least 1.

    Args:
        request: The request.

    Returns:
        Tokens.
    """
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in _texts(request))
    return max(1, -(-size // BYTES_PER_TOKEN) + TOKENS_PER_TURN * len(request.turns))


def _media(body: bytes) -> tuple[int, int]:
    """How many long runs of base64 there are, and how many bytes they have together.

    A search for such runs begins anew at each letter of those that are too short, which takes a minute for a large
    body that is made of them. A long run cannot lie between two places so far apart, so only those are looked at.
    """
    media = covered = 0
    at = 0
    while at < len(body):
        run = _RUN.match(body, at)
        end = at if run is None else run.end()
        if end > at:
            before = body[max(0, at - _LEAST_MEDIA) : at]
            length = end - at + len(before) - len(before.rstrip(_LETTERS))
            if length >= _LEAST_MEDIA:
                media += 1
                covered += length
        at = end + _LEAST_MEDIA
    return media, covered


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
