"""Answers: ``{"object": "chat.completion", "choices": [...]}``.

https://platform.openai.com/docs/api-reference/chat/object (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``object:absent``, ``choices:absent`` | `Response` | no such member |
| ``index:absent`` | `Candidate` | no such member |
| ``logprobs:null`` | `Candidate` | null, as all of OpenAI's answers have it |

An answer may be an error under a success status (Azure, OpenRouter): then ``response.error`` is set, and callers look
there first. `encode_response` writes what came beside it and never turns a failure into words of an answer. What the
envelope demands and the source has not (id, time, model, the sum of tokens) is derived, which is no loss.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Citation, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.jsontext import dumps
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import FunctionTool, Turn
from ...universal.response import Candidate, Response, Stop
from ..base import Context, Encoded
from ..fields import Json, put, take
from ..scope import Scope
from .calls import encode_call
from .carry import encode_detail
from .citations import foreign_citation
from .errors import decode_error
from .fields import CHOICE_HANDLED, RESPONSE, RESPONSE_HANDLED
from .messages import decode_message, encode_message
from .profile import NAME, TARGET, TIERS
from .stops import decode_stop, encode_stop
from .usage import decode_usage, encode_usage

__all__ = [
    "answer_id",
    "custom_input",
    "decode_response",
    "encode_response",
    "foreign_citation",
    "legacy_client",
    "tier_of",
]

_OBJECT: Final = "chat.completion"


def decode_response(document: Json) -> Response:
    """An answer document to universal form; what it does not know is kept.

    Raises:
        InvalidDocument: It has neither ``choices`` nor ``error``.
    """
    choices = document.get("choices")
    failed = document.get("error") is not None
    if type(choices) is not list and not failed:
        raise InvalidDocument("choices", "must be an array")
    values, rest = take(document, RESPONSE, handled=RESPONSE_HANDLED, strict=False)
    ext = {} if rest is UNSET else rest
    forms: list[str] = []
    if "object" not in document:
        forms.append("object:absent")
    elif document["object"] != _OBJECT:
        ext["object"] = document["object"]
    if type(choices) is list:
        values["candidates"] = tuple(_decode_choice(choice, index) for index, choice in enumerate(choices))
    elif "choices" in document:
        ext["choices"] = choices
    else:
        forms.append("choices:absent")
    usage = document.get("usage")
    if type(usage) is dict:
        values["usage"] = decode_usage(usage)
    elif "usage" in document:
        ext["usage"] = usage
    if failed:
        values["error"] = decode_error(UNSET, {}, dumps({"error": document["error"]}))
    return Response(ext=ext or UNSET, form=tuple(forms), origin=Origin(protocol=NAME), **values)


def _decode_choice(choice: Any, position: int) -> Candidate:
    if type(choice) is not dict:
        return Candidate(index=position, ext={"": choice})
    ext = {key: value for key, value in choice.items() if key not in CHOICE_HANDLED}
    values: dict[str, Any] = {}
    forms: list[str] = []
    message, reason, logprobs, index = (choice.get(key) for key in ("message", "finish_reason", "logprobs", "index"))
    if type(message) is dict and type(message.get("role", "")) in (str, type(None)):
        values["turns"] = (decode_message(message, "", strict=False),)
    elif "message" in choice:
        ext["message"] = message
    if type(reason) is str:
        values["stop"] = decode_stop(reason)
    elif "finish_reason" in choice:
        ext["finish_reason"] = reason
    if logprobs is not None:
        values["logprobs"] = logprobs
    elif "logprobs" in choice:
        forms.append("logprobs:null")
    if type(index) is int:
        values["index"] = index
    elif "index" in choice:
        ext["index"] = index
    else:
        values["index"] = position
        forms.append("index:absent")
    return Candidate(ext=ext or UNSET, form=tuple(sorted(forms)), **values)


def encode_response(response: Response, context: Context) -> Encoded:
    """Universal form to an answer document.

    Args:
        response: Born anywhere; one that was born here is written back as it was.
        context: What translating the request learned.

    Returns:
        The document, and what it does not say.
    """
    scope = Scope(TARGET, origin=response.origin.protocol, context=context)
    document = _encode_home(response, scope) if scope.home else _encode_foreign(response, context, scope)
    return Encoded(document=document, losses=tuple(scope.losses))


def _encode_home(response: Response, scope: Scope) -> Json:
    document: Json = {}
    put(response, RESPONSE, document)
    if "object:absent" not in response.form:
        document["object"] = _OBJECT if response.ext is UNSET else response.ext.get("object", _OBJECT)
    if "choices:absent" not in response.form:
        document["choices"] = [
            _encode_home_choice(candidate, f"candidates[{index}]", scope)
            for index, candidate in enumerate(response.candidates)
        ]
    if response.usage is not UNSET:
        document["usage"] = encode_usage(response.usage, scope)
    if response.ext is not UNSET:
        for key, value in response.ext.items():
            if key == "choices" and not response.candidates:
                document[key] = value
            document.setdefault(key, value)
    return document


def _encode_home_choice(candidate: Candidate, path: str, scope: Scope) -> Any:
    if candidate.ext is not UNSET and "" in candidate.ext:
        return candidate.ext[""]
    choice: Json = {} if "index:absent" in candidate.form else {"index": candidate.index}
    if candidate.turns:
        choice["message"] = encode_message(_one(candidate.turns), f"{path}.turns[0]", scope)
    if candidate.logprobs is not UNSET:
        choice["logprobs"] = candidate.logprobs
    elif "logprobs:null" in candidate.form:
        choice["logprobs"] = None
    if candidate.stop is not UNSET:
        word = encode_stop(candidate.stop, scope, f"{path}.stop", calls=False, refused=False)
        if word is not UNSET:
            choice["finish_reason"] = word
    if candidate.ext is not UNSET:
        if "index" in candidate.ext:
            del choice["index"]
        for key, value in candidate.ext.items():
            choice.setdefault(key, value)
    return choice


def _one(turns: tuple[Turn, ...]) -> Turn:
    if len(turns) == 1:
        return turns[0]
    return Turn(role="assistant", parts=tuple(part for turn in turns for part in turn.parts))


def _encode_foreign(response: Response, context: Context, scope: Scope) -> Json:
    scope.ext(response.ext, "")
    model = response.model
    if model is UNSET:
        model = context.request.model if context.request is not UNSET else UNSET
    document: Json = {
        "id": answer_id(response) if response.id is UNSET else response.id,
        "object": _OBJECT,
        "created": context.now if response.created is UNSET else int(response.created),
        "model": "" if model is UNSET else model,
        "choices": [
            _encode_foreign_choice(candidate, f"candidates[{index}]", context, scope)
            for index, candidate in enumerate(response.candidates)
        ],
    }
    tier = tier_of(response.service_tier, scope)
    if tier is not None:
        document["service_tier"] = tier
    for name in ("container", "context_management"):
        if getattr(response, name) is not UNSET:
            scope.lacks(name, Severity.DEGRADED, name)
    if response.usage is not UNSET:
        document["usage"] = encode_usage(response.usage, scope)
    return document


def answer_id(response: Response) -> str:
    """An id for an answer that has none: the same for the same answer."""
    text = repr((response.model, response.created, response.candidates))
    return "chatcmpl-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def tier_of(tier: Any, scope: Scope) -> str | None:
    """The service tier of another protocol's answer in the words of this one."""
    if tier is UNSET or tier in TIERS:
        return None if tier is UNSET else str(tier)
    if tier == "standard":
        scope.add("service_tier", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} calls it default")
        return "default"
    scope.lacks("service_tier", Severity.COSMETIC, "such tier")
    return None


def legacy_client(context: Context) -> bool:
    """Whether the client knows only the legacy ``functions``, so that a call must come as ``function_call``."""
    request = context.request
    if request is UNSET or request.origin.protocol != NAME or not request.tools:
        return False
    return all(isinstance(tool, FunctionTool) and "functions" in tool.form for tool in request.tools)


def custom_input(call: ToolCall) -> str:
    """The free text of a custom tool's call that an upstream knows as a function with one argument."""
    if call.arguments.is_object:
        value = call.arguments.value
        if len(value) == 1 and type(value.get("input")) is str:
            return str(value["input"])
    return call.arguments.text


class _Message:
    """The message of one choice, in the making."""

    __slots__ = ("annotations", "calls", "content", "details", "length", "reasoning", "refusal")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.length = 0
        self.reasoning: list[str] = []
        self.details: list[Json] = []
        self.refusal: list[str] = []
        self.annotations: list[Json] = []
        self.calls: list[tuple[ToolCall, str]] = []


def _encode_foreign_choice(candidate: Candidate, path: str, context: Context, scope: Scope) -> Json:
    scope.ext(candidate.ext, path)
    message = _Message()
    ranks: list[int] = []
    for at, turn in enumerate(candidate.turns):
        here = f"{path}.turns[{at}]"
        scope.ext(turn.ext, here)
        for name in ("name", "id", "status", "phase"):
            if getattr(turn, name) is not UNSET:
                scope.lacks(f"{here}.{name}", Severity.COSMETIC, f"{name} of a turn")
        for index, part in enumerate(turn.parts):
            rank = _gather(part, f"{here}.parts[{index}]", message, scope)
            if rank is not None:
                ranks.append(rank)
    if len(candidate.turns) > 1:
        scope.add(f"{path}.turns", LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} answers in one message")
    elif ranks != sorted(ranks) or any(ranks.count(rank) > 1 for rank in (0, 1, 2)):
        scope.add(f"{path}.turns[0].parts", LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} has one text of each kind")
    stop = candidate.stop if candidate.stop is not UNSET else None
    reason = _finish(stop, f"{path}.stop", message, scope)
    document: Json = {"index": candidate.index, "message": _write_message(message, path, context, scope)}
    if "function_call" in document["message"] and reason == "tool_calls":
        reason = "function_call"
    if candidate.logprobs is not UNSET:
        scope.lacks(f"{path}.logprobs", Severity.DEGRADED, "log probabilities of this shape")
    return {**document, "logprobs": None, "finish_reason": reason}


def _finish(stop: Stop | None, path: str, message: _Message, scope: Scope) -> Any:
    if stop is None:
        scope.add(path, LossKind.INVENTED, Severity.DEGRADED, f"{NAME} demands a finish reason")
        return "tool_calls" if message.calls else "stop"
    return encode_stop(stop, scope, path, calls=bool(message.calls), refused=bool(message.refusal))


def _gather(part: Part, path: str, message: _Message, scope: Scope) -> int | None:
    """Put a part into the message; the rank of its place, None when it has none."""
    match part:
        case Text():
            scope.ext(part.ext, path)
            scope.opaque(part.opaque, path)
            for at, citation in enumerate(part.citations or ()):
                _cite(citation, f"{path}.citations[{at}]", message.length, len(part.text), message.annotations, scope)
            message.content.append(part.text)
            message.length += len(part.text)
            return 1
        case Reasoning(text=text, summary=summary):
            detail = encode_detail(part, len(message.details))
            if detail is not None:
                scope.ext(part.ext, path)
                message.details.append(detail)
                message.reasoning.append(text or "")
                return 0
            if text is UNSET and not summary:
                scope.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, "only its minter can read it")
                return None
            scope.ext(part.ext, path)
            scope.opaque(part.opaque, path)
            if summary:
                scope.add(f"{path}.summary", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has no summaries")
            message.reasoning += [*summary, *(() if text is UNSET else (text,))]
            return 0
        case Refusal(text=text):
            scope.ext(part.ext, path)
            message.refusal.append(text)
            return 2
        case ToolCall():
            scope.ext(part.ext, path)
            scope.opaque(part.opaque, path)
            for name in ("namespace", "caller", "cache"):
                if getattr(part, name) is not UNSET:
                    scope.lacks(f"{path}.{name}", Severity.COSMETIC, f"{name} of a call")
            message.calls.append((part, path))
            return 3
        case _:
            scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
            return None


def _cite(citation: Citation, path: str, start: int, length: int, into: list[Json], scope: Scope) -> None:
    annotation = foreign_citation(citation, start, length)
    if annotation is None:
        scope.lacks(path, Severity.DEGRADED, "citations without a URL")
        return
    scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} cites URLs only")
    into.append(annotation)


def _write_message(message: _Message, path: str, context: Context, scope: Scope) -> Json:
    document: Json = {"role": "assistant", "content": "".join(message.content) if message.content else None}
    if any(message.reasoning):
        document["reasoning_content"] = "".join(message.reasoning)
    if message.details:
        document["reasoning_details"] = message.details
    document["refusal"] = "".join(message.refusal) if message.refusal else None
    if message.annotations:
        document["annotations"] = message.annotations
    if message.calls:
        calls = [_write_call(call, at, context, scope) for call, at in message.calls]
        if legacy_client(context):
            document["function_call"] = calls[0]["function"]
            if len(calls) > 1:
                scope.lacks(f"{path}.turns[0].parts", Severity.SEMANTIC, "second call for this client")
        else:
            document["tool_calls"] = calls
    return document


def _write_call(call: ToolCall, path: str, context: Context, scope: Scope) -> Json:
    id_ = scope.call_id(call, path)
    name = scope.tool_name(call.name, f"{path}.name")
    if name in context.custom_tools:
        return {"id": id_, "type": "custom", "custom": {"name": name, "input": custom_input(call)}}
    return encode_call(call, id_, name, home=False)
