"""What is done about losses: refused, noted, logged, stated to the client."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from ..asgi.exchange import Exchange
from ..asgi.facts import Lost
from ..errors import ConfigurationError
from ..universal.loss import Loss, LossKind, LossPolicy, Severity, blocking

__all__ = ["MAX_NOTED", "Losses"]

logger = logging.getLogger("ds2api_asgi.translator")

MAX_NOTED = 32
"""Paths that a fact or a line of the log names."""

_ACTIONS = ("allow", "warn", "reject")
_SEVERITIES = tuple(Severity)


class Losses:
    """A policy at work.

    Args:
        policy: See `LossPolicy`.
        stated: Whether answers state the losses of their requests in a header.

    Raises:
        ConfigurationError: The policy is none.
    """

    def __init__(self, policy: LossPolicy, *, stated: bool) -> None:
        actions = policy.values() if isinstance(policy, Mapping) else () if callable(policy) else (policy,)
        for action in actions:
            if action not in _ACTIONS:
                raise ConfigurationError(f"on_loss must be allow, warn or reject, not {action!r}")
        if isinstance(policy, Mapping) and not set(policy) <= set(LossKind):
            raise ConfigurationError(f"on_loss has other keys than {', '.join(LossKind)}")
        self._policy = policy
        self._stated = stated

    def refused(self, losses: Sequence[Loss]) -> tuple[Loss, ...]:
        """Those of a request's losses that must not be; empty when it may go on."""
        return blocking(losses, self._policy) if losses else ()

    def note(self, exchange: Exchange, losses: Sequence[Loss], *, of: Literal["request", "answer"]) -> None:
        """Write losses down in the exchange, and in the log where the policy says warn.

        Args:
            exchange: The request's.
            losses: What was lost.
            of: What they are losses of. Of an answer only those that change its meaning are logged: nearly every one
                has something that its provider alone says.
        """
        if not losses:
            return
        exchange.note(Lost(count=len(losses), paths=tuple([loss.path for loss in losses[:MAX_NOTED]])))
        if self._policy == "allow":
            return
        least = Severity.DEGRADED if of == "request" else Severity.SEMANTIC
        warned = [loss for loss in losses if _weight(loss) >= _SEVERITIES.index(least) and self._warns(loss, losses)]
        if warned:
            logger.warning(
                "translation lost %d values of a %s",
                len(warned),
                of,
                extra={"losses": [f"{loss.path}: {loss.kind.value}" for loss in warned[:MAX_NOTED]]},
            )

    def _warns(self, loss: Loss, losses: Sequence[Loss]) -> bool:
        if callable(self._policy):
            return self._policy(losses) == "warn"
        if isinstance(self._policy, Mapping):
            return self._policy.get(loss.kind, "warn") == "warn"
        return self._policy == "warn"

    def headers(self, losses: Sequence[Loss]) -> tuple[tuple[bytes, bytes], ...]:
        """The header that states a request's losses: ``x-ds2-loss: 2;max=degraded``."""
        if not losses or not self._stated:
            return ()
        worst = max(losses, key=_weight).severity.value
        return ((b"x-ds2-loss", f"{len(losses)};max={worst}".encode()),)


def _weight(loss: Loss) -> int:
    return _SEVERITIES.index(loss.severity)
