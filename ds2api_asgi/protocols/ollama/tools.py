"""Tools, the choice among them, and the shape of the answer's text.

https://docs.ollama.com/capabilities/tool-calling and …/structured-outputs (read 2026-11-23). Members of ``function``
that have no place are kept in ``ext`` under that dotted name.

| form | on | the wire had |
|---|---|---|
| ``type:absent`` | `FunctionTool` | no type |
| ``format:empty`` | `Request` | ``""``, which asks for nothing |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.loss import LossKind, Severity
from ...universal.request import FunctionTool, OpaqueTool, OutputFormat, Request, Tool
from ..arguments import FREE_TEXT
from ..fields import OBJECT, STRING, Field, Json, expect, put, table, take
from ..scope import Scope
from .profile import NAME

__all__ = ["decode_format", "decode_tools", "encode_format", "encode_tools"]

_FUNCTION: Final = table(Field("description", "description", STRING), Field("schema", "parameters", OBJECT))
_NOTHING: Final = {"type": "object", "properties": {}}


def decode_tools(tools: Any) -> tuple[Tool, ...]:
    """The tools of a request.

    Raises:
        InvalidDocument: Not a list, or a tool with a member of the wrong type.
    """
    if type(tools) is not list:
        raise InvalidDocument("tools", "must be an array")
    return tuple(_decode_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))


def _decode_tool(tool: Any, path: str) -> Tool:
    expect(tool, OBJECT, path)
    function = tool.get("function")
    if tool.get("type", "function") != "function" or function is None:
        return OpaqueTool(json=tool, protocol=NAME)
    expect(function, OBJECT, f"{path}.function")
    if function.get("name") is None:
        return OpaqueTool(json=tool, protocol=NAME)
    values, rest = take(function, _FUNCTION, handled=("name",), path=f"{path}.function")
    ext = {key: value for key, value in tool.items() if key not in ("type", "function")}
    ext.update({f"function.{key}": value for key, value in (rest or {}).items()})
    return FunctionTool(
        name=expect(function["name"], STRING, f"{path}.function.name"),
        ext=ext or UNSET,
        form=() if "type" in tool else ("type:absent",),
        **values,
    )


def encode_tools(request: Request, scope: Scope) -> list[Json] | UnsetType:
    """The tools of a request; where none may be called, none are shown, as the protocol has no choice among them."""
    tools = request.tools if scope.home else _chosen(request, scope)
    if tools is UNSET:
        return UNSET
    documents = [_encode_tool(tool, f"tools[{index}]", scope) for index, tool in enumerate(tools)]
    return [document for document in documents if document is not None]


def _chosen(request: Request, scope: Scope) -> tuple[Tool, ...] | UnsetType:
    choice, tools = request.tool_choice, request.tools
    if choice == "none" and tools:
        scope.add("tool_choice", LossKind.APPROXIMATED, Severity.COSMETIC, "no tools are shown instead")
        scope.drop("tools", Severity.COSMETIC, "none may be called")
        return UNSET
    if choice is not UNSET:
        severity = Severity.COSMETIC if choice == "auto" else Severity.SEMANTIC
        scope.lacks("tool_choice", severity, "tool choice")
    return tools


def _encode_tool(tool: Tool, path: str, scope: Scope) -> Json | None:
    if isinstance(tool, OpaqueTool):
        if tool.protocol == NAME:
            return dict(tool.json)
        scope.lacks(path, Severity.SEMANTIC, f"tool like this of {tool.protocol}")
        return None
    function: Json = {"name": scope.tool_name(tool.name, f"{path}.name")}
    document: Json = {} if scope.home and "type:absent" in tool.form else {"type": "function"}
    document["function"] = function
    put(tool, _FUNCTION, function)
    if scope.home:
        for key, value in (tool.ext or {}).items():
            inner = key.startswith("function.")
            (function if inner else document).setdefault(key[9:] if inner else key, value)
        return document
    scope.ext(tool.ext, path)
    if tool.kind == "custom":
        severity = Severity.DEGRADED if tool.schema is UNSET else Severity.SEMANTIC
        scope.add(path, LossKind.APPROXIMATED, severity, f"{NAME} has functions only; it takes one text")
        function["parameters"] = FREE_TEXT
    elif type(tool.schema) is not dict:
        scope.add(f"{path}.schema", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands an object")
        function["parameters"] = _NOTHING
    if tool.strict is not UNSET:
        severity = Severity.DEGRADED if tool.strict else Severity.COSMETIC
        scope.lacks(f"{path}.strict", severity, "strict tools")
    if tool.cache is not UNSET:
        scope.lacks(f"{path}.cache", Severity.COSMETIC, "cache marks")
    return document


def decode_format(value: Any, ext: Json, forms: list[str]) -> OutputFormat | UnsetType:
    """The ``format`` of a request; a word that it does not know stays in `ext`.

    Raises:
        InvalidDocument: It is neither a text nor a schema.
    """
    if value == "":
        forms.append("format:empty")
    elif value == "json":
        return OutputFormat(kind="json")
    elif type(value) is dict:
        return OutputFormat(kind="json_schema", schema=value)
    elif value is None or type(value) is str:
        ext["format"] = value
    else:
        raise InvalidDocument("format", "must be a string or an object")
    return UNSET


def encode_format(request: Request, scope: Scope) -> Any:
    """The shape of the answer's text; UNSET when there is nothing to say."""
    shape = request.output_format
    if shape is UNSET:
        return "" if scope.home and "format:empty" in request.form else UNSET
    if not scope.home:
        scope.ext(shape.ext, "output_format")
        scope.lacks_each(shape, ("name", "description", "strict"), "output_format", Severity.COSMETIC, "of a schema")
    if shape.kind == "json":
        return "json"
    if shape.kind == "json_schema":
        if type(shape.schema) is dict:
            return shape.schema
        scope.add("output_format", LossKind.APPROXIMATED, Severity.DEGRADED, "any object instead of no schema")
        return "json"
    if not scope.home:
        scope.lacks("output_format", Severity.COSMETIC, "format of plain text")
    return UNSET
