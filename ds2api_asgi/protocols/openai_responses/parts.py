"""Content parts: what stands in a message's ``content`` and in a tool's ``output`` when they are lists.

https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``type:…`` | `Text` | this type, though another is usual for the role |
| ``logprobs:empty`` | `Text` | an empty list of log probabilities, as all of OpenAI's answers have it |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Media, OpaquePart, Part, Refusal, Text
from ...universal.loss import LossKind, Severity
from ..fields import STRING, Json, expect
from ..openai_shared.marks import decode_cache, encode_cache, merged, without
from ..scope import Scope
from .citations import decode_citations, encode_citation, foreign_citation
from .media import decode_file, decode_image, encode_media
from .profile import NAME

__all__ = ["decode_part", "decode_parts", "encode_part", "encode_refusal", "text_type"]

_INPUT: Final = "input_text"
_OUTPUT: Final = "output_text"


def text_type(role: str) -> str:
    """What texts are called in a message of a role."""
    return _OUTPUT if role == "assistant" else _INPUT


def decode_parts(content: list[Any], role: str, path: str, *, strict: bool) -> tuple[Part, ...]:
    """Content parts to universal form.

    Args:
        content: The list.
        role: Whose it is.
        path: Where it stands.
        strict: Whether a part of a known type with a wrong member is an error (requests) or kept as it is (answers).

    Raises:
        InvalidDocument: Such a part, if strict.
    """
    return tuple([decode_part(part, role, f"{path}[{at}]", strict=strict) for at, part in enumerate(content)])


def decode_part(part: Any, role: str, path: str, *, strict: bool) -> Part:
    """One content part; see `decode_parts`."""
    if type(part) is not dict:
        if strict:
            raise InvalidDocument(path, "must be an object")
        return OpaquePart(json=part, protocol=NAME)
    kind = part.get("type")
    try:
        if kind in (_INPUT, _OUTPUT):
            return _decode_text(part, kind, role, path, strict=strict)
        decoder = _DECODERS.get(kind) if type(kind) is str else None
        if decoder is not None:
            return decoder(part, path)
    except InvalidDocument:
        if strict:
            raise
    return OpaquePart(json=part, protocol=NAME)


def _decode_text(part: Json, kind: str, role: str, path: str, *, strict: bool) -> Text:
    text = expect(part.get("text"), STRING, f"{path}.text")
    forms = [] if kind == text_type(role) else [f"type:{kind}"]
    if len(part) == 2:
        return Text(text=text, form=tuple(forms))
    cache, key = decode_cache(part, path)
    citations: Any = UNSET
    known = ["type", "text", key]
    if "annotations" in part:
        found = decode_citations(part["annotations"])
        if found is not None:
            citations = found
            known.append("annotations")
        elif strict and type(part["annotations"]) is not list and part["annotations"] is not None:
            raise InvalidDocument(f"{path}.annotations", "must be an array")
    if part.get("logprobs") == []:
        forms.append("logprobs:empty")
        known.append("logprobs")
    return Text(text=text, citations=citations, cache=cache, ext=without(part, *known), form=tuple(sorted(forms)))


def _decode_refusal(part: Json, path: str) -> Refusal:
    text = expect(part.get("refusal"), STRING, f"{path}.refusal")
    return Refusal(text=text, ext=without(part, "type", "refusal"))


def encode_part(part: Part, role: str, path: str, scope: Scope) -> Json | None:
    """One part to a content part; None when it has none (reported)."""
    match part:
        case Text():
            return _encode_text(part, role, path, scope)
        case Media():
            return encode_media(part, path, scope)
        case Refusal():
            return encode_refusal(part, path, scope)
        case OpaquePart(json=json, protocol=protocol) if protocol == NAME:
            document: Json = json
            return document
        case OpaquePart():
            scope.foreign(part, path)
            return None
        case _:
            scope.lacks(path, Severity.SEMANTIC, "place for this part here")
            return None


def encode_refusal(part: Refusal, path: str, scope: Scope) -> Json:
    """A refusal to its content part."""
    scope.ext(part.ext, path)
    return merged({"type": "refusal", "refusal": part.text}, part.ext, scope)


def _encode_text(part: Text, role: str, path: str, scope: Scope) -> Json:
    document: Json = {"type": text_type(role), "text": part.text}
    encode_cache(part.cache, document, path, scope)
    scope.opaque(part.opaque, path)
    if scope.home:
        for form in part.form:
            if form.startswith("type:"):
                document["type"] = form[5:]
        if "logprobs:empty" in part.form and "logprobs" not in (part.ext or ()):
            document["logprobs"] = []
        if part.citations is not UNSET:
            document["annotations"] = [encode_citation(citation) for citation in part.citations]
        return merged(document, part.ext, scope)
    scope.ext(part.ext, path)
    if scope.answer:
        document["annotations"] = _cite(part, path, scope)
        document["logprobs"] = []
    elif part.citations is not UNSET:
        severity = Severity.DEGRADED if part.citations else Severity.COSMETIC
        scope.lacks(f"{path}.citations", severity, "citations from elsewhere in a request")
    return document


def _cite(part: Text, path: str, scope: Scope) -> list[Json]:
    annotations: list[Json] = []
    for at, citation in enumerate(part.citations or ()):
        annotation = foreign_citation(citation, len(part.text))
        if annotation is None:
            scope.lacks(f"{path}.citations[{at}]", Severity.DEGRADED, "citations without a URL")
        else:
            scope.add(
                f"{path}.citations[{at}]", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} cites URLs in other words"
            )
            annotations.append(annotation)
    return annotations


_DECODERS: Final[dict[str, Callable[[Json, str], Part]]] = {
    "input_image": decode_image,
    "input_file": decode_file,
    "refusal": _decode_refusal,
}
