"""The answer: a GenerateContentResponse.

A blocked prompt has no candidates, only ``promptFeedback``: to us it is a candidate without turns that was filtered.
It follows https://ai.google.dev/api/generate-content#GenerateContentResponse (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.content import Part, Text, ToolCall
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import Turn
from ...universal.response import Candidate, Response
from ..base import Context, Encoded
from ..fields import rest
from ..scope import Scope
from .citations import Ground, read_grounding
from .errors import decode_failure, encode_failure
from .pairing import invent_call_id
from .parts import encode_part
from .profile import NAME, TARGET
from .spelling import canonical, put_ext, respelled
from .stops import BLOCKED, blocked, decode_stop, encode_stop, is_reason
from .times import rfc3339, unix_time
from .turns import decode_answer_turn, encode_content
from .usage import decode_usage, encode_usage

__all__ = ["cited", "decode_response", "encode_response", "envelope", "identified"]

_TEXTS: Final = {"responseId": "id", "modelVersion": "model"}
_KNOWN: Final = frozenset({"candidates", "promptFeedback", "usageMetadata", "responseId", "modelVersion"})
_CANDIDATE: Final = ("content", "finishReason", "finishMessage", "index", "logprobsResult")


def envelope(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what stands around the candidates.

    Returns:
        Values by universal name, and what is left over.
    """
    values: dict[str, Any] = {}
    ext: dict[str, Any] = {}
    for key, value in document.items():
        name = _TEXTS.get(key)
        if name is not None and type(value) is str:
            values[name] = value
        elif key == "createTime" and type(value) is str and (seconds := unix_time(value)) is not None:
            values["created"] = seconds
            if rfc3339(seconds) != value:
                ext[key] = value
        elif key not in {"candidates", "usageMetadata"}:
            ext[key] = value
    return values, ext


def decode_response(document: dict[str, Any]) -> Response:
    """See `Protocol.decode_response`; an error document under a success status becomes ``error``."""
    origin = Origin(protocol=NAME)
    document, form = canonical(document)
    if type(document.get("error")) is dict:
        return Response(error=decode_failure(document, UNSET), origin=origin)
    if not _KNOWN & document.keys():
        raise InvalidDocument("", "is not an answer")
    values, ext = envelope(document)
    usage = document.get("usageMetadata")
    if type(usage) is dict:
        values["usage"], values["service_tier"] = decode_usage(usage)
    elif "usageMetadata" in document:
        ext["usageMetadata"] = usage
    wire = document.get("candidates")
    candidates: list[Candidate] = []
    if type(wire) is list and all(type(item) is dict for item in wire):
        seed = str(values.get("id", ""))
        candidates = [_decode_candidate(item, number, seed) for number, item in enumerate(wire)]
    elif "candidates" in document:
        ext["candidates"] = wire
    if not candidates:
        stop = blocked(document.get("promptFeedback"))
        if stop is not None:
            candidates = [Candidate(stop=stop)]
    if "candidates" not in document:
        form.append("candidates:absent")
    return Response(candidates=tuple(candidates), ext=ext or UNSET, form=tuple(form), origin=origin, **values)


def _decode_candidate(wire: dict[str, Any], number: int, seed: str) -> Candidate:
    document, form = canonical(wire)
    known = list(_CANDIDATE)
    index = document.get("index")
    if type(index) is not int:
        form.append("index:absent")
        known.remove("index")
        index = number
    turns: tuple[Turn, ...] = ()
    content = document.get("content")
    if type(content) is dict:
        turn = decode_answer_turn(content)
        parts = cited(identified(turn.parts, seed, index), document.get("groundingMetadata"))
        turns = (replace(turn, parts=parts),)
    else:
        known.remove("content")
    stop: Any = UNSET
    word: Any = document.get("finishReason")
    if is_reason(word):
        calls = any(isinstance(part, ToolCall) for turn in turns for part in turn.parts)
        message = document.get("finishMessage")
        stop = decode_stop(word, UNSET if message is None else message, calls=calls)
    else:
        known = [name for name in known if name not in {"finishReason", "finishMessage"}]
    logprobs = document.get("logprobsResult")
    return Candidate(
        turns=turns,
        stop=stop,
        index=index,
        logprobs=UNSET if logprobs is None else logprobs,
        ext=rest(document, known),
        form=tuple(form),
    )


def identified(parts: tuple[Part, ...], seed: str, index: int, first: int = 0) -> tuple[Part, ...]:
    """The parts with an id on each call that has none.

    Args:
        parts: Of an answer.
        seed: The answer's id.
        index: The candidate's.
        first: How many calls it had before.
    """
    if not any(isinstance(part, ToolCall) for part in parts):
        return parts
    out: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall):
            known = part.id is not UNSET
            out.append(part if known else _identified(part, invent_call_id(f"{seed}:{index}", first, part.name)))
            first += 1
        else:
            out.append(part)
    return tuple(out)


def _identified(call: ToolCall, identity: str) -> ToolCall:
    return replace(call, id=identity, form=(*call.form, "id:absent"))


def cited(parts: tuple[Part, ...], metadata: Any) -> tuple[Part, ...]:
    """The parts with the citations that a ``groundingMetadata`` holds."""
    found = read_grounding(metadata, [part.text if isinstance(part, Text) else "" for part in parts])
    if not found:
        return parts
    out = list(parts)
    for number, citation in found:
        part = out[number]
        if isinstance(part, Text):
            out[number] = replace(part, citations=(*(part.citations or ()), citation))
    return tuple(out)


def encode_response(response: Response, context: Context) -> Encoded:
    """See `Protocol.encode_response`; where ``response.error`` is set, the document is the error's."""
    if response.error is not UNSET:
        return Encoded(document=encode_failure(response.error))
    scope = Scope(TARGET, origin=response.origin.protocol, context=context)
    document = _home(response, scope) if scope.home else _foreign(response, context, scope)
    return Encoded(document=document, losses=tuple(scope.losses))


def _home(response: Response, scope: Scope) -> dict[str, Any]:
    document: dict[str, Any] = {}
    candidates = [
        _home_candidate(candidate, f"candidates[{index}]", scope)
        for index, candidate in enumerate(response.candidates)
        if candidate.stop is UNSET or BLOCKED not in candidate.stop.form
    ]
    ext = response.ext or {}
    if candidates or ("candidates:absent" not in response.form and "candidates" not in ext):
        document["candidates"] = candidates
    if response.usage is not UNSET:
        document["usageMetadata"] = encode_usage(response.usage, scope, response.service_tier)
    for key, name in _TEXTS.items():
        if getattr(response, name) is not UNSET:
            document[key] = getattr(response, name)
    if response.created is not UNSET:
        document["createTime"] = rfc3339(response.created)
    document.update(ext)
    return respelled(document, response.form)


def _home_candidate(candidate: Candidate, path: str, scope: Scope) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if candidate.turns:
        document["content"] = encode_content(candidate.turns[0], f"{path}.turns[0]", scope)
    if candidate.stop is not UNSET:
        document.update(encode_stop(candidate.stop, f"{path}.stop", scope))
    if "index:absent" not in candidate.form:
        document["index"] = candidate.index
    if candidate.logprobs is not UNSET:
        document["logprobsResult"] = candidate.logprobs
    put_ext(document, candidate.ext)
    return respelled(document, candidate.form)


def _foreign(response: Response, context: Context, scope: Scope) -> dict[str, Any]:
    scope.ext(response.ext, "")
    candidates = [
        _foreign_candidate(candidate, f"candidates[{index}]", scope)
        for index, candidate in enumerate(response.candidates)
    ]
    document: dict[str, Any] = {"candidates": candidates}
    if response.usage is not UNSET:
        document["usageMetadata"] = encode_usage(response.usage, scope)
    model = response.model
    if model is UNSET and context.request is not UNSET:
        model = context.request.model
    if model is not UNSET:
        document["modelVersion"] = model
    if response.id is not UNSET:
        document["responseId"] = response.id
    if response.created is not UNSET:
        document["createTime"] = rfc3339(response.created)
    for name in ("service_tier", "container", "context_management"):
        if getattr(response, name) is not UNSET:
            scope.lacks(name, Severity.COSMETIC if name == "service_tier" else Severity.DEGRADED, name)
    return document


def _foreign_candidate(candidate: Candidate, path: str, scope: Scope) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    ground = Ground()
    for number, turn in enumerate(candidate.turns):
        here = f"{path}.turns[{number}]"
        scope.ext(turn.ext, here)
        scope.lacks_each(turn, ("name", "id", "status", "phase"), here, Severity.COSMETIC, "of a content")
        for index, part in enumerate(turn.parts):
            at = f"{here}.parts[{index}]"
            if isinstance(part, Text) and part.citations:
                ground.add(part.citations, part.text, len(parts), at, scope)
            parts += encode_part(part, at, scope)
    if len(candidate.turns) > 1:
        scope.add(f"{path}.turns", LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} answers in one content")
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    document: dict[str, Any] = {"content": content, "index": candidate.index}
    if candidate.stop is not UNSET:
        document.update(encode_stop(candidate.stop, f"{path}.stop", scope))
    if candidate.logprobs is not UNSET:
        scope.lacks(f"{path}.logprobs", Severity.DEGRADED, "log probabilities of this shape")
    grounding = ground.document()
    if grounding is not None:
        document["groundingMetadata"] = grounding
    scope.ext(candidate.ext, path)
    return document
