"""The words that tell a model of its tools: what they are, how a call is written, whether it must.

They are a function of tools, choice and dialect alone, so the beginning of a conversation stays the same from turn to
turn and a provider's cache of it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from ...universal.jsontext import JsonText, dumps
from ...universal.request import FunctionTool
from .arguments import FREE_TEXT, FREE_TEXT_SCHEMA
from .dialect import Call, Dialect
from .offer import Offer
from .schema import Shape, member, resolve, shape, takes

__all__ = ["guide"]

_MAX_EXAMPLE: Final = 3
"""Arguments of the call that is shown."""


def guide(offer: Offer, dialect: Dialect, *, named: bool) -> str:
    """What stands in the system prompt.

    Args:
        offer: At least one tool.
        dialect: How calls are to be written.
        named: Whether the request names the one tool that must be called.
    """
    tools = list(offer.tools.values())
    shown = [Call(tool.name, JsonText.of(_example(tool))) for tool in tools[: 2 if offer.parallel else 1]]
    lines = [
        "# Tools",
        "",
        "You can call the tools below. Each is described by a JSON object; its parameters are a JSON Schema.",
        "",
        *map(_described, tools),
        "",
        "## How to call a tool",
        "",
        dialect.guide,
        "",
        "For example:",
        "",
        dialect.write_calls(shown),
        "",
        "Rules:",
        "- Call only the tools above, by exactly these names, with arguments that their schemas allow.",
        "- A call ends your answer: stop behind it and wait. The results come in the next message.",
    ]
    if not offer.parallel:
        lines.append("- Make at most one call in an answer.")
    if named:
        lines.append(f"- You must call {dumps(tools[0].name).decode()} in this answer.")
    elif offer.demand == "required":
        lines.append("- You must call at least one tool in this answer.")
    return "\n".join(lines)


def _described(tool: FunctionTool) -> str:
    said: dict[str, Any] = {"name": tool.name}
    if tool.description is not UNSET:
        said["description"] = tool.description
    if tool.kind == "custom":
        said["parameters"] = FREE_TEXT_SCHEMA
        if tool.schema is not UNSET:
            said[f"format of {FREE_TEXT}"] = tool.schema
    elif tool.schema is not UNSET:
        said["parameters"] = tool.schema
    return dumps(said).decode()


def _example(tool: FunctionTool) -> dict[str, Any]:
    """Arguments that show the form: the required ones, else the first."""
    if tool.kind == "custom":
        return {FREE_TEXT: "…"}
    schema = resolve(tool.schema, tool.schema)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    required = schema.get("required")
    names = [name for name in properties if isinstance(required, list) and name in required] or list(properties)
    return {name: _sample(member(schema, name, tool.schema), tool.schema) for name in names[:_MAX_EXAMPLE]}


def _sample(schema: Any, root: Any) -> Any:
    said = resolve(schema, root)
    if isinstance(said.get("enum"), list) and said["enum"]:
        return said["enum"][0]
    if "const" in said:
        return said["const"]
    if shape(schema, root) is not Shape.OTHER:
        return "…"
    for kind, value in (("integer", 1), ("number", 1), ("boolean", True), ("array", []), ("object", {})):
        if takes(schema, root, kind):
            return value
    return None
