"""Namespaces of tools: spelled out in names for protocols that have none, and read back from the names of calls.

A namespace (``{"type": "namespace", "name": "files", "tools": [{"type": "function", "name": "read", …}]}``) is a tool
of its own protocol only, but what stands in it are functions like others: elsewhere they are ``files__read``.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ..universal.content import Part, ToolCall
from ..universal.loss import Loss, LossKind, Severity
from ..universal.request import FunctionTool, OpaqueTool, Request, Tool, Turn

__all__ = ["flat_names", "spelled_out"]

_JOINER = "__"


def flat_names(tools: tuple[Tool, ...] | UnsetType) -> dict[tuple[str, str], str]:
    """The names, by namespace and name in it, that tools of namespaces have elsewhere; no two tools have the same."""
    spaces = [tool for tool in tools or () if isinstance(tool, OpaqueTool) and tool.functions]
    if not spaces:
        return {}
    taken = {tool.name for tool in tools or () if isinstance(tool, FunctionTool)}
    names: dict[tuple[str, str], str] = {}
    for space in spaces:
        prefix = space.namespace if space.namespace.endswith(_JOINER) else space.namespace + _JOINER
        for function in space.functions:
            flat = prefix + function.name
            while flat in taken:
                flat += "_"
            taken.add(flat)
            names[space.namespace, function.name] = flat
    return names


def spelled_out(request: Request) -> tuple[Request, list[Loss]]:
    """The request without namespaces, and what that changed; the very same one when it has none.

    The first function of a namespace takes its place, the others follow at the end: other tools stay where they are.
    """
    names = flat_names(request.tools)
    if not names:
        return request, []
    losses = [_loss("tools")]
    tools: list[Tool] = []
    rest: list[Tool] = []
    for tool in request.tools or ():
        if isinstance(tool, OpaqueTool) and tool.functions:
            first, *others = (
                replace(function, name=names[tool.namespace, function.name]) for function in tool.functions
            )
            tools.append(first)
            rest += others
        else:
            tools.append(tool)
    turns: list[Turn] = []
    for index, turn in enumerate(request.turns):
        parts = tuple(_called(part, names) for part in turn.parts)
        losses += [
            _loss(f"turns[{index}].parts[{at}]")
            for at, (old, new) in enumerate(zip(turn.parts, parts, strict=True))
            if old is not new
        ]
        turns.append(replace(turn, parts=parts))
    return replace(request, tools=(*tools, *rest), turns=tuple(turns)), losses


def _called(part: Part, names: dict[tuple[str, str], str]) -> Part:
    if isinstance(part, ToolCall) and part.namespace is not UNSET and (part.namespace, part.name) in names:
        return replace(part, name=names[part.namespace, part.name], namespace=UNSET)
    return part


def _loss(path: str) -> Loss:
    return Loss(
        path=path,
        kind=LossKind.APPROXIMATED,
        severity=Severity.COSMETIC,
        reason="namespaces are spelled out in the names of their tools",
    )
