"""Errors: ``{"type": "error", "error": {"type": …, "message": …, "details": …}, "request_id": …}``.

It follows https://docs.anthropic.com/en/api/errors and …/rate-limits (read 2026-11-22); 529 is the provider's own
status for a fleet that is full.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

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
    "encode_error",
    "encode_failure",
    "stream_error",
]

_KINDS: Final = {
    "invalid_request_error": FailureKind.INVALID,
    "authentication_error": FailureKind.AUTH,
    "billing_error": FailureKind.BILLING,
    "permission_error": FailureKind.PERMISSION,
    "not_found_error": FailureKind.NOT_FOUND,
    "conflict_error": FailureKind.CONFLICT,
    "request_too_large": FailureKind.TOO_LARGE,
    "rate_limit_error": FailureKind.RATE,
    "timeout_error": FailureKind.TIMEOUT,
    "api_error": FailureKind.SERVER,
    "overloaded_error": FailureKind.OVERLOADED,
}

_SPELLING: Final = {
    FailureKind.INVALID: (400, "invalid_request_error"),
    FailureKind.AUTH: (401, "authentication_error"),
    FailureKind.BILLING: (402, "billing_error"),
    FailureKind.PERMISSION: (403, "permission_error"),
    FailureKind.NOT_FOUND: (404, "not_found_error"),
    FailureKind.METHOD: (405, "invalid_request_error"),
    FailureKind.CONFLICT: (409, "conflict_error"),
    FailureKind.TOO_LARGE: (413, "request_too_large"),
    FailureKind.RATE: (429, "rate_limit_error"),
    FailureKind.CLIENT_CLOSED: (499, "api_error"),
    FailureKind.SERVER: (500, "api_error"),
    FailureKind.BAD_GATEWAY: (502, "api_error"),
    FailureKind.OVERLOADED: (529, "overloaded_error"),
    FailureKind.TIMEOUT: (504, "timeout_error"),
    FailureKind.TRUNCATED: (502, "api_error"),
}


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes) -> Failure:
    """See `Protocol.decode_error`."""
    try:
        document = loads(body)
    except InvalidDocument:
        document = None
    failure = decode_failure(document, status)
    changes: dict[str, Any] = {}
    hint = retry_after(headers, None)
    if hint is not None:
        changes["retry_after"] = hint[0]
    if failure.request_id is UNSET and headers.get("request-id") and failure.protocol is UNSET:
        changes["request_id"] = headers["request-id"]
    return msgspec.structs.replace(failure, **changes) if changes else failure


def decode_failure(document: Any, status: int | UnsetType) -> Failure:
    """Read an error document, or whatever stands in its place.

    Args:
        document: A JSON value; None where there was none.
        status: The HTTP status, UNSET inside a stream.
    """
    error = document.get("error") if type(document) is dict else None
    if type(error) is not dict or type(error.get("type")) is not str or type(error.get("message")) is not str:
        return _unlike_ours(document, status)
    details = {name: value for name, value in error.items() if name not in {"type", "message"}}
    known = {"error", "type"} if document.get("type") == "error" else {"error"}
    ext = {name: value for name, value in document.items() if name not in known}
    request_id = ext.pop("request_id") if type(ext.get("request_id")) is str else UNSET
    return Failure(
        kind=_kind(error["type"], status),
        message=error["message"],
        status=status,
        type=error["type"],
        request_id=request_id,
        details=details or UNSET,
        ext=ext or UNSET,
        protocol=NAME if document.get("type") == "error" else UNSET,
    )


def _kind(kind: str, status: int | UnsetType) -> FailureKind:
    by_status = FailureKind.SERVER if status is UNSET else kind_of_status(status)
    known = _KINDS.get(kind)
    # Relays say "api_error" for all: the status says more.
    if known is None or (known is FailureKind.SERVER and status is not UNSET):
        return by_status
    if known is FailureKind.INVALID and by_status in {FailureKind.TOO_LARGE, FailureKind.METHOD}:
        return by_status
    return known


def _unlike_ours(document: Any, status: int | UnsetType) -> Failure:
    message = ""
    if type(document) is dict:
        error = document.get("error")
        for holder in (error, document):
            if type(holder) is dict and type(holder.get("message")) is str:
                message = message or holder["message"]
        if type(error) is str:
            message = message or error
        if type(document.get("detail")) is str:
            message = message or document["detail"]
    where = "in its stream" if status is UNSET else f"with status {status}"
    return Failure(
        kind=FailureKind.SERVER if status is UNSET else kind_of_status(status),
        message=message or f"the upstream failed {where} and did not say why",
        status=status,
        # Amazon's word for what it is.
        details={"__type": document["__type"]} if type(document) is dict and "__type" in document else UNSET,
    )


def answer_error(body: bytes) -> Failure | None:
    """See `hidden.HidesErrors`."""
    document = marked(body)
    if type(document) is not dict or not document.get("error"):
        return None
    kind = document.get("type")
    return decode_failure(document, UNSET) if kind == "error" or (kind is None and "content" not in document) else None


def encode_error(failure: Failure) -> WireError:
    """See `Protocol.encode_error`."""
    status = _SPELLING[failure.kind][0]
    if failure.protocol == NAME and failure.status is not UNSET:
        status = failure.status
    headers = [(b"content-type", b"application/json")]
    if failure.retry_after is not UNSET:
        headers.append((b"retry-after", b"%d" % math.ceil(failure.retry_after)))
    if failure.request_id is not UNSET:
        headers.append((b"request-id", failure.request_id.encode("latin-1", "replace")))
    return WireError(status=status, headers=tuple(headers), document=encode_failure(failure))


def encode_failure(failure: Failure) -> dict[str, Any]:
    """Write the error document."""
    home = failure.protocol == NAME
    kind = failure.type if home and failure.type is not UNSET else _SPELLING[failure.kind][1]
    error: dict[str, Any] = {"type": kind, "message": failure.message}
    document: dict[str, Any] = {"type": "error", "error": error}
    if failure.request_id is not UNSET:
        document["request_id"] = failure.request_id
    if home:
        error.update(failure.details or {})
        document.update(failure.ext or {})
    elif failure.kind is FailureKind.INVALID and failure.param == "thread":
        # What the SDK's tool runner waits for to go on without a thread.
        error["details"] = {"error_code": "thread_unsupported_request"}
    return document


def stream_error(failure: Failure) -> bytes:
    """See `Protocol.stream_error`."""
    return write_event(dumps(encode_failure(failure)), b"error")
