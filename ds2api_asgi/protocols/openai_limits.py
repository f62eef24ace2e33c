"""Rate limits in answers of every OpenAI protocol: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens,…}``.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers (read 2026-11-23).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from .base import Limits

__all__ = ["encode_limits", "limits"]

_LIMIT_HEADER: Final = re.compile(r"x-ratelimit-(limit|remaining|reset)-([a-z-]{1,40})")
_COUNT: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{0,9})?")
_GO_STEP: Final = re.compile(r"([0-9]{1,10}(?:\.[0-9]{0,9})?)(h|ms|m|s|us|µs|μs|ns)")
_GO: Final = re.compile(rf"(?:{_GO_STEP.pattern}){{1,8}}")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}


def limits(headers: Mapping[str, str], *, now: float) -> Sequence[Limits]:  # noqa: ARG001 - no dates among them
    """The limits in ``x-ratelimit-{limit,remaining,reset}-{requests,tokens,…}``.

    A reset is a Go duration (``6m0s``, ``12ms``) or, at Azure, bare seconds; what is neither counts as not stated.
    """
    found: dict[str, dict[str, float]] = {}
    for name, value in headers.items():
        match = _LIMIT_HEADER.fullmatch(name)
        if match is None:
            continue
        what, dimension = match.groups()
        number = _reset(value.strip()) if what == "reset" else _count(value.strip())
        if number is not None:
            found.setdefault(dimension, {})["reset_after" if what == "reset" else what] = number
    return [Limits(dimension=dimension, **values) for dimension, values in found.items()]


def encode_limits(found: Sequence[Limits], *, now: float) -> tuple[tuple[bytes, bytes], ...]:  # noqa: ARG001 - no dates
    """The headers that state limits: what `limits` reads."""
    headers: list[tuple[bytes, bytes]] = []
    for one in found:
        if one.limit is not None:
            headers.append((f"x-ratelimit-limit-{one.dimension}".encode(), b"%d" % one.limit))
        if one.remaining is not None:
            headers.append((f"x-ratelimit-remaining-{one.dimension}".encode(), b"%d" % max(0.0, one.remaining)))
        if one.reset_after is not None:
            headers.append((f"x-ratelimit-reset-{one.dimension}".encode(), _go(one.reset_after).encode()))
    return tuple(headers)


def _go(seconds: float) -> str:
    """A Go duration, rounded up: ``"12ms"``, ``"6m0s"``."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{max(0, milliseconds)}ms"
    whole, rest = divmod(milliseconds, 1000)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f"{rest / 1000:.3f}"[1:].rstrip("0").rstrip(".")
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{whole}{fraction}s"


def _count(text: str) -> float | None:
    # Azure says -1 for "not limited".
    return float(text) if _COUNT.fullmatch(text) and not text.startswith("-") else None


def _reset(text: str) -> float | None:
    if _GO.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _GO_STEP.findall(text))
    return _count(text)
