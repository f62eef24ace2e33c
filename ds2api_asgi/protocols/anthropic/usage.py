"""Token counts: this provider counts input tokens without the cached ones, the universal format with them.

``input_total = input_tokens + cache_read_input_tokens + cache_creation_input_tokens``; what is missing stays missing.
It follows https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...universal.loss import LossKind, Severity
from ...universal.response import Usage
from ..fields import put, take
from ..scope import Scope
from .fields import COUNTERS
from .profile import NAME

__all__ = ["decode_usage", "encode_usage"]

_OBJECTS: Final = ("input_tokens", "cache_creation", "output_tokens_details")
_LIFETIMES: Final = {"ephemeral_5m_input_tokens": "cache_write_5m", "ephemeral_1h_input_tokens": "cache_write_1h"}
_THOUGHTS: Final = {"thinking_tokens": "reasoning"}
_GROUPS: Final = (
    ("cache_creation", _LIFETIMES, "input_ext"),
    ("output_tokens_details", _THOUGHTS, "output_ext"),
)


def decode_usage(document: dict[str, Any]) -> Usage:
    """Read ``usage``; what is of the wrong type is kept in ``ext``."""
    values, unknown = take(document, COUNTERS, handled=_OBJECTS, strict=False)
    ext: dict[str, Any] = unknown or {}
    for name, table, left in _GROUPS:
        if name in document:
            group = document[name]
            if type(group) is dict:
                _take_group(group, table, left, values)
            else:
                ext[name] = group
    if "input_tokens" in document:
        fresh = document["input_tokens"]
        if type(fresh) is int:
            values["input_total"] = fresh + values.get("cache_read", 0) + values.get("cache_write", 0)
        else:
            ext["input_tokens"] = fresh
    return Usage(ext=ext or UNSET, **values)


def _take_group(group: dict[str, Any], table: dict[str, str], left: str, values: dict[str, Any]) -> None:
    others = {}
    for name, value in group.items():
        if name in table and type(value) is int:
            values[table[name]] = value
        else:
            others[name] = value
    if others or not group:
        values[left] = others


def encode_usage(usage: Usage | UnsetType, scope: Scope) -> dict[str, Any]:
    """Write ``usage``.

    An answer from elsewhere that does not state its tokens gets zeros, reported: clients of this provider break
    without the two members.
    """
    document: dict[str, Any] = {}
    if usage is UNSET:
        usage = Usage()
    put(usage, COUNTERS, document)
    if usage.input_total is not UNSET:
        document["input_tokens"] = usage.input_total - (usage.cache_read or 0) - (usage.cache_write or 0)
    for name, table, left in _GROUPS:
        group: dict[str, Any] = {}
        for wire, member in table.items():
            value = getattr(usage, member)
            if value is not UNSET:
                group[wire] = value
        others = getattr(usage, left) if scope.home else UNSET
        if group or others is not UNSET:
            document[name] = {**group, **(others or {})}
    if scope.home:
        document.update(usage.ext or {})
    else:
        _adapt(usage, document, scope)
    return document


_ELSEWHERE: Final = (
    "audio_input",
    "audio_output",
    "accepted_prediction",
    "rejected_prediction",
    "input_ext",
    "output_ext",
    "server_tools",
)


def _adapt(usage: Usage, document: dict[str, Any], scope: Scope) -> None:
    document.pop("server_tool_use", None)
    for name in ("input_tokens", "output_tokens"):
        if name not in document:
            document[name] = 0
            member = "input_total" if name == "input_tokens" else "output_total"
            scope.add(f"usage.{member}", LossKind.INVENTED, Severity.DEGRADED, f"{NAME} demands a number")
        elif document[name] < 0:  # caches over the total: the source counts them apart
            document[name] = 0
            scope.add("usage.input_total", LossKind.CLAMPED, Severity.DEGRADED, "less than the cached tokens")
    if "cache_creation" in document:  # both lifetimes or none
        for name in _LIFETIMES:
            document["cache_creation"].setdefault(name, 0)
    for name in _ELSEWHERE:
        if getattr(usage, name) is not UNSET:
            scope.drop(f"usage.{name}", Severity.COSMETIC, f"{NAME} does not count it")
    if usage.total is not UNSET and usage.total != (usage.input_total or 0) + (usage.output_total or 0):
        scope.drop("usage.total", Severity.COSMETIC, f"{NAME} states no sum")
    if usage.ext is not UNSET:
        scope.ext(usage.ext, "usage")
