"""``generationConfig``: sampling, the shape of the answer, thinking.

It follows https://ai.google.dev/api/generate-content#GenerationConfig and
https://ai.google.dev/gemini-api/docs/thinking (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.effort import EFFORTS, budget_of
from ...universal.loss import LossKind, Severity
from ...universal.request import OutputFormat, Request
from ..fields import BOOLEAN, OBJECT, STRING, STRINGS, expect, put, take
from ..scope import Scope
from .fields import CONFIG, CONFIG_HANDLED, THINKING
from .profile import MAX_STOP, NAME, takes_levels
from .schema import CAPITALS, LOWER, UPPER, from_json_schema, from_openapi, spelling_of, to_openapi
from .spelling import canonical, merge, respelled

__all__ = ["decode_config", "encode_config"]

Wire = dict[str, Any]

_AT: Final = "generationConfig."
_AT_THINKING: Final = "generationConfig.thinkingConfig."
_LEVELS: Final = {effort.upper(): effort for effort in EFFORTS if effort != "none"}
_WRITTEN: Final = ("minimal", "low", "medium", "high", "xhigh")
_MODALITIES: Final = frozenset({"TEXT", "IMAGE", "AUDIO", "VIDEO"})
_JSON: Final = "application/json"
_TEXT: Final = "text/plain"
_SHAPE: Final = ("responseMimeType", "responseJsonSchema", "responseSchema")


def decode_config(config: Wire, values: dict[str, Any], form: list[str]) -> Wire:
    """Read ``generationConfig`` into values and forms; what is left over is given back.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    document, tags = canonical(config, _AT)
    form += tags
    known, unknown = take(document, CONFIG, handled=CONFIG_HANDLED, path="generationConfig")
    values.update(known)
    left: Wire = unknown or {}
    for name in CONFIG_HANDLED & document.keys():
        if document[name] is None:
            left[name] = None
    modalities = document.get("responseModalities")
    if modalities is not None:
        expect(modalities, STRINGS, f"{_AT}responseModalities")
        if _MODALITIES.issuperset(modalities):
            values["modalities"] = tuple([name.lower() for name in modalities])
        else:
            left["responseModalities"] = modalities
    _decode_shape(document, values, left)
    thinking = document.get("thinkingConfig")
    if thinking is not None:
        _decode_thinking(expect(thinking, OBJECT, f"{_AT}thinkingConfig"), values, form)
    return left


def _decode_shape(document: Wire, values: dict[str, Any], left: Wire) -> None:
    mime = document.get("responseMimeType")
    if mime is not None:
        expect(mime, STRING, f"{_AT}responseMimeType")
    schema = document.get("responseJsonSchema")
    older = document.get("responseSchema")
    known = {"responseMimeType"}
    if mime in {None, _JSON} and (schema is not None or type(older) is dict):
        tags = ["mime:absent"] if mime is None else []
        if schema is not None:
            known.add("responseJsonSchema")
            schema, spellings = from_json_schema(schema)
            tags.extend(spellings)
        else:
            spelling = spelling_of(older)
            tags.append(spelling or "schema:kept")
            if spelling is not None:
                known.add("responseSchema")
            schema = from_openapi(older)
        values["output_format"] = OutputFormat(kind="json_schema", schema=schema, form=tuple(tags))
    elif mime == _JSON:
        values["output_format"] = OutputFormat(kind="json")
    elif mime == _TEXT:
        values["output_format"] = OutputFormat(kind="text")
    else:
        known = set()
    left.update((name, document[name]) for name in _SHAPE if document.get(name) is not None and name not in known)


def _decode_thinking(config: Wire, values: dict[str, Any], form: list[str]) -> None:
    document, tags = canonical(config, _AT_THINKING)
    form += tags
    known, unknown = take(document, THINKING, handled=("thinkingLevel", "includeThoughts"), path=f"{_AT}thinkingConfig")
    left: Wire = unknown or {}
    if known.get("reasoning_budget") == -1:  # dynamic
        values["reasoning_mode"] = "adaptive"
    else:
        values.update(known)
    level = document.get("thinkingLevel")
    if type(level) is str and level.upper() in _LEVELS and level in {level.upper(), level.lower()}:
        values["reasoning_effort"] = level.lower()
        if level == level.lower():
            form.append("level:lower")
    elif "thinkingLevel" in document:
        left["thinkingLevel"] = level
    shown = document.get("includeThoughts")
    if shown is not None:
        expect(shown, BOOLEAN, f"{_AT_THINKING}includeThoughts")
        values["reasoning_display"] = "summarized" if shown else "omitted"
    elif "includeThoughts" in document:
        left["includeThoughts"] = None
    if left:
        values["reasoning_ext"] = left
    elif not config:
        form.append("empty:thinkingConfig")


def encode_config(request: Request, scope: Scope) -> Wire:
    """Write ``generationConfig``; empty when there is nothing to say."""
    document: Wire = {}
    put(request, CONFIG, document)
    if request.modalities is not UNSET:
        words = [name.upper() for name in request.modalities]
        if scope.home or _MODALITIES.issuperset(words):
            document["responseModalities"] = words
        else:
            scope.lacks("modalities", Severity.SEMANTIC, "such modalities")
    if request.output_format is not UNSET:
        _encode_shape(request.output_format, document, scope)
    thinking = _home_thinking(request) if scope.home else _encode_thinking(request, scope)
    if thinking or (scope.home and "empty:thinkingConfig" in request.form):
        document["thinkingConfig"] = thinking
    if scope.home:
        ext = (request.ext or {}).get("generationConfig")
        if type(ext) is dict:
            merge(document, ext)
        return respelled(document, request.form, _AT)
    stop = document.get("stopSequences", [])
    if len(stop) > MAX_STOP:
        document["stopSequences"] = stop[:MAX_STOP]
        for index in range(MAX_STOP, len(stop)):
            scope.drop(f"stop[{index}]", Severity.SEMANTIC, f"{NAME} takes {MAX_STOP} sequences")
    if request.top_logprobs is not UNSET and request.logprobs is not True:
        del document["logprobs"]
        scope.drop("top_logprobs", Severity.COSMETIC, f"{NAME} takes it beside responseLogprobs only")
    return document


def _encode_shape(shape: OutputFormat, document: Wire, scope: Scope) -> None:
    if shape.kind == "text":
        document["responseMimeType"] = _TEXT
    elif not (scope.home and "mime:absent" in shape.form):
        document["responseMimeType"] = _JSON
    if shape.kind == "json_schema" and shape.schema is not UNSET:
        older = UPPER in shape.form or LOWER in shape.form
        if scope.home and older:
            document["responseSchema"] = to_openapi(shape.schema, upper=UPPER in shape.form)
        elif scope.home and CAPITALS in shape.form:
            document["responseJsonSchema"] = to_openapi(shape.schema, upper=True)
        elif not (scope.home and "schema:kept" in shape.form):
            document["responseJsonSchema"] = shape.schema
    if scope.home:
        return
    if shape.kind == "json_schema" and shape.schema is UNSET:
        scope.add("output_format", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has no schema without a schema")
    scope.lacks_each(shape, ("name", "description", "strict"), "output_format", Severity.COSMETIC, "of a schema")
    scope.ext(shape.ext, "output_format")


def _home_thinking(request: Request) -> Wire:
    document: Wire = {}
    put(request, THINKING, document)
    if request.reasoning_mode == "adaptive":
        document["thinkingBudget"] = -1
    effort = request.reasoning_effort
    if effort is not UNSET:
        document["thinkingLevel"] = effort if "level:lower" in request.form else effort.upper()
    if request.reasoning_display is not UNSET:
        document["includeThoughts"] = request.reasoning_display != "omitted"
    merge(document, request.reasoning_ext or {})
    return respelled(document, request.form, _AT_THINKING)


def _encode_thinking(request: Request, scope: Scope) -> Wire:
    """How much to think, said once: the provider refuses a level beside a budget."""
    document: Wire = {}
    effort, budget, mode = request.reasoning_effort, request.reasoning_budget, request.reasoning_mode
    if mode == "disabled" or effort == "none" or budget == 0:
        document["thinkingBudget"] = 0
    elif budget is not UNSET and (effort is UNSET or not takes_levels(request.model)):
        document["thinkingBudget"] = budget
    elif effort is not UNSET:
        _put_effort(effort, request, document, scope)
    elif mode == "adaptive":
        document["thinkingBudget"] = -1
    _thinking_losses(request, document, scope)
    display = request.reasoning_display
    if display is not UNSET:
        document["includeThoughts"] = display != "omitted"
        if display not in {"summarized", "omitted"}:
            scope.add("reasoning_display", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} shows thoughts or none")
    if request.reasoning_ext is not UNSET:
        scope.drop("reasoning_ext", Severity.DEGRADED, f"{NAME} does not know it")
    return document


def _put_effort(effort: str, request: Request, document: Wire, scope: Scope) -> None:
    if effort not in EFFORTS:
        scope.lacks("reasoning_effort", Severity.DEGRADED, "such effort")
    elif not takes_levels(request.model):
        document["thinkingBudget"] = min(budget_of(effort) or 0, 24576)  # what all models of 2.5 take
    elif effort in _WRITTEN:
        document["thinkingLevel"] = effort.upper()
    else:
        document["thinkingLevel"] = _WRITTEN[-1].upper()


def _thinking_losses(request: Request, document: Wire, scope: Scope) -> None:
    budget = document.get("thinkingBudget", UNSET)
    level = document.get("thinkingLevel", UNSET)
    read = {
        "reasoning_effort": UNSET if level is UNSET else level.lower(),
        "reasoning_budget": UNSET if budget == -1 else budget,
        "reasoning_mode": "adaptive" if budget == -1 else UNSET,
    }
    said = request.reasoning_effort in EFFORTS or request.reasoning_effort is UNSET
    for name, value in read.items():
        told = getattr(request, name)
        if told == value:
            continue
        if told is UNSET:
            scope.add(name, LossKind.INVENTED, Severity.COSMETIC, f"{NAME} says it so")
        elif name == "reasoning_mode" or (name == "reasoning_effort" and said) or name == "reasoning_budget":
            severity = Severity.DEGRADED if name == "reasoning_effort" and value is not UNSET else Severity.COSMETIC
            scope.add(name, LossKind.APPROXIMATED, severity, f"{NAME} says it with another member")
