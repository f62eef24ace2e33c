"""Token counts: ``promptTokenCount`` holds the cached ones, ``candidatesTokenCount`` does not hold the thoughts.

Counts by modality, and of the provider's own tools, stay as they are. ``serviceTier`` stands beside the counts.
It follows https://ai.google.dev/api/generate-content#UsageMetadata (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...universal.loss import Severity
from ...universal.response import Usage
from ..scope import Scope
from .spelling import canonical, put_ext, respelled

__all__ = ["decode_usage", "encode_usage"]

_COUNTS: Final = {
    "promptTokenCount": "input_total",
    "cachedContentTokenCount": "cache_read",
    "thoughtsTokenCount": "reasoning",
    "totalTokenCount": "total",
}
_INPUT: Final = (
    "promptTokensDetails",
    "cacheTokensDetails",
    "toolUsePromptTokenCount",
    "toolUsePromptTokensDetails",
    "trafficType",
)
_OUTPUT: Final = ("candidatesTokensDetails",)
_FOREIGN: Final = (
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "audio_output",
    "accepted_prediction",
    "rejected_prediction",
    "server_tools",
    "input_ext",
    "output_ext",
)


def decode_usage(document: dict[str, Any]) -> tuple[Usage, str | UnsetType]:
    """Read ``usageMetadata``.

    Returns:
        The counts, and the service tier.
    """
    document, form = canonical(document)
    values: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {"input_ext": {}, "output_ext": {}, "ext": {}}
    tier: str | UnsetType = UNSET
    answer: int | None = None
    for key, value in document.items():
        name = _COUNTS.get(key)
        if name is not None and type(value) is int:
            values[name] = value
        elif key == "candidatesTokenCount" and type(value) is int:
            answer = value
        elif key == "serviceTier" and type(value) is str:
            tier = value
        elif key in _INPUT:
            groups["input_ext"][key] = value
        elif key in _OUTPUT:
            groups["output_ext"][key] = value
        else:
            groups["ext"][key] = value
    thoughts = values.get("reasoning")
    if answer is not None or thoughts is not None or _says_none(document):
        values["output_total"] = (answer or 0) + (thoughts or 0)
        if answer is None:
            form.append("candidates:absent")
    values.update((name, group) for name, group in groups.items() if group)
    return Usage(form=tuple(form), **values), tier


def _says_none(document: dict[str, Any]) -> bool:
    """Whether a count that is left out is zero, as the provider leaves zeros out: the total has no room for one."""
    prompt, tools = document.get("promptTokenCount"), document.get("toolUsePromptTokenCount")
    told = prompt if type(tools) is not int or type(prompt) is not int else prompt + tools
    return type(prompt) is int and document.get("totalTokenCount") == told


def encode_usage(usage: Usage, scope: Scope, tier: str | UnsetType = UNSET) -> dict[str, Any]:
    """Write ``usageMetadata``; a sum that the source did not state is made where both terms are known.

    Args:
        usage: The counts.
        scope: This run.
        tier: The service tier, for an answer that was born here.
    """
    document: dict[str, Any] = {}
    for key, name in _COUNTS.items():
        value = getattr(usage, name)
        if value is not UNSET:
            document[key] = value
    if usage.output_total is not UNSET:
        answer = max(0, usage.output_total - (usage.reasoning or 0))
        if answer or not (scope.home and "candidates:absent" in usage.form):
            document["candidatesTokenCount"] = answer
    if scope.home:
        if tier is not UNSET:
            document["serviceTier"] = tier
        for group in (usage.input_ext, usage.output_ext, usage.ext):
            put_ext(document, group)
        return respelled(document, usage.form)
    scope.ext(usage.ext, "usage")
    scope.lacks_each(usage, _FOREIGN, "usage", Severity.COSMETIC, "in usage")
    if usage.total is UNSET and usage.input_total is not UNSET and usage.output_total is not UNSET:
        document["totalTokenCount"] = usage.input_total + usage.output_total
    return document
