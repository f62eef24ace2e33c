"""Times as this provider writes them: RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["unix_time", "written"]


def unix_time(text: str) -> float | None:
    """Unix time in seconds of a date and time (UTC where it names no zone); None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def written(seconds: float) -> str:
    """Unix time as a date and time: ``"2026-11-23T10:00:00Z"``; whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
