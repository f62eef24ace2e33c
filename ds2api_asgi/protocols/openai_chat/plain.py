"""Plain requests and answers; see `protocols.plain`.

https://platform.openai.com/docs/api-reference/chat (read 2026-11-29). Of vendors' own members those are known that
stand in nearly all of their answers, mostly as null.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from ...universal.jsontext import dumps, may_say_minus_zero
from ...universal.plain import (
    PlainAnswer,
    PlainBound,
    PlainRequest,
    PlainStops,
    PlainTier,
    PlainTurn,
    PlainTurns,
)
from ...universal.response import Usage
from ..openai_shared.settings import ANSWER_TIERS
from ..plain import are_numbers, reader, said_of
from .dialects import dialect as dialect_of

__all__ = ["read_answer", "read_request", "write_answer", "write_request"]

_Null: TypeAlias = UnsetType | None
_Nothing: TypeAlias = Annotated[list[Any], Meta(max_length=0)] | UnsetType | None
_Count: TypeAlias = int | UnsetType


class _Request(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    model: str
    stream: bool | UnsetType = UNSET
    temperature: Any = UNSET
    top_p: Any = UNSET
    user: str | UnsetType = UNSET
    messages: PlainTurns
    max_completion_tokens: PlainBound | UnsetType = UNSET
    max_tokens: PlainBound | UnsetType = UNSET
    stop: str | PlainStops | UnsetType = UNSET


class _Message(Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["assistant"]
    content: str
    refusal: _Null = UNSET
    annotations: _Nothing = UNSET
    tool_calls: _Nothing = UNSET
    function_call: _Null = UNSET
    audio: _Null = UNSET
    reasoning_content: _Null = UNSET
    reasoning: _Null = UNSET


class _Choice(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    index: Literal[0]
    message: _Message
    logprobs: _Null = UNSET
    finish_reason: Literal["stop", "length"]
    stop_reason: _Null = UNSET
    token_ids: _Null = UNSET


class _Input(Struct, forbid_unknown_fields=True, gc=False):
    cached_tokens: _Count = UNSET
    cache_write_tokens: _Count = UNSET
    audio_tokens: _Count = UNSET
    text_tokens: int | UnsetType | None = UNSET
    image_tokens: int | UnsetType | None = UNSET
    video_tokens: int | UnsetType | None = UNSET


class _Output(Struct, forbid_unknown_fields=True, gc=False):
    reasoning_tokens: _Count = UNSET
    audio_tokens: _Count = UNSET
    accepted_prediction_tokens: _Count = UNSET
    rejected_prediction_tokens: _Count = UNSET
    image_tokens: int | UnsetType | None = UNSET


class _Usage(Struct, forbid_unknown_fields=True, gc=False):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _Input | UnsetType | None = UNSET
    completion_tokens_details: _Output | UnsetType | None = UNSET


class _Answer(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]
    service_tier: PlainTier | UnsetType | None = UNSET
    usage: _Usage
    system_fingerprint: str | UnsetType | None = UNSET
    prompt_logprobs: _Null = UNSET
    prompt_token_ids: _Null = UNSET
    kv_transfer_params: _Null = UNSET


class _VendorChoice(_Choice, forbid_unknown_fields=True, gc=False, kw_only=True):
    content_filter_results: Any = UNSET
    native_finish_reason: str | UnsetType | None = UNSET
    seed: Any = UNSET


class _VendorUsage(_Usage, forbid_unknown_fields=True, gc=False):
    audio_prompt_tokens: Any = UNSET
    completion_time: Any = UNSET
    cost: Any = UNSET
    cost_details: Any = UNSET
    is_byok: Any = UNSET
    num_cached_tokens: Any = UNSET
    num_sources_used: Any = UNSET
    prompt_time: Any = UNSET
    queue_time: Any = UNSET
    service_tier: Any = UNSET
    total_time: Any = UNSET


class _VendorAnswer(_Answer, forbid_unknown_fields=True, gc=False, kw_only=True):
    choices: Annotated[list[_VendorChoice], Meta(min_length=1, max_length=1)]  # type: ignore[assignment]
    usage: _VendorUsage
    prompt_filter_results: Any = UNSET
    provider: str | UnsetType | None = UNSET
    time_info: Any = UNSET
    usage_breakdown: Any = UNSET
    x_groq: Any = UNSET


_request: Final = reader(_Request)
_answer: Final = reader(_Answer)
_vendor_answer: Final = reader(_VendorAnswer)
_OPTIONAL: Final = ("stream", "temperature", "top_p", "user", "max_completion_tokens", "max_tokens", "stop")
_NO_INPUT: Final = _Input()
_NO_OUTPUT: Final = _Output()


def _added(kind: type[Struct], to: type[Struct]) -> list[str]:
    return [name for name in kind.__struct_fields__ if name not in to.__struct_fields__]


# Members that are lost on the way.
_of_answer: Final = said_of("system_fingerprint", *_added(_VendorAnswer, _Answer))
_of_choice: Final = said_of(*_added(_VendorChoice, _Choice))
_of_usage: Final = said_of(*_added(_VendorUsage, _Usage))


def read_request(body: bytes) -> PlainRequest | None:
    """See `protocols.plain.Plain`."""
    asked = _request(body)
    if asked is None or asked.stream is True:
        return None
    if not are_numbers(body, asked.temperature, asked.top_p):
        return None
    bound = asked.max_completion_tokens
    if bound is UNSET:
        bound = asked.max_tokens
    elif asked.max_tokens is not UNSET:
        return None
    return PlainRequest(
        model=asked.model,
        turns=asked.messages,
        stream=asked.stream,
        max_output_tokens=bound,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop,
        user=asked.user,
    )


def write_request(request: PlainRequest, dialect: str) -> bytes | None:
    """See `protocols.plain.Plain`; a lone text is a string, as servers that know only strings want it."""
    vendor = dialect_of(dialect)
    document = _Request(
        model=request.model,
        stream=request.stream,
        temperature=request.temperature,
        top_p=request.top_p,
        user=request.user,
        messages=[_message(turn) for turn in request.turns],
        stop=request.stop,
    )
    setattr(document, vendor.bound, request.max_output_tokens)
    if request.stop is not UNSET and len(request.stop) > vendor.max_stop:
        return None
    if vendor.name:
        for member in _OPTIONAL:
            if getattr(document, member) is not UNSET and not vendor.takes(member):
                return None
    return dumps(document)


def _message(turn: PlainTurn) -> PlainTurn:
    content = turn.content
    return turn if isinstance(content, str) or len(content) > 1 else PlainTurn(turn.role, content[0].text)


def read_answer(body: bytes) -> PlainAnswer | None:
    """See `protocols.plain.Plain`."""
    found = _told(body)
    if found is None or may_say_minus_zero(body):
        return None
    told, ext, text_ext, usage_ext = found
    usage, given, made = told.usage, told.usage.prompt_tokens_details, told.usage.completion_tokens_details
    if given == _NO_INPUT or made == _NO_OUTPUT or usage.total_tokens != usage.prompt_tokens + usage.completion_tokens:
        return None
    given, made = given or _NO_INPUT, made or _NO_OUTPUT
    (choice,) = told.choices
    return PlainAnswer(
        id=told.id,
        model=told.model,
        created=told.created,
        text=choice.message.content,
        cited=choice.message.annotations == [],
        cut=choice.finish_reason == "length",
        usage=Usage(
            input_total=usage.prompt_tokens,
            cache_read=given.cached_tokens,
            cache_write=given.cache_write_tokens,
            output_total=usage.completion_tokens,
            reasoning=made.reasoning_tokens,
            audio_input=given.audio_tokens,
            audio_output=made.audio_tokens,
            accepted_prediction=made.accepted_prediction_tokens,
            rejected_prediction=made.rejected_prediction_tokens,
            input_ext=UNSET if UNSET is given.text_tokens is given.image_tokens is given.video_tokens else {},
            output_ext=UNSET if made.image_tokens is UNSET else {},
        ),
        service_tier=UNSET if told.service_tier is None else told.service_tier,
        ext=ext,
        text_ext=text_ext,
        usage_ext=usage_ext,
    )


def _told(body: bytes) -> tuple[_Answer, tuple[str, ...], tuple[str, ...], tuple[str, ...]] | None:
    """An answer, and the members that are lost of it, of its choice and of its usage."""
    told = _answer(body)
    if told is not None:
        return told, () if told.system_fingerprint in (UNSET, None) else ("system_fingerprint",), (), ()
    vendors = _vendor_answer(body)
    if vendors is None:
        return None
    ext, text_ext = _of_answer(vendors, body), _of_choice(vendors.choices[0], body)
    usage_ext = _of_usage(vendors.usage, body)
    if ext is None or text_ext is None or usage_ext is None:
        return None
    return vendors, ext, text_ext, usage_ext


def write_answer(answer: PlainAnswer, now: int) -> bytes | None:
    """See `protocols.plain.Plain`."""
    usage, tier = answer.usage, answer.service_tier
    assert usage.input_total is not UNSET
    assert usage.output_total is not UNSET
    given = _Input(usage.cache_read, usage.cache_write, usage.audio_input)
    made = _Output(usage.reasoning, usage.audio_output, usage.accepted_prediction, usage.rejected_prediction)
    message = _Message("assistant", answer.text, refusal=None)
    reason: Literal["stop", "length"] = "length" if answer.cut else "stop"
    return dumps(
        _Answer(
            id=answer.id,
            created=now if answer.created is UNSET else answer.created,
            model=answer.model,
            choices=[_Choice(index=0, message=message, logprobs=None, finish_reason=reason)],
            service_tier="default" if tier == "standard" else tier if tier in ANSWER_TIERS else UNSET,
            usage=_Usage(
                usage.input_total,
                usage.output_total,
                usage.input_total + usage.output_total,
                UNSET if given == _NO_INPUT else given,
                UNSET if made == _NO_OUTPUT else made,
            ),
        )
    )
