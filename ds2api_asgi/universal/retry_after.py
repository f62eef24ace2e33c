"""How long an answer's headers ask us to wait.

``retry-after-ms`` beats ``retry-after``, which holds seconds (RFC 9110 has whole ones, servers send fractions too) or a
date. A date is measured against the answer's own ``date`` header where there is one, so that clocks need not agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["retry_after"]

# Ten digits of seconds are three centuries: whatever is longer is garbage. Signs, "nan" and exponents do not match.
_NUMBER: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{0,9})?")
# A date holds a comma after its day's name, so a list of values cannot simply be split at commas.
_VALUE: Final = re.compile(r"[A-Za-z]{3,9},[^,]*|[^,]+")


def retry_after(headers: Mapping[str, str], now: float | None) -> tuple[float, str] | None:
    """Read the seconds to wait.

    Args:
        headers: Lower-case names; a repeated header's values joined with ``", "``.
        now: Unix time, for dates in answers that have no ``date`` of their own; None: such dates are not read.

    Returns:
        Seconds (0 or more: 0 is "now") and the header's name; None when no header states any. Of several values the
        largest valid one counts.
    """
    for name, read in _READERS.items():
        value = headers.get(name)
        if value is not None:
            waits = [wait for text in _VALUE.findall(value) if (wait := read(text.strip(), headers, now)) is not None]
            if waits:
                return max(waits), name
    return None


def _milliseconds(text: str, headers: Mapping[str, str], now: float | None) -> float | None:  # noqa: ARG001
    return float(text) / 1000 if _NUMBER.fullmatch(text) else None


def _seconds(text: str, headers: Mapping[str, str], now: float | None) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    then = _date(text)
    sent = _date(headers.get("date", ""))
    if then is None or (base := now if sent is None else sent) is None:
        return None
    return max(0.0, then - base)


def _date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


_READERS: Final[dict[str, Callable[[str, Mapping[str, str], float | None], float | None]]] = {
    "retry-after-ms": _milliseconds,
    "retry-after": _seconds,
}
