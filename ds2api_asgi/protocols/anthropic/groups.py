"""Members of the request that are objects of settings: ``thinking``, ``output_config``, ``metadata``.

It follows https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking, …/effort and …/structured-outputs
(read 2026-11-22).
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...universal.effort import EFFORTS as ALL_EFFORTS
from ...universal.effort import budget_of
from ...universal.loss import LossKind, Severity
from ...universal.request import OutputFormat, Request
from ..fields import OBJECT, expect, put, rest, take
from ..scope import Scope
from .fields import OUTPUT, THINKING
from .profile import EFFORTS, MIN_BUDGET, NAME, takes_adaptive, takes_thinking
from .thinking import may_think, wants_thinking

__all__ = [
    "decode_metadata",
    "decode_output",
    "decode_thinking",
    "encode_metadata",
    "encode_output",
    "encode_thinking",
]


def decode_thinking(group: Any, values: dict[str, Any]) -> None:
    """Read ``thinking`` into values; what is left over becomes ``reasoning_ext``."""
    known, left = take(expect(group, OBJECT, "thinking"), THINKING, handled=(), path="thinking")
    values.update(known)
    if left is not UNSET or not known:
        values["reasoning_ext"] = left or {}


def encode_thinking(request: Request, scope: Scope) -> dict[str, Any]:
    """Write ``thinking``; empty when there is nothing to say."""
    document: dict[str, Any] = {}
    if scope.home:
        put(request, THINKING, document)
        document.update(request.reasoning_ext or {})
        return document
    budget = request.reasoning_budget
    bound = request.max_output_tokens
    mode = request.reasoning_mode
    if budget is not UNSET and budget > 0 and mode in {UNSET, "enabled"}:
        largest = bound - 1 if bound is not UNSET else budget
        if largest < MIN_BUDGET:
            scope.drop("reasoning_budget", Severity.DEGRADED, f"{NAME} wants it under the bound of the answer")
        else:
            document = {"type": "enabled", "budget_tokens": max(MIN_BUDGET, min(budget, largest))}
            if document["budget_tokens"] != budget:
                scope.add(
                    "reasoning_budget", LossKind.CLAMPED, Severity.DEGRADED, f"{NAME} takes 1024 to the answer's bound"
                )
    elif mode == "disabled" or mode == "between_tools" or (mode == "adaptive" and takes_adaptive(request.model)):
        document = {"type": mode}
        if budget is not UNSET:
            scope.drop("reasoning_budget", Severity.DEGRADED, f"{NAME} takes no budget in this mode")
    elif request.reasoning_effort == "none" or budget == 0:
        document = {"type": "disabled"}
        if budget is not UNSET:
            scope.add("reasoning_budget", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} calls it disabled")
    elif budget is not UNSET:
        scope.drop("reasoning_budget", Severity.DEGRADED, f"{NAME} has no such budget")
    elif wants_thinking(request) and may_think(request):
        document = _unbudgeted(request, scope)
    if document.get("type", UNSET) != mode:
        kind = LossKind.INVENTED if mode is UNSET else LossKind.DROPPED
        scope.add("reasoning_mode", kind, Severity.COSMETIC, f"{NAME} says it so")
    _put_display(request, document, scope)
    if request.reasoning_ext is not UNSET:
        scope.drop("reasoning_ext", Severity.DEGRADED, f"{NAME} does not know it")
    return document


def _unbudgeted(request: Request, scope: Scope) -> dict[str, Any]:
    """The mode in which a model thinks as much as its effort says; of older ones the budget that stands for it."""
    if takes_adaptive(request.model):
        return {"type": "adaptive"}
    effort = "medium" if request.reasoning_effort is UNSET else request.reasoning_effort
    budget = budget_of(effort) or 0
    if request.max_output_tokens is not UNSET:
        budget = min(budget, request.max_output_tokens - 1)
    if budget < MIN_BUDGET or not takes_thinking(request.model):
        return {}
    scope.add("reasoning_budget", LossKind.INVENTED, Severity.COSMETIC, "stands for the effort")
    return {"type": "enabled", "budget_tokens": budget}


def _put_display(request: Request, document: dict[str, Any], scope: Scope) -> None:
    display = request.reasoning_display
    if display is UNSET:
        return
    if document.get("type") not in {"enabled", "adaptive"}:
        scope.drop("reasoning_display", Severity.COSMETIC, f"{NAME} says it beside thinking only")
        return
    document["display"] = display if display in {"summarized", "omitted"} else "summarized"
    if document["display"] != display:
        scope.add("reasoning_display", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} shows summaries or nothing")


def decode_output(group: Any, values: dict[str, Any], ext: dict[str, Any]) -> None:
    """Read ``output_config`` into values; what is left over stays in ext under its name."""
    known, left = take(expect(group, OBJECT, "output_config"), OUTPUT, handled=("format",), path="output_config")
    values.update(known)
    others = left or {}
    shape = group.get("format")
    if type(shape) is dict and shape.get("type") == "json_schema" and type(shape.get("schema")) is dict:
        values["output_format"] = OutputFormat(
            kind="json_schema", schema=shape["schema"], ext=rest(shape, ("type", "schema"))
        )
    elif "format" in group:
        others["format"] = shape
    if others or not group:
        ext["output_config"] = others


def encode_output(request: Request, scope: Scope) -> dict[str, Any]:
    """Write ``output_config``; empty when there is nothing to say."""
    document: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort is not UNSET:
        if not scope.home and effort != "none" and not takes_adaptive(request.model):
            scope.add("reasoning_effort", LossKind.APPROXIMATED, Severity.DEGRADED, "the model takes budgets only")
        elif scope.home or effort in EFFORTS:
            document["effort"] = effort
        elif effort == "minimal":
            document["effort"] = EFFORTS[0]
            scope.add("reasoning_effort", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} starts at low")
        elif effort in ALL_EFFORTS:
            scope.add("reasoning_effort", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} disables thinking")
        else:
            scope.drop("reasoning_effort", Severity.DEGRADED, f"{NAME} has no such effort")
    shape = request.output_format
    if shape is UNSET:
        return document
    if shape.kind != "json_schema" or shape.schema is UNSET:
        severity = Severity.COSMETIC if shape.kind == "text" else Severity.SEMANTIC
        scope.drop("output_format", severity, f"{NAME} takes JSON schemas only")
        return document
    document["format"] = {"type": "json_schema", "schema": shape.schema}
    if scope.home:
        document["format"].update(shape.ext or {})
        return document
    scope.lacks_each(shape, ("name", "description", "strict"), "output_format", Severity.COSMETIC, "of a schema")
    scope.ext(shape.ext, "output_format")
    return document


def decode_metadata(group: Any, values: dict[str, Any], ext: dict[str, Any]) -> None:
    """Read ``metadata`` into values; what is left over stays in ext under its name."""
    left = dict(expect(group, OBJECT, "metadata"))
    if type(left.get("user_id")) is str:
        values["user"] = left.pop("user_id")
    if left or not group:
        ext["metadata"] = left


def encode_metadata(request: Request, scope: Scope) -> dict[str, Any]:
    """Write ``metadata``; empty when there is nothing to say."""
    user = request.user
    if request.safety_identifier is not UNSET:
        if user is UNSET:
            user = request.safety_identifier
            scope.add("user", LossKind.INVENTED, Severity.COSMETIC, "it is the safety identifier")
        scope.add(
            "safety_identifier", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has one id of a user", target="user"
        )
    return {} if user is UNSET else {"user_id": user}
