"""Errors: ``{"error": "text"}``, as an answer and as a line of a stream.

https://docs.ollama.com/api/errors (read 2026-11-23). Its own client reads ``status`` and ``signin_url`` beside the
text; gateways in front of it send an object as ``error``, which is kept whole in ``ext["error"]``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...framing.ndjson import write_line
from ...universal.failure import Failure, FailureKind, kind_of_status
from ...universal.jsontext import dumps, loads
from ...universal.retry_after import retry_after
from ..base import WireError
from ..hidden import marked
from .profile import NAME

__all__ = ["answer_error", "decode_error", "encode_error", "stream_error"]

# What an error's words mean where no status says it, most specific first.
_WORDS: Final = (
    (re.compile(r"server busy|maximum pending requests|overloaded", re.IGNORECASE), FailureKind.OVERLOADED),
    (re.compile(r"unauthorized", re.IGNORECASE), FailureKind.AUTH),
    (re.compile(r"rate limit|too many requests|usage limit", re.IGNORECASE), FailureKind.RATE),
    (re.compile(r"model .*not found|no such model", re.IGNORECASE), FailureKind.NOT_FOUND),
    (
        re.compile(r"does not support|invalid (?:format|think|option)|exceeds? the (?:available )?context|is required"),
        FailureKind.INVALID,
    ),
)

_STATUS: Final[dict[FailureKind, int]] = {
    FailureKind.INVALID: 400,
    FailureKind.AUTH: 401,
    FailureKind.BILLING: 402,
    FailureKind.PERMISSION: 403,
    FailureKind.NOT_FOUND: 404,
    FailureKind.METHOD: 405,
    FailureKind.CONFLICT: 409,
    FailureKind.TOO_LARGE: 413,
    FailureKind.RATE: 429,
    FailureKind.CLIENT_CLOSED: 499,
    FailureKind.SERVER: 500,
    FailureKind.BAD_GATEWAY: 502,
    FailureKind.OVERLOADED: 503,
    FailureKind.TIMEOUT: 504,
    FailureKind.TRUNCATED: 502,
}

_MAX_TEXT: Final = 512
_MIN_ERROR: Final = 400
_MAX_ERROR: Final = 599


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
    """An error answer, or an error inside a stream (status UNSET), to universal form; total on garbage."""
    try:
        document = loads(body)
    except InvalidDocument:
        document = None
    values: dict[str, Any] = {}
    if type(document) is not dict:
        message = _plain_text(headers, body)
    elif "error" in document:
        message = _message(document["error"])
        values["ext"] = {
            key: value for key, value in document.items() if key != "error" or value != message or not value
        }
    else:  # another protocol's error
        message = _message(document)
        values["details"] = document
    if not message:  # where it stood an empty text, `ext` keeps that
        message = "the upstream failed" if status is UNSET else f"the upstream answered {status}"
    wait = retry_after(headers, None)
    return Failure(
        kind=_kind(status, message, document if type(document) is dict else {}),
        status=status,
        message=message,
        retry_after=UNSET if wait is None else wait[0],
        protocol=NAME,
        **{name: members for name, members in values.items() if members},
    )


def _message(error: Any) -> str:
    """The words for a person in an error; an object in place of the text is another protocol's."""
    if type(error) is dict:
        error = next((error[key] for key in ("message", "detail", "msg") if type(error.get(key)) is str), "")
    return error if type(error) is str else ""


def _plain_text(headers: Mapping[str, str], body: bytes) -> str:
    """A short text that is no page."""
    text = body[: 4 * _MAX_TEXT].decode("utf-8", "replace").strip()
    if text.startswith("<") or "html" in headers.get("content-type", ""):
        return ""
    return text[:_MAX_TEXT] if text.isprintable() else ""


def _kind(status: int | UnsetType, message: str, document: Mapping[str, Any]) -> FailureKind:
    for number in (status, document.get("status"), document.get("status_code")):
        if type(number) is int and _MIN_ERROR <= number <= _MAX_ERROR:
            return kind_of_status(number)
    return next((kind for words, kind in _WORDS if words.search(message)), FailureKind.SERVER)


def answer_error(body: bytes) -> Failure | None:
    """See `hidden.HidesErrors`."""
    document = marked(body)
    return decode_error(UNSET, {}, body) if type(document) is dict and document.get("error") else None


def encode_error(failure: Failure) -> WireError:
    """Universal form to an error answer; one that was born here keeps its status and its members."""
    status = _STATUS[failure.kind]
    if failure.protocol == NAME and failure.status is not UNSET and failure.status >= _MIN_ERROR:
        status = failure.status
    headers = [(b"content-type", b"application/json")]
    if failure.retry_after is not UNSET:
        headers.append((b"retry-after", str(math.ceil(failure.retry_after)).encode()))
    return WireError(status=status, headers=tuple(headers), document=_document(failure))


def _document(failure: Failure) -> dict[str, Any]:
    if failure.protocol != NAME:
        return {"error": failure.message}
    if failure.details is not UNSET:
        return dict(failure.details)
    return {"error": failure.message, **(failure.ext or {})}


def stream_error(failure: Failure) -> bytes:
    r"""A failure in the middle of a stream: ``{"error": …}\n``; no line with ``done`` follows it."""
    return write_line(dumps(_document(failure)))
