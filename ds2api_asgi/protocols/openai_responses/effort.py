"""How much a model should think, and how its thoughts are shown: ``reasoning``.

https://platform.openai.com/docs/guides/reasoning (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.loss import LossKind, Severity
from ...universal.request import Request
from ..fields import OBJECT, STRING, Json, expect
from ..openai_shared.settings import effort_in
from ..scope import Scope
from .profile import NAME, SUMMARIES

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
    effort = effort_in(request, scope)
    if effort is not None:
        reasoning["effort"] = effort
    display = request.reasoning_display
    if display in SUMMARIES:
        reasoning["summary"] = display
    elif display in _SHOWN:
        reasoning["summary"] = "auto"
        scope.add("reasoning_display", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has other words")
    elif display is UNSET and request.reasoning_mode == "enabled" and effort is None:
        reasoning["summary"] = "auto"  # elsewhere thoughts that are wanted are shown
        scope.add("reasoning_display", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} has no other word for thinking")
    elif display is not UNSET:
        scope.lacks("reasoning_display", Severity.COSMETIC, "such way to show reasoning")
    if request.reasoning_ext is not UNSET:
        scope.lacks("reasoning_ext", Severity.DEGRADED, "such members of reasoning")
    if reasoning:
        document["reasoning"] = reasoning
