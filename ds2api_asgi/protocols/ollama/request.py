"""The request: ``POST /api/chat``, and ``POST /api/generate`` in its words (`generate`).

https://docs.ollama.com/api/chat (read 2026-11-23). A request that does not say ``stream`` is answered with a stream:
`Request.stream` stays UNSET then, since decoding transcribes.

| form | on | the wire had |
|---|---|---|
| ``messages:absent``, ``messages:null`` | `Request` | no messages: the model is only loaded |
| ``options:empty``, ``options:null`` | `Request` | that |
| ``format:empty`` | `Request` | ``""`` (see `tools`) |

What stands in ``options`` and has no place is kept in ``ext`` under that dotted name.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.effort import effort_of
from ...universal.jsontext import loads
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import FunctionTool, Request
from ..base import Encoded, Operation
from ..fields import OBJECT, Json, expect, put, take, unplaced
from ..scope import Scope
from .calls import keep_arguments
from .fields import OPTIONS, PLACED, REQUEST, REQUEST_HANDLED
from .generate import request_in_chat, request_in_generate
from .profile import EFFORTS, GENERATE, NAME, TARGET
from .tools import decode_format, decode_tools, encode_format, encode_tools
from .turns import decode_turns, encode_turns

__all__ = ["decode_request", "encode_request", "parse"]

_NEAREST: Final = {"minimal": "low", "xhigh": "max"}
_OPTION: Final = "options."


def parse(body: bytes) -> Json:
    """Read a JSON document; the arguments of each call become `JsonText`, verbatim.

    Raises:
        InvalidDocument: Not JSON, or not an object.
    """
    document: Json = expect(loads(body), OBJECT, "")
    if b'"arguments"' in body:
        keep_arguments(document, body)
    return document


def decode_request(
    document: Json,
    *,
    dialect: str = "",
    operation: Operation = Operation.GENERATE,
) -> Request:
    """A request document to universal form.

    Args:
        document: From `parse`.
        dialect: From `routes.dialect`.
        operation: `Operation.GET_MODEL` may name the model in ``name``, as older clients do.

    Raises:
        InvalidDocument: A value of the wrong type, or ``model`` missing.
    """
    if operation is Operation.GET_MODEL:
        document = {"model": document.get("model", document.get("name"))}
    if type(document.get("model")) is not str:
        raise InvalidDocument("model", "must be a string")
    if dialect == GENERATE:
        document = request_in_chat(document)
    values, rest = take(document, REQUEST, handled=REQUEST_HANDLED)
    ext: Json = {} if rest is UNSET else rest
    forms: list[str] = []
    messages = document.get("messages")
    if messages is None:
        forms.append("messages:null" if "messages" in document else "messages:absent")
    if document.get("tools") is not None:
        values["tools"] = decode_tools(document["tools"])
    elif "tools" in document:
        ext["tools"] = None
    if "format" in document:
        values["output_format"] = decode_format(document["format"], ext, forms)
    if document.get("options") is not None:
        _decode_options(document["options"], values, ext, forms)
    elif "options" in document:
        forms.append("options:null")
    if "think" in document:
        _decode_think(document["think"], values, ext)
    return Request(
        turns=() if messages is None else decode_turns(messages),
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
        origin=Origin(protocol=NAME, dialect=dialect),
        **values,
    )


def _decode_options(options: Any, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    found, rest = take(expect(options, OBJECT, "options"), OPTIONS, handled=(), path="options")
    unbounded = found.get("max_output_tokens", 0)
    if unbounded < 0:  # -1 is "without bound", -2 "until the context is full"
        ext[_OPTION + "num_predict"] = found.pop("max_output_tokens")
    values.update(found)
    ext.update((_OPTION + key, value) for key, value in (rest or {}).items())
    if not options:
        forms.append("options:empty")


def _decode_think(think: Any, values: dict[str, Any], ext: Json) -> None:
    if type(think) is bool:
        values["reasoning_mode"] = "enabled" if think else "disabled"
    elif type(think) is str:
        values["reasoning_effort"] = think
    elif think is None:
        ext["think"] = None
    else:
        raise InvalidDocument("think", "must be a boolean or a string")


def encode_request(
    request: Request,
    *,
    dialect: str = "",
    operation: Operation = Operation.GENERATE,  # noqa: ARG001 - the document is the same
) -> Encoded:
    """Universal form to a request document.

    Args:
        request: Born anywhere; one that was born here is written back as it was.
        dialect: Only a request that was born in one is written in it.
        operation: Makes no difference.
    """
    scope = Scope(TARGET, origin=request.origin.protocol, dialect=dialect)
    document: Json = {}
    put(request, REQUEST, document)
    if request.turns or not scope.home or not any(form.startswith("messages:") for form in request.form):
        document["messages"] = encode_turns(request, scope)
    elif "messages:null" in request.form:
        document["messages"] = None
    members = {
        "tools": encode_tools(request, scope),
        "format": encode_format(request, scope),
        "think": _home_think(request) if scope.home else _think(request, scope),
        "options": _options(request, scope),
    }
    document.update((name, member) for name, member in members.items() if member is not UNSET)
    if scope.home:
        for key, value in (request.ext or {}).items():
            if not key.startswith(_OPTION):
                document.setdefault(key, value)
    else:
        scope.ext(request.ext, "")
    scope.losses.extend(unplaced(request, PLACED, NAME))
    custom = [tool.name for tool in request.tools or () if isinstance(tool, FunctionTool) and tool.kind == "custom"]
    if scope.home and request.origin.dialect == GENERATE:
        document = request_in_generate(document)
    return Encoded(document=document, losses=tuple(scope.losses), context=scope.context(request, custom))


def _options(request: Request, scope: Scope) -> Any:
    options: Json = {}
    put(request, OPTIONS, options)
    if scope.home:
        for key, value in (request.ext or {}).items():
            if key.startswith(_OPTION):
                options.setdefault(key[len(_OPTION) :], value)
        if not options and "options:null" in request.form:
            return None
        if "options:empty" in request.form:
            return options
    return options or UNSET


def _home_think(request: Request) -> Any:
    if request.reasoning_effort is not UNSET:
        return request.reasoning_effort
    if request.reasoning_mode is UNSET:
        return UNSET
    return request.reasoning_mode != "disabled"


def _think(request: Request, scope: Scope) -> Any:
    """One member for all that others say about reasoning: an effort beats a budget, "disabled" beats both."""
    mode, budget, effort = request.reasoning_mode, request.reasoning_budget, request.reasoning_effort
    think: Any = UNSET
    if mode == "disabled" or effort == "none" or budget == 0:
        think = False
    elif effort in EFFORTS:
        think = effort
    elif effort in _NEAREST:
        think = _NEAREST[str(effort)]
    elif budget is not UNSET:
        think = effort_of(budget)
        think = _NEAREST.get(think, think)
    elif mode is not UNSET:
        think = True
    if effort is not UNSET and think != effort:
        kind = LossKind.DROPPED if think is UNSET else LossKind.APPROXIMATED
        severity = Severity.COSMETIC if think is False and effort == "none" else Severity.DEGRADED
        scope.add("reasoning_effort", kind, severity, f"{NAME} has other efforts")
    elif effort is UNSET and type(think) is str:
        scope.add("reasoning_effort", LossKind.INVENTED, Severity.COSMETIC, "stands for the budget")
    if budget is not UNSET:
        kind = LossKind.DROPPED if effort is not UNSET else LossKind.APPROXIMATED
        scope.add("reasoning_budget", kind, Severity.DEGRADED, f"{NAME} has efforts, not budgets")
    said = UNSET if type(think) is not bool else "enabled" if think else "disabled"
    if mode != said:
        kind = LossKind.INVENTED if mode is UNSET else LossKind.APPROXIMATED
        scope.add("reasoning_mode", kind, Severity.COSMETIC, f"{NAME} says it so")
    return think
