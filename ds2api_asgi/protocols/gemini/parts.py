"""Parts: exactly one member says what a part is, others say more about it.

Parts of a provider's own tools (``executableCode``, ``codeExecutionResult``, ``toolCall``, ``toolResponse``), and what
we do not know, stay as they are. A ``thoughtSignature`` is kept at its part.
It follows https://ai.google.dev/api/caching#Part (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Media, OpaquePart, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.node import Opaque
from ..fields import rest
from ..scope import Scope
from .calls import decode_call, decode_result, encode_call, encode_result, signature_of
from .media import decode_media, encode_media
from .profile import DATA, NAME, SIGNATURE
from .spelling import canonical, put_ext, respelled

__all__ = ["decode_answer", "decode_part", "encode_part"]

Wire = dict[str, Any]

_TEXT: Final = ("text", "thought", "thoughtSignature")
_CALL: Final = ("functionCall", "thoughtSignature")


def decode_part(part: Any, path: str) -> Part:
    """Read one part.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    if type(part) is not dict:
        raise InvalidDocument(path, "must be an object")
    document, form = canonical(part)
    kinds = [name for name in DATA if document.get(name) is not None]
    if len(kinds) != 1:
        if not kinds and type(document.get("thoughtSignature")) is str:
            return _carrier(document, form)
        return OpaquePart(json=part, protocol=NAME)
    name = kinds[0]
    if name == "text":
        return _text(document, form, path)
    if type(document[name]) is not dict:
        raise InvalidDocument(f"{path}.{name}", "must be an object")
    if name == "functionCall":
        return decode_call(document, _opaque(document, path), form, rest(document, _CALL), path)
    if name == "functionResponse":
        return decode_result(document, form, rest(document, ("functionResponse",)), path)
    if name in {"inlineData", "fileData"}:
        if not document[name]:  # says nothing that anybody else could use
            return OpaquePart(json=part, protocol=NAME)
        return decode_media(document, name, form, rest(document, (name,)), path)
    return OpaquePart(json=part, protocol=NAME)


def decode_answer(part: Any) -> Part:
    """Read one part of an answer: what is not as documented stays as it is."""
    try:
        return decode_part(part, "")
    except InvalidDocument:
        return OpaquePart(json=part, protocol=NAME)


def _opaque(document: Wire, path: str) -> tuple[Opaque, ...]:
    value = document.get("thoughtSignature")
    if value is None:
        return ()
    if type(value) is not str:
        raise InvalidDocument(f"{path}.thoughtSignature", "must be a string")
    return (Opaque(kind=SIGNATURE, value=value, protocol=NAME),)


def _text(document: Wire, form: list[str], path: str) -> Part:
    text, thought = document["text"], document.get("thought")
    if type(text) is not str:
        raise InvalidDocument(f"{path}.text", "must be a string")
    if thought is not None and type(thought) is not bool:
        raise InvalidDocument(f"{path}.thought", "must be a boolean")
    ext = rest(document, _TEXT) if len(document) > 1 else UNSET
    if thought:
        return Reasoning(text=text, opaque=_opaque(document, path), ext=ext, form=tuple(form))
    if thought is False:
        form.append("thought:false")
    return Text(text=text, opaque=_opaque(document, path), ext=ext, form=tuple(form))


def _carrier(document: Wire, form: list[str]) -> Part:
    """A signature without anything that it stands on."""
    thought = document.get("thought")
    known = _TEXT if type(thought) is bool else ("thoughtSignature",)
    if type(thought) is bool:
        form.append(f"thought:{str(thought).lower()}")
    return Reasoning(opaque=_opaque(document, ""), ext=rest(document, known), form=tuple(form))


def encode_part(part: Part, path: str, scope: Scope, *, name: Any = UNSET) -> list[Wire]:
    """Write one part; a list, for some become several and some none.

    Args:
        part: The part.
        path: Where it stands.
        scope: This run.
        name: The name of the tool, for a result.
    """
    match part:
        case Text():
            return _encode_text(part, path, scope)
        case Reasoning():
            return _encode_reasoning(part, path, scope)
        case ToolCall():
            return encode_call(part, path, scope)
        case ToolResult():
            return encode_result(part, path, scope, name)
        case Media():
            return encode_media(part, path, scope)
        case Refusal(text=text):
            scope.ext(part.ext, path)
            scope.add(path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no refusals beside texts")
            return [{"text": text}] if text else []
        case OpaquePart(json=json, protocol=protocol):
            if protocol == NAME:
                return [json]
            scope.foreign(part, path)
            return []
        case _:
            scope.drop(path, Severity.SEMANTIC, "a tool of another provider")
            return []


def _finish(document: Wire, part: Text | Reasoning, path: str, scope: Scope) -> list[Wire]:
    signature = signature_of(part.opaque, path, scope)
    if signature is not UNSET:
        document["thoughtSignature"] = signature
    if not scope.home:
        scope.ext(part.ext, path)
        return [document]
    put_ext(document, part.ext)
    return [respelled(document, part.form)]


def _encode_text(part: Text, path: str, scope: Scope) -> list[Wire]:
    document: Wire = {"text": part.text}
    if scope.home:
        if "thought:false" in part.form:
            document["thought"] = False
    else:
        if part.citations and not scope.answer:
            scope.lacks(f"{path}.citations", Severity.DEGRADED, "citations in requests")
        if part.cache is not UNSET:
            scope.lacks(f"{path}.cache", Severity.COSMETIC, "cache marks")
        if not part.text and not part.opaque and not scope.answer:
            scope.drop(path, Severity.COSMETIC, f"{NAME} takes no empty texts")
            return []
    return _finish(document, part, path, scope)


def _encode_reasoning(part: Reasoning, path: str, scope: Scope) -> list[Wire]:
    if scope.home:
        document: Wire = {}
        if part.text is not UNSET:
            document = {"text": part.text, "thought": True}
        else:
            for word in ("true", "false"):
                if f"thought:{word}" in part.form:
                    document["thought"] = word == "true"
        return _finish(document, part, path, scope)
    text = "".join(part.summary) if part.text is UNSET else part.text
    own = any(payload.protocol == NAME for payload in part.opaque)
    if part.text is UNSET and not part.summary and not own:
        scope.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, "only its minter can read it")
        return []
    if part.summary:
        scope.add(path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no summaries beside thoughts")
    if part.text is UNSET and not part.summary:
        scope.add(f"{path}.text", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} signs texts")
    return _finish({"text": text, "thought": True}, part, path, scope)
