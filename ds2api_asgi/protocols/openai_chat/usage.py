"""Token counts: ``prompt_tokens`` and ``completion_tokens`` are inclusive, as ours are.

https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage (read 2026-11-23). DeepSeek's
``prompt_cache_hit_tokens`` and Moonshot's ``cached_tokens`` stand for ``prompt_tokens_details.cached_tokens`` where
that is missing; the form of the same name says so.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...universal.loss import LossKind, Severity
from ...universal.response import Usage
from ..openai_shared.usage import Details, take_counts
from ..scope import Scope

__all__ = ["decode_usage", "encode_usage"]

_COUNTS = {"prompt_tokens": "input_total", "completion_tokens": "output_total", "total_tokens": "total"}
_DETAILS: Details = {
    "prompt_tokens_details": (
        "input_ext",
        {"cached_tokens": "cache_read", "cache_write_tokens": "cache_write", "audio_tokens": "audio_input"},
    ),
    "completion_tokens_details": (
        "output_ext",
        {
            "reasoning_tokens": "reasoning",
            "audio_tokens": "audio_output",
            "accepted_prediction_tokens": "accepted_prediction",
            "rejected_prediction_tokens": "rejected_prediction",
        },
    ),
}
_VENDOR = ("prompt_cache_hit_tokens", "cached_tokens")
_FOREIGN = ("cache_write_5m", "cache_write_1h", "server_tools", "input_ext", "output_ext")


def decode_usage(usage: dict[str, Any]) -> Usage:
    """A usage object to universal form; whatever is not as documented is kept in ``ext``."""
    values, ext = take_counts(usage, _COUNTS, _DETAILS)
    form: tuple[str, ...] = ()
    if "cache_read" not in values:
        for key in _VENDOR:
            if type(ext.get(key)) is int:
                values["cache_read"] = ext.pop(key)
                form = (key,)
                break
    return Usage(ext=ext or UNSET, form=form, **values)


def encode_usage(usage: Usage, scope: Scope, path: str = "usage") -> dict[str, Any]:
    """Token counts to a usage object; a sum that the source did not state is made where both terms are known."""
    document: dict[str, Any] = {}
    for key, name in _COUNTS.items():
        value = getattr(usage, name)
        if value is not UNSET:
            document[key] = value
    for key, (rest_name, table) in _DETAILS.items():
        inner: dict[str, Any] = {}
        for wire, name in table.items():
            value = getattr(usage, name)
            if value is not UNSET:
                vendor = next((form for form in usage.form if form in _VENDOR), None) if name == "cache_read" else None
                if vendor is not None:
                    document[vendor] = value
                else:
                    inner[wire] = value
        rest = getattr(usage, rest_name) if scope.home else UNSET
        if rest is not UNSET:
            inner = {**rest, **inner}
        if inner or rest is not UNSET:
            document[key] = inner
    if scope.home:
        if usage.ext is not UNSET:
            for key, value in usage.ext.items():
                document.setdefault(key, value)
        return document
    scope.ext(usage.ext, path)
    scope.lacks_each(usage, _FOREIGN, path, Severity.COSMETIC, "in usage")
    _demanded(document, scope, path)
    return document


def _demanded(document: dict[str, Any], scope: Scope, path: str) -> None:
    """The counts that each usage has to state."""
    for key in ("prompt_tokens", "completion_tokens"):
        if key not in document:
            document[key] = 0
            scope.add(f"{path}.{_COUNTS[key]}", LossKind.INVENTED, Severity.COSMETIC, "the protocol demands a count")
    document.setdefault("total_tokens", document["prompt_tokens"] + document["completion_tokens"])
