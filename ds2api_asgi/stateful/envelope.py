"""A response object before the app has said a word: for background work, and for what generates nothing.

https://platform.openai.com/docs/api-reference/responses/object (read 2026-11-28): it repeats its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..universal import jsontext
from .members import NULL, joined, members

__all__ = ["envelope", "failed", "with_status"]

_DEFAULTS: Final[dict[str, bytes]] = {
    "instructions": NULL,
    "max_output_tokens": NULL,
    "max_tool_calls": NULL,
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "prompt_cache_key": NULL,
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": NULL,
    "service_tier": b'"auto"',
    "temperature": b"1",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"1",
    "truncation": b'"disabled"',
    "user": NULL,
}


def envelope(request: Mapping[str, bytes], echo: Mapping[str, bytes], *, status: str, now: int) -> bytes:
    """The response object of a request.

    Args:
        request: The members of the request.
        echo: Members that every object of this response states: its id, what it continues.
        status: ``"queued"``.
        now: Unix seconds.
    """
    repeated = {key: text for key in _DEFAULTS if (text := request.get(key, NULL)) != NULL}
    return joined(
        {
            "id": NULL,
            "object": b'"response"',
            "created_at": b"%d" % now,
            "completed_at": NULL,
            "status": jsontext.json_string(status),
            "error": NULL,
            "incomplete_details": NULL,
            "model": request.get("model", b'""'),
            "output": b"[]",
            "usage": NULL,
            **_DEFAULTS,
            **repeated,
            **echo,
        }
    )


def with_status(document: bytes, status: str) -> bytes:
    """The response object with another status."""
    return joined({**members(document), "status": jsontext.json_string(status)})


def failed(document: bytes, code: str, message: str) -> bytes:
    """The response object of a response that failed.

    Args:
        document: The object so far.
        code: One of the API's: ``"server_error"``, ``"rate_limit_exceeded"``, ``"invalid_prompt"``.
        message: For people.
    """
    error = jsontext.dumps({"code": code, "message": message})
    return joined({**members(document), "status": b'"failed"', "error": error})
