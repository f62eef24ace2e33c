"""What simulated providers and clients say to each other: OpenAI Chat, with texts that tell which call they are of.

The text of call 17 in three pieces is ``17.1/3;17.2/3;17.3/3;``: so whoever reads an answer can tell whether it is one
call's, in order, and whole, whatever it was translated to on its way.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from ..universal import jsontext

__all__ = [
    "CLIENT",
    "DONE",
    "JSON",
    "STREAM",
    "error_body",
    "piece",
    "pieces_of",
    "request_document",
    "retry_headers",
    "stream_chunk",
    "usage",
    "whole_answer",
]

JSON = (b"content-type", b"application/json")
STREAM = (b"content-type", b"text/event-stream")
DONE = b"data: [DONE]\n\n"

CLIENT = b"x-simulated-client"
"""The header in which a client's attempt is numbered, so that calls can be told by it."""

_PIECE = re.compile(rb"(\d+)\.(\d+)/(\d+);")
_encode = msgspec.json.Encoder().encode


def request_document(model: str, *, number: int, prompt: int, output: int, stream: bool) -> dict[str, Any]:
    """A request.

    Args:
        model: Asked for.
        number: The request's.
        prompt: Its size in tokens, told rather than spelled out.
        output: The size of the answer that it gets.
        stream: Whether that is a stream.
    """
    document: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": f"request {number} of {prompt} tokens"}],
        "max_tokens": output,
    }
    if stream:
        document |= {"stream": True, "stream_options": {"include_usage": True}}
    return document


def piece(call: int, number: int, of: int) -> str:
    """A piece of an answer's text; numbers from 1."""
    return f"{call}.{number}/{of};"


def pieces_of(body: bytes) -> list[tuple[int, int, int]]:
    """The pieces in an answer of whatever protocol: call, number, of how many."""
    return [(int(call), int(number), int(of)) for call, number, of in _PIECE.findall(body)]


def usage(prompt: int, output: int) -> dict[str, int]:
    """What an answer cost, in tokens."""
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def whole_answer(call: int, model: str, *, pieces: int, cost: dict[str, int]) -> bytes:
    """A whole answer."""
    text = "".join(piece(call, number, pieces) for number in range(1, pieces + 1))
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return _encode(
        {
            "id": f"call-{call}",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [choice],
            "usage": cost,
        }
    )


def stream_chunk(
    call: int,
    model: str,
    *,
    delta: dict[str, str] | None,
    finish: str | None = None,
    cost: dict[str, int] | None = None,
) -> bytes:
    """A chunk of a stream; without a delta the last one, which has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    document = {
        "id": f"call-{call}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": choices,
    }
    if cost is not None:
        document["usage"] = cost
    return b"data: " + _encode(document) + b"\n\n"


def error_body(message: str, kind: str, code: str | None) -> bytes:
    """An error."""
    return jsontext.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def retry_headers(hint: str, seconds: float) -> tuple[tuple[tuple[bytes, bytes], ...], float | None]:
    """The headers of a 429, and what they promise in seconds.

    Args:
        hint: As in `scenario.Provider.hint`.
        seconds: Until there is room.
    """
    match hint:
        case "seconds":
            told = math.ceil(seconds)
            return ((b"retry-after", b"%d" % told),), float(told)
        case "milliseconds":
            milliseconds = math.ceil(seconds * 1000)
            return ((b"retry-after-ms", b"%d" % milliseconds),), milliseconds / 1000
        case _:
            return (), None
