"""Tools, the choice among them, and the shape of the answer's text.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools (read 2026-11-23). Functions are
flat here. A function without ``strict`` is strict where its schema allows it, unlike in other protocols, and SDKs
demand the member: so ``strict: false`` is written for functions that do not say it, and read as that.

| form | on | the wire had |
|---|---|---|
| ``strict:false``, ``strict:null`` | `FunctionTool` | that, which says no more than nothing does elsewhere |
| ``parameters:null`` | `FunctionTool` | null: no arguments |
"""

from __future__ import annotations

from typing import Any, Final

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
from ..openai_shared.marks import encode_cache, merged
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

_FUNCTION: Final = table(Field("description", "description", STRING), Field("schema", "parameters"))
_CUSTOM: Final = table(Field("description", "description", STRING), Field("schema", "format"))
_SCHEMA: Final = table(
    Field("name", "name", STRING),
    Field("description", "description", STRING),
    Field("schema", "schema"),
    Field("strict", "strict", BOOLEAN),
)
_RESPONSE_NAME: Final = "response"


def decode_tools(document: Json, ext: Json) -> tuple[Tool, ...] | Any:
    """The tools of a request; UNSET when it has none.

    Raises:
        InvalidDocument: A tool with a member of the wrong type.
    """
    tools = document.get("tools")
    if tools is None:
        if "tools" in document:
            ext["tools"] = None
        return UNSET
    if type(tools) is not list:
        raise InvalidDocument("tools", "must be an array")
    return tuple([_decode_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)])


def _decode_tool(tool: Any, path: str) -> Tool:
    expect(tool, OBJECT, path)
    kind = tool.get("type")
    if kind not in ("function", "custom"):
        return _decode_opaque(tool)
    known = _FUNCTION if kind == "function" else _CUSTOM
    values, rest = take(tool, known, handled=("type", "name"), path=path)
    ext: Json = {} if rest is UNSET else rest
    forms: list[str] = []
    if kind == "function":
        if "parameters" in ext:
            del ext["parameters"]
            forms.append("parameters:null")
        strict = ext.pop("strict", UNSET)
        if strict is True:
            values["strict"] = True
        elif strict is None or strict is False:
            forms.append("strict:null" if strict is None else "strict:false")
        elif strict is not UNSET:
            raise InvalidDocument(f"{path}.strict", f"must be {BOOLEAN}")
    return FunctionTool(
        name=expect(tool.get("name"), STRING, f"{path}.name"),
        kind="function" if kind == "function" else "custom",
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
        **values,
    )


def _decode_opaque(tool: Json) -> OpaqueTool:
    """A tool of the provider's; of a namespace also what stands in it, if all of that is as documented."""
    name, members = tool.get("name"), tool.get("tools")
    functions: list[FunctionTool] = []
    if tool.get("type") == "namespace" and type(name) is str and type(members) is list:
        try:
            found = [_decode_tool(member, "") for member in members]
        except InvalidDocument:
            found = []
        functions = [member for member in found if isinstance(member, FunctionTool)]
    if not functions:
        return OpaqueTool(json=tool, protocol=NAME)
    return OpaqueTool(json=tool, protocol=NAME, namespace=str(name), functions=tuple(functions))


def encode_tools(request: Request, document: Json, scope: Scope) -> None:
    """Write the tools of a request."""
    if request.tools is UNSET:
        return
    tools: list[Json] = []
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        if isinstance(tool, FunctionTool):
            tools.append(_encode_tool(tool, path, scope))
        elif tool.protocol == NAME:
            tools.append(tool.json)
        else:
            scope.lacks(path, Severity.SEMANTIC, f"tool like this of {tool.protocol}")
    if tools or scope.home or not request.tools:
        document["tools"] = tools


def _encode_tool(tool: FunctionTool, path: str, scope: Scope) -> Json:
    document: Json = {"type": tool.kind, "name": scope.tool_name(tool.name, f"{path}.name")}
    put(tool, _FUNCTION if tool.kind == "function" else _CUSTOM, document)
    if tool.kind == "function":
        _put_strict(tool, document, path, scope)
    else:
        if tool.strict is not UNSET:
            scope.lacks(f"{path}.strict", Severity.COSMETIC, "strict custom tools")
        if not scope.home:
            _flatten_grammar(document)
    encode_cache(tool.cache, document, path, scope)
    scope.ext(tool.ext, path)
    return merged(document, tool.ext, scope)


def _flatten_grammar(document: Json) -> None:
    """Put the grammar of a tool of free text where this protocol has it: beside its type."""
    match document.get("format"):
        case {"type": "grammar", "grammar": dict(grammar), **rest}:
            document["format"] = {"type": "grammar", **grammar, **rest}


def _put_strict(tool: FunctionTool, document: Json, path: str, scope: Scope) -> None:
    if not scope.home:
        document.setdefault("parameters", None)
        document["strict"] = tool.strict is True
        if tool.strict is False:
            scope.add(f"{path}.strict", LossKind.APPROXIMATED, Severity.COSMETIC, "said in the same words as nothing")
        return
    if tool.schema is UNSET and "parameters:null" in tool.form:
        document["parameters"] = None
    if tool.strict is not UNSET:
        document["strict"] = tool.strict
    elif "strict:null" in tool.form:
        document["strict"] = None
    elif "strict:false" in tool.form:
        document["strict"] = False


def decode_choice(document: Json, ext: Json) -> ToolChoice | Any:
    """The tool choice of a request; what it does not know stays in `ext`.

    Raises:
        InvalidDocument: A choice with a member of the wrong type.
    """
    choice: Any = document.get("tool_choice")
    match choice:
        case "auto" | "none" | "required":
            return choice
        case {"type": ("function" | "custom") as kind} if "name" in choice:
            rest = {key: value for key, value in choice.items() if key not in ("type", "name")}
            name = expect(choice["name"], STRING, "tool_choice.name")
            return NamedTool(name=name, kind=kind, ext=rest or UNSET)
        case {"type": "allowed_tools", "mode": str(mode), "tools": list(tools)}:
            rest = {key: value for key, value in choice.items() if key not in ("type", "mode", "tools")}
            return ToolSubset(mode=mode, names=_names(tools), tools=tools, ext=rest or UNSET)
        case _:
            if "tool_choice" in document:
                ext["tool_choice"] = choice
            return UNSET


def _names(tools: list[Any]) -> tuple[str, ...]:
    return tuple(tool["name"] for tool in tools if type(tool) is dict and type(tool.get("name")) is str)


def encode_choice(request: Request, document: Json, scope: Scope) -> None:
    """Write the tool choice of a request."""
    choice = request.tool_choice
    if choice is UNSET:
        return
    if not scope.home and not document.get("tools"):
        scope.lacks("tool_choice", Severity.COSMETIC, "tool choice without tools")
        return
    if isinstance(choice, NamedTool):
        body: Json = {"type": choice.kind, "name": scope.tool_name(choice.name, "tool_choice.name")}
    elif isinstance(choice, ToolSubset):
        tools = choice.tools if scope.home else UNSET
        if tools is UNSET or _names(tools) != choice.names:
            spelled = [scope.tool_name(name, f"tool_choice.names[{at}]") for at, name in enumerate(choice.names)]
            tools = [{"type": "function", "name": name} for name in spelled]
        body = {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    else:
        document["tool_choice"] = choice
        return
    scope.ext(choice.ext, "tool_choice")
    document["tool_choice"] = merged(body, choice.ext, scope)


def decode_format(value: Any, ext: Json) -> OutputFormat | Any:
    """The ``text.format`` of a request; a type that it does not know stays in `ext`.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    if value is None:
        ext["text.format"] = None
        return UNSET
    expect(value, OBJECT, "text.format")
    kind = value.get("type")
    if type(kind) is not str or kind not in _KINDS:
        ext["text.format"] = value
        return UNSET
    known = _SCHEMA if kind == "json_schema" else {}
    values, rest = take(value, known, handled=("type",), path="text.format")
    return OutputFormat(kind=_KINDS[kind], ext=rest, **values)


def encode_format(shape: OutputFormat, scope: Scope) -> Json:
    """The shape of the answer's text."""
    document: Json = {"type": _TYPES[shape.kind]}
    if shape.kind == "json_schema":
        put(shape, _SCHEMA, document)
        if not scope.home:
            if shape.name is UNSET:
                document["name"] = _RESPONSE_NAME
                scope.add("output_format.name", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a name")
            if shape.schema is UNSET:
                document["schema"] = {}
                scope.add("output_format.schema", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a schema")
    scope.ext(shape.ext, "output_format")
    return merged(document, shape.ext, scope)


_KINDS: Final[dict[Any, Any]] = {"text": "text", "json_object": "json", "json_schema": "json_schema"}
_TYPES: Final = {kind: name for name, kind in _KINDS.items()}
