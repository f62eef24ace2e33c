"""Token counts as OpenAI's protocols nest them: sums beside objects with their details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ..fields import Json

__all__ = ["Details", "take_counts"]

Details: TypeAlias = Mapping[str, tuple[str, Mapping[str, str]]]
"""By wire name: the universal member for the rest of the object, and the counts in it by their wire names."""


def take_counts(usage: Json, counts: Mapping[str, str], details: Details) -> tuple[dict[str, Any], Json]:
    """Read a usage object.

    Args:
        usage: ``{"total_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}``.
        counts: Universal names of sums by their wire names.
        details: The objects with details.

    Returns:
        Values by universal name, and whatever is not as documented.
    """
    values: dict[str, Any] = {}
    ext: Json = {}
    for key, value in usage.items():
        name = counts.get(key)
        if name is not None and type(value) is int:
            values[name] = value
        elif key in details and type(value) is dict:
            rest_name, known = details[key]
            rest: Json = {}
            for inner, count in value.items():
                own = known.get(inner)
                if own is not None and type(count) is int:
                    values[own] = count
                else:
                    rest[inner] = count
            if rest or not value:
                values[rest_name] = rest
        else:
            ext[key] = value
    return values, ext
