"""Rate limits that an answer states: ``anthropic-ratelimit-{dimension}-{limit,remaining,reset}``.

It follows https://docs.anthropic.com/en/api/rate-limits (read 2026-11-22).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..base import Limits
from .times import unix_time, written

__all__ = ["encode_limits", "limits"]

_HEADER: Final = re.compile(r"anthropic-(ratelimit|priority)-([a-z0-9-]+)-(limit|remaining|reset|status|utilization)")

_COUNT: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{0,9})?")


def limits(headers: Mapping[str, str], *, now: float) -> list[Limits]:
    """See `Protocol.limits`; ``priority-…`` and ``unified-…`` dimensions keep their prefix."""
    found: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        match = _HEADER.fullmatch(name)
        if match is not None:
            prefix = "priority-" if match[1] == "priority" else ""
            found.setdefault(prefix + match[2], {})[match[3]] = value
    return [_limits(dimension, values, now) for dimension, values in found.items()]


def encode_limits(found: Sequence[Limits], *, now: float) -> tuple[tuple[bytes, bytes], ...]:
    """See `Verdicts.encode_limits`; a reset is a date, in whole seconds and rounded up."""
    headers: list[tuple[bytes, bytes]] = []
    for one in found:
        name = f"anthropic-ratelimit-{one.dimension}"
        if one.limit is not None:
            headers.append((f"{name}-limit".encode(), b"%d" % one.limit))
        if one.remaining is not None:
            headers.append((f"{name}-remaining".encode(), b"%d" % max(0.0, one.remaining)))
        if one.reset_after is not None:
            headers.append((f"{name}-reset".encode(), written(math.ceil(now + one.reset_after)).encode()))
    return tuple(headers)


def _limits(dimension: str, values: dict[str, str], now: float) -> Limits:
    reset = _reset(values.get("reset", ""))
    remaining = _number(values.get("remaining", ""))
    if remaining is None and values.get("status") == "rejected":
        remaining = 0.0
    return Limits(
        dimension=dimension,
        limit=_number(values.get("limit", "")),
        remaining=remaining,
        reset_after=None if reset is None else max(0.0, reset - now),
    )


def _number(text: str) -> float | None:
    return float(text) if _COUNT.fullmatch(text) else None


def _reset(text: str) -> float | None:
    """Unix time of a reset: RFC 3339, or epoch seconds in the ``unified`` headers."""
    return float(text) if re.fullmatch(r"[0-9]{1,11}", text) else unix_time(text)
