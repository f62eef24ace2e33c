"""Times as this provider writes them: RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["unix_time"]


def unix_time(text: str) -> float | None:
    """Unix time in seconds of a date and time (UTC where it names no zone); None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
