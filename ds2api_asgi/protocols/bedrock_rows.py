"""What follows from the errors of Amazon Bedrock, whatever protocol its models are asked in.

AWS names its exceptions in the header ``x-amzn-errortype``, inside a stream in the message's header
``:exception-type`` (``modelStreamErrorException``), or in the member ``__type``; the body is ``{"message": "…"}``.
Follows https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html and the model of the
service in botocore 1.44.8 (read 2026-11-29).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from ..universal.failure import Failure, Fault, KeyAction, RetryScope, Row

__all__ = ["ROWS", "exception_of"]

_AWS: Final = "https://docs.aws.amazon.com"
_PAGE: Final = f"{_AWS}/bedrock/latest/APIReference/API_runtime_InvokeModel.html"
_STREAM: Final = f"{_AWS}/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html"
_COMMON: Final = f"{_AWS}/bedrock-agentcore-control/latest/APIReference/CommonErrors.html"
"""The errors that the actions of all services of AWS have in common."""
_CREDENTIALS: Final = (
    f"{_AWS}/botocore/latest/reference/services/logs/client/exceptions/UnrecognizedClientException.html"
)
_LENGTH: Final = "https://github.com/aws-samples/assessment-generator/issues/2"


def _row(
    name: str, fault: Fault, retry: RetryScope, key: KeyAction = KeyAction.NONE, *, source: str = _PAGE, **more: Any
) -> Row:
    more = {"id": f"bedrock.{name}", "type": (name,), **more}
    return Row(fault=fault, retry=retry, key=key, source=source, read="2026-11-29", **more)


ROWS: Final = (
    _row(
        "ValidationException",
        Fault.REQUEST,
        RetryScope.NONE,
        id="bedrock.ValidationException.length",
        message=re.compile(r"Input is too long for requested model", re.IGNORECASE),
        reason="context-window",
        source=_LENGTH,
    ),
    _row("ThrottlingException", Fault.RATE, RetryScope.KEY, KeyAction.COOL),
    _row("ModelNotReadyException", Fault.MODEL, RetryScope.ROUTE),
    _row("ServiceQuotaExceededException", Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST),
    _row("ValidationException", Fault.REQUEST, RetryScope.NONE),
    _row("AccessDeniedException", Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL),
    _row("UnrecognizedClientException", Fault.KEY, RetryScope.KEY, KeyAction.DISABLE, source=_CREDENTIALS),
    _row("ExpiredTokenException", Fault.KEY, RetryScope.KEY, KeyAction.DISABLE, source=_COMMON),
    _row("ResourceNotFoundException", Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL),
    _row("ModelTimeoutException", Fault.MODEL, RetryScope.ROUTE),
    _row("ModelErrorException", Fault.MODEL, RetryScope.ROUTE),
    _row("ModelStreamErrorException", Fault.MODEL, RetryScope.ROUTE, source=_STREAM),
    _row("InternalServerException", Fault.MODEL, RetryScope.SAME),
    _row("ServiceUnavailableException", Fault.MODEL, RetryScope.ROUTE),
)
"""By exception; of a request that is refused, by its words, too."""

_NAME: Final = re.compile(r"(?:[^#]*#)?([A-Za-z]{1,60}Exception)(?::.*)?", re.DOTALL)


def exception_of(failure: Failure, headers: Mapping[str, str]) -> str | None:
    """The name of the exception that an answer states, or None: nothing of AWS's."""
    stated = headers.get("x-amzn-errortype", headers.get(":exception-type"))
    if stated is None and failure.details is not UNSET:
        stated = failure.details.get("__type")
    match = _NAME.fullmatch(stated) if isinstance(stated, str) else None
    return match[1][0].upper() + match[1][1:] if match is not None else None
