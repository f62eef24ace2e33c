"""Token counts: ``input_tokens`` and ``output_tokens`` are inclusive, as ours are.

https://platform.openai.com/docs/api-reference/responses/object#responses-object-usage (read 2026-11-23).
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from ...universal.loss import Severity
from ...universal.response import Usage
from ..fields import Json
from ..openai_shared.usage import Details, take_counts
from ..scope import Scope

__all__ = ["decode_usage", "encode_usage"]

_COUNTS: Final = {"input_tokens": "input_total", "output_tokens": "output_total", "total_tokens": "total"}
_DETAILS: Final[Details] = {
    "input_tokens_details": ("input_ext", {"cached_tokens": "cache_read", "cache_write_tokens": "cache_write"}),
    "output_tokens_details": ("output_ext", {"reasoning_tokens": "reasoning"}),
}
_FOREIGN: Final = (
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "audio_output",
    "accepted_prediction",
    "rejected_prediction",
    "server_tools",
    "input_ext",
    "output_ext",
)


def decode_usage(usage: Json) -> Usage:
    """A usage object to universal form; whatever is not as documented is kept in ``ext``."""
    values, ext = take_counts(usage, _COUNTS, _DETAILS)
    return Usage(ext=ext or UNSET, **values)


def encode_usage(usage: Usage, scope: Scope, path: str = "usage") -> Json:
    """Token counts to a usage object.

    SDKs demand all counts, so those that the source does not state are 0, and the sum is made.
    """
    if scope.home:
        return _encode_home(usage)
    scope.ext(usage.ext, path)
    scope.lacks_each(usage, _FOREIGN, path, Severity.COSMETIC, "in usage")
    document: Json = {}
    for key, name in _COUNTS.items():
        document[key] = getattr(usage, name) or 0
    for key, (_, table) in _DETAILS.items():
        document[key] = {wire: getattr(usage, name) or 0 for wire, name in table.items()}
    if usage.total is UNSET:
        document["total_tokens"] = document["input_tokens"] + document["output_tokens"]
    return document


def _encode_home(usage: Usage) -> Json:
    document: Json = {}
    for key, name in _COUNTS.items():
        if getattr(usage, name) is not UNSET:
            document[key] = getattr(usage, name)
    for key, (rest_name, table) in _DETAILS.items():
        inner = {wire: getattr(usage, name) for wire, name in table.items() if getattr(usage, name) is not UNSET}
        rest = getattr(usage, rest_name)
        if inner or rest is not UNSET:
            document[key] = {**(rest or {}), **inner}
    for key, value in (usage.ext or {}).items():
        document.setdefault(key, value)
    return document
