"""Calls: of the client's tools, and of the provider's own with their results.

It follows https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Part, ServerCall, ServerResult, ToolCall
from ...universal.jsontext import JsonText
from ...universal.loss import LossKind, Severity
from ...universal.templates import RAW_ARGUMENTS
from ..scope import Scope
from .marks import decode_cache, finish, rest, text_member
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

Block = dict[str, Any]

CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
"""Blocks whose ``input`` is kept as text."""

_RAW: Final = RAW_ARGUMENTS[1]


def _arguments(block: Block, path: str) -> JsonText:
    value = block.get("input")
    if type(value) is JsonText:
        text = value
        if _RAW not in text.text or not text.is_object:
            return text
        value = text.value
    elif type(value) is dict:
        text = JsonText.of(value)
    elif value is None:
        return JsonText("")
    else:
        raise InvalidDocument(f"{path}.input", "must be an object")
    if len(value) == 1 and type(raw := value.get(_RAW)) is str and raw and not JsonText(raw).is_object:
        return JsonText(raw)
    return text


def _input(arguments: JsonText, path: str, scope: Scope) -> JsonText | Block:
    if arguments.is_object:
        return arguments
    if not arguments.text.strip():
        if not scope.home:
            scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} says no arguments with {{}}")
        return {}
    if not scope.home:
        scope.add(
            path,
            LossKind.APPROXIMATED,
            Severity.COSMETIC,
            f"{NAME} takes objects only; the text stands in one",
            template=RAW_ARGUMENTS[0],
        )
    return {_RAW: arguments.text}


_CALL: Final = ("type", "id", "name", "input", "caller", "cache_control")


def decode_call(block: Block, path: str) -> Part:
    """Read a ``tool_use`` block; the form ``input:absent`` is on one without."""
    name = block.get("name")
    if type(name) is not str:
        raise InvalidDocument(f"{path}.name", "must be a string")
    caller = block.get("caller")
    return ToolCall(
        name=name,
        arguments=_arguments(block, path),
        id=text_member(block, "id", path),
        caller=UNSET if caller is None else caller,
        cache=decode_cache(block, path),
        ext=rest(block, _CALL),
        form=() if "input" in block else ("input:absent",),
    )


def encode_call(part: ToolCall, path: str, scope: Scope) -> list[Block]:
    """Write a ``tool_use`` block."""
    block: Block = {"type": "tool_use"}
    identity = scope.call_id(part, path)
    if identity is not UNSET:
        block["id"] = identity
    block["name"] = scope.tool_name(part.name, f"{path}.name")
    if part.kind == "custom":
        block["input"] = JsonText.of({"input": part.arguments.text})
        scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has functions only; the text stands in one")
    elif not (scope.home and "input:absent" in part.form and not part.arguments.text):
        block["input"] = _input(part.arguments, f"{path}.arguments", scope)
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


def decode_server_call(block: Block, path: str) -> Part:
    """Read a ``server_tool_use`` or ``mcp_tool_use`` block."""
    name = block.get("name")
    if type(name) is not str:
        raise InvalidDocument(f"{path}.name", "must be a string")
    return ServerCall(
        kind=block["type"],
        name=name,
        arguments=_arguments(block, path),
        id=text_member(block, "id", path),
        cache=decode_cache(block, path),
        ext=rest(block, ("type", "id", "name", "input", "cache_control")),
        form=() if "input" in block else ("input:absent",),
    )


def encode_server_call(part: ServerCall, path: str, scope: Scope) -> list[Block]:
    """Write one; another provider's is gone, it never becomes the client's."""
    if not scope.home:
        scope.drop(path, Severity.SEMANTIC, "a tool of another provider")
        return []
    block: Block = {"type": part.kind}
    if part.id is not UNSET:
        block["id"] = part.id
    block["name"] = part.name
    if part.arguments.text or "input:absent" not in part.form:
        block["input"] = _input(part.arguments, f"{path}.arguments", scope)
    return finish(block, part, path, scope)


def decode_server_result(block: Block, path: str) -> Part:
    """Read a ``…_tool_result`` block."""
    return ServerResult(
        kind=block["type"],
        content=block.get("content", UNSET),
        call_id=text_member(block, "tool_use_id", path),
        cache=decode_cache(block, path),
        ext=rest({key: value for key, value in block.items() if key != "content"}, _RESULT_OF_SERVER),
    )


_RESULT_OF_SERVER: Final = ("type", "tool_use_id", "cache_control")


def encode_server_result(part: ServerResult, path: str, scope: Scope) -> list[Block]:
    """Write one."""
    if not scope.home:
        scope.drop(path, Severity.SEMANTIC, "a tool of another provider")
        return []
    block: Block = {"type": part.kind}
    if part.call_id is not UNSET:
        block["tool_use_id"] = part.call_id
    if part.content is not UNSET:
        block["content"] = part.content
    return finish(block, part, path, scope)
