"""Errors: as in every protocol of OpenAI; in a stream an event without a name.

https://platform.openai.com/docs/guides/error-codes (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from ...framing.sse import write_event
from ...universal.failure import Failure
from ...universal.jsontext import dumps
from ..base import WireError
from ..hidden import marked
from ..openai_shared import errors as openai_errors
from .profile import NAME

__all__ = ["answer_error", "decode_error", "decode_failure", "encode_error", "error_of", "stream_error"]


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
    """See `base.Errors.decode_error`."""
    return openai_errors.decode_error(status, headers, body, protocol=NAME)


def decode_failure(document: dict[str, Any], status: int | UnsetType = UNSET) -> Failure:
    """An error document to universal form; status UNSET inside a stream."""
    return openai_errors.decode_failure(document, status, protocol=NAME)


def error_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """The error that an answer's document is, or None.

    It stands in ``error`` (Azure; OpenRouter, also beside ``choices``), in each of the choices (OpenRouter), or is the
    whole document (older vLLM, Mistral: ``{"object": "error", "message": …}``). A choice that failed beside one that
    did not makes no error of the answer.

    Args:
        document: An answer, or a chunk of a stream.

    Returns:
        A document for `decode_failure`.
    """
    if document.get("error") is not None:
        return {"error": document["error"]} if "choices" in document else document
    if document.get("object") == "error":
        return document
    choices = document.get("choices")
    if type(choices) is not list or not choices:
        return None
    for choice in choices:
        if type(choice) is not dict or choice.get("error") is None:
            return None
    return {"error": choices[0]["error"]}


def answer_error(body: bytes) -> Failure | None:
    """See `hidden.HidesErrors`."""
    document = marked(body)
    error = error_of(document) if type(document) is dict else None
    return None if error is None else decode_failure(error)


def encode_error(failure: Failure) -> WireError:
    """See `base.Errors.encode_error`."""
    return openai_errors.encode_error(failure, protocol=NAME)


def stream_error(failure: Failure) -> bytes:
    r"""A failure in the middle of a stream: ``data: {"error": …}\n\n``; no ``[DONE]`` follows it."""
    return write_event(dumps(openai_errors.encode_failure(failure, protocol=NAME)))
