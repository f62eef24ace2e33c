"""Times as the provider spells them: RFC 3339 in UTC with none, three, six or nine digits of a second."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

__all__ = ["rfc3339", "unix_time"]

_SHAPE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")


def unix_time(text: str) -> float | None:
    """Unix time of a text; None when it is no time."""
    if not _SHAPE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def rfc3339(seconds: float) -> str:
    """The text of a Unix time, with as few digits as it takes."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    micros = moment.microsecond
    if micros:
        text += f".{micros // 1000:03d}" if micros % 1000 == 0 else f".{micros:06d}"
    return text + "Z"
