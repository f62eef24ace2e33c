"""Rate limits in answers of every OpenAI protocol: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens,…}``.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers (read 2026-11-23). Vendors' spellings:

| who | dimensions | reset |
|---|---|---|
| OpenAI, Groq | ``requests``, ``tokens`` | Go durations: ``6m0s``, ``12ms`` |
| Azure | the same | bare seconds; -1 for "not limited" |
| Cerebras | ``requests-day``, ``tokens-minute`` | bare seconds, with a fraction |
| Fireworks | ``requests``, ``tokens-prompt``, ``tokens-generated`` | none |
| Mistral, Together | ``requests``, ``tokens``, and without a dimension | bare seconds, or a moment |
| OpenRouter | none: ``x-ratelimit-reset`` | Unix time in milliseconds |
| Together | ``x-tokenlimit-…`` beside its ``x-ratelimit-…`` of requests | bare seconds |
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..base import Limits

__all__ = ["encode_limits", "limits"]

_LIMIT_HEADER: Final = re.compile(r"x-(ratelimit|tokenlimit)-(limit|remaining|reset)(?:-([a-z-]{1,40}))?")
_COUNT: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{0,9})?")
_GO_STEP: Final = re.compile(r"([0-9]{1,10}(?:\.[0-9]{0,9})?)(h|ms|m|s|us|µs|μs|ns)")
_GO: Final = re.compile(rf"(?:{_GO_STEP.pattern}){{1,8}}")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}


_MOMENT: Final = 1e8
"""A number of seconds above this is no duration (of three years) but Unix time."""
_MOMENT_MS: Final = 1e11
"""A number above this is Unix time in milliseconds."""


def limits(headers: Mapping[str, str], *, now: float) -> Sequence[Limits]:
    """The limits in ``x-ratelimit-{limit,remaining,reset}-{requests,tokens,…}``; what cannot be read is not stated."""
    found: dict[str, dict[str, float]] = {}
    for name, value in headers.items():
        match = _LIMIT_HEADER.fullmatch(name)
        if match is None:
            continue
        family, what, dimension = match.groups()
        number = _reset(value.strip(), now) if what == "reset" else _count(value.strip())
        if number is not None:
            dimension = dimension or ("tokens" if family == "tokenlimit" else "requests")
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


def _reset(text: str, now: float) -> float | None:
    if _GO.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _GO_STEP.findall(text))
    seconds = _count(text)
    if seconds is None or seconds < _MOMENT:
        return seconds
    return max(0.0, (seconds / 1000 if seconds >= _MOMENT_MS else seconds) - now)
