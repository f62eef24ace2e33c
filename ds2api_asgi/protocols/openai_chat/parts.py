"""Content parts: what stands in a message's ``content`` when it is a list.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages (read 2026-11-23); ``thinking`` parts
are Mistral's (https://docs.mistral.ai/capabilities/reasoning/).

| form | on | the wire had |
|---|---|---|
| ``part`` | `Refusal` | a refusal part, not the message's ``refusal`` |
| ``part:thinking`` | `Reasoning` | a thinking part, not the message's ``reasoning_content`` |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Media, OpaquePart, Part, Reasoning, Refusal, Text
from ...universal.loss import Severity
from ..fields import STRING, Json, expect
from ..openai_shared.marks import SPELLINGS, decode_cache, encode_cache, merged, without
from ..scope import Scope
from .media import decode_audio, decode_file, decode_image, encode_media
from .profile import NAME

__all__ = ["decode_parts", "encode_part", "thinking_text"]


def decode_parts(content: list[Any], path: str, *, strict: bool) -> tuple[Part, ...]:
    """Content parts to universal form.

    Args:
        content: The list.
        path: Where it stands.
        strict: Whether a part of a known type with a wrong member is an error (requests) or kept as it is (answers).

    Raises:
        InvalidDocument: Such a part, if strict.
    """
    parts: list[Part] = []
    for index, part in enumerate(content):
        if type(part) is not dict or type(part.get("type")) is not str:
            if strict and type(part) is not dict:
                raise InvalidDocument(f"{path}[{index}]", "must be an object")
            # In the piece of message where it stood, so that it is known again.
            parts.append(OpaquePart(json={"content": [part]}, protocol=NAME))
            continue
        decoder = _DECODERS.get(part["type"])
        if decoder is None:
            parts.append(OpaquePart(json=part, protocol=NAME))
            continue
        try:
            parts.append(decoder(part, f"{path}[{index}]"))
        except InvalidDocument:
            if strict:
                raise
            parts.append(OpaquePart(json=part, protocol=NAME))
    return tuple(parts)


def encode_part(part: Part, path: str, scope: Scope) -> Json | None:
    """One part to a content part; None when it has none (reported, unless it stands elsewhere in a message)."""
    match part:
        case Text():
            return _encode_text(part, path, scope)
        case Media():
            return encode_media(part, path, scope)
        case Refusal() if scope.home:
            return merged({"type": "refusal", "refusal": part.text}, part.ext, scope)
        case Reasoning() if scope.home:
            return _encode_thinking(part)
        case OpaquePart(json=json, protocol=protocol):
            if protocol != NAME:
                scope.foreign(part, path)
                return None
            document: Json = json["content"][0] if "content" in json and "type" not in json else json
            return document
        case _:
            scope.lacks(path, Severity.SEMANTIC, "place for this part here")
            return None


def _decode_text(part: Json, path: str) -> Text:
    text = expect(part.get("text"), STRING, f"{path}.text")
    if len(part) == 2:
        return Text(text=text)
    cache, key = decode_cache(part, path, SPELLINGS)
    return Text(text=text, cache=cache, ext=without(part, "type", "text", key))


def _encode_text(part: Text, path: str, scope: Scope) -> Json:
    document: Json = {"type": "text", "text": part.text}
    encode_cache(part.cache, document, path, scope)
    if part.opaque:
        scope.opaque(part.opaque, path)
    if part.citations is not UNSET and not scope.home:
        severity = Severity.DEGRADED if part.citations else Severity.COSMETIC
        scope.lacks(f"{path}.citations", severity, "citations in a request")
    scope.ext(part.ext, path)
    return merged(document, part.ext, scope)


def _decode_refusal(part: Json, path: str) -> Refusal:
    text = expect(part.get("refusal"), STRING, f"{path}.refusal")
    return Refusal(text=text, ext=without(part, "type", "refusal"), form=("part",))


def thinking_text(thinking: Any) -> str | None:
    """The text of a thinking part's ``thinking``: a list of text parts, or a string; None when it is something else."""
    if type(thinking) is str:
        return thinking
    if type(thinking) is not list:
        return None
    texts: list[str] = []
    for item in thinking:
        if type(item) is not dict or item.get("type") != "text" or type(item.get("text")) is not str:
            return None
        texts.append(item["text"])
    return "".join(texts)


def _decode_thinking(part: Json, path: str) -> Reasoning:
    thinking = part.get("thinking")
    text = thinking_text(thinking)
    if text is None:
        raise InvalidDocument(f"{path}.thinking", "must be an array of text parts")
    canonical = thinking == [{"type": "text", "text": text}]
    ext = without(part, "type", "thinking") if canonical else without(part, "type")
    return Reasoning(text=text, ext=ext, form=("part:thinking",))


def _encode_thinking(part: Reasoning) -> Json:
    text = "" if part.text is UNSET else part.text
    document: Json = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
    if part.ext is not UNSET:
        document.update(part.ext)
        if thinking_text(document["thinking"]) != text:
            document["thinking"] = [{"type": "text", "text": text}]
    return document


_DECODERS: Final[dict[str, Callable[[Json, str], Part]]] = {
    "text": _decode_text,
    "image_url": decode_image,
    "input_audio": decode_audio,
    "file": decode_file,
    "refusal": _decode_refusal,
    "thinking": _decode_thinking,
}
