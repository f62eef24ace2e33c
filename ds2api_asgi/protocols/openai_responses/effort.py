"""How much a model should think, and how its thoughts are shown: ``reasoning``.

https://platform.openai.com/docs/guides/reasoning (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.effort import effort_of
from ...universal.loss import LossKind, Severity
from ...universal.request import Request
from ..fields import OBJECT, STRING, Json, expect
from ..scope import Scope
from .profile import EFFORTS, NAME, SUMMARIES

__all__ = ["decode_reasoning", "encode_reasoning", "write_reasoning"]

_MEMBERS: Final = {"effort": "reasoning_effort", "summary": "reasoning_display"}
_SHOWN: Final = frozenset({"summarized", "updates"})


def decode_reasoning(reasoning: Any, values: dict[str, Any], ext: Json) -> None:
    """Read ``reasoning``; what it has beside stays in ``reasoning_ext``.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    if reasoning is None:
        ext["reasoning"] = None
        return
    expect(reasoning, OBJECT, "reasoning")
    rest: Json = {}
    for key, value in reasoning.items():
        if key in _MEMBERS and value is not None:
            values[_MEMBERS[key]] = expect(value, STRING, f"reasoning.{key}")
        elif value is None:
            ext[f"reasoning.{key}"] = None
        else:
            rest[key] = value
    if rest or not reasoning:
        values["reasoning_ext"] = rest


def encode_reasoning(request: Request, document: Json) -> None:
    """Write ``reasoning`` as it was."""
    reasoning: Json = {} if request.reasoning_ext is UNSET else dict(request.reasoning_ext)
    for key, name in _MEMBERS.items():
        value = getattr(request, name)
        if value is not UNSET:
            reasoning[key] = value
    for key in request.ext or ():
        if key.startswith("reasoning."):
            reasoning.setdefault(key.partition(".")[2], None)
    if reasoning or request.reasoning_ext is not UNSET:
        document["reasoning"] = reasoning


def write_reasoning(request: Request, document: Json, scope: Scope) -> None:
    """Write ``reasoning`` from another protocol: an effort beats a budget, "disabled" beats both."""
    reasoning: Json = {}
    effort = _effort(request, scope)
    if effort is not None:
        reasoning["effort"] = effort
    display = request.reasoning_display
    if display in SUMMARIES:
        reasoning["summary"] = display
    elif display in _SHOWN:
        reasoning["summary"] = "auto"
        scope.add("reasoning_display", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has other words")
    elif display is not UNSET:
        scope.lacks("reasoning_display", Severity.COSMETIC, "such way to show reasoning")
    if request.reasoning_ext is not UNSET:
        scope.lacks("reasoning_ext", Severity.DEGRADED, "such members of reasoning")
    if reasoning:
        document["reasoning"] = reasoning


def _effort(request: Request, scope: Scope) -> str | None:
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
        scope.add("reasoning_budget", kind, Severity.DEGRADED, f"{NAME} has efforts, not budgets")
    if mode is not UNSET:
        kind = LossKind.APPROXIMATED if said else LossKind.DROPPED
        severity = Severity.COSMETIC if said else Severity.DEGRADED
        scope.add("reasoning_mode", kind, severity, f"{NAME} has efforts, not modes")
    if said and effort is UNSET:
        scope.add("reasoning_effort", LossKind.INVENTED, Severity.COSMETIC, "stands for the mode or budget")
    return written
