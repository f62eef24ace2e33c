"""Errors of every OpenAI protocol: ``{"error": {"message", "type", "param", "code"}}``.

https://platform.openai.com/docs/guides/error-codes (read 2026-11-23). Vendors differ: numeric codes (OpenRouter, vLLM,
Perplexity), a bare string (Ollama), members at the top level (older vLLM, Mistral), ``detail`` (FastAPI servers), HTML
(Cloudflare). An error object without a ``message`` string is kept whole in ``ext["error"]``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.failure import (
    Failure,
    FailureKind,
    kind_of_status,
)
from ...universal.jsontext import loads
from ...universal.retry_after import retry_after
from ..base import WireError
from .rows import QUOTA

__all__ = ["decode_error", "decode_failure", "encode_error", "encode_failure", "stated_status", "type_of"]

_FAMILY: Final = frozenset({"openai-chat", "openai-responses"})
"""The protocols whose errors are spelled alike, so that one's go to the other's clients as they are."""

_WORDS: Final = {
    "authentication_error": FailureKind.AUTH,
    "invalid_api_key": FailureKind.AUTH,
    "permission_error": FailureKind.PERMISSION,
    "model_not_found": FailureKind.NOT_FOUND,
    "not_found_error": FailureKind.NOT_FOUND,
    "NotFoundError": FailureKind.NOT_FOUND,
    "rate_limit_exceeded": FailureKind.RATE,
    "rate_limit_error": FailureKind.RATE,
    "slow_down": FailureKind.RATE,
    "server_is_overloaded": FailureKind.OVERLOADED,
    "service_unavailable_error": FailureKind.OVERLOADED,
    "overloaded_error": FailureKind.OVERLOADED,
    "provider_overloaded": FailureKind.OVERLOADED,
    "timeout_error": FailureKind.TIMEOUT,
    "stream_interrupted": FailureKind.TRUNCATED,
    "content_filter": FailureKind.INVALID,
    "context_length_exceeded": FailureKind.INVALID,
    "invalid_request_error": FailureKind.INVALID,
    "BadRequestError": FailureKind.INVALID,
}
"""What an error's own words mean where no status says it (inside a stream, under a success status)."""

_CAPACITY: Final = "capacity_exceeded"
"""Groq's code under its own status 498, which no table of statuses knows."""

# kind -> status, type, code
_SPELLING: Final[dict[FailureKind, tuple[int, str, str | None]]] = {
    FailureKind.INVALID: (400, "invalid_request_error", None),
    FailureKind.AUTH: (401, "invalid_request_error", "invalid_api_key"),
    FailureKind.BILLING: (429, "insufficient_quota", "insufficient_quota"),
    FailureKind.PERMISSION: (403, "invalid_request_error", "permission_denied"),
    FailureKind.NOT_FOUND: (404, "invalid_request_error", "model_not_found"),
    FailureKind.METHOD: (405, "invalid_request_error", "method_not_allowed"),
    FailureKind.CONFLICT: (409, "invalid_request_error", "conflict"),
    FailureKind.TOO_LARGE: (413, "invalid_request_error", "request_too_large"),
    FailureKind.RATE: (429, "rate_limit_error", "rate_limit_exceeded"),
    FailureKind.CLIENT_CLOSED: (499, "invalid_request_error", "client_closed_request"),
    FailureKind.SERVER: (500, "server_error", None),
    FailureKind.BAD_GATEWAY: (502, "server_error", "bad_gateway"),
    FailureKind.OVERLOADED: (503, "server_error", "server_is_overloaded"),
    FailureKind.TIMEOUT: (504, "server_error", "timeout"),
    FailureKind.TRUNCATED: (502, "upstream_stream_error", "stream_interrupted"),
}

_MAX_TEXT: Final = 512
_MIN_ERROR: Final = 400
_MAX_ERROR: Final = 599


def decode_error(status: int | UnsetType, headers: Mapping[str, str], body: bytes, *, protocol: str) -> Failure:
    """See `base.Errors.decode_error`.

    Args:
        status: The HTTP status, UNSET inside a stream.
        headers: Lower-case names.
        body: Anything.
        protocol: The name of the protocol that it was said in.
    """
    try:
        document = loads(body)
    except InvalidDocument:
        document = None
    if type(document) is list and len(document) == 1:
        document = document[0]
    if type(document) is dict:
        failure = decode_failure(document, status, protocol=protocol)
    else:
        failure = _unlike_ours(_plain_text(headers, body), status, protocol)
    wait = retry_after(headers, None)
    return replace(
        failure,
        retry_after=UNSET if wait is None else wait[0],
        request_id=headers.get("x-request-id", headers.get("apim-request-id", UNSET)),
    )


def decode_failure(document: dict[str, Any], status: int | UnsetType, *, protocol: str) -> Failure:
    """An error document to universal form; the arguments are those of `decode_error`."""
    values = _read(document)
    message = values.pop("message") or _silent(status)
    return Failure(kind=_kind(status, values), message=message, status=status, protocol=protocol, **values)


def _unlike_ours(message: str, status: int | UnsetType, protocol: str) -> Failure:
    """A failure that never had a spelling of its own gets ours."""
    kind = _kind(status, {})
    _, type_, code = _SPELLING[kind]
    return Failure(
        kind=kind, message=message or _silent(status), status=status, type=type_, code=code, protocol=protocol
    )


def _silent(status: int | UnsetType) -> str:
    return "the upstream failed" if status is UNSET else f"the upstream answered {status}"


def _read(document: dict[str, Any]) -> dict[str, Any]:
    """The members of a failure in an error document."""
    error = document.get("error")
    inner: Any = error
    if "error" not in document:  # the members stand at the top level
        inner = document
    if type(inner) is not dict or type(inner.get("message")) is not str:
        return {"message": _words(inner), "ext": {**document, "error": error} if "error" in document else document}
    values: dict[str, Any] = {"message": inner["message"]}
    details: dict[str, Any] = {}
    for key, value in inner.items():
        if key in ("code", "param") or (key == "type" and type(value) is str):
            values[key] = value
        elif key != "message":
            details[key] = value
    if details:
        values["details"] = details
    ext = {key: value for key, value in document.items() if key != "error"}
    if ext and inner is error:
        values["ext"] = ext
    return values


def _words(error: Any) -> str:
    """The words for a person in an error of an odd shape."""
    if type(error) is str:
        return error
    if type(error) is dict:
        for key in ("message", "detail", "msg", "error_description", "error"):
            if type(error.get(key)) is str:
                return str(error[key])
    return ""


def _plain_text(headers: Mapping[str, str], body: bytes) -> str:
    """A short text that is no page."""
    text = body[: 4 * _MAX_TEXT].decode("utf-8", "replace").strip()
    if text.startswith("<") or "html" in headers.get("content-type", ""):
        return ""
    return text[:_MAX_TEXT] if text.isprintable() else ""


def _kind(status: int | UnsetType, values: Mapping[str, Any]) -> FailureKind:
    code, type_ = values.get("code"), values.get("type")
    if (type(code) is str and code in QUOTA) or type_ in QUOTA:
        return FailureKind.BILLING
    if code == _CAPACITY:
        return FailureKind.OVERLOADED
    if status is not UNSET and status >= _MIN_ERROR:
        return kind_of_status(status)
    for word in (code, type_):
        if type(word) is str and word in _WORDS:
            return _WORDS[word]
    stated = stated_status(code, values.get("details") or {})
    return FailureKind.SERVER if stated is UNSET else kind_of_status(stated)


def stated_status(code: Any, details: Any) -> int | UnsetType:
    """The HTTP status that an error states in its own words, where no status line says it; UNSET: none.

    Args:
        code: The error's code: OpenRouter, vLLM and llama.cpp put the status there, as a number or text.
        details: Its further members: Groq says ``status_code``, Azure ``status``.
    """
    more = details if isinstance(details, dict) else {}
    for number in (code, more.get("status_code"), more.get("status")):
        value = int(number) if type(number) is str and number.isdecimal() and len(number) == len("400") else number
        if type(value) is int and _MIN_ERROR <= value <= _MAX_ERROR:
            return value
    return UNSET


def encode_error(failure: Failure, *, protocol: str) -> WireError:
    """Universal form to an error answer; one that was born here keeps its status and its members.

    Args:
        failure: What went wrong.
        protocol: The name of the protocol that it is written in.
    """
    status, _, _ = _SPELLING[failure.kind]
    if failure.protocol in _FAMILY and failure.status is not UNSET and failure.status >= _MIN_ERROR:
        status = failure.status
    headers = [(b"content-type", b"application/json")]
    if failure.retry_after is not UNSET:
        # Whole seconds for all, milliseconds for the SDKs that prefer them.
        headers.append((b"retry-after", str(math.ceil(failure.retry_after)).encode()))
        headers.append((b"retry-after-ms", str(math.ceil(failure.retry_after * 1000)).encode()))
    if failure.request_id is not UNSET:
        headers.append((b"x-request-id", failure.request_id.encode("ascii", "ignore")))
    return WireError(status=status, headers=tuple(headers), document=encode_failure(failure, protocol=protocol))


def type_of(kind: FailureKind) -> str:
    """The type string of errors of this kind."""
    return _SPELLING[kind][1]


def encode_failure(failure: Failure, *, protocol: str) -> dict[str, Any]:
    """The document of an error; the arguments are those of `encode_error`."""
    odd = failure.ext is not UNSET and "error" in failure.ext and failure.protocol != protocol
    if failure.protocol not in _FAMILY or odd:
        _, type_, code = _SPELLING[failure.kind]
        if failure.protocol is UNSET:  # our own: its words are nobody's spelling
            type_ = type_ if failure.type is UNSET else failure.type
            code = code if failure.code is UNSET else failure.code
        param = failure.param if failure.protocol is UNSET and failure.param is not UNSET else None
        return {"error": {"message": failure.message, "type": type_, "param": param, "code": code}}
    ext = {} if failure.ext is UNSET else failure.ext
    if "error" in ext:
        return dict(ext)
    error: dict[str, Any] = {"message": failure.message}
    for name in ("type", "param", "code"):
        value = getattr(failure, name)
        if value is not UNSET:
            error[name] = value
    if failure.details is not UNSET:
        error.update(failure.details)
    return {"error": error, **ext}
