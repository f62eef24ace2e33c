"""Tools, and whether the model must use one.

A wire tool holds many functions or one tool of the provider, sometimes both: the form ``group:N`` says which wire tool
a function stood in, ``joined`` that the provider's tool behind it stood in the same.
It follows https://ai.google.dev/api/caching#Tool and …#ToolConfig (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.loss import LossKind, Severity
from ...universal.request import FunctionTool, NamedTool, OpaqueTool, Request, Tool, ToolChoice, ToolSubset
from ..arguments import FREE_TEXT
from ..fields import rest
from ..scope import Scope
from .profile import NAME
from .schema import CAPITALS, LOWER, UPPER, from_json_schema, from_openapi, spelling_of, to_openapi
from .spelling import canonical, put_ext, respelled

__all__ = ["decode_choice", "decode_tools", "encode_choice", "encode_tools"]

Wire = dict[str, Any]


def decode_tools(value: Any) -> tuple[Tool, ...]:
    """Read ``tools``.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    if type(value) is not list:
        raise InvalidDocument("tools", "must be an array")
    tools: list[Tool] = []
    for index, tool in enumerate(value):
        _decode_group(tool, index, tools)
    return tuple(tools)


def _decode_group(tool: Any, index: int, tools: list[Tool]) -> None:
    path = f"tools[{index}]"
    if type(tool) is not dict:
        raise InvalidDocument(path, "must be an object")
    document, tags = canonical(tool)
    declared = document.get("functionDeclarations")
    if declared is None or declared == []:
        tools.append(OpaqueTool(json=tool, protocol=NAME))
        return
    if type(declared) is not list:
        raise InvalidDocument(f"{path}.functionDeclarations", "must be an array")
    form = [f"group:{index}", *(tag for tag in tags if tag == "snake:functionDeclarations")]
    others = {key: value for key, value in tool.items() if value is not declared}
    for position, function in enumerate(declared):
        last = ["joined"] if others and position == len(declared) - 1 else []
        tools.append(_decode_function(function, [*form, *last], f"{path}.functionDeclarations[{position}]"))
    if others:
        tools.append(OpaqueTool(json=others, protocol=NAME))


def _decode_function(function: Any, form: list[str], path: str) -> FunctionTool:
    if type(function) is not dict:
        raise InvalidDocument(path, "must be an object")
    document, tags = canonical(function, "function.")
    form += tags
    name, description = document.get("name"), document.get("description")
    if type(name) is not str:
        raise InvalidDocument(f"{path}.name", "must be a string")
    if description is not None and type(description) is not str:
        raise InvalidDocument(f"{path}.description", "must be a string")
    known = ["name", "description"]
    schema: Any = document.get("parametersJsonSchema")
    if schema is not None:
        known.append("parametersJsonSchema")
        schema, spellings = from_json_schema(schema)
        form += spellings
    elif type(document.get("parameters")) is dict:
        schema = document["parameters"]
        spelling = spelling_of(schema)
        if spelling is None:
            form.append("parameters:kept")
        else:
            known.append("parameters")
            form.append(spelling)
        schema = from_openapi(schema)
    return FunctionTool(
        name=name,
        description=UNSET if description is None else description,
        schema=UNSET if schema is None else schema,
        ext=rest(document, known),
        form=tuple(form),
    )


def encode_tools(request: Request, scope: Scope) -> list[Wire]:
    """Write ``tools``; those of other providers are gone."""
    return _home(request) if scope.home else _foreign(request, scope)


def _home(request: Request) -> list[Wire]:
    documents: list[Wire] = []
    group, joined = "", False
    for tool in request.tools or ():
        if isinstance(tool, OpaqueTool):
            if joined and type(tool.json) is dict:
                documents[-1].update(tool.json)
            else:
                documents.append(tool.json)
            group, joined = "", False
            continue
        here = next((tag for tag in tool.form if tag.startswith("group:")), "group:")
        joined = "joined" in tool.form
        key = "function_declarations" if "snake:functionDeclarations" in tool.form else "functionDeclarations"
        if here != group:
            documents.append({key: []})
            group = here
        documents[-1].setdefault(key, []).append(_home_function(tool))
    return documents


def _home_function(tool: FunctionTool) -> Wire:
    document: Wire = {"name": tool.name}
    if tool.description is not UNSET:
        document["description"] = tool.description
    if tool.schema is not UNSET:
        if UPPER in tool.form or LOWER in tool.form:
            document["parameters"] = to_openapi(tool.schema, upper=UPPER in tool.form)
        elif CAPITALS in tool.form:
            document["parametersJsonSchema"] = to_openapi(tool.schema, upper=True)
        elif "parameters:kept" not in tool.form:
            document["parametersJsonSchema"] = tool.schema
    put_ext(document, tool.ext)
    return respelled(document, tool.form, "function.")


def _foreign(request: Request, scope: Scope) -> list[Wire]:
    functions: list[Wire] = []
    documents: list[Wire] = []
    for index, tool in enumerate(request.tools or ()):
        path = f"tools[{index}]"
        if isinstance(tool, FunctionTool):
            functions.append(_foreign_function(tool, path, scope))
        elif tool.protocol == NAME:
            documents.append(tool.json)
        else:
            scope.drop(path, Severity.SEMANTIC, f"only {tool.protocol} has this tool")
    return [{"functionDeclarations": functions}, *documents] if functions else documents


def _foreign_function(tool: FunctionTool, path: str, scope: Scope) -> Wire:
    document: Wire = {"name": scope.tool_name(tool.name, f"{path}.name")}
    if tool.description is not UNSET:
        document["description"] = tool.description
    if tool.kind == "custom":
        severity = Severity.DEGRADED if tool.schema is UNSET else Severity.SEMANTIC
        scope.add(path, LossKind.APPROXIMATED, severity, f"{NAME} has functions only; it takes one text")
        document["parametersJsonSchema"] = FREE_TEXT
    elif tool.schema is not UNSET:
        document["parametersJsonSchema"] = tool.schema
    if tool.strict is not UNSET:
        severity = Severity.DEGRADED if tool.strict else Severity.COSMETIC
        scope.lacks(f"{path}.strict", severity, "strict functions")
    if tool.cache is not UNSET:
        scope.lacks(f"{path}.cache", Severity.COSMETIC, "cache marks")
    scope.ext(tool.ext, path)
    return document


# VALIDATED is AUTO whose calls obey their schemas; unlike AUTO it may stand beside names.
_MODES: Final[dict[str, ToolChoice]] = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_VALIDATED: Final = "mode:validated"
_WORDS: Final = {"auto": "AUTO", "required": "ANY", "none": "NONE"}


def decode_choice(config: Wire) -> tuple[ToolChoice | UnsetType, list[str], Wire]:
    """Read ``functionCallingConfig``.

    Returns:
        The choice, its forms, and what is left over.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    document, form = canonical(config, "toolConfig.functionCallingConfig.")
    left = dict(document)
    mode, names = document.get("mode"), document.get("allowedFunctionNames")
    if mode is not None and type(mode) not in (str, int):
        raise InvalidDocument("toolConfig.functionCallingConfig.mode", "must be a string")
    if names is not None and not (type(names) is list and all(type(name) is str for name in names)):
        raise InvalidDocument("toolConfig.functionCallingConfig.allowedFunctionNames", "must be an array of strings")
    if type(mode) is not str or mode.upper() not in _MODES:
        return UNSET, form, left
    if mode != mode.upper():
        if mode != mode.lower():
            return UNSET, form, left
        form.append("mode:lower")
    choice = _MODES[mode.upper()]
    if mode.upper() == "VALIDATED":
        form.append(_VALIDATED)
    del left["mode"]
    if names:
        if choice == "none":
            return choice, form, left
        del left["allowedFunctionNames"]
        if choice == "required" and len(names) == 1:
            return NamedTool(name=names[0]), form, left
        return ToolSubset(mode=str(choice), names=tuple(names)), form, left
    return choice, form, left


def encode_choice(request: Request, tools: bool, scope: Scope) -> Wire:
    """Write ``functionCallingConfig``; empty when there is nothing to say.

    Args:
        request: The request.
        tools: Whether the document has any functions; a choice without them is refused.
        scope: This run.
    """
    choice = request.tool_choice
    document: Wire = {}
    if choice is UNSET:
        return document
    if not tools and not scope.home:
        severity = Severity.COSMETIC if choice in ("auto", "none") else Severity.SEMANTIC
        scope.drop("tool_choice", severity, f"{NAME} takes a choice only beside functions")
        return document
    if isinstance(choice, NamedTool):
        document = {"mode": "ANY", "allowedFunctionNames": [scope.tool_name(choice.name, "tool_choice.name")]}
        if choice.kind == "custom":
            scope.add("tool_choice.kind", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has functions only")
        if not scope.home:
            scope.ext(choice.ext, "tool_choice")
    elif isinstance(choice, ToolSubset):
        names = [scope.tool_name(name, f"tool_choice.names[{index}]") for index, name in enumerate(choice.names)]
        document = {"mode": _WORDS.get(choice.mode, "AUTO"), "allowedFunctionNames": names}
        if not scope.home:
            scope.ext(choice.ext, "tool_choice")
            if choice.mode != "required":
                document["mode"] = "VALIDATED"
            if choice.mode not in {"auto", "required"} or (choice.mode == "required" and len(names) == 1):
                scope.add("tool_choice", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} says it so")
            elif choice.tools is not UNSET:
                scope.lacks("tool_choice.tools", Severity.COSMETIC, "further tools to choose from")
    else:
        document = {"mode": _WORDS[choice]}
    if scope.home and _VALIDATED in request.form and document["mode"] == "AUTO":
        document["mode"] = "VALIDATED"
    if scope.home and "mode:lower" in request.form:
        document["mode"] = document["mode"].lower()
    return document
