"""The limits that an operator states for a key, so that they are kept before the provider has to say so."""

from __future__ import annotations

import math

from msgspec import Struct

from ..errors import ConfigurationError

__all__ = ["NO_LIMITS", "RateLimits"]


class RateLimits(Struct, frozen=True, kw_only=True):
    """How much a quota scope may be used; None: nobody counts.

    ::

        RateLimits(rpm=60, tpm=100_000, concurrency=8)

    Attributes:
        rpm: Requests in any 60 seconds.
        tpm: Tokens in any 60 seconds, of requests and answers together.
        rpd: Requests in any 24 hours.
        tpd: Tokens in any 24 hours.
        concurrency: Requests at a time.
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    tpd: int | None = None
    concurrency: int | None = None

    def check(self, whose: str) -> None:
        """Refuse values that cannot work.

        Args:
            whose: The alias of the key, for the error.

        Raises:
            ConfigurationError: A limit that is not a number of 1 or more.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 1 <= value < math.inf):
                raise ConfigurationError(f"the limit {name} of {whose} must be a number of 1 or more, not {value!r}")


NO_LIMITS = RateLimits()
