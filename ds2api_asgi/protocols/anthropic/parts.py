"""Content blocks.

A block of a type that we do not know stays as it is. In a request, a known type with a value of the wrong type is an
error; in an answer such a block stays as it is, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, assert_never

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import (
    Inline,
    Media,
    OpaquePart,
    Part,
    Reasoning,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    ToolCall,
    ToolResult,
)
from ...universal.jsontext import JsonText
from ...universal.loss import LossKind, Severity
from ...universal.node import Opaque
from ...universal.templates import RAW_ARGUMENTS
from ..fields import ext_losses
from .fields import NAME
from .marks import decode_cache, decode_citations, encode_cache, encode_citations, rest, text_member
from .media import decode_media, encode_source, home_source
from .scope import Scope

__all__ = ["CALLS", "decode_answer", "decode_content", "encode_content", "encode_part"]

Block = dict[str, Any]

CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
"""Blocks whose ``input`` is kept as text."""

_RAW: Final = RAW_ARGUMENTS[1]


def decode_content(content: Any, path: str) -> tuple[Part, ...]:
    """Read the content of a message of a request: a string, or a list of blocks.

    Raises:
        InvalidDocument: It is neither, or a value in it is of the wrong type.
    """
    if type(content) is str:
        return (Text(text=content),)
    if type(content) is not list:
        raise InvalidDocument(path, "must be a string or an array")
    return tuple([_decode_block(block, f"{path}[{index}]") for index, block in enumerate(content)])


def decode_answer(block: Any) -> Part:
    """Read a block of an answer; never refuses one."""
    try:
        return _decode_block(block, "")
    except InvalidDocument:
        return OpaquePart(json=block, protocol=NAME)


def _decode_block(block: Any, path: str) -> Part:
    if type(block) is not dict or type(kind := block.get("type")) is not str:
        raise InvalidDocument(path, "must be an object with a type")
    decode = _DECODERS.get(kind)
    if decode is not None:
        return decode(block, path)
    if kind.endswith("_tool_result"):
        return _decode_server_result(block, path)
    return OpaquePart(json=block, protocol=NAME)


def encode_content(parts: tuple[Part, ...], form: tuple[str, ...], path: str, scope: Scope) -> str | list[Block]:
    """Write parts as blocks, or as the string they were if it says the same."""
    blocks = [block for index, part in enumerate(parts) for block in encode_part(part, f"{path}[{index}]", scope)]
    if "content:string" in form and len(blocks) == 1 and len(blocks[0]) == 2 and blocks[0]["type"] == "text":
        return str(blocks[0]["text"])
    return blocks


def encode_part(part: Part, path: str, scope: Scope) -> list[Block]:
    """Write one part as blocks: mostly one; none when it cannot be said."""
    match part:
        case Text():
            return _encode_text(part, path, scope)
        case Media():
            return _encode_media(part, path, scope)
        case Reasoning():
            return _encode_reasoning(part, path, scope)
        case ToolCall():
            return _encode_call(part, path, scope)
        case ToolResult():
            return _encode_result(part, path, scope)
        case Refusal():
            return _encode_refusal(part, path, scope)
        case ServerCall():
            return _encode_server_call(part, path, scope)
        case ServerResult():
            return _encode_server_result(part, path, scope)
        case OpaquePart():
            if part.protocol == NAME:
                return [part.json]
            scope.losses.drop(path, Severity.SEMANTIC, f"only {part.protocol} knows this part")
            return []
        case _:
            assert_never(part)


def _finish(block: Block, part: Any, path: str, scope: Scope) -> list[Block]:
    """Add what any block may have: the cache mark, and what the tables do not know."""
    if part.cache is not UNSET:
        block["cache_control"] = encode_cache(part.cache, f"{path}.cache", scope)
    if part.ext is not UNSET:
        if scope.home:
            block.update(part.ext)
        else:
            scope.losses.extend(ext_losses(part.ext, path, NAME))
    return [block]


# --- text


def _decode_text(block: Block, path: str) -> Part:
    text = block.get("text")
    if type(text) is not str:
        raise InvalidDocument(f"{path}.text", "must be a string")
    if len(block) == 2:
        return Text(text=text)
    cited = block.get("citations")
    if cited is not None and type(cited) is not list:
        raise InvalidDocument(f"{path}.citations", "must be an array")
    return Text(
        text=text,
        citations=UNSET if cited is None else decode_citations(cited, f"{path}.citations"),
        cache=decode_cache(block, path),
        ext=rest(block, ("type", "text", "citations", "cache_control")),
    )


def _encode_text(part: Text, path: str, scope: Scope) -> list[Block]:
    if not scope.home and not part.text.strip():
        # "text content blocks must contain non-whitespace text"
        severity = Severity.DEGRADED if part.text else Severity.COSMETIC
        scope.losses.drop(path, severity, f"{NAME} takes no text without a visible character")
        return []
    block: Block = {"type": "text", "text": part.text}
    if part.citations is not UNSET:
        cited = encode_citations(part.citations, f"{path}.citations", scope)
        if cited or scope.home:
            block["citations"] = cited
        elif not part.citations:
            scope.losses.drop(f"{path}.citations", Severity.COSMETIC, "an empty list")
    if part.opaque:
        scope.foreign_payloads(part.opaque, path)
    return _finish(block, part, path, scope)


def _encode_refusal(part: Refusal, path: str, scope: Scope) -> list[Block]:
    scope.losses.add(path, LossKind.TEXTUALISED, Severity.DEGRADED, f"{NAME} has no refusals as parts")
    if not part.text.strip():
        return []
    scope.losses.extend(ext_losses(part.ext, path, NAME))
    return [{"type": "text", "text": part.text}]


# --- images and documents


def _decode_image(block: Block, path: str) -> Part:
    return decode_media(block, "image", path, decode_content)


def _decode_document(block: Block, path: str) -> Part:
    return decode_media(block, "document", path, decode_content)


def _encode_media(part: Media, path: str, scope: Scope) -> list[Block]:
    def nested(inline: Inline) -> str | list[Block]:
        return encode_content(inline.parts, inline.form, f"{path}.source.parts", scope)

    if scope.home:
        source: Block | None = home_source(part, nested)
    elif scope.answer or part.kind not in {"image", "document"}:
        scope.losses.drop(path, Severity.SEMANTIC, f"{NAME} has no {part.kind} here")
        return []
    else:
        source = encode_source(part, path, scope, nested)
    if source is None:
        return []
    block: Block = {"type": part.kind, "source": source}
    title = part.title
    if part.name is not UNSET:
        loss = scope.losses.drop
        if part.kind == "document" and title is UNSET:
            title = part.name
            loss(f"{path}.name", Severity.COSMETIC, f"{NAME} has a title for it")
            scope.losses.add(f"{path}.title", LossKind.RELOCATED, Severity.COSMETIC, "it is the file's name")
        else:
            loss(f"{path}.name", Severity.COSMETIC, f"{NAME} has no file names")
    if part.detail is not UNSET:
        scope.losses.drop(f"{path}.detail", Severity.COSMETIC, f"{NAME} looks at all images alike")
    if part.source_ext is not UNSET and not scope.home:
        scope.losses.drop(f"{path}.source_ext", Severity.DEGRADED, f"{NAME} does not know it")
    if title is not UNSET:
        block["title"] = title
    if part.context is not UNSET:
        block["context"] = part.context
    if part.citations is not UNSET:
        block["citations"] = {"enabled": part.citations}
    return _finish(block, part, path, scope)


# --- reasoning


def _decode_thinking(block: Block, path: str) -> Part:
    thought = block.get("thinking")
    if type(thought) is not str:
        raise InvalidDocument(f"{path}.thinking", "must be a string")
    signature = text_member(block, "signature", path)
    return Reasoning(
        text=thought,
        opaque=(Opaque(kind="signature", value=signature, protocol=NAME),) if signature else (),
        ext=rest(block, ("type", "thinking", "signature")),
        form=("signature:absent",) if signature is UNSET else (),
    )


def _decode_redacted(block: Block, path: str) -> Part:
    data = block.get("data")
    if type(data) is not str:
        raise InvalidDocument(f"{path}.data", "must be a string")
    payload = Opaque(kind="redacted", value=data, protocol=NAME)
    return Reasoning(opaque=(payload,), ext=rest(block, ("type", "data")))


def _encode_reasoning(part: Reasoning, path: str, scope: Scope) -> list[Block]:
    blocks: list[Block] = []
    signature = ""
    for index, payload in enumerate(part.opaque):
        if payload.protocol == NAME and payload.kind == "signature":
            signature = payload.value
        elif payload.protocol == NAME and payload.kind == "redacted":
            blocks.append({"type": "redacted_thinking", "data": payload.value})
        else:
            scope.losses.add(
                f"{path}.opaque[{index}]",
                LossKind.ORIGIN_MISMATCH,
                Severity.DEGRADED,
                f"only {payload.protocol} can read it",
            )
    texts = part.summary if part.text is UNSET else (part.text,)
    if not (scope.home or scope.answer) and not signature and not (blocks and not texts):
        scope.losses.drop(path, Severity.DEGRADED, f"{NAME} takes only thoughts that it has signed")
        return []
    if part.summary and not scope.home:
        kind = LossKind.DROPPED if part.text is not UNSET else LossKind.APPROXIMATED
        scope.losses.add(f"{path}.summary", kind, Severity.DEGRADED, f"{NAME} has no summaries beside thoughts")
        if part.text is UNSET:
            scope.losses.add(f"{path}.text", LossKind.INVENTED, Severity.COSMETIC, "it is the summary")
    for text in reversed(texts):
        blocks.insert(0, {"type": "thinking", "thinking": text, "signature": ""})
    if not blocks:
        scope.losses.drop(path, Severity.DEGRADED, "there is nothing in it that can be said")
        return []
    if texts:
        blocks[0]["signature"] = signature
        if scope.home and "signature:absent" in part.form and not signature:
            del blocks[0]["signature"]
    if scope.home:
        blocks[0].update(part.ext or {})
    else:
        scope.losses.extend(ext_losses(part.ext, path, NAME))
    return blocks


# --- calls and results


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
            scope.losses.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} says no arguments with {{}}")
        return {}
    if not scope.home:
        scope.losses.add(
            path,
            LossKind.APPROXIMATED,
            Severity.COSMETIC,
            f"{NAME} takes objects only; the text stands in one",
            template=RAW_ARGUMENTS[0],
        )
    return {_RAW: arguments.text}


_CALL: Final = ("type", "id", "name", "input", "caller", "cache_control")


def _decode_call(block: Block, path: str) -> Part:
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


def _encode_call(part: ToolCall, path: str, scope: Scope) -> list[Block]:
    block: Block = {"type": "tool_use"}
    identity = scope.call_id(part, path)
    if identity is not UNSET:
        block["id"] = identity
    block["name"] = scope.tool_name(part.name, f"{path}.name")
    if part.kind == "custom":
        block["input"] = JsonText.of({"input": part.arguments.text})
        scope.losses.add(
            path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has functions only; the text stands in one"
        )
    elif not (scope.home and "input:absent" in part.form and not part.arguments.text):
        block["input"] = _input(part.arguments, f"{path}.arguments", scope)
    if part.caller is not UNSET:
        if scope.home:
            block["caller"] = part.caller
        else:
            scope.losses.drop(f"{path}.caller", Severity.COSMETIC, f"{NAME} has other callers")
    if part.namespace is not UNSET:
        scope.losses.drop(f"{path}.namespace", Severity.DEGRADED, f"{NAME} has no namespaces")
    if part.opaque:
        scope.foreign_payloads(part.opaque, path)
    return _finish(block, part, path, scope)


_RESULT: Final = ("type", "tool_use_id", "content", "is_error", "cache_control")


def _decode_result(block: Block, path: str) -> Part:
    content = block.get("content")
    failed = block.get("is_error")
    if failed is not None and type(failed) is not bool:
        raise InvalidDocument(f"{path}.is_error", "must be a boolean")
    return ToolResult(
        call_id=text_member(block, "tool_use_id", path),
        parts=UNSET if content is None else decode_content(content, f"{path}.content"),
        is_error=UNSET if failed is None else failed,
        cache=decode_cache(block, path),
        ext=rest(block, _RESULT),
        form=("content:string",) if type(content) is str else (),
    )


def _encode_result(part: ToolResult, path: str, scope: Scope) -> list[Block]:
    block: Block = {"type": "tool_result"}
    identity = scope.result_id(part, path)
    if identity is not UNSET:
        block["tool_use_id"] = identity
    if part.parts is not UNSET:
        content = encode_content(part.parts, part.form, f"{path}.parts", scope)
        if content or scope.home:
            block["content"] = content
        elif not part.parts:
            scope.losses.drop(f"{path}.parts", Severity.COSMETIC, "nothing stood in it")
    if part.is_error is not UNSET:
        block["is_error"] = part.is_error
    if part.name is not UNSET:
        scope.losses.drop(f"{path}.name", Severity.COSMETIC, f"{NAME} names the call only")
    return _finish(block, part, path, scope)


# --- the provider's own tools


def _decode_server_call(block: Block, path: str) -> Part:
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


def _encode_server_call(part: ServerCall, path: str, scope: Scope) -> list[Block]:
    if not scope.home:
        scope.losses.drop(path, Severity.SEMANTIC, "a tool of another provider")
        return []
    block: Block = {"type": part.kind}
    if part.id is not UNSET:
        block["id"] = part.id
    block["name"] = part.name
    if part.arguments.text or "input:absent" not in part.form:
        block["input"] = _input(part.arguments, f"{path}.arguments", scope)
    return _finish(block, part, path, scope)


def _decode_server_result(block: Block, path: str) -> Part:
    return ServerResult(
        kind=block["type"],
        content=block.get("content", UNSET),
        call_id=text_member(block, "tool_use_id", path),
        cache=decode_cache(block, path),
        ext=rest({key: value for key, value in block.items() if key != "content"}, _RESULT_OF_SERVER),
    )


_RESULT_OF_SERVER: Final = ("type", "tool_use_id", "cache_control")


def _encode_server_result(part: ServerResult, path: str, scope: Scope) -> list[Block]:
    if not scope.home:
        scope.losses.drop(path, Severity.SEMANTIC, "a tool of another provider")
        return []
    block: Block = {"type": part.kind}
    if part.call_id is not UNSET:
        block["tool_use_id"] = part.call_id
    if part.content is not UNSET:
        block["content"] = part.content
    return _finish(block, part, path, scope)


_DECODERS: Final[dict[str, Callable[[Block, str], Part]]] = {
    "text": _decode_text,
    "image": _decode_image,
    "document": _decode_document,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_redacted,
    "tool_use": _decode_call,
    "tool_result": _decode_result,
    "server_tool_use": _decode_server_call,
    "mcp_tool_use": _decode_server_call,
}
