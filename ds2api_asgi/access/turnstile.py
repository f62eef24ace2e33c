"""The turnstile: a request takes from its key's limits when it comes, and what it took is put right when it goes."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import anyio
from msgspec import Struct

from ..protocols.base import Limits
from ..universal.failure import FailureKind
from .client_key import ClientKey
from .client_limits import Limit, Unit
from .limit_store import LimitStore, MemoryLimitStore, Standing, Take
from .refusal import Refused

__all__ = ["Admission", "Turnstile", "stated"]

_SETTLE_SECONDS: Final = 5.0  # a store that cannot be reached must not keep a request for longer
_BUSY_SECONDS: Final = 1.0  # nobody knows when a request will end
_ROUNDING: Final = 1e-3  # Unix times are exact to 1e-7 seconds: 8 may come out as 7.9999999
_SILENCE: Final = 60.0  # seconds between two complaints about the same store
_STORE_DOWN: Final = "gateway_limits_unavailable"

_log = logging.getLogger("ds2api_asgi.access")

OnStoreError = Literal["serve", "refuse"]


class Admission(Struct, frozen=True):
    """A request that was let in.

    Attributes:
        client: The name of its client.
        lease: The store's name for it; ``""``: the store could not be asked, and there is nothing to settle.
        takes: What it took.
        standings: How the limits stood then.
        at: When, in seconds of the store's clock.
    """

    client: str
    lease: str = ""
    takes: tuple[Take, ...] = ()
    standings: tuple[Standing, ...] = ()
    at: float = 0.0


class Turnstile:
    """Lets requests in as far as the limits of their keys allow.

    Args:
        store: Where the use of limits is counted.
        on_store_error: What happens while it cannot be asked.
    """

    def __init__(self, store: LimitStore, *, on_store_error: OnStoreError) -> None:
        self._store = store
        self._serves = on_store_error == "serve"
        # What never waits cannot be interrupted, and a shield costs as much as all else here does.
        self._waits = type(store) is not MemoryLimitStore
        self._complained = -math.inf

    async def enter(self, key: ClientKey, tokens: int) -> Admission:
        """Let a request in.

        Args:
            key: Whose it is.
            tokens: What it may cost; 0: it costs none.

        Raises:
            Refused: A limit has no room for it, or nobody knows and that is not good enough.
        """
        limits = key.limits.rates()
        if not limits and key.limits.concurrency is None:
            return Admission(key.name)
        takes = tuple(Take(limit, _cost(limit, tokens)) for limit in limits)
        lease = secrets.token_hex(12)
        try:
            taken = await self._store.take(key.name, lease, takes, key.limits.concurrency)
        except BaseException as error:
            # It may have taken all the same, and then nobody else would give it back.
            if self._waits:
                await self._settle(Admission(key.name, lease, takes), [0.0] * len(takes), quietly=True)
            if not isinstance(error, OSError):
                raise
            self._complain(error)
            if self._serves:
                return Admission(key.name)
            raise Refused(
                FailureKind.OVERLOADED, 503, "The limits of this key cannot be looked up now.", code=_STORE_DOWN
            ) from None
        if taken.busy:
            raise _busy(key)
        if not taken.granted:
            raise _over(taken.standings)
        return Admission(key.name, lease, takes, taken.standings, taken.at)

    async def leave(self, admission: Admission, tokens: float | None) -> None:
        """A request has ended, however it did.

        Args:
            admission: From `enter`.
            tokens: What it cost; None: as many as it seemed.
        """
        if not admission.lease:
            return
        used = [
            take.cost if tokens is None or take.limit.unit is not Unit.TOKENS else tokens for take in admission.takes
        ]
        await self._settle(admission, used)

    async def _settle(self, admission: Admission, used: Sequence[float], *, quietly: bool = False) -> None:
        client, lease, takes, at = admission.client, admission.lease, admission.takes, admission.at
        if not self._waits:
            await self._store.settle(client, lease, takes, used, at)
            return
        try:
            with anyio.move_on_after(_SETTLE_SECONDS, shield=True):
                await self._store.settle(client, lease, takes, used, at)
        except OSError as error:
            if not quietly:
                self._complain(error)

    def _complain(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._complained >= _SILENCE:
            consequence = "are served without limits" if self._serves else "are refused"
            _log.error("the limit store failed (%s): requests %s", type(error).__name__, consequence)
            self._complained = now


def _cost(limit: Limit, tokens: int) -> float:
    # What is larger than the whole limit could never pass; so it passes when all of it is there, and is paid off after.
    return min(limit.amount, float(tokens)) if limit.unit is Unit.TOKENS else 1.0


def stated(standings: Iterable[Standing]) -> list[Limits]:
    """What is said of the limits in headers: of each unit the one that is nearest to its end."""
    tightest: dict[Unit, Standing] = {}
    for one in standings:
        known = tightest.get(one.limit.unit)
        if known is None or (one.remaining, -one.reset) < (known.remaining, -known.reset):
            tightest[one.limit.unit] = one
    return [
        Limits(
            dimension=unit.value,
            limit=one.limit.amount,
            remaining=float(math.floor(one.remaining + _ROUNDING)),
            reset_after=one.reset,
        )
        for unit, one in tightest.items()
    ]


def _over(standings: tuple[Standing, ...]) -> Refused:
    worst = max(standings, key=lambda one: one.retry_after)
    limit, wait = worst.limit, worst.retry_after
    reached = "is used up" if limit.budget else "is reached"
    what = "budget" if limit.budget else "limit"
    return Refused(
        FailureKind.RATE,
        429,
        f"This key's {what} at this gateway ({limit.told()}) {reached}. It is not the provider's limit.",
        code="gateway_budget_exhausted" if limit.budget else "gateway_rate_limit_exceeded",
        type_="insufficient_quota" if limit.budget else None,
        retry_after=wait if math.isfinite(wait) else None,
        headers=((b"x-should-retry", b"false"),) if limit.budget else (),
        limits=stated(standings),
    )


def _busy(key: ClientKey) -> Refused:
    return Refused(
        FailureKind.RATE,
        429,
        f"This key's limit at this gateway ({key.limits.concurrency} requests at a time) is reached. "
        "It is not the provider's limit.",
        code="gateway_concurrency_exceeded",
        retry_after=_BUSY_SECONDS,
    )
