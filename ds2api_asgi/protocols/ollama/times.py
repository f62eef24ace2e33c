"""Times as this protocol writes them: RFC 3339, to the nanosecond where Ollama itself writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["unix_time", "written"]

# Python reads microseconds only; Go writes as many digits as it needs.
_FRACTION: Final = re.compile(r"(?<=:[0-9]{2})\.[0-9]+")
_LAST: Final = 253_402_300_799  # the end of the year 9999


def unix_time(text: Any) -> int | None:
    """Unix time in whole seconds of a date and time; None where it is none."""
    if type(text) is not str:
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def written(seconds: float) -> str:
    """Unix time as ``2026-11-23T02:47:08Z``."""
    return datetime.fromtimestamp(int(min(max(seconds, 0), _LAST)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
