"""Errors: ``{"error": {"code": 429, "message": …, "status": "RESOURCE_EXHAUSTED", "details": […]}}``.

Some endpoints put a list around it. It follows https://google.aip.dev/193 and
https://ai.google.dev/gemini-api/docs/troubleshooting (read 2026-11-23).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...framing.sse import write_event
from ...universal.failure import Failure, FailureKind, kind_of_status
from ...universal.jsontext import dumps, loads
from ...universal.retry_after import retry_after
from ..base import WireError
from ..hidden import marked
from .profile import NAME

__all__ = [
    "answer_error",
    "decode_error",
    "decode_failure",
    "details_of",
    "duration",
    "encode_error",
    "encode_failure",
    "stream_error",
]

RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"

_KINDS: Final = {
    "INVALID_ARGUMENT": FailureKind.INVALID,
    "FAILED_PRECONDITION": FailureKind.INVALID,
    "OUT_OF_RANGE": FailureKind.INVALID,
    "UNAUTHENTICATED": FailureKind.AUTH,
    "PERMISSION_DENIED": FailureKind.PERMISSION,
    "NOT_FOUND": FailureKind.NOT_FOUND,
    "ALREADY_EXISTS": FailureKind.CONFLICT,
    "ABORTED": FailureKind.CONFLICT,
    "RESOURCE_EXHAUSTED": FailureKind.RATE,
    "CANCELLED": FailureKind.CLIENT_CLOSED,
    "UNIMPLEMENTED": FailureKind.METHOD,
    "INTERNAL": FailureKind.SERVER,
    "UNKNOWN": FailureKind.SERVER,
    "DATA_LOSS": FailureKind.SERVER,
    "UNAVAILABLE": FailureKind.OVERLOADED,
    "DEADLINE_EXCEEDED": FailureKind.TIMEOUT,
}
_SPELLING: Final = {
    FailureKind.INVALID: (400, "INVALID_ARGUMENT"),
    FailureKind.AUTH: (401, "UNAUTHENTICATED"),
    FailureKind.BILLING: (429, "RESOURCE_EXHAUSTED"),
    FailureKind.PERMISSION: (403, "PERMISSION_DENIED"),
    FailureKind.NOT_FOUND: (404, "NOT_FOUND"),
    FailureKind.METHOD: (405, "UNIMPLEMENTED"),
    FailureKind.CONFLICT: (409, "ABORTED"),
    FailureKind.TOO_LARGE: (413, "INVALID_ARGUMENT"),
    FailureKind.RATE: (429, "RESOURCE_EXHAUSTED"),
    FailureKind.CLIENT_CLOSED: (499, "CANCELLED"),
    FailureKind.SERVER: (500, "INTERNAL"),
    FailureKind.BAD_GATEWAY: (502, "UNAVAILABLE"),
    FailureKind.OVERLOADED: (503, "UNAVAILABLE"),
    FailureKind.TIMEOUT: (504, "DEADLINE_EXCEEDED"),
    FailureKind.TRUNCATED: (502, "UNAVAILABLE"),
}
_DURATION: Final = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?")


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
    """See `Protocol.decode_error`; what ``RetryInfo`` asks for counts as ``retry-after`` does."""
    try:
        document = loads(body)
    except InvalidDocument:
        document = None
    failure = decode_failure(document, status)
    hint = retry_after(headers, None)
    return failure if hint is None else replace(failure, retry_after=hint[0])


def decode_failure(document: Any, status: int | UnsetType) -> Failure:
    """Read an error document, or whatever stands in its place.

    Args:
        document: A JSON value; None where there was none.
        status: The HTTP status, UNSET inside a stream.
    """
    if type(document) is list and document:
        document = document[0]
    error = document.get("error") if type(document) is dict else None
    if type(error) is not dict or type(error.get("code")) is not int or type(error.get("message")) is not str:
        return _unlike_ours(document, error, status)
    details = {name: value for name, value in error.items() if name not in {"code", "message", "status"}}
    word = error.get("status")
    if type(word) is not str and "status" in error:
        details["status"] = word
    failure = Failure(
        kind=_kind(word, error["code"] if status is UNSET else status),
        message=error["message"],
        status=status,
        type=word if type(word) is str else UNSET,
        code=error["code"],
        details=details or UNSET,
        ext={name: value for name, value in document.items() if name != "error"} or UNSET,
        protocol=NAME,
    )
    for detail in details_of(failure, "RetryInfo"):
        seconds = duration(detail.get("retryDelay"))
        if seconds is not None:
            return replace(failure, retry_after=seconds)
    return failure


def _kind(word: Any, status: int) -> FailureKind:
    by_status = kind_of_status(status) if status >= 400 else FailureKind.SERVER
    known = _KINDS.get(word) if type(word) is str else None
    if known is None or (known is FailureKind.INVALID and by_status is not FailureKind.SERVER):
        return by_status
    if known is FailureKind.OVERLOADED and by_status is FailureKind.BAD_GATEWAY:
        return by_status  # one word for both, and only the status tells them apart
    return known


def _unlike_ours(document: Any, error: Any, status: int | UnsetType) -> Failure:
    message = ""
    for holder in (error, document):
        if type(holder) is dict and type(holder.get("message")) is str:
            message = message or holder["message"]
    if type(error) is str:
        message = message or error
    where = "in its stream" if status is UNSET else f"with status {status}"
    return Failure(
        kind=FailureKind.SERVER if status is UNSET else kind_of_status(status),
        message=message or f"the upstream failed {where} and did not say why",
        status=status,
        # The Interactions API: its words for codes.
        details={"code": error["code"]} if type(error) is dict and type(error.get("code")) is str else UNSET,
    )


def details_of(failure: Failure, kind: str) -> Iterator[dict[str, Any]]:
    """The typed details of an error: ``"RetryInfo"``, ``"QuotaFailure"``, ``"ErrorInfo"``."""
    details = failure.details.get("details") if failure.details is not UNSET else None
    for detail in details if type(details) is list else ():
        if type(detail) is dict and str(detail.get("@type", "")).endswith(f"google.rpc.{kind}"):
            yield detail


def duration(value: Any) -> float | None:
    """Seconds of a duration: ``"34.07s"``, ``"156h14m36.7s"`` or ``{"seconds": 34, "nanos": …}``; or None."""
    if type(value) is str:
        match = _DURATION.fullmatch(value)
        if match is None or not value:
            return None
        hours, minutes, seconds = match.groups()
        return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)
    if type(value) is dict:
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
        if type(seconds) is str and seconds.isascii() and seconds.isdigit() and len(seconds) < 10:
            seconds = int(seconds)
        if type(seconds) is int and type(nanos) is int and 0 <= seconds < 10**9 and 0 <= nanos < 10**9:
            return seconds + nanos / 1e9
    return None


def answer_error(body: bytes) -> Failure | None:
    """See `hidden.HidesErrors`: an error object, or a list of just that."""
    document = marked(body)
    if type(document) is list and len(document) == 1:
        document = document[0]
    if type(document) is not dict or not document.get("error") or "candidates" in document:
        return None
    return decode_failure(document, UNSET)


def encode_error(failure: Failure) -> WireError:
    """See `Protocol.encode_error`."""
    headers = [(b"content-type", b"application/json")]
    if failure.retry_after is not UNSET:
        headers.append((b"retry-after", b"%d" % math.ceil(failure.retry_after)))
    return WireError(status=_status(failure), headers=tuple(headers), document=encode_failure(failure))


def _status(failure: Failure) -> int:
    if failure.protocol == NAME and failure.status is not UNSET:
        return failure.status
    return _SPELLING[failure.kind][0]


def encode_failure(failure: Failure) -> dict[str, Any]:
    """Write the error document."""
    if failure.protocol == NAME:
        error: dict[str, Any] = {"code": failure.code, "message": failure.message}
        if failure.type is not UNSET:
            error["status"] = failure.type
        error.update(failure.details or {})
        return {"error": error, **(failure.ext or {})}
    code, word = _SPELLING[failure.kind]
    error = {"code": code, "message": failure.message, "status": word}
    if failure.retry_after is not UNSET:
        seconds = f"{failure.retry_after:.3f}".rstrip("0").rstrip(".")
        error["details"] = [{"@type": RETRY_INFO, "retryDelay": f"{seconds}s"}]
    return {"error": error}


def stream_error(failure: Failure) -> bytes:
    """See `Protocol.stream_error`; for streams of server-sent events."""
    return write_event(dumps(encode_failure(failure)))
