"""What follows from each failure: Ollama's rows, with the page each follows (read 2026-11-23)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ...universal.failure import Failure, Fault, KeyAction, RetryScope, Row, Verdict
from ..base import Limits
from ..verdict import verdict_of
from .profile import NAME

__all__ = ["ROWS", "classify", "encode_limits", "limits"]

_ERRORS: Final = "https://docs.ollama.com/api/errors"
_FAQ: Final = "https://docs.ollama.com/faq"
_LENGTH: Final = "https://github.com/nano-step/nano-brain/issues/208"
_CLOUD: Final = "https://docs.ollama.com/cloud"

_ROWS: Final = (
    Row(
        id="busy",  # the queue of requests is full (OLLAMA_MAX_QUEUE)
        fault=Fault.PROVIDER,
        retry=RetryScope.ROUTE,
        message=re.compile(r"server busy|maximum pending requests", re.IGNORECASE),
        source=_FAQ,
    ),
    Row(id="503", fault=Fault.PROVIDER, retry=RetryScope.ROUTE, status=(503,), source=_FAQ),
    Row(
        id="memory",  # the model does not fit: it never will on this machine
        fault=Fault.MODEL,
        retry=RetryScope.ROUTE,
        message=re.compile(r"requires more system memory|out of memory|runner process has terminated"),
        source=_FAQ,
    ),
    Row(id="429", fault=Fault.RATE, retry=RetryScope.KEY, key=KeyAction.COOL, status=(429,), source=_CLOUD),
    Row(id="401", fault=Fault.KEY, retry=RetryScope.KEY, key=KeyAction.DISABLE, status=(401,), source=_CLOUD),
    Row(id="402", fault=Fault.QUOTA, retry=RetryScope.KEY, key=KeyAction.EXHAUST, status=(402,), source=_CLOUD),
    Row(id="403", fault=Fault.KEY, retry=RetryScope.KEY, key=KeyAction.BLOCK_MODEL, status=(403,), source=_CLOUD),
    # The model was not pulled there: another upstream may have it.
    Row(id="404", fault=Fault.MODEL, retry=RetryScope.ROUTE, status=(404,), source=_ERRORS),
    Row(
        id="context_length",
        fault=Fault.REQUEST,
        retry=RetryScope.NONE,
        reason="context-window",
        message=re.compile(r"exceeds? the (?:available |maximum )?context|input length exceeds", re.IGNORECASE),
        source=_LENGTH,
        read="2026-11-29",
    ),
    Row(id="400", fault=Fault.REQUEST, retry=RetryScope.NONE, status=(400,), source=_ERRORS),
    Row(id="502", fault=Fault.PROVIDER, retry=RetryScope.ROUTE, status=(502,), source=_ERRORS),  # its cloud is away
    Row(id="500", fault=Fault.MODEL, retry=RetryScope.SAME, status=(500,), source=_ERRORS),
)

ROWS: Final = tuple([replace(row, read=row.read or "2026-11-23") for row in _ROWS])
"""What follows from a failure, most specific first."""


def classify(failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
    """See `base.Verdicts.classify`."""
    return verdict_of(failure, headers, rows=ROWS, limits=(), protocol=NAME, now=now)


def limits(headers: Mapping[str, str], *, now: float) -> Sequence[Limits]:  # noqa: ARG001 - it states none
    """None: no server of this protocol states its limits in headers."""
    return ()


def encode_limits(found: Sequence[Limits], *, now: float) -> tuple[tuple[bytes, bytes], ...]:  # noqa: ARG001 - as above
    """See `base.Verdicts.encode_limits`: nothing can be said."""
    return ()
