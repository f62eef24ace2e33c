"""Token counts, which stand in the envelope of an answer: ``prompt_eval_count`` and ``eval_count``.

https://docs.ollama.com/api/usage (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...universal.loss import Severity
from ...universal.response import Usage
from ..fields import Json
from ..scope import Scope
from .fields import USAGE

__all__ = ["TIMES", "decode_usage", "encode_usage"]

TIMES: Final = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
"""Nanoseconds that stand beside the counts; only Ollama measures them."""


def decode_usage(document: Json) -> tuple[Usage | UnsetType, frozenset[str]]:
    """The counts and times in an answer, and the members that were read; odd ones are left to `ext`."""
    values: dict[str, Any] = {}
    ext: Json = {}
    read: list[str] = []
    for key, name in USAGE.items():
        if type(document.get(key)) is int:
            values[name] = document[key]
            read.append(key)
    for key in TIMES:
        if type(document.get(key)) is int:
            ext[key] = document[key]
            read.append(key)
    return (Usage(ext=ext or UNSET, **values) if read else UNSET), frozenset(read)


def encode_usage(usage: Usage, scope: Scope) -> Json:
    """Counts and times to members of an answer."""
    document = {key: getattr(usage, name) for key, name in USAGE.items() if getattr(usage, name) is not UNSET}
    if scope.home:
        return {**(usage.ext or {}), **document}
    scope.ext(usage.ext, "usage")
    for name in usage.__struct_fields__:
        if name not in ("ext", "form", *USAGE.values()) and getattr(usage, name) is not UNSET:
            scope.lacks(f"usage.{name}", Severity.COSMETIC, f"{name} in usage")
    return document
