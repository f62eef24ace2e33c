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
from ...universal.loss import LossKind, Severity
from ..fields import STRING, Json, optional, rest
from ..scope import Scope
from .calls import (
    decode_call,
    decode_server_call,
    decode_server_result,
    encode_call,
    encode_server_call,
    encode_server_result,
)
from .marks import decode_cache, decode_citations, encode_citations, finish
from .media import decode_media, encode_source, home_source
from .profile import NAME
from .reasoning import decode_redacted, decode_thinking, encode_reasoning

__all__ = ["decode_answer", "decode_content", "encode_content", "encode_part", "plain_text"]


def decode_content(content: Any, path: str) -> tuple[Part, ...]:
    """Read the content of a message of a request: a string, or a list of blocks.

    Raises:
        InvalidDocument: It is neither, or a value in it is of the wrong type.
    """
    if type(content) is str:
        return (Text(text=content),)
    if type(content) is not list:
        raise InvalidDocument(path, "must be a string or an array")
    if len(content) == 1 and (text := plain_text(content[0])) is not None:
        return (Text(text=text),)
    return tuple([_decode_block(block, f"{path}[{index}]") for index, block in enumerate(content)])


def plain_text(block: Any) -> str | None:
    """The text of a block that says nothing else, as most do: such a block needs no path for its errors."""
    if type(block) is not dict or len(block) != 2 or block.get("type") != "text":
        return None
    text = block.get("text")
    return text if type(text) is str else None


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
        return decode_server_result(block, path)
    return OpaquePart(json=block, protocol=NAME)


def encode_content(parts: tuple[Part, ...], form: tuple[str, ...], path: str, scope: Scope) -> str | list[Json]:
    """Write parts as blocks, or as the string they were if it says the same."""
    blocks = [block for index, part in enumerate(parts) for block in encode_part(part, f"{path}[{index}]", scope)]
    if "content:string" in form and len(blocks) == 1 and len(blocks[0]) == 2 and blocks[0]["type"] == "text":
        return str(blocks[0]["text"])
    return blocks


def encode_part(part: Part, path: str, scope: Scope) -> list[Json]:
    """Write one part as blocks: mostly one; none when it cannot be said."""
    match part:
        case Text():
            return _encode_text(part, path, scope)
        case Media():
            return _encode_media(part, path, scope)
        case Reasoning():
            return encode_reasoning(part, path, scope)
        case ToolCall():
            return encode_call(part, path, scope)
        case ToolResult():
            return _encode_result(part, path, scope)
        case Refusal():
            return _encode_refusal(part, path, scope)
        case ServerCall():
            return encode_server_call(part, path, scope)
        case ServerResult():
            return encode_server_result(part, path, scope)
        case OpaquePart():
            if part.protocol == NAME:
                return [part.json]
            scope.foreign(part, path)
            return []
        case _:
            assert_never(part)


# --- text


def _decode_text(block: Json, path: str) -> Part:
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


def _encode_text(part: Text, path: str, scope: Scope) -> list[Json]:
    if not scope.home and not part.text.strip():
        # "text content blocks must contain non-whitespace text"
        severity = Severity.DEGRADED if part.text else Severity.COSMETIC
        scope.drop(path, severity, f"{NAME} takes no text without a visible character")
        return []
    block: Json = {"type": "text", "text": part.text}
    if part.citations is not UNSET:
        cited = encode_citations(part.citations, f"{path}.citations", scope)
        if cited or scope.home:
            block["citations"] = cited
        elif not part.citations:
            scope.drop(f"{path}.citations", Severity.COSMETIC, "an empty list")
    if part.opaque:
        scope.opaque(part.opaque, path)
    return finish(block, part, path, scope)


def _encode_refusal(part: Refusal, path: str, scope: Scope) -> list[Json]:
    scope.add(path, LossKind.TEXTUALISED, Severity.DEGRADED, f"{NAME} has no refusals as parts")
    if not part.text.strip():
        return []
    scope.ext(part.ext, path)
    return [{"type": "text", "text": part.text}]


# --- images and documents


def _decode_image(block: Json, path: str) -> Part:
    return decode_media(block, "image", path, decode_content)


def _decode_document(block: Json, path: str) -> Part:
    return decode_media(block, "document", path, decode_content)


def _encode_media(part: Media, path: str, scope: Scope) -> list[Json]:
    def nested(inline: Inline) -> str | list[Json]:
        return encode_content(inline.parts, inline.form, f"{path}.source.parts", scope)

    if scope.home:
        source: Json | None = home_source(part, nested)
    elif scope.answer or part.kind not in {"image", "document"}:
        scope.drop(path, Severity.SEMANTIC, f"{NAME} has no {part.kind} here")
        return []
    else:
        source = encode_source(part, path, scope, nested)
    if source is None:
        return []
    block: Json = {"type": part.kind, "source": source}
    title = part.title
    if part.name is not UNSET:
        if part.kind == "document" and title is UNSET:
            title = part.name
            scope.drop(f"{path}.name", Severity.COSMETIC, f"{NAME} has a title for it")
            scope.add(f"{path}.title", LossKind.RELOCATED, Severity.COSMETIC, "it is the file's name")
        else:
            scope.drop(f"{path}.name", Severity.COSMETIC, f"{NAME} has no file names")
    if part.detail is not UNSET:
        scope.drop(f"{path}.detail", Severity.COSMETIC, f"{NAME} looks at all images alike")
    if part.source_ext is not UNSET and not scope.home:
        scope.drop(f"{path}.source_ext", Severity.DEGRADED, f"{NAME} does not know it")
    if title is not UNSET:
        block["title"] = title
    if part.context is not UNSET:
        block["context"] = part.context
    if part.citations is not UNSET:
        block["citations"] = {"enabled": part.citations}
    return finish(block, part, path, scope)


# --- results


_RESULT: Final = ("type", "tool_use_id", "content", "is_error", "cache_control")


def _decode_result(block: Json, path: str) -> Part:
    content = block.get("content")
    failed = block.get("is_error")
    if failed is not None and type(failed) is not bool:
        raise InvalidDocument(f"{path}.is_error", "must be a boolean")
    return ToolResult(
        call_id=optional(block, "tool_use_id", STRING, path),
        parts=UNSET if content is None else decode_content(content, f"{path}.content"),
        is_error=UNSET if failed is None else failed,
        cache=decode_cache(block, path),
        ext=rest(block, _RESULT),
        form=("content:string",) if type(content) is str else (),
    )


def _encode_result(part: ToolResult, path: str, scope: Scope) -> list[Json]:
    block: Json = {"type": "tool_result"}
    identity = scope.result_id(part, path)
    if identity is not UNSET:
        block["tool_use_id"] = identity
    if part.parts is not UNSET:
        content = encode_content(part.parts, part.form, f"{path}.parts", scope)
        if content or scope.home:
            block["content"] = content
        elif not part.parts:
            scope.drop(f"{path}.parts", Severity.COSMETIC, "nothing stood in it")
    if part.is_error is not UNSET:
        block["is_error"] = part.is_error
    if part.name is not UNSET:
        scope.drop(f"{path}.name", Severity.COSMETIC, f"{NAME} names the call only")
    return finish(block, part, path, scope)


_DECODERS: Final[dict[str, Callable[[Json, str], Part]]] = {
    "text": _decode_text,
    "image": _decode_image,
    "document": _decode_document,
    "thinking": decode_thinking,
    "redacted_thinking": decode_redacted,
    "tool_use": decode_call,
    "tool_result": _decode_result,
    "server_tool_use": decode_server_call,
    "mcp_tool_use": decode_server_call,
}
