"""Tools, and whether the model must use one.

It follows https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.loss import LossKind, Severity
from ...universal.request import FunctionTool, NamedTool, OpaqueTool, Request, Tool, ToolChoice, ToolSubset
from ..arguments import FREE_TEXT
from ..fields import STRING, optional, rest
from ..scope import Scope
from .marks import decode_cache, encode_cache
from .profile import NAME

__all__ = ["decode_choice", "decode_tools", "encode_choice", "encode_tools"]

_TOOL: Final = ("name", "description", "input_schema", "strict", "cache_control")
_TOOL_TYPED: Final = (*_TOOL, "type")


def decode_tools(value: Any) -> tuple[Tool, ...]:
    """Read ``tools``: those without a type, or of type custom, are functions of the client.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    if type(value) is not list:
        raise InvalidDocument("tools", "must be an array")
    return tuple([_decode_tool(tool, f"tools[{index}]") for index, tool in enumerate(value)])


def _decode_tool(tool: Any, path: str) -> Tool:
    if type(tool) is not dict:
        raise InvalidDocument(path, "must be an object")
    kind = tool.get("type")
    if kind is not None and kind != "custom":
        return OpaqueTool(json=tool, protocol=NAME)
    name = tool.get("name")
    if type(name) is not str:
        raise InvalidDocument(f"{path}.name", "must be a string")
    schema = tool.get("input_schema")
    if schema is not None and type(schema) is not dict:
        raise InvalidDocument(f"{path}.input_schema", "must be an object")
    strict = tool.get("strict")
    if strict is not None and type(strict) is not bool:
        raise InvalidDocument(f"{path}.strict", "must be a boolean")
    return FunctionTool(
        name=name,
        description=optional(tool, "description", STRING, path),
        schema=UNSET if schema is None else schema,
        strict=UNSET if strict is None else strict,
        cache=decode_cache(tool, path),
        ext=rest(tool, _TOOL_TYPED),
        form=("type:custom",) if kind == "custom" else (),
    )


def encode_tools(request: Request, scope: Scope) -> list[dict[str, Any]]:
    """Write ``tools``; those of other providers are gone."""
    documents: list[dict[str, Any]] = []
    for index, tool in enumerate(request.tools or ()):
        path = f"tools[{index}]"
        if isinstance(tool, FunctionTool):
            documents.append(_encode_tool(tool, path, scope))
        elif tool.protocol == NAME:
            documents.append(tool.json)
        else:
            scope.drop(path, Severity.SEMANTIC, f"only {tool.protocol} has this tool")
    return documents


def _encode_tool(tool: FunctionTool, path: str, scope: Scope) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if scope.home and "type:custom" in tool.form:
        document["type"] = "custom"
    document["name"] = scope.tool_name(tool.name, f"{path}.name")
    if tool.description is not UNSET:
        document["description"] = tool.description
    if tool.kind == "custom":
        severity = Severity.DEGRADED if tool.schema is UNSET else Severity.SEMANTIC
        scope.add(path, LossKind.APPROXIMATED, severity, f"{NAME} has functions only; it takes one text")
        document["input_schema"] = FREE_TEXT
    else:
        _put_schema(tool, document, path, scope)
    if tool.strict is not UNSET:
        document["strict"] = tool.strict
    if tool.cache is not UNSET:
        document["cache_control"] = encode_cache(tool.cache, f"{path}.cache", scope)
    if scope.home:
        document.update(tool.ext or {})
    else:
        scope.ext(tool.ext, path)
    return document


def _put_schema(tool: FunctionTool, document: dict[str, Any], path: str, scope: Scope) -> None:
    schema = tool.schema
    if scope.home:
        if schema is not UNSET:
            document["input_schema"] = schema
        return
    # "input_schema.type: Field required", and it must be "object".
    if schema is UNSET:
        scope.add(f"{path}.schema", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a schema")
        schema = {"type": "object", "properties": {}}
    elif type(schema) is not dict or schema.get("type") != "object":
        scope.add(f"{path}.schema", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} demands type object")
        schema = {**schema, "type": "object"} if type(schema) is dict else {"type": "object"}
    document["input_schema"] = schema


_CHOICES: Final[dict[str, ToolChoice]] = {"auto": "auto", "any": "required", "none": "none"}
_WORDS: Final = {"auto": "auto", "required": "any", "none": "none"}


def decode_choice(choice: dict[str, Any]) -> tuple[ToolChoice | UnsetType, bool | UnsetType, dict[str, Any]]:
    """Read ``tool_choice``.

    Returns:
        The choice, whether calls may be parallel, and what is left over.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    left = dict(choice)
    found: ToolChoice | UnsetType = UNSET
    kind = choice.get("type")
    if kind == "tool":
        name = choice.get("name")
        if type(name) is not str:
            raise InvalidDocument("tool_choice.name", "must be a string")
        found = NamedTool(name=name)
        del left["type"], left["name"]
    elif type(kind) is str and kind in _CHOICES:
        found = _CHOICES[kind]
        del left["type"]
    parallel: bool | UnsetType = UNSET
    disabled = choice.get("disable_parallel_tool_use")
    if disabled is not None:
        if type(disabled) is not bool:
            raise InvalidDocument("tool_choice.disable_parallel_tool_use", "must be a boolean")
        parallel = not disabled
        del left["disable_parallel_tool_use"]
    return found, parallel, left


def encode_choice(request: Request, tools: bool, scope: Scope) -> dict[str, Any]:
    """Write ``tool_choice``; empty when there is nothing to say.

    Args:
        request: The request.
        tools: Whether the document has any tools; without them the provider refuses a choice.
        scope: This run.
    """
    choice = request.tool_choice
    document: dict[str, Any] = {}
    if not tools and not scope.home:
        if choice is not UNSET:
            severity = Severity.COSMETIC if choice in ("auto", "none") else Severity.SEMANTIC
            scope.drop("tool_choice", severity, f"{NAME} takes a choice only beside tools")
        if request.parallel_tools is not UNSET:
            scope.drop("parallel_tools", Severity.COSMETIC, f"{NAME} takes it only beside tools")
        return document
    if isinstance(choice, NamedTool):
        document = {"type": "tool", "name": scope.tool_name(choice.name, "tool_choice.name")}
        if choice.kind == "custom":
            scope.add("tool_choice.kind", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has functions only")
        if not scope.home:
            scope.ext(choice.ext, "tool_choice")
    elif isinstance(choice, ToolSubset):
        # To filter the tools instead would change the prefix to which signatures and caches are bound.
        document = {"type": _WORDS.get(choice.mode, "auto")}
        scope.add("tool_choice", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{NAME} offers all tools or one")
    elif choice is not UNSET:
        document = {"type": _WORDS[choice]}
    _put_parallel(request, document, scope)
    return document


def _put_parallel(request: Request, document: dict[str, Any], scope: Scope) -> None:
    parallel = request.parallel_tools
    if parallel is UNSET:
        return
    if scope.home:
        document["disable_parallel_tool_use"] = not parallel
    elif document.get("type") == "none" or (parallel and not document):
        scope.drop("parallel_tools", Severity.COSMETIC, "it changes nothing here")
    else:
        if not document:
            document["type"] = "auto"
            scope.add("tool_choice", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} says it beside a choice")
        document["disable_parallel_tool_use"] = not parallel
