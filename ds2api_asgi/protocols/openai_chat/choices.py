"""Choices of an answer: one message each, and why it ended.

https://platform.openai.com/docs/api-reference/chat/object (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``index:absent`` | `Candidate` | no such member |
| ``logprobs:null`` | `Candidate` | null, as all of OpenAI's answers have it |
"""

from __future__ import annotations

from types import NoneType
from typing import Any

from msgspec import UNSET

from ...universal.content import Citation, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.loss import LossKind, Severity
from ...universal.request import FunctionTool, Turn
from ...universal.response import Candidate, Stop
from ..arguments import unwrap_text
from ..base import Context
from ..fields import Json
from ..scope import Scope
from .calls import encode_call
from .carry import EXTRA, encode_detail, encode_extra, foreign_payloads
from .citations import foreign_citation
from .fields import CHOICE_HANDLED
from .messages import decode_message, encode_message
from .profile import NAME
from .stops import decode_stop, encode_stop

__all__ = ["decode_choice", "encode_foreign_choice", "encode_home_choice", "legacy_client"]


def decode_choice(choice: Any, position: int) -> Candidate:
    """A choice to a candidate; position is its place in the list, for those without an index."""
    if type(choice) is not dict:
        return Candidate(index=position, ext={"": choice})
    ext: Json = {}
    if not CHOICE_HANDLED.issuperset(choice):
        ext = {key: value for key, value in choice.items() if key not in CHOICE_HANDLED}
    values: dict[str, Any] = {}
    forms: list[str] = []
    message, reason = choice.get("message"), choice.get("finish_reason")
    logprobs, index = choice.get("logprobs"), choice.get("index")
    if type(message) is dict and isinstance(message.get("role"), (str, NoneType)):
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
    return Candidate(ext=ext or UNSET, form=tuple(sorted(forms)) if forms else (), **values)


def encode_home_choice(candidate: Candidate, path: str, scope: Scope) -> Any:
    """A candidate that was born here to its choice, as it was."""
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


def encode_foreign_choice(candidate: Candidate, path: str, context: Context, scope: Scope) -> Json:
    """A candidate from elsewhere to a choice: one message with one text of each kind."""
    scope.ext(candidate.ext, path)
    message = _Message()
    ranks: list[int] = []
    for at, turn in enumerate(candidate.turns):
        here = f"{path}.turns[{at}]"
        scope.ext(turn.ext, here)
        scope.lacks_each(turn, ("name", "id", "status", "phase"), here, Severity.COSMETIC, "of a turn")
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
            scope.opaque(foreign_payloads(part.opaque), path)
            scope.lacks_each(part, ("namespace", "caller", "cache"), path, Severity.COSMETIC, "of a call")
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
        return {"id": id_, "type": "custom", "custom": {"name": name, "input": unwrap_text(call.arguments)}}
    extra = encode_extra(call.opaque)
    document = encode_call(call, id_, name, home=False)
    return document if extra is None else {**document, EXTRA: extra}


def legacy_client(context: Context) -> bool:
    """Whether the client knows only the legacy ``functions``, so that a call must come as ``function_call``."""
    request = context.request
    if request is UNSET or request.origin.protocol != NAME or not request.tools:
        return False
    return all(isinstance(tool, FunctionTool) and "functions" in tool.form for tool in request.tools)
