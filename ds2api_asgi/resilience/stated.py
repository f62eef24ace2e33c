"""How long a client says it will wait: its SDK's own timeout, which it tells in a header.

    x-server-timeout            google-genai, where the user set a timeout: whole seconds
    x-stainless-read-timeout    the SDKs of OpenAI and Anthropic, always: seconds, 600 by default
    x-stainless-timeout         Anthropic's too

All are times that the client waits for *bytes* (they are read timeouts of httpx there): of a stream that has begun they
say nothing. Who answers a moment before gives the client an error of its protocol, and keeps its SDK, which would try
again after a timeout of its own, from asking once more for what we are still waiting for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ..asgi.types import Scope
from ..errors import ConfigurationError

__all__ = ["CLIENT_TIMEOUTS", "stated_timeout", "timeout_headers", "without_timeouts"]

CLIENT_TIMEOUTS: Final = MappingProxyType(
    {b"x-server-timeout": 1.0, b"x-stainless-read-timeout": 1.0, b"x-stainless-timeout": 1.0}
)
"""Headers, in lower case, and the seconds that one of their units is."""

_MOST_DIGITS = 20
_MARGIN = 0.1  # the share of a timeout that is left for the answer's way
_LONGEST_MARGIN = 1.0  # seconds


def timeout_headers(*, sdks: bool, own: str | None) -> dict[bytes, float]:
    """The headers to look at.

    Args:
        sdks: Whether those of the SDKs are among them.
        own: A header of one's own that counts milliseconds.

    Raises:
        ConfigurationError: Not a header's name.
    """
    units = dict(CLIENT_TIMEOUTS) if sdks else {}
    if own is not None:
        if not re.fullmatch(r"[A-Za-z0-9-]+", own):
            raise ConfigurationError(f"timeout_header must be a header's name, not {own!r}")
        units[own.lower().encode()] = 0.001
    return units


def stated_timeout(headers: Iterable[tuple[bytes, bytes]], units: Mapping[bytes, float]) -> float | None:
    """The shortest time that a client says it waits, less a margin for the answer's way.

    Args:
        headers: The request's, names in lower case as ASGI has them.
        units: The headers that are looked at, and what their numbers count.

    Returns:
        Seconds, or None when the client says nothing that makes sense.
    """
    least = math.inf
    for name, value in headers:
        if name in units and len(value) <= _MOST_DIGITS:
            try:
                seconds = float(value) * units[name]
            except ValueError:  # "NOT_GIVEN"
                continue
            if 0 < seconds < least:
                least = seconds
    return None if least == math.inf else least - min(_LONGEST_MARGIN, _MARGIN * least)


def without_timeouts(scope: Scope, units: Mapping[bytes, float]) -> Scope:
    """A scope whose client does not say how long it waits, since somebody sees to it that it does.

    Args:
        scope: The request's; not changed.
        units: As for `stated_timeout`.
    """
    return {**scope, "headers": [header for header in scope["headers"] if header[0] not in units]}
