"""Answers: ``{"object": "response", "output": [...]}``.

https://platform.openai.com/docs/api-reference/responses/object (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``object:absent``, ``output:absent`` | `Response` | no such member |
| ``status:failed``, ``incomplete`` | `Stop` | this status; that one without a reason |

An answer may be an error under a success status: then ``response.error`` is set, and callers look there first.
`encode_response` writes what came beside it and never turns a failure into words of an answer. What the envelope
demands and the source has not (ids, time, what is repeated of the request) is derived, which is no loss.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import Request, Turn
from ...universal.response import Candidate, Response
from ..arguments import unwrap_text
from ..base import Context, Encoded
from ..fields import Json, put, take
from ..namespaces import flat_names
from ..openai_shared.answers import answer_digest, created_of, model_of, report_rest
from ..openai_shared.settings import tier_of
from ..scope import Scope
from .errors import encode_failed, failure_of
from .fields import ECHOES, RESPONSE, RESPONSE_HANDLED
from .items import ENCRYPTED, SUMMARY, THOUGHT, decode_item, encode_call, encode_item, typed_texts
from .parts import encode_part
from .profile import NAME, TARGET, item_id
from .remade import Owners
from .request import settings
from .stops import DETAILS, decode_stop, encode_stop
from .turns import instructions_of
from .usage import decode_usage, encode_usage

__all__ = [
    "answer_id",
    "call_item",
    "decode_envelope",
    "decode_response",
    "echo_of",
    "encode_response",
    "envelope_of",
    "names_of",
    "sealed_by_us",
    "thought_of",
]

_OBJECT: Final = "response"
_NO_ARGUMENTS: Final = "{}"  # what clients can parse
_DEFAULTS: Final[Json] = {
    "background": False,
    "frequency_penalty": 0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": False,
    "temperature": 1,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "disabled",
    "user": None,
}


def decode_response(document: Json) -> Response:
    """An answer document to universal form; what it does not know is kept.

    Raises:
        InvalidDocument: It has neither ``output`` nor ``error``.
    """
    output = document.get("output")
    failure = failure_of(document)
    if type(output) is not list and failure is None:
        raise InvalidDocument("output", "must be an array")
    values, ext = decode_envelope(document)
    forms: list[str] = []
    if "object" not in document:
        forms.append("object:absent")
    elif document["object"] != _OBJECT:
        ext["object"] = document["object"]
    turns: tuple[Turn, ...] = ()
    if type(output) is list:
        turns = tuple([decode_item(item, "", strict=False) for item in output])
    elif "output" in document:
        ext["output"] = output
    else:
        forms.append("output:absent")
    calls = any(isinstance(part, ToolCall) for turn in turns for part in turn.parts)
    stop = decode_stop(document, ext, calls=calls)
    usage = document.get("usage")
    if type(usage) is dict:
        values["usage"] = decode_usage(usage)
    elif "usage" in document:
        ext["usage"] = usage
    if failure is not None:
        values["error"] = failure
    return Response(
        candidates=(Candidate(turns=turns, stop=stop),),
        ext=ext or UNSET,
        form=tuple(forms),
        origin=Origin(protocol=NAME),
        **values,
    )


def decode_envelope(document: Json) -> tuple[dict[str, Any], Json]:
    """The members of an answer that are one value: those of the universal format, and the others."""
    values, rest = take(document, RESPONSE, handled=RESPONSE_HANDLED | ECHOES, strict=False)
    echo = {key: value for key, value in document.items() if key in ECHOES}
    if echo:
        values["echo"] = echo
    return values, {} if rest is UNSET else rest


def encode_response(response: Response, context: Context) -> Encoded:
    """Universal form to an answer document.

    Args:
        response: Born anywhere; one that was born here is written back as it was.
        context: What translating the request learned.

    Returns:
        The document, and what it does not say.
    """
    scope = Scope(TARGET, origin=response.origin.protocol, context=context)
    document = _encode_home(response, context, scope) if scope.home else _encode_foreign(response, context, scope)
    return Encoded(document=document, losses=tuple(scope.losses))


def _encode_home(response: Response, context: Context, scope: Scope) -> Json:
    document: Json = {}
    put(response, RESPONSE, document)
    if "object:absent" not in response.form:
        document["object"] = (response.ext or {}).get("object", _OBJECT)
    candidate = response.candidates[0] if response.candidates else Candidate()
    if "output:absent" not in response.form and not (response.ext and "output" in response.ext):
        document["output"] = [
            item
            for at, turn in enumerate(candidate.turns)
            for item in encode_item(turn, f"candidates[0].turns[{at}]", scope)
        ]
        if context.remade:
            document["output"] = Owners(response.id or "").items(document["output"])
    kept = (response.ext or {}).get(DETAILS)
    encode_stop(candidate.stop, document, scope, "", calls=False, refused=False, kept=kept)
    if response.usage is not UNSET:
        document["usage"] = encode_usage(response.usage, scope)
    for members in (response.ext, response.echo):
        if members is not UNSET:
            for key, value in members.items():
                document.setdefault(key, value)
    return document


def _encode_foreign(response: Response, context: Context, scope: Scope) -> Json:
    id_ = answer_id(response) if response.id is UNSET else response.id
    document = envelope_of(response, context, scope, id_=id_)
    report_rest(response, scope)
    output: list[Json] = []
    for index, candidate in enumerate(response.candidates):
        if index:
            scope.lacks(f"candidates[{index}]", Severity.SEMANTIC, "second answer")
            continue
        _write_output(candidate, output, id_, context, scope)
    candidate = response.candidates[0] if response.candidates else Candidate()
    parts = [part for turn in candidate.turns for part in turn.parts]
    calls = any(isinstance(part, ToolCall) for part in parts)
    refused = any(isinstance(part, Refusal) for part in parts)
    if response.error is not UNSET:
        document.update(status="failed", incomplete_details=None, error=encode_failed(response.error))
    else:
        encode_stop(candidate.stop, document, scope, "candidates[0].stop", calls=calls, refused=refused)
    document["output"] = output
    document["usage"] = None if response.usage is UNSET else encode_usage(response.usage, scope)
    return document


def envelope_of(response: Response, context: Context, scope: Scope, *, id_: str) -> Json:
    """An answer of another protocol without its output: what every snapshot of a stream has, too."""
    request = context.request
    document: Json = {
        "id": id_,
        "object": _OBJECT,
        "created_at": created_of(response, context),
        "completed_at": None,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": model_of(response, context),
        "output": [],
        "usage": None,
        **_DEFAULTS,
        **(echo_of(request) if request is not UNSET else {}),
    }
    tier = tier_of(response.service_tier, scope)
    if tier is not None:
        document["service_tier"] = tier
    return document


def echo_of(request: Request) -> Json:
    """What an answer repeats of its request, where the client asked in this protocol."""
    if request.origin.protocol != NAME:
        return {}
    document = settings(request, Scope(TARGET, origin=NAME))
    echo = {key: value for key, value in {**(request.ext or {}), **document}.items() if key in _DEFAULTS}
    echo = {key: value for key, value in echo.items() if value is not None}
    instructions = instructions_of(request.turns)
    if instructions is not None:
        echo["instructions"] = instructions
    if "tools" in echo:
        echo["tools"] = [_whole_tool(tool) for tool in echo["tools"]]
    if "reasoning" in echo:
        echo["reasoning"] = {"effort": None, "summary": None, **echo["reasoning"]}
    if "text" in echo:
        echo["text"] = {"format": {"type": "text"}, **echo["text"]}
    return echo


def _whole_tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": False, **tool}


def answer_id(response: Response) -> str:
    """An id for an answer that has none: the same for the same answer."""
    return f"resp_{answer_digest(response)}"


def _write_output(candidate: Candidate, output: list[Json], id_: str, context: Context, scope: Scope) -> None:
    path = "candidates[0]"
    scope.ext(candidate.ext, path)
    if candidate.logprobs is not UNSET:
        scope.lacks(f"{path}.logprobs", Severity.DEGRADED, "log probabilities of this shape")
    for at, turn in enumerate(candidate.turns):
        here = f"{path}.turns[{at}]"
        scope.ext(turn.ext, here)
        scope.lacks_each(turn, ("name", "id", "status", "phase"), here, Severity.COSMETIC, "of a turn from elsewhere")
        before = len(output)
        message: Json | None = None
        for index, part in enumerate(turn.parts):
            message = _write_part(part, f"{here}.parts[{index}]", message, output, id_, context, scope)
        if len(output) - before > 1:
            scope.add(f"{here}.parts", LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} answers in items")


def _write_part(
    part: Part, path: str, message: Json | None, output: list[Json], id_: str, context: Context, scope: Scope
) -> Json | None:
    """Write a part; gives the message that the next text may join."""
    seed = f"{id_}:{len(output)}"
    match part:
        case Text() | Refusal():
            document = encode_part(part, "assistant", path, scope)
            if document is None:
                return message
            if message is None:
                message = {
                    "id": item_id("message", seed),
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [],
                }
                output.append(message)
            message["content"].append(document)
            return message
        case Reasoning():
            if part.text is UNSET and not part.summary and not sealed_by_us(part):
                scope.opaque(part.opaque, path)
                return message
            output.append({"id": item_id("reasoning", seed), **thought_of(part, path, scope)})
        case ToolCall():
            item = call_item(part, path, context, scope)
            output.append({"id": item_id(item["type"], seed), **item})
        case OpaquePart():
            scope.foreign(part, path)
            return message
        case _:
            scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
            return message
    return None


def sealed_by_us(part: Reasoning) -> bool:
    """Whether a thought has encrypted content of this protocol."""
    return any(payload.protocol == NAME and payload.kind == ENCRYPTED for payload in part.opaque)


def thought_of(part: Reasoning, path: str, scope: Scope) -> Json:
    """A thought of another protocol to its item, without an id."""
    scope.ext(part.ext, path)
    scope.opaque(tuple(o for o in part.opaque if o.protocol != NAME), path)
    item: Json = {"type": "reasoning", "status": "completed", "summary": typed_texts(SUMMARY, part.summary)}
    if part.text is not UNSET:
        item["content"] = typed_texts(THOUGHT, (part.text,))
    for payload in part.opaque:
        if payload.protocol == NAME and payload.kind == ENCRYPTED:
            item["encrypted_content"] = payload.value
    return item


def call_item(call: ToolCall, path: str, context: Context, scope: Scope) -> Json:
    """A call of another protocol to its item, without an id."""
    scope.ext(call.ext, path)
    scope.opaque(call.opaque, path)
    scope.lacks_each(call, ("namespace", "caller", "cache"), path, Severity.COSMETIC, "of a call from elsewhere")
    name = scope.tool_name(call.name, f"{path}.name")
    id_ = scope.call_id(call, path)
    named = names_of(name, context)
    if name in context.custom_tools:
        return {"type": "custom_tool_call", "call_id": id_, **named, "input": unwrap_text(call.arguments)}
    item = {**encode_call(call, id_, name), **named}
    if item.get("arguments") == "":
        item["arguments"] = _NO_ARGUMENTS
    return item if call.kind == "custom" else {**item, "status": "completed"}


def names_of(name: str, context: Context) -> Json:
    """The name of a called tool, and its namespace if the client declared it in one."""
    request = context.request
    if request is not UNSET and request.origin.protocol == NAME:
        for (namespace, inner), flat in flat_names(request.tools).items():
            if flat == name:
                return {"name": inner, "namespace": namespace}
    return {"name": name}
