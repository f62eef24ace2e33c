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
from .. import openai_errors
from ..base import WireError
from .profile import NAME

__all__ = ["decode_error", "decode_failure", "encode_error", "stream_error"]


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
    """See `base.Errors.decode_error`."""
    return openai_errors.decode_error(status, headers, body, protocol=NAME)


def decode_failure(document: dict[str, Any], status: int | UnsetType = UNSET) -> Failure:
    """An error document to universal form; status UNSET inside a stream."""
    return openai_errors.decode_failure(document, status, protocol=NAME)


def encode_error(failure: Failure) -> WireError:
    """See `base.Errors.encode_error`."""
    return openai_errors.encode_error(failure, protocol=NAME)


def stream_error(failure: Failure) -> bytes:
    r"""A failure in the middle of a stream: ``data: {"error": …}\n\n``; no ``[DONE]`` follows it."""
    return write_event(dumps(openai_errors.encode_failure(failure, protocol=NAME)))
