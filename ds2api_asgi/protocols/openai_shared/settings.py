"""Settings that OpenAI's protocols have the same words for: how much to think, and the service tier.

https://platform.openai.com/docs/guides/reasoning and …/api-reference (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from msgspec import UNSET

from ...universal.effort import effort_of
from ...universal.loss import LossKind, Severity
from ...universal.request import Request
from ..fields import Json
from ..scope import Scope

__all__ = ["ANSWER_TIERS", "EFFORTS", "TIERS", "effort_in", "tier_of", "write_tier"]

EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
"""Values of an effort; which of them a model takes is the model's own."""

TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
"""Values of ``service_tier``."""

ANSWER_TIERS: Final = TIERS - {"ultrafast"}
"""Those that an answer of Chat may have in the SDK's types (3.54)."""


def effort_in(request: Request, scope: Scope) -> str | None:
    """One word for all that another protocol says about reasoning: an effort beats a budget, "disabled" beats both."""
    mode, budget, effort = request.reasoning_mode, request.reasoning_budget, request.reasoning_effort
    written: str | None = None if effort is UNSET else effort
    if mode == "disabled":
        if effort not in (UNSET, "none"):
            scope.lacks("reasoning_effort", Severity.DEGRADED, "effort while reasoning is disabled")
        written = "none"
    elif written is None and budget is not UNSET:
        written = effort_of(budget)
    if written is not None and written not in EFFORTS:
        scope.lacks("reasoning_effort", Severity.DEGRADED, "such effort")
        written = None
    said = written is not None
    if budget is not UNSET:
        kind = LossKind.APPROXIMATED if said and effort is UNSET else LossKind.DROPPED
        scope.add("reasoning_budget", kind, Severity.DEGRADED, f"{scope.protocol} has efforts, not budgets")
    if mode is not UNSET:
        kind = LossKind.APPROXIMATED if said else LossKind.DROPPED
        severity = Severity.COSMETIC if said else Severity.DEGRADED
        scope.add("reasoning_mode", kind, severity, f"{scope.protocol} has efforts, not modes")
    if said and effort is UNSET:
        scope.add("reasoning_effort", LossKind.INVENTED, Severity.COSMETIC, "stands for the mode or budget")
    return written


def write_tier(request: Request, document: Json, scope: Scope, known: Container[str] = TIERS) -> None:
    """Amend the ``service_tier`` of a request of another protocol.

    Args:
        request: What is written.
        document: What was written of it.
        scope: Of this run.
        known: The tiers that the server has.
    """
    tier = request.service_tier
    if tier is UNSET or tier in known:
        return
    if tier == "standard_only":
        document["service_tier"] = "default"
        scope.add("service_tier", LossKind.APPROXIMATED, Severity.COSMETIC, f"{scope.protocol} has no such tier")
    else:
        del document["service_tier"]
        scope.lacks("service_tier", Severity.COSMETIC, "such tier")


def tier_of(tier: Any, scope: Scope, known: frozenset[str] = TIERS) -> str | None:
    """The service tier of another protocol's answer in the words of OpenAI's, if these are known; None for none."""
    if tier is UNSET or tier in known:
        return None if tier is UNSET else str(tier)
    if tier == "standard":
        scope.add("service_tier", LossKind.APPROXIMATED, Severity.COSMETIC, f"{scope.protocol} calls it default")
        return "default"
    scope.lacks("service_tier", Severity.COSMETIC, "such tier")
    return None
