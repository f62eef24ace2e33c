"""The request: ``POST /v1beta/models/{model}:generateContent``, and ``:countTokens``.

The model, and whether the answer is a stream, stand in the path: see `routes`. A body that names a model too (some
clients' do) has the form ``model:body``.
It follows https://ai.google.dev/api/generate-content and https://ai.google.dev/api/tokens (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec import DecodeError as MsgspecError
from msgspec.json import Decoder
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.jsontext import JsonText, loads
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import FunctionTool, Request
from ..base import Context, Encoded, Operation
from ..fields import OBJECT, STRING, expect, put, take, unplaced
from ..scope import Scope
from .fields import PLACED, PLACED_AT_HOME, REQUEST, REQUEST_HANDLED
from .groups import decode_config, encode_config
from .profile import NAME, TARGET
from .spelling import canonical, merge, put_ext, respelled
from .tools import decode_choice, decode_tools, encode_choice, encode_tools
from .turns import decode_contents, decode_system, encode_turns

__all__ = ["decode_request", "encode_request", "parse"]

_PREFIX: Final = "models/"
_WRAPPED: Final = "generateContentRequest"
_TIERS: Final = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}


class _Call(Struct):
    args: Raw | UnsetType = UNSET


class _Part(Struct):
    functionCall: _Call | UnsetType = UNSET  # noqa: N815 - the wire's name
    function_call: _Call | UnsetType = UNSET


class _Content(Struct):
    parts: list[_Part] | UnsetType = UNSET


class _Candidate(Struct):
    content: _Content | UnsetType = UNSET


class _Document(Struct):
    contents: list[_Content] | UnsetType = UNSET
    candidates: list[_Candidate] | UnsetType = UNSET


_SHAPE = Decoder(_Document)


def parse(body: bytes) -> dict[str, Any]:
    """Read a document; the ``args`` of each call become `JsonText`, verbatim.

    Raises:
        InvalidDocument: Not JSON, or not an object.
    """
    document = loads(body)
    if type(document) is not dict:
        raise InvalidDocument("", "must be an object")
    if b'"args"' in body:
        try:
            shape = _SHAPE.decode(body)
        except (MsgspecError, ValueError):
            return document  # an odd shape, or JSON that only the slow reader takes: arguments stay as parsed
        if shape.contents is not UNSET:
            for content, found in zip(document["contents"], shape.contents, strict=True):
                _keep_args(content, found)
        if shape.candidates is not UNSET:
            for candidate, holder in zip(document["candidates"], shape.candidates, strict=True):
                if holder.content is not UNSET:
                    _keep_args(candidate["content"], holder.content)
    return document


def _keep_args(content: dict[str, Any], found: _Content) -> None:
    if found.parts is UNSET:
        return
    for part, shape in zip(content["parts"], found.parts, strict=True):
        for name, call in (("functionCall", shape.functionCall), ("function_call", shape.function_call)):
            if call is not UNSET and call.args is not UNSET and type(part[name]["args"]) is dict:
                part[name]["args"] = JsonText(bytes(call.args).decode())


def decode_request(
    document: dict[str, Any], *, dialect: str = "", operation: Operation = Operation.GENERATE
) -> Request:
    """See `Protocol.decode_request`; a count's ``generateContentRequest`` is read in place of what stands around it."""
    whole, form = canonical(document)
    if operation is Operation.COUNT_TOKENS and type(whole.get(_WRAPPED)) is dict:
        inner = decode_request(whole[_WRAPPED], dialect=dialect)
        beside = {key: value for key, value in whole.items() if key != _WRAPPED}
        tags = [f"around:{tag}" for tag in form]
        ext = {**(inner.ext or {}), **({_WRAPPED: beside} if beside else {})}
        return replace(inner, ext=ext or UNSET, form=(*inner.form, *tags, _WRAPPED))
    contents = whole.get("contents")
    if contents is None:
        raise InvalidDocument("contents", "is required")
    if type(contents) is dict:  # one content without a list around it
        form.append("contents:object")
        contents = [contents]
    if type(contents) is not list:
        raise InvalidDocument("contents", "must be an array")
    values, unknown = take(whole, REQUEST, handled=REQUEST_HANDLED)
    ext = unknown or {}
    groups = {name: whole[name] for name in REQUEST_HANDLED if name in whole}
    for name in [name for name, value in groups.items() if value is None]:
        ext[name] = groups.pop(name)
    turns = decode_contents(contents)
    if "model" in groups:
        values["model"] = _decode_model(expect(groups["model"], STRING, "model"), form)
    if "systemInstruction" in groups:
        turns.insert(0, decode_system(groups["systemInstruction"]))
    if "tools" in groups:
        values["tools"] = decode_tools(groups["tools"])
    if "toolConfig" in groups:
        _decode_tool_config(expect(groups["toolConfig"], OBJECT, "toolConfig"), values, form, ext)
    if "generationConfig" in groups:
        config = expect(groups["generationConfig"], OBJECT, "generationConfig")
        left = decode_config(config, values, form)
        if left:
            ext["generationConfig"] = left
        elif not config:
            form.append("empty:generationConfig")
    return Request(
        turns=tuple(turns),
        ext=ext or UNSET,
        form=tuple(form),
        origin=Origin(protocol=NAME, dialect=dialect),
        **values,
    )


def _decode_model(model: str, form: list[str]) -> str:
    form.append("model:body")
    if model.startswith(_PREFIX):
        form.append("model:prefix")
        return model[len(_PREFIX) :]
    return model


def _decode_tool_config(config: dict[str, Any], values: dict[str, Any], form: list[str], ext: dict[str, Any]) -> None:
    document, tags = canonical(config, "toolConfig.")
    form += tags
    left = dict(document)
    calling = document.get("functionCallingConfig")
    if calling is not None:
        expect(calling, OBJECT, "toolConfig.functionCallingConfig")
        choice, tags, rest = decode_choice(calling)
        form += tags
        if choice is not UNSET:
            values["tool_choice"] = choice
        if rest:
            left["functionCallingConfig"] = rest
        else:
            del left["functionCallingConfig"]
            if not calling:
                form.append("empty:functionCallingConfig")
    if left:
        ext["toolConfig"] = left
    elif not config:
        form.append("empty:toolConfig")


def encode_request(request: Request, *, dialect: str = "", operation: Operation = Operation.GENERATE) -> Encoded:
    """See `Protocol.encode_request`.

    Args:
        request: The request.
        dialect: See `routes.dialect`.
        operation: `Operation.COUNT_TOKENS` puts all but bare contents into a ``generateContentRequest``.
    """
    scope = Scope(TARGET, origin=request.origin.protocol, dialect=dialect)
    system, contents = encode_turns(request, scope)
    document: dict[str, Any] = {}
    if scope.home:
        put(request, REQUEST, document)
        _put_model(request, document)
    else:
        _put_tier(request, document, scope)
        if request.model == "":
            scope.drop("model", Severity.BLOCKING, f"{NAME} names it in the path, where there must be one")
    if system is not None:
        document["systemInstruction"] = system
    document["contents"] = contents[0] if scope.home and "contents:object" in request.form and contents else contents
    tools = encode_tools(request, scope)
    if tools or (request.tools is not UNSET and (scope.home or not request.tools)):
        document["tools"] = tools
    _put_tool_config(request, tools, document, scope)
    config = encode_config(request, scope)
    if config or (scope.home and "empty:generationConfig" in request.form):
        document["generationConfig"] = config
    if scope.home:
        ext = dict(request.ext or {})
        around = ext.pop(_WRAPPED, {}) if _WRAPPED in request.form else {}
        put_ext(document, ext)
        document = respelled(document, request.form)
        if _WRAPPED in request.form:
            tags = [tag[len("around:") :] for tag in request.form if tag.startswith("around:")]
            document = respelled({_WRAPPED: document, **around}, tags)
    elif operation is Operation.COUNT_TOKENS and document.keys() != {"contents"}:
        document = {_WRAPPED: {"model": _PREFIX + (request.model or ""), **document}}
    scope.losses.extend(unplaced(request, PLACED_AT_HOME if scope.home else PLACED, NAME))
    scope.ext(request.ext, "")
    return Encoded(document=document, losses=tuple(scope.losses), context=_context(request, scope))


def _context(request: Request, scope: Scope) -> Context:
    tools = (tool for tool in request.tools or () if isinstance(tool, FunctionTool))
    return scope.context(request, [tool.name for tool in tools if tool.kind == "custom"])


def _put_model(request: Request, document: dict[str, Any]) -> None:
    if "model:body" in request.form and request.model is not UNSET:
        document["model"] = (_PREFIX if "model:prefix" in request.form else "") + request.model


def _put_tier(request: Request, document: dict[str, Any], scope: Scope) -> None:
    tier = request.service_tier
    if tier is UNSET:
        return
    written = _TIERS.get(tier)
    if written is not None:
        document["serviceTier"] = written
    if written != tier:
        kind = LossKind.DROPPED if written is None else LossKind.APPROXIMATED
        scope.add("service_tier", kind, Severity.COSMETIC, f"{NAME} has other tiers")


def _put_tool_config(request: Request, tools: list[Any], document: dict[str, Any], scope: Scope) -> None:
    functions = any("functionDeclarations" in tool for tool in tools if type(tool) is dict)
    choice = encode_choice(request, functions, scope)
    config: dict[str, Any] = {"functionCallingConfig": choice} if choice else {}
    if not scope.home:
        if config:
            document["toolConfig"] = config
        return
    ext = (request.ext or {}).get("toolConfig")
    if type(ext) is dict:
        merge(config, ext)
    if "empty:functionCallingConfig" in request.form:
        config.setdefault("functionCallingConfig", {})
    if type(config.get("functionCallingConfig")) is dict:
        config["functionCallingConfig"] = respelled(
            config["functionCallingConfig"], request.form, "toolConfig.functionCallingConfig."
        )
    if config or "empty:toolConfig" in request.form:
        document["toolConfig"] = respelled(config, request.form, "toolConfig.")
