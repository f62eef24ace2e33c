"""The tools that a request offers, and which of them may or must be called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ..errors import InvalidDocument
from .fields import read_text

__all__ = ["Choice", "Tool", "read_choice", "read_tools"]


class Tool(Struct, frozen=True, kw_only=True):
    """A tool on offer.

    Attributes:
        name: What it is called by.
        kind: ``"function"`` takes arguments in JSON, ``"custom"`` takes a text.
        schema: The JSON Schema of the arguments.
        path: Where that schema stands in the request.
    """

    name: str
    kind: str = "function"
    schema: Any = True
    path: str = ""


class Choice(Struct, frozen=True, kw_only=True):
    """Which tools may or must be called.

    Attributes:
        mode: ``none``, ``auto`` or ``required``.
        names: The tools it is about; empty: all that are offered.
    """

    mode: str = "auto"
    names: tuple[str, ...] = ()


def read_tools(document: Mapping[str, Any]) -> tuple[Tool, ...]:
    """Read the ``tools`` of a request; raises InvalidDocument with the path of what is wrong."""
    tools = document.get("tools")
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise InvalidDocument("tools", "must be an array")
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))


def _tool(tool: Any, path: str) -> Tool:
    if not isinstance(tool, Mapping):
        raise InvalidDocument(path, "must be an object")
    kind = read_text(tool, "type", f"{path}.")
    if kind not in ("function", "custom"):
        raise InvalidDocument(f"{path}.type", "must be function or custom")
    body = tool.get(kind)
    if not isinstance(body, Mapping):
        raise InvalidDocument(f"{path}.{kind}", "must be an object")
    name = read_text(body, "name", f"{path}.{kind}.")
    if not name:
        raise InvalidDocument(f"{path}.{kind}.name", "must not be empty")
    schema = body.get("parameters")
    if schema is None:
        schema = {"type": "object", "properties": {}}
    elif not isinstance(schema, Mapping):
        raise InvalidDocument(f"{path}.function.parameters", "must be a JSON Schema of an object")
    return Tool(name=name, kind=kind, schema=schema, path=f"{path}.function.parameters")


def read_choice(document: Mapping[str, Any], tools: tuple[Tool, ...]) -> Choice:
    """Read the ``tool_choice`` of a request; raises InvalidDocument when it does not fit the tools."""
    choice = document.get("tool_choice")
    if choice is None:
        return Choice()
    names: tuple[str, ...] = ()
    if choice in ("none", "auto", "required"):
        mode = choice
    elif isinstance(choice, Mapping):
        mode, names = _named_choice(choice)
    else:
        raise InvalidDocument("tool_choice", "must be none, auto, required or an object")
    if mode == "required" and not tools:
        raise InvalidDocument("tool_choice", "is only allowed when tools are given")
    if not {tool.name for tool in tools}.issuperset(names):
        raise InvalidDocument("tool_choice", "names a tool that is not among the tools")
    return Choice(mode=mode, names=names)


def _named_choice(choice: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    kind = read_text(choice, "type", "tool_choice.")
    body = choice.get(kind)
    if not isinstance(body, Mapping):
        raise InvalidDocument(f"tool_choice.{kind}", "must be an object")
    if kind in ("function", "custom"):
        return "required", (read_text(body, "name", f"tool_choice.{kind}."),)
    if kind != "allowed_tools":
        raise InvalidDocument("tool_choice.type", "must be function, custom or allowed_tools")
    mode = read_text(body, "mode", "tool_choice.allowed_tools.")
    allowed = body.get("tools")
    if mode not in ("auto", "required") or not isinstance(allowed, list) or not allowed:
        raise InvalidDocument("tool_choice.allowed_tools", "must have a mode (auto, required) and tools")
    names = []
    for index, tool in enumerate(allowed):
        path = f"tool_choice.allowed_tools.tools[{index}]"
        named = tool.get(tool.get("type")) if isinstance(tool, Mapping) and isinstance(tool.get("type"), str) else None
        if not isinstance(named, Mapping):
            raise InvalidDocument(path, "must be a function or a custom tool")
        names.append(read_text(named, "name", f"{path}."))
    return mode, tuple(names)
