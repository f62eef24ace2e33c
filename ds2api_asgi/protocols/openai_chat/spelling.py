"""A vendor's spelling of a request document, and back: other names for the same things.

| what | OpenAI | vendors |
|---|---|---|
| bound of output | ``max_completion_tokens`` | ``max_tokens`` |
| seed | ``seed`` | ``random_seed`` (Mistral) |
| a tool must be called | ``"required"`` | ``"any"`` (Mistral) |
| effort | ``reasoning_effort`` | ``reasoning: {effort}`` (OpenRouter) |
| no reasoning | the effort ``"none"`` | ``thinking: {type}`` (DeepSeek), ``reasoning: {enabled}`` (Together) |
| budget of reasoning | – | ``reasoning: {max_tokens}`` (OpenRouter), ``thinking: {budget_tokens}`` (Fireworks) |
| thoughts of earlier turns | ``reasoning_content`` | ``reasoning``; parts of the content (Mistral) |
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...universal.effort import EFFORTS
from ...universal.loss import LossKind, Severity
from ...universal.request import Request
from ..fields import Json
from ..scope import Scope
from .dialects import Dialect, Effort
from .messages import REASONING

__all__ = ["nearest", "spell", "spell_budget", "unspell"]

_BOUNDS = ("max_completion_tokens", "max_tokens")


def unspell(document: Json, dialect: Dialect) -> tuple[Json, dict[str, Any]]:
    """A vendor's document in OpenAI's spelling.

    Args:
        document: As parsed; stays as it is.
        dialect: The vendor's.

    Returns:
        The document, and members of the universal request that OpenAI has no spelling for.
    """
    found: dict[str, Any] = {}
    if not dialect.name:
        return document, found
    document = dict(document)
    for ours, theirs in dialect.renamed.items():
        if theirs in document:
            document.setdefault(ours, document.pop(theirs))
    effort = dialect.effort
    if effort.budget and type(budget := _get(document, effort.budget)) is int:
        found["reasoning_budget"] = budget
        _take(document, effort.budget)
        if effort.beside_budget is not None and _get(document, effort.beside_budget[0]) == effort.beside_budget[1]:
            _take(document, effort.beside_budget[0])
    if effort.off is not None and _get(document, effort.off[0]) == effort.off[1]:
        _take(document, effort.off[0])
        document.setdefault("reasoning_effort", "none")
    if "." in effort.member and type(word := _get(document, effort.member)) is str:
        _take(document, effort.member)
        document.setdefault("reasoning_effort", word)
    return document, found


def spell(document: Json, dialect: Dialect, scope: Scope) -> None:
    """Write a document of OpenAI's spelling in a vendor's.

    Args:
        document: As the encoder gives it; is changed.
        dialect: The vendor's.
        scope: Of the encoder; takes the losses.
    """
    for name in _BOUNDS:
        if name in document and name != dialect.bound:
            document[dialect.bound] = document.pop(name)
    for ours, theirs in dialect.renamed.items():
        if ours in document:
            document[theirs] = document.pop(ours)
    if document.get("tool_choice") in ("required", "any"):
        document["tool_choice"] = dialect.required
    if type(document.get("stop")) is str:
        document["stop"] = [document["stop"]]
    for message in document["messages"]:
        if message.get("role") == "assistant":
            _spell_thoughts(message, dialect.thoughts)
    word = document.pop("reasoning_effort", None)
    if type(word) is str:
        _spell_effort(word, document, dialect, scope)


def _spell_thoughts(message: Json, place: str) -> None:
    texts = [message.pop(name) for name in REASONING if type(message.get(name)) is str]
    if not texts or not place:
        return
    if place != "thinking":
        message[place] = texts[0]
        return
    content = message.get("content")
    rest = content if type(content) is list else [{"type": "text", "text": content}] if content else []
    message["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": texts[0]}]}, *rest]


def _spell_effort(word: str, document: Json, dialect: Dialect, scope: Scope) -> None:
    effort = dialect.effort
    if word == "none" and effort.off is not None:
        _set(document, *effort.off)
        return
    known = nearest(word, effort)
    if known != word:
        scope.add("reasoning_effort", LossKind.CLAMPED, Severity.DEGRADED, f"{dialect.name} has no such effort")
    _set(document, effort.member, known)


def nearest(word: str, effort: Effort) -> str:
    """The effort that a vendor knows and that is nearest: the highest that is not above, else the lowest.

    Args:
        word: An effort; one that nobody knows stays as it is.
        effort: What the vendor knows.
    """
    if word in effort.words or word not in EFFORTS:
        return word
    known = [name for name in EFFORTS if name in effort.words]
    below = [name for name in known if EFFORTS.index(name) < EFFORTS.index(word) and name != "none"]
    return below[-1] if below else next(name for name in known if name != "none")


def spell_budget(request: Request, document: Json, dialect: Dialect, scope: Scope) -> bool:
    """Write a budget of reasoning as it is, if the vendor takes it and nothing beats it.

    Returns:
        Whether it did.
    """
    effort, budget = dialect.effort, request.reasoning_budget
    if not effort.budget or budget is UNSET or budget < effort.min_budget:
        return False
    if request.reasoning_effort is not UNSET or request.reasoning_mode == "disabled":
        return False
    _set(document, effort.budget, budget)
    if effort.beside_budget is not None:
        _set(document, *effort.beside_budget)
    if request.reasoning_mode is not UNSET:
        scope.add("reasoning_mode", LossKind.APPROXIMATED, Severity.COSMETIC, f"{dialect.name} reasons by a budget")
    return True


def _get(document: Json, path: str) -> Any:
    group, dot, name = path.partition(".")
    inner = document.get(group)
    return inner if not dot else inner.get(name) if type(inner) is dict else None


def _set(document: Json, path: str, value: Any) -> None:
    group, dot, name = path.partition(".")
    if not dot:
        document[group] = value
    else:
        inner = document.get(group)
        document[group] = {**(inner if type(inner) is dict else {}), name: value}


def _take(document: Json, path: str) -> None:
    """Take a member out, and the object around it if nothing else is in it."""
    group, dot, name = path.partition(".")
    rest = {key: value for key, value in document[group].items() if key != name} if dot else {}
    if rest:
        document[group] = rest
    else:
        del document[group]
