"""How much a client may use, and the single limits that follow from it."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

from msgspec import Struct

from ..errors import ConfigurationError

__all__ = ["NO_LIMITS", "ClientLimits", "Limit", "Unit"]

_MINUTE: Final = 60.0
_DAY: Final = 86_400.0


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


class Limit(Struct, frozen=True, gc=False):
    """One limit.

    Attributes:
        unit: What it counts.
        amount: How much of it.
        seconds: In how long.
        budget: Whether it is whole again at once, with the next period (`budget.Budget`), or little by little
            (`gcra.Gcra`).
    """

    unit: Unit
    amount: float
    seconds: float
    budget: bool = False

    @property
    def name(self) -> str:
        """What stores call it: ``"tokens/60"``, ``"tokens/86400!"``; the same for no other limit of a client."""
        return f"{self.unit.value}/{self.seconds:.17g}{'!' if self.budget else ''}"

    def told(self) -> str:
        """In words: ``"60 requests per minute"``."""
        span = {_MINUTE: "minute", _DAY: "day"}.get(self.seconds, f"{self.seconds:g} seconds")
        return f"{self.amount:,.0f} {self.unit.value} per {span}"


class ClientLimits(Struct, frozen=True, kw_only=True):
    """How much a client may use; None: as much as it wants.

    ::

        ClientLimits(rpm=60, tpm=100_000, concurrency=8, budget=2_000_000)

    The first four may be used at once and come back little by little: 60 requests a minute are at most 60 at a time,
    and then one each second (so that a minute after long silence may see up to 120). A budget comes back as a whole.

    Tokens are known only after they were spent: a request takes what it looks like, and what its answer states is put
    right afterwards. So the last answers may overdraw; what is overdrawn is waited for.

    Attributes:
        rpm: Requests in 60 seconds.
        tpm: Tokens in 60 seconds, of requests and answers together.
        rpd: Requests in 24 hours.
        tpd: Tokens in 24 hours.
        concurrency: Requests at a time.
        budget: Tokens in a period.
        budget_period: Seconds; periods begin at multiples of it since 1970, so those of 86,400 at midnight in UTC.
    """

    rpm: float | None = None
    tpm: float | None = None
    rpd: float | None = None
    tpd: float | None = None
    concurrency: int | None = None
    budget: float | None = None
    budget_period: float = _DAY

    def check(self, whose: str) -> None:
        """Refuse values that cannot work.

        Args:
            whose: The name of the client, for the error.

        Raises:
            ConfigurationError: A limit that is not a number of 1 or more (NaN is none).
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            kinds = int if name == "concurrency" else int | float
            if value is None and name != "budget_period":
                continue
            if isinstance(value, bool) or not isinstance(value, kinds) or not (1 <= value < math.inf):
                raise ConfigurationError(f"the limit {name} of {whose} must be a number of 1 or more, not {value!r}")

    def rates(self) -> tuple[Limit, ...]:
        """The single limits, but for `concurrency`."""
        rows = (
            (Unit.REQUESTS, self.rpm, _MINUTE, False),
            (Unit.REQUESTS, self.rpd, _DAY, False),
            (Unit.TOKENS, self.tpm, _MINUTE, False),
            (Unit.TOKENS, self.tpd, _DAY, False),
            (Unit.TOKENS, self.budget, self.budget_period, True),
        )
        return tuple(Limit(unit, amount, span, budget) for unit, amount, span, budget in rows if amount is not None)


NO_LIMITS: Final = ClientLimits()
