"""Members of a request's objects, read with their types checked.

Every function takes the object, the member's name, and ``at``: what stands before the name in an error's path. All
raise InvalidDocument when the member is of the wrong type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidDocument

__all__ = ["read_flag", "read_number", "read_text", "read_whole"]


def read_text(document: Mapping[str, Any], name: str, at: str, *, default: str | None = None) -> str:
    """Read a string; where `default` is given it may be absent or null."""
    value = document.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise InvalidDocument(f"{at}{name}", "must be a string" if name in document else "is missing")
    return value


def read_flag(document: Mapping[str, Any], name: str, *, default: bool, at: str = "") -> bool:
    """Read a boolean that may be absent or null."""
    value = document.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidDocument(f"{at}{name}", "must be a boolean")
    return value


def read_number(document: Mapping[str, Any], name: str, low: float, high: float) -> None:
    """Check a number that may be absent or null."""
    value = document.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InvalidDocument(name, f"must be a number from {low} to {high}")


def read_whole(document: Mapping[str, Any], name: str, low: int, high: int | None) -> int | None:
    """Read a whole number that may be absent or null; None stands for no upper bound."""
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise InvalidDocument(name, f"must be a whole number from {low}" + ("" if high is None else f" to {high}"))
    return value
