"""What a conversion could not carry, said plainly: `Loss`, and what to do about it: `LossPolicy`.

A loss names where in the universal document, what kind of loss, and how much it matters; never the value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

__all__ = ["Loss", "LossAction", "LossKind", "LossPolicy", "Severity", "blocking"]


class LossKind(StrEnum):
    """How a value fared."""

    DROPPED = "dropped"  # the target has no place for it
    CLAMPED = "clamped"  # moved to the nearest value that the target allows
    APPROXIMATED = "approximated"  # said in other words (effort for a token budget)
    RELOCATED = "relocated"  # said elsewhere in the document
    TEXTUALISED = "textualised"  # structure said as text
    INVENTED = "invented"  # the target demands a value that the source has not
    STATEFUL = "stateful"  # it stands for state that lives on another server
    ORIGIN_MISMATCH = "origin_mismatch"  # an opaque payload that only its minter can read


class Severity(StrEnum):
    """How much a loss matters."""

    COSMETIC = "cosmetic"  # spelling, or a hint without effect on the answer
    DEGRADED = "degraded"  # the answer may be a little different
    SEMANTIC = "semantic"  # the request or answer no longer means quite the same
    BLOCKING = "blocking"  # going on would betray the request: refused unless the policy allows it


class Loss(Struct, frozen=True, kw_only=True):
    """One thing that a conversion could not carry.

    Attributes:
        path: Where in the universal document: ``"turns[2].parts[0].cache"``, ``"seed"``, ``"ext.logit_bias"``.
        kind: How the value fared.
        severity: How much it matters.
        reason: Why, in a few words, without the value: ``"anthropic has no seed"``.
        target: What it became or where it went, if it did: ``"turns[3]"``; UNSET when it is gone.
        template: Id of the fixed wording that stands for it, for text that the conversion had to add.
    """

    path: str
    kind: LossKind
    severity: Severity
    reason: str
    target: str | UnsetType = UNSET
    template: str | UnsetType = UNSET


LossAction = Literal["allow", "warn", "reject"]

LossPolicy = LossAction | Mapping[LossKind, LossAction] | Callable[[Sequence[Loss]], LossAction]
"""What to do about losses: one action for all; one per kind (others: warn); or a function of all losses of a
document. Under ``"allow"`` and ``"warn"`` a blocking loss is still refused, a mapping or function may allow it."""


def blocking(losses: Sequence[Loss], policy: LossPolicy) -> tuple[Loss, ...]:
    """The losses that the policy refuses.

    Args:
        losses: What a conversion lost.
        policy: What to do about it.

    Returns:
        Those to be refused; empty when the conversion may stand.
    """
    if callable(policy):
        return tuple(losses) if losses and policy(losses) == "reject" else ()
    if isinstance(policy, Mapping):
        return tuple(loss for loss in losses if policy.get(loss.kind, "warn") == "reject")
    if policy == "reject":
        return tuple(loss for loss in losses if loss.severity is not Severity.COSMETIC)
    return tuple(loss for loss in losses if loss.severity is Severity.BLOCKING)
