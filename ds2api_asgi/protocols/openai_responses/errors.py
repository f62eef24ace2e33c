"""Errors: as in every protocol of OpenAI; in a stream an ``error`` event, or an answer that failed.

https://platform.openai.com/docs/guides/error-codes and …/api-reference/responses-streaming (read 2026-11-23). Servers
send the event flat, as documented, and nested (``{"type": "error", "error": {…}}``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.sse import write_event
from ...universal.failure import Failure, FailureKind
from ...universal.jsontext import dumps
from ..base import WireError
from ..hidden import marked
from ..openai_shared import errors as openai_errors
from .profile import NAME

__all__ = [
    "answer_error",
    "decode_error",
    "decode_event",
    "decode_failed",
    "decode_failure",
    "encode_error",
    "encode_event",
    "encode_failed",
    "failure_of",
    "stream_error",
]

_SERVER_ERROR: Final = "server_error"
_CODES: Final = {
    FailureKind.RATE: "rate_limit_exceeded",
    FailureKind.BILLING: "rate_limit_exceeded",
    FailureKind.INVALID: "invalid_prompt",
}


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
    """See `base.Errors.decode_error`."""
    return openai_errors.decode_error(status, headers, body, protocol=NAME)


def encode_error(failure: Failure) -> WireError:
    """See `base.Errors.encode_error`."""
    return openai_errors.encode_error(failure, protocol=NAME)


def failure_of(answer: Mapping[str, Any]) -> Failure | None:
    """The failure that an answer under a success status is; None for one that is none.

    An answer may say that it failed, or was cancelled, and not why: half of an answer is no answer either.
    """
    error, status = answer.get("error"), answer.get("status")
    if error is not None:
        return decode_failure(error)
    if status in ("failed", "cancelled"):
        return Failure(kind=FailureKind.SERVER, message=f"the upstream's answer says that it {_ENDED[status]}")
    return None


def decode_failed(event: Mapping[str, Any]) -> Failure:
    """A ``response.failed`` event to universal form; Perplexity states the error without an answer around it."""
    response = event.get("response")
    told = response if type(response) is dict else {"error": event.get("error")}
    failure = failure_of({**told, "status": "failed"})
    assert failure is not None
    return failure


_ENDED: Final = {"failed": "failed", "cancelled": "was cancelled"}
_ERROR: Final = re.compile(rb'"error"\s*+:(?!\s*+null)')


def answer_error(body: bytes) -> Failure | None:
    """See `hidden.HidesErrors`: an answer whose status is ``failed``, or an error object of a relay.

    One that was cancelled is what its client wanted.
    """
    if _ERROR.search(body) is None and b'"failed"' not in body:  # every answer has an error, which is null
        return None
    document = marked(body, b"{")
    if type(document) is not dict or (document.get("error") is None and document.get("status") != "failed"):
        return None
    return failure_of(document)


def decode_failure(error: Any) -> Failure:
    """The ``error`` of an answer that failed to universal form; it has a code, and no type as others of OpenAI's."""
    failure = openai_errors.decode_failure({"error": error}, UNSET, protocol=NAME)
    return replace(failure, type=openai_errors.type_of(failure.kind)) if failure.type is UNSET else failure


def decode_event(event: dict[str, Any]) -> Failure:
    """An ``error`` event to universal form, flat or nested."""
    error = event.get("error")
    if type(error) is not dict:
        error = {key: value for key, value in event.items() if key not in ("sequence_number", "error", "type")}
    if error.get("param", UNSET) is None:
        error = {key: value for key, value in error.items() if key != "param"}
    return decode_failure(error)


def encode_failed(failure: Failure) -> dict[str, Any]:
    """The ``error`` of an answer that failed; it has codes of its own."""
    own = failure.protocol == NAME and type(failure.code) is str
    return {"code": failure.code if own else _CODES.get(failure.kind, _SERVER_ERROR), "message": failure.message}


def encode_event(failure: Failure, number: int) -> bytes:
    """An ``error`` event.

    Args:
        failure: What went wrong.
        number: Its ``sequence_number``.
    """
    error = openai_errors.encode_failure(failure, protocol=NAME).get("error")
    told = error if type(error) is dict else {}
    code = told.get("code")
    param = told.get("param")
    event = {
        "type": "error",
        "sequence_number": number,
        "code": code if type(code) is str else told.get("type", _SERVER_ERROR),
        "message": failure.message,
        "param": param if type(param) is str else None,
    }
    return write_event(dumps(event), b"error")


def stream_error(failure: Failure) -> bytes:
    """A failure in the middle of a stream of which nothing is known: an ``error`` event."""
    return encode_event(failure, 0)
