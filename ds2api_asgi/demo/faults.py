"""Failures on demand: ``demo-fail-429!3`` as a model, ``sk-any+429:30`` as a key.

    kind ::= status | word          what happens
    fault ::= kind [":" seconds] ["!" count]

``seconds`` is what retry-after asks for; with ``count`` only the first requests fail, and what follows is answered.

    400 ... 599   that status with OpenAI's error body
    quota         429 insufficient_quota: waiting will not help
    context       400 context_length_exceeded
    hang          no answer until the client leaves
    stall         half of the answer, then nothing until the client leaves
    cut           half of the answer, then the connection breaks
    eof           half of the answer, then a clean end (a stream without finish and [DONE])
    error         half of a stream, then an error event; 500 without a stream
    first         an error event as a stream's first event; 500 without a stream

Bodies and headers: https://platform.openai.com/docs/guides/error-codes (read 2026-11-23).
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

__all__ = ["FAILING_MODELS", "Fault", "Faults", "Problem", "fault_of_key", "fault_of_model"]

_WORDS = ("quota", "context", "hang", "stall", "cut", "eof", "error", "first")
_FAULT = re.compile(rf"([45]\d\d|{'|'.join(_WORDS)})(?::(\d{{1,6}}(?:\.\d{{1,3}})?))?(?:!(\d{{1,6}}))?")
_PREFIX = "demo-fail-"

FAILING_MODELS = tuple(_PREFIX + kind for kind in ("401", "403", "429", "500", "503", "529", *_WORDS))
"""The failing models that the list of models names; other statuses and suffixes work as well."""

MAX_COUNTED = 4_096
"""Sources with a count that are remembered; the oldest is forgotten."""


class Problem(Struct, frozen=True, kw_only=True):
    """An error answer in OpenAI's shape.

    Attributes:
        status: HTTP status.
        headers: Headers it comes with.
    """

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """``{"error": {"message": …, "type": …, "param": …, "code": …}}``."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class Fault(Struct, frozen=True, kw_only=True):
    """A failure that was ordered.

    Attributes:
        kind: A status or a word, see the module.
        seconds: What retry-after asks for.
        count: How many requests fail; None: all.
    """

    kind: str
    seconds: float = 1.0
    count: int | None = None

    @property
    def problem(self) -> Problem | None:
        """The error answer; None for the kinds that break off or hang."""
        if self.kind in ("hang", "stall", "cut", "eof"):
            return None
        status, kind, code, message = _PROBLEMS.get(self.kind) or _any_status(int(self.kind))
        headers = _rate_headers(self.seconds) if self.kind == "429" else ()
        return Problem(status=status, message=message, type=kind, code=code, headers=headers)


_REFUSED = "invalid_request_error"
_BUSY = "The engine is currently overloaded, please try again later."
_BROKE = "The server had an error while processing your request."
_PROBLEMS: dict[str, tuple[int, str, str | None, str]] = {
    "401": (401, _REFUSED, "invalid_api_key", "Incorrect API key provided."),
    "403": (
        403,
        "request_forbidden",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported.",
    ),
    "404": (404, _REFUSED, "model_not_found", "The model does not exist or you do not have access to it."),
    "429": (
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for requests per min (RPM): Limit 60, Used 60.",
    ),
    "500": (500, "server_error", None, _BROKE),
    "503": (503, "service_unavailable_error", "server_is_overloaded", _BUSY),
    "529": (529, "service_unavailable_error", "server_is_overloaded", _BUSY),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "context": (400, _REFUSED, "context_length_exceeded", "This model's maximum context length is 8192 tokens."),
    "error": (500, "server_error", None, _BROKE),
    "first": (500, "server_error", None, _BROKE),
}


def _any_status(status: int) -> tuple[int, str, str | None, str]:
    kind = "server_error" if status >= 500 else _REFUSED
    return status, kind, None, f"This is the status {status} that was asked for."


def _rate_headers(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    reset = b"%dms" % round(seconds * 1000) if seconds < 1 else b"%gs" % seconds
    return (
        (b"retry-after", b"%d" % max(1, -int(-seconds // 1))),
        (b"retry-after-ms", b"%d" % round(seconds * 1000)),
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"x-ratelimit-reset-requests", reset),
        (b"x-ratelimit-limit-tokens", b"60000"),
        (b"x-ratelimit-remaining-tokens", b"60000"),
        (b"x-ratelimit-reset-tokens", b"0s"),
    )


def fault_of_model(model: str) -> Fault | None:
    """The fault that a model's name orders, or None."""
    return _read(model.removeprefix(_PREFIX)) if model.startswith(_PREFIX) else None


def fault_of_key(key: str) -> Fault | None:
    """The fault that a key orders after its last ``+``, or None."""
    _, plus, suffix = key.rpartition("+")
    return _read(suffix) if plus else None


def _read(text: str) -> Fault | None:
    match = _FAULT.fullmatch(text)
    if match is None:
        return None
    kind, seconds, count = match.groups()
    return Fault(kind=kind, seconds=float(seconds) if seconds else 1.0, count=int(count) if count else None)


class Faults:
    """Counts down the faults that happen only a few times."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def due(self, source: str, fault: Fault | None) -> Fault | None:
        """The fault, if it happens to this request.

        Args:
            source: The model or key that ordered it; counts are kept for it.
            fault: What it ordered.
        """
        if fault is None or fault.count is None:
            return fault
        left = self._left.setdefault(source, fault.count)
        if len(self._left) > MAX_COUNTED:
            del self._left[next(iter(self._left))]
        if left == 0:
            return None
        self._left[source] = left - 1
        return fault
