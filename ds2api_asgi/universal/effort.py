"""Effort in words and budgets in tokens: two published functions, monotone and idempotent.

``effort_of(budget_of(e)) == e`` for every effort, and ``budget_of(effort_of(b))`` is a fixed point. Going from one to
the other is always an approximation and is reported as one.
"""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["BUDGETS", "EFFORTS", "budget_of", "effort_of"]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From no reasoning to all that the model has."""

BUDGETS = {"none": 0, "minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 65536}
"""Tokens; 1,024 is the smallest budget that a provider accepts
(https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking, read 2026-11-23)."""

_STEPS = tuple(BUDGETS[effort] for effort in EFFORTS)


def budget_of(effort: str) -> int | None:
    """Tokens that an effort stands for, or None for an effort we do not know."""
    return BUDGETS.get(effort)


def effort_of(budget: int) -> str:
    """The effort that a budget of tokens stands for: the largest whose budget it reaches."""
    if budget <= 0:
        return "none"
    return EFFORTS[max(1, bisect_right(_STEPS, budget) - 1)]
