"""Tools, the choice among them, and the shape of the answer's text.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools (read 2026-11-23). Members of an object
inside (``function.description``) that have no place of their own are kept in ``ext`` under that dotted name.

| form | on | the wire had |
|---|---|---|
| ``functions`` | `FunctionTool` | an entry of the legacy ``functions`` |
| ``functions:empty`` | `Request` | that list, empty |
| ``tools:empty`` | `Request` | an empty ``tools`` beside ``functions`` |
| ``function_call`` | `Request` | the legacy spelling of ``tool_choice`` |
| ``tool_choice:any`` | `Request` | Mistral's word for ``required`` |
| ``type:absent`` | `FunctionTool` | no type |
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.loss import LossKind, Severity
from ...universal.request import (
    FunctionTool,
    NamedTool,
    OpaqueTool,
    OutputFormat,
    Request,
    Tool,
    ToolChoice,
    ToolSubset,
)
from ..fields import BOOLEAN, OBJECT, STRING, Field, Json, expect, put, table, take
from ..openai_shared.marks import SPELLINGS, decode_cache, encode_cache, merge
from ..scope import Scope
from .profile import NAME

__all__ = [
    "decode_choice",
    "decode_format",
    "decode_tools",
    "encode_choice",
    "encode_format",
    "encode_tools",
]

_FUNCTION = table(
    Field("description", "description", STRING), Field("schema", "parameters"), Field("strict", "strict", BOOLEAN)
)
_CUSTOM = table(Field("description", "description", STRING), Field("schema", "format"))
_SCHEMA = table(
    Field("name", "name", STRING),
    Field("description", "description", STRING),
    Field("schema", "schema"),
    Field("strict", "strict", BOOLEAN),
)
_RESPONSE_NAME = "response"


def decode_tools(document: Json, forms: list[str]) -> tuple[Tool, ...] | Any:
    """The tools of a request: ``tools``, then the legacy ``functions``; UNSET when it has neither.

    Raises:
        InvalidDocument: A tool with a member of the wrong type.
    """
    tools, functions = document.get("tools"), document.get("functions")
    found: list[Tool] = []
    if tools is not None:
        if type(tools) is not list:
            raise InvalidDocument("tools", "must be an array")
        found += [_decode_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    if functions is not None:
        if type(functions) is not list:
            raise InvalidDocument("functions", "must be an array")
        found += [_decode_function(tool, f"functions[{index}]") for index, tool in enumerate(functions)]
        if not functions:
            forms.append("functions:empty")
        elif tools == []:
            forms.append("tools:empty")
    return UNSET if tools is None and not functions else tuple(found)


def _decode_tool(tool: Any, path: str) -> Tool:
    expect(tool, OBJECT, path)
    kind = tool.get("type", "function")
    inner = tool.get(kind) if kind in ("function", "custom") else None
    if inner is None:  # a type that we do not know, or one spelled otherwise
        return OpaqueTool(json=tool, protocol=NAME)
    expect(inner, OBJECT, f"{path}.{kind}")
    table = _FUNCTION if kind == "function" else _CUSTOM
    values, rest = take(inner, table, handled=("name",), path=f"{path}.{kind}")
    cache, key = decode_cache(tool, path, SPELLINGS)
    ext = {name: value for name, value in tool.items() if name not in ("type", kind, key)}
    ext.update({f"{kind}.{name}": value for name, value in (rest or {}).items()})
    return FunctionTool(
        name=expect(inner.get("name"), STRING, f"{path}.{kind}.name"),
        kind="function" if kind == "function" else "custom",
        cache=cache,
        ext=ext or UNSET,
        form=() if "type" in tool else ("type:absent",),
        **values,
    )


def _decode_function(tool: Any, path: str) -> FunctionTool:
    expect(tool, OBJECT, path)
    values, ext = take(tool, _FUNCTION, handled=("name",), path=path)
    name = expect(tool.get("name"), STRING, f"{path}.name")
    return FunctionTool(name=name, ext=ext, form=("functions",), **values)


def encode_tools(request: Request, document: Json, scope: Scope) -> None:
    """Write the tools of a request."""
    if request.tools is UNSET:
        if scope.home and "functions:empty" in request.form:
            document["functions"] = []
        return
    tools: list[Json] = []
    functions: list[Json] = []
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        if isinstance(tool, OpaqueTool):
            if tool.protocol == NAME:
                tools.append(tool.json)
            else:
                scope.lacks(path, Severity.SEMANTIC, f"tool like this of {tool.protocol}")
        elif scope.home and "functions" in tool.form:
            functions.append(_encode_function(tool))
        else:
            tools.append(_encode_tool(tool, path, scope))
    if functions or (scope.home and "functions:empty" in request.form):
        document["functions"] = functions
    if tools or (scope.home and (not functions or "tools:empty" in request.form)):
        document["tools"] = tools
    elif not scope.home and not request.tools:
        scope.lacks("tools", Severity.COSMETIC, "empty list of tools")


def _encode_tool(tool: FunctionTool, path: str, scope: Scope) -> Json:
    inner: Json = {"name": scope.tool_name(tool.name, f"{path}.name")}
    put(tool, _FUNCTION if tool.kind == "function" else _CUSTOM, inner)
    if tool.kind == "custom" and not scope.home:
        _nest_grammar(inner)
    document: Json = {tool.kind: inner}
    if not (scope.home and "type:absent" in tool.form):
        document["type"] = tool.kind
    encode_cache(tool.cache, document, path, scope)
    if scope.home and tool.ext is not UNSET:
        merge(document, tool.ext, tool.kind)
    scope.ext(tool.ext, path)
    if tool.kind == "custom" and tool.strict is not UNSET:
        scope.lacks(f"{path}.strict", Severity.COSMETIC, "strict custom tools")
    return document


def _nest_grammar(inner: Json) -> None:
    """Put the grammar of a tool of free text where this protocol has it: in an object of its own."""
    match inner.get("format"):
        case {"type": "grammar", "grammar": dict()}:
            pass
        case {"type": "grammar", **grammar}:
            inner["format"] = {"type": "grammar", "grammar": grammar}


def _encode_function(tool: FunctionTool) -> Json:
    document: Json = {} if tool.ext is UNSET else dict(tool.ext)
    document["name"] = tool.name
    put(tool, _FUNCTION, document)
    return document


def decode_choice(document: Json, ext: Json, forms: list[str]) -> ToolChoice | Any:
    """The tool choice of a request; what it does not know stays in `ext`.

    Raises:
        InvalidDocument: A choice with a member of the wrong type.
    """
    choice = document.get("tool_choice")
    legacy = document.get("function_call")
    if choice is None:
        if "tool_choice" in document:
            ext["tool_choice"] = None
        if legacy is None:
            if "function_call" in document:
                ext["function_call"] = None
            return UNSET
        found = _decode_legacy_choice(legacy)
        if found is UNSET:
            ext["function_call"] = legacy
        else:
            forms.append("function_call")
        return found
    if "function_call" in document:
        ext["function_call"] = legacy
    found = _decode_choice(choice, forms)
    if found is UNSET:
        ext["tool_choice"] = choice
    return found


def _decode_choice(choice: Any, forms: list[str]) -> ToolChoice | Any:
    match choice:
        case "auto" | "none" | "required":
            return choice
        case "any":
            forms.append("tool_choice:any")
            return "required"
        case {"type": ("function" | "custom") as kind} if type(choice.get(kind)) is dict:
            inner = choice[kind]
            ext = {key: value for key, value in choice.items() if key not in ("type", kind)}
            ext.update({f"{kind}.{key}": value for key, value in inner.items() if key != "name"})
            name = expect(inner.get("name"), STRING, f"tool_choice.{kind}.name")
            return NamedTool(name=name, kind=kind, ext=ext or UNSET)
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode), "tools": list(tools)} as inner}:
            ext = {key: value for key, value in choice.items() if key not in ("type", "allowed_tools")}
            ext.update({f"allowed_tools.{k}": value for k, value in inner.items() if k not in ("mode", "tools")})
            return ToolSubset(mode=mode, names=_names(tools), tools=tools, ext=ext or UNSET)
        case _:
            return UNSET


def _decode_legacy_choice(choice: Any) -> ToolChoice | Any:
    match choice:
        case "auto" | "none":
            return choice
        case {"name": str(name)}:
            rest = {key: value for key, value in choice.items() if key != "name"}
            return NamedTool(name=name, ext=rest or UNSET)
        case _:
            return UNSET


def _names(tools: list[Any]) -> tuple[str, ...]:
    found: list[str] = []
    for tool in tools:
        inner = tool.get("custom" if tool.get("type") == "custom" else "function") if isinstance(tool, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            found.append(inner["name"])
    return tuple(found)


def encode_choice(request: Request, document: Json, scope: Scope) -> None:
    """Write the tool choice of a request."""
    choice = request.tool_choice
    if choice is UNSET:
        return
    if not scope.home and "tools" not in document:
        scope.lacks("tool_choice", Severity.COSMETIC, "tool choice without tools")
        return
    if scope.home and "function_call" in request.form and not isinstance(choice, ToolSubset):
        if isinstance(choice, NamedTool):
            document["function_call"] = {**(choice.ext or {}), "name": choice.name}
        else:
            document["function_call"] = choice
        return
    document["tool_choice"] = _encode_choice(choice, request, scope)


def _encode_choice(choice: ToolChoice, request: Request, scope: Scope) -> Any:
    if isinstance(choice, NamedTool):
        body: Json = {"type": choice.kind, choice.kind: {"name": scope.tool_name(choice.name, "tool_choice.name")}}
        if scope.home and choice.ext is not UNSET:
            merge(body, choice.ext, choice.kind)
        scope.ext(choice.ext, "tool_choice")
        return body
    if isinstance(choice, ToolSubset):
        tools = choice.tools if scope.home else UNSET
        if tools is UNSET or _names(tools) != choice.names:
            spelled = [scope.tool_name(name, f"tool_choice.names[{at}]") for at, name in enumerate(choice.names)]
            tools = [{"type": "function", "function": {"name": name}} for name in spelled]
        body = {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
        if scope.home and choice.ext is not UNSET:
            merge(body, choice.ext, "allowed_tools")
        scope.ext(choice.ext, "tool_choice")
        return body
    if scope.home and choice == "required" and "tool_choice:any" in request.form:
        return "any"
    return choice


def decode_format(value: Any, ext: Json) -> OutputFormat | Any:
    """The ``response_format`` of a request; a type that it does not know stays in `ext`.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    expect(value, OBJECT, "response_format")
    kind = value.get("type")
    if (
        type(kind) is not str
        or kind not in _KINDS
        or (kind == "json_schema" and type(value.get("json_schema")) is not dict)
    ):
        ext["response_format"] = value
        return UNSET
    inner = value["json_schema"] if kind == "json_schema" else {}
    values, rest = take(inner, _SCHEMA, handled=(), path="response_format.json_schema")
    handled = ("type", "json_schema") if kind == "json_schema" else ("type",)
    members = {key: member for key, member in value.items() if key not in handled}
    members.update({f"json_schema.{key}": member for key, member in (rest or {}).items()})
    return OutputFormat(kind=_KINDS[kind], ext=members or UNSET, **values)


def encode_format(shape: OutputFormat, scope: Scope) -> Json:
    """The shape of the answer's text."""
    document: Json = {"type": _TYPES[shape.kind]}
    if shape.kind == "json_schema":
        inner: Json = {}
        put(shape, _SCHEMA, inner)
        if shape.name is UNSET and not scope.home:
            inner["name"] = _RESPONSE_NAME
            scope.add("output_format.name", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a name")
        document["json_schema"] = inner
    if scope.home and shape.ext is not UNSET:
        merge(document, shape.ext, "json_schema")
    scope.ext(shape.ext, "output_format")
    return document


_KINDS: dict[Any, Any] = {"text": "text", "json_object": "json", "json_schema": "json_schema"}
_TYPES = {kind: name for name, kind in _KINDS.items()}
