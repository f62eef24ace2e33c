"""Calls: of the client's tools, and of the provider's own with their results.

It follows https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview (read 2026-11-22).
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Part, ServerCall, ServerResult, ToolCall
from ...universal.jsontext import JsonText
from ...universal.loss import LossKind, Severity
from ..arguments import read_object, wrap_text, write_object
from ..fields import STRING, Json, optional, rest
from ..scope import Scope
from .marks import decode_cache, finish
from .profile import NAME

__all__ = [
    "CALLS",
    "decode_call",
    "decode_server_call",
    "decode_server_result",
    "encode_call",
    "encode_server_call",
    "encode_server_result",
]


CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
"""Blocks whose ``input`` is kept as text."""


def _arguments(block: Json, path: str) -> JsonText:
    value = block.get("input")
    return JsonText("") if value is None else read_object(value, f"{path}.input")


_CALL: Final = ("type", "id", "name", "input", "caller", "cache_control")


def decode_call(block: Json, path: str) -> Part:
    """Read a ``tool_use`` block; the form ``input:absent`` is on one without."""
    name = block.get("name")
    if type(name) is not str:
        raise InvalidDocument(f"{path}.name", "must be a string")
    caller = block.get("caller")
    return ToolCall(
        name=name,
        arguments=_arguments(block, path),
        id=optional(block, "id", STRING, path),
        caller=UNSET if caller is None else caller,
        cache=decode_cache(block, path),
        ext=rest(block, _CALL),
        form=() if "input" in block else ("input:absent",),
    )


def encode_call(part: ToolCall, path: str, scope: Scope) -> list[Json]:
    """Write a ``tool_use`` block."""
    block: Json = {"type": "tool_use"}
    identity = scope.call_id(part, path)
    if identity is not UNSET:
        block["id"] = identity
    block["name"] = scope.tool_name(part.name, f"{path}.name")
    if part.kind == "custom":
        block["input"] = wrap_text(part.arguments.text)
        scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has functions only; the text stands in one")
    elif not (scope.home and "input:absent" in part.form and not part.arguments.text):
        block["input"] = write_object(part.arguments, f"{path}.arguments", scope)
    if part.caller is not UNSET:
        if scope.home:
            block["caller"] = part.caller
        else:
            scope.drop(f"{path}.caller", Severity.COSMETIC, f"{NAME} has other callers")
    if part.namespace is not UNSET:
        scope.drop(f"{path}.namespace", Severity.DEGRADED, f"{NAME} has no namespaces")
    if part.opaque:
        scope.opaque(part.opaque, path)
    return finish(block, part, path, scope)


# --- the provider's own tools


def decode_server_call(block: Json, path: str) -> Part:
    """Read a ``server_tool_use`` or ``mcp_tool_use`` block."""
    name = block.get("name")
    if type(name) is not str:
        raise InvalidDocument(f"{path}.name", "must be a string")
    return ServerCall(
        kind=block["type"],
        name=name,
        arguments=_arguments(block, path),
        id=optional(block, "id", STRING, path),
        cache=decode_cache(block, path),
        ext=rest(block, ("type", "id", "name", "input", "cache_control")),
        form=() if "input" in block else ("input:absent",),
    )


def encode_server_call(part: ServerCall, path: str, scope: Scope) -> list[Json]:
    """Write one; another provider's is gone, it never becomes the client's."""
    if not scope.home:
        scope.drop(path, Severity.SEMANTIC, "a tool of another provider")
        return []
    block: Json = {"type": part.kind}
    if part.id is not UNSET:
        block["id"] = part.id
    block["name"] = part.name
    if part.arguments.text or "input:absent" not in part.form:
        block["input"] = write_object(part.arguments, f"{path}.arguments", scope)
    return finish(block, part, path, scope)


def decode_server_result(block: Json, path: str) -> Part:
    """Read a ``…_tool_result`` block."""
    return ServerResult(
        kind=block["type"],
        content=block.get("content", UNSET),
        call_id=optional(block, "tool_use_id", STRING, path),
        cache=decode_cache(block, path),
        ext=rest({key: value for key, value in block.items() if key != "content"}, _RESULT_OF_SERVER),
    )


_RESULT_OF_SERVER: Final = ("type", "tool_use_id", "cache_control")


def encode_server_result(part: ServerResult, path: str, scope: Scope) -> list[Json]:
    """Write one."""
    if not scope.home:
        scope.drop(path, Severity.SEMANTIC, "a tool of another provider")
        return []
    block: Json = {"type": part.kind}
    if part.call_id is not UNSET:
        block["tool_use_id"] = part.call_id
    if part.content is not UNSET:
        block["content"] = part.content
    return finish(block, part, path, scope)
