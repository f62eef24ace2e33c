"""The request: ``POST /v1/messages`` and ``/v1/messages/count_tokens``.

It follows https://docs.anthropic.com/en/api/messages (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec import DecodeError as MsgspecError
from msgspec.json import Decoder
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.jsontext import JsonText, loads
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import FunctionTool, Request
from ..base import Context, Encoded, Operation
from ..fields import OBJECT, expect, put, take, unplaced
from ..scope import Scope
from .calls import CALLS
from .fields import HANDLED, PLACED, PLACED_AT_HOME, REQUEST
from .groups import decode_metadata, decode_output, decode_thinking, encode_metadata, encode_output, encode_thinking
from .marks import decode_cache, encode_cache
from .profile import DEFAULT_MAX_TOKENS, NAME, STRICT_DIALECT, TARGET, is_strict
from .tools import decode_choice, decode_tools, encode_choice, encode_tools
from .turns import decode_messages, decode_system, encode_turns

__all__ = ["decode_request", "encode_request", "parse", "require_generate"]


class _Block(Struct):
    type: str | UnsetType = UNSET
    input: Raw | UnsetType = UNSET


class _Message(Struct):
    content: str | list[_Block] | UnsetType = UNSET


class _Document(Struct):
    messages: list[_Message] | UnsetType = UNSET
    content: str | list[_Block] | UnsetType = UNSET


_INPUTS = Decoder(_Document)


def parse(body: bytes) -> dict[str, Any]:
    """Read a document; the ``input`` of each call becomes `JsonText`, verbatim.

    Raises:
        InvalidDocument: Not JSON, or not an object.
    """
    document = loads(body)
    if type(document) is not dict:
        raise InvalidDocument("", "must be an object")
    if b'"input"' in body:
        try:
            shape = _INPUTS.decode(body)
        except (MsgspecError, ValueError):
            return document  # an odd shape, or JSON that only the slow reader takes: inputs stay as parsed
        if shape.messages is not UNSET and type(document["messages"]) is list:
            for message, found in zip(document["messages"], shape.messages, strict=True):
                _keep_inputs(message.get("content"), found.content)
        _keep_inputs(document.get("content"), shape.content)
    return document


def _keep_inputs(content: Any, found: str | list[_Block] | UnsetType) -> None:
    if type(found) is not list:
        return
    for block, shape in zip(content, found, strict=True):
        if shape.input is not UNSET and shape.type in CALLS and type(block["input"]) is dict:
            block["input"] = JsonText(bytes(shape.input).decode())


def require_generate(document: dict[str, Any]) -> None:
    """See that a request that wants an answer has what the API demands for one.

    Raises:
        InvalidDocument: ``max_tokens`` is missing.
    """
    if document.get("max_tokens") is None:
        raise InvalidDocument("max_tokens", "is required")


def decode_request(
    document: dict[str, Any], *, dialect: str = "", operation: Operation = Operation.GENERATE
) -> Request:
    """See `Protocol.decode_request`; to count tokens, ``max_tokens`` is not needed."""
    for name in ("model", "messages"):
        if document.get(name) is None:
            raise InvalidDocument(name, "is required")
    if operation is Operation.GENERATE:
        require_generate(document)
    values, unknown = take(document, REQUEST, handled=HANDLED)
    ext: dict[str, Any] = unknown or {}
    turns = decode_messages(document["messages"])
    groups: dict[str, Any] = {}
    for name, value in document.items():
        if name in HANDLED:
            (ext if value is None else groups)[name] = value
    if "system" in groups:
        turns.insert(0, decode_system(groups["system"]))
    if "tools" in groups:
        values["tools"] = decode_tools(groups["tools"])
    if "tool_choice" in groups:
        _decode_choice(groups["tool_choice"], values, ext)
    if "thinking" in groups:
        decode_thinking(groups["thinking"], values)
    if "output_config" in groups:
        decode_output(groups["output_config"], values, ext)
    if "metadata" in groups:
        decode_metadata(groups["metadata"], values, ext)
    if "cache_control" in groups:
        values["cache"] = decode_cache(document, "")
    return Request(turns=tuple(turns), ext=ext or UNSET, origin=Origin(protocol=NAME, dialect=dialect), **values)


# Read 2026-11-28: https://docs.claude.com/en/api/messages-count-tokens
_ANSWERS_ONLY: Final[dict[str, Any]] = dict.fromkeys(
    (
        "max_output_tokens",
        "stream",
        "stream_usage",
        "stop",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "user",
        "safety_identifier",
        "service_tier",
        "container",
        "inference_geo",
    ),
    UNSET,
)


def encode_request(
    request: Request,
    *,
    dialect: str = "",
    operation: Operation = Operation.GENERATE,
) -> Encoded:
    """See `Protocol.encode_request`; a count is not asked with what only an answer needs, which is no loss."""
    counts = operation is Operation.COUNT_TOKENS
    if counts:
        request = replace(request, **_ANSWERS_ONLY)
    scope = Scope(TARGET, origin=request.origin.protocol, dialect=dialect)
    system, messages = encode_turns(request, scope)
    document: dict[str, Any] = {}
    put(request, REQUEST, document)
    if system is not None:
        document["system"] = system
    document["messages"] = messages
    tools = encode_tools(request, scope)
    if tools or (request.tools is not UNSET and not request.tools):
        document["tools"] = tools
    groups = {
        "tool_choice": encode_choice(request, bool(tools), scope),
        "thinking": encode_thinking(request, scope),
        "output_config": encode_output(request, scope),
        "metadata": encode_metadata(request, scope),
    }
    document.update((name, group) for name, group in groups.items() if group)
    if request.reasoning_ext is not UNSET and scope.home:
        document.setdefault("thinking", {})
    if request.cache is not UNSET:
        document["cache_control"] = encode_cache(request.cache, "cache", scope)
    if scope.home:
        _put_ext(request, document)
    else:
        _adapt(request, document, scope)
    if counts and document.pop("max_tokens", None) is not None:
        scope.losses[:] = [loss for loss in scope.losses if loss.path != "max_output_tokens"]
    _adapt_to_dialect(document, scope)
    scope.losses.extend(unplaced(request, PLACED_AT_HOME if scope.home else PLACED, NAME))
    scope.ext(request.ext, "")
    return Encoded(document=document, losses=tuple(scope.losses), context=_context(request, scope))


def _context(request: Request, scope: Scope) -> Context:
    tools = (tool for tool in request.tools or () if isinstance(tool, FunctionTool))
    return scope.context(request, [tool.name for tool in tools if tool.kind == "custom"])


def _put_ext(request: Request, document: dict[str, Any]) -> None:
    """Members that only we know: whole ones, and the rest of groups that were read in part."""
    for name, value in (request.ext or {}).items():
        group = document.get(name)
        document[name] = {**group, **value} if type(group) is dict and type(value) is dict else value


def _adapt(request: Request, document: dict[str, Any], scope: Scope) -> None:
    """Scalars of a request from elsewhere, moved to what the provider takes."""
    for name in ("container", "context_management", "mcp_servers", "thread", "inference_geo"):
        document.pop(name, None)
    if request.temperature is not UNSET and request.temperature > 1 and not is_strict(scope.dialect):
        document["temperature"] = 1
        scope.add("temperature", LossKind.CLAMPED, Severity.DEGRADED, f"{NAME} takes 0 to 1")
    if request.stop is not UNSET:
        document["stop_sequences"] = [sequence for sequence in request.stop if sequence.strip()]
        for index, sequence in enumerate(request.stop):
            if not sequence.strip():
                scope.drop(f"stop[{index}]", Severity.SEMANTIC, f"{NAME} takes no sequence of white space alone")
    if request.service_tier is not UNSET and request.service_tier != "auto":
        if request.service_tier == "default":
            document["service_tier"] = "standard_only"
            scope.add("service_tier", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} calls it standard_only")
        elif request.service_tier != "standard_only":
            del document["service_tier"]
            scope.drop("service_tier", Severity.COSMETIC, f"{NAME} has other tiers")
    if request.speed is not UNSET and request.speed not in {"fast", "standard"}:
        del document["speed"]
        scope.drop("speed", Severity.COSMETIC, f"{NAME} has other speeds")
    if request.max_output_tokens is UNSET:
        budget = document.get("thinking", {}).get("budget_tokens", 0)
        document["max_tokens"] = budget + DEFAULT_MAX_TOKENS
        scope.add("max_output_tokens", LossKind.INVENTED, Severity.DEGRADED, f"{NAME} demands a bound")


def _adapt_to_dialect(document: dict[str, Any], scope: Scope) -> None:
    if not is_strict(scope.dialect):
        return
    for name in ("temperature", "top_p", "top_k"):
        if document.pop(name, None) is not None:
            scope.drop(name, Severity.DEGRADED, f"{NAME} {STRICT_DIALECT} refuses it")


def _decode_choice(group: Any, values: dict[str, Any], ext: dict[str, Any]) -> None:
    choice, parallel, left = decode_choice(expect(group, OBJECT, "tool_choice"))
    if choice is not UNSET:
        values["tool_choice"] = choice
    if parallel is not UNSET:
        values["parallel_tools"] = parallel
    if left or not group:
        ext["tool_choice"] = left
