"""Plain requests and answers; see `protocols.plain`.

It follows https://docs.anthropic.com/en/api/messages (read 2026-11-29).
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from ...universal.jsontext import dumps, may_say_minus_zero
from ...universal.plain import (
    PlainAnswer,
    PlainBound,
    PlainRequest,
    PlainStops,
    PlainTexts,
    PlainTier,
    PlainTurn,
    PlainTurns,
    is_blank,
)
from ...universal.response import Usage
from ..plain import are_numbers, reader
from .profile import DEFAULT_DIALECT, DEFAULT_MAX_TOKENS
from .response import TIERS

__all__ = ["read_answer", "read_request", "write_answer", "write_request"]


class _User(Struct, forbid_unknown_fields=True, gc=False):
    user_id: str


class _Request(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    model: str
    max_tokens: PlainBound
    stream: bool | UnsetType = UNSET
    temperature: Any = UNSET
    top_p: Any = UNSET
    stop_sequences: PlainStops | UnsetType = UNSET
    system: str | PlainTexts | UnsetType = UNSET
    messages: PlainTurns
    metadata: _User | UnsetType = UNSET


class _Text(Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["text"]
    text: str
    citations: UnsetType | None = UNSET


class _Writes(Struct, forbid_unknown_fields=True, gc=False):
    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class _Output(Struct, forbid_unknown_fields=True, gc=False):
    thinking_tokens: int


class _Usage(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    input_tokens: int
    cache_read_input_tokens: int | UnsetType = UNSET
    cache_creation_input_tokens: int | UnsetType = UNSET
    cache_creation: _Writes | UnsetType | None = UNSET
    output_tokens: int
    output_tokens_details: _Output | UnsetType = UNSET
    server_tool_use: UnsetType | None = UNSET
    service_tier: PlainTier | UnsetType | None = UNSET
    inference_geo: str | UnsetType | None = UNSET


class _Answer(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    id: str
    model: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    content: list[_Text]
    stop_reason: Literal["end_turn", "max_tokens"]
    stop_sequence: None = None
    stop_details: UnsetType | None = UNSET
    container: UnsetType | None = UNSET
    context_management: UnsetType | None = UNSET
    usage: _Usage


_request: Final = reader(_Request)
_answer: Final = reader(_Answer)


def read_request(body: bytes) -> PlainRequest | None:
    """See `protocols.plain.Plain`; the top-level ``system`` is the first turn."""
    asked = _request(body)
    if asked is None or asked.stream is True:
        return None
    if not are_numbers(body, asked.temperature, asked.top_p):
        return None
    turns = asked.messages
    for turn in turns:
        if turn.role == "system":
            return None
    if asked.system is not UNSET:
        turns.insert(0, PlainTurn("system", asked.system))
    return PlainRequest(
        model=asked.model,
        turns=turns,
        stream=asked.stream,
        max_output_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stop=asked.stop_sequences,
        user=UNSET if asked.metadata is UNSET else asked.metadata.user_id,
    )


def write_request(request: PlainRequest, dialect: str) -> bytes | None:
    """See `protocols.plain.Plain`; users and assistants must take turns already, as the provider wants it."""
    if dialect not in ("", DEFAULT_DIALECT):
        return None
    if request.temperature is not UNSET and request.temperature > 1:
        return None
    if request.stop is not UNSET and any(is_blank(sequence) for sequence in request.stop):
        return None
    turns = request.turns
    system: str | PlainTexts | UnsetType = UNSET
    if turns[0].role == "system":
        system = turns[0].content
        turns = turns[1:]
        if not turns or is_blank(system):
            return None
    before = "system"
    for turn in turns:
        if turn.role == before or turn.role == "system" or is_blank(turn.content):
            return None
        before = turn.role
    if before == "assistant":  # what it has begun to say is trimmed
        return None
    return dumps(
        _Request(
            model=request.model,
            max_tokens=DEFAULT_MAX_TOKENS if request.max_output_tokens is UNSET else request.max_output_tokens,
            stream=request.stream,
            temperature=request.temperature,
            top_p=request.top_p,
            stop_sequences=request.stop,
            system=system,
            messages=turns,
            metadata=UNSET if request.user is UNSET else _User(request.user),
        )
    )


def read_answer(body: bytes) -> PlainAnswer | None:
    """See `protocols.plain.Plain`."""
    told = _answer(body)
    if told is None or len(told.content) != 1 or may_say_minus_zero(body):
        return None
    usage = told.usage
    counts = Usage(
        input_total=usage.input_tokens
        + (usage.cache_read_input_tokens or 0)
        + (usage.cache_creation_input_tokens or 0),
        cache_read=usage.cache_read_input_tokens,
        cache_write=usage.cache_creation_input_tokens,
        cache_write_5m=usage.cache_creation.ephemeral_5m_input_tokens if usage.cache_creation else UNSET,
        cache_write_1h=usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else UNSET,
        output_total=usage.output_tokens,
        reasoning=usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else UNSET,
    )
    return PlainAnswer(
        id=told.id,
        model=told.model,
        text=told.content[0].text,
        cut=told.stop_reason == "max_tokens",
        usage=counts,
        service_tier=UNSET if usage.service_tier is None else usage.service_tier,
        usage_ext=("inference_geo",) if isinstance(usage.inference_geo, str) else (),
    )


def write_answer(answer: PlainAnswer, now: int) -> bytes | None:  # noqa: ARG001 - messages state no time
    """See `protocols.plain.Plain`."""
    usage = answer.usage
    assert usage.input_total is not UNSET
    assert usage.output_total is not UNSET
    fresh = usage.input_total - (usage.cache_read or 0) - (usage.cache_write or 0)
    if fresh < 0 or usage.output_total < 0 or is_blank(answer.text) or not answer.id:
        return None
    if not (UNSET is usage.cache_write_5m is usage.cache_write_1h):
        return None
    return dumps(
        _Answer(
            id=answer.id,
            model=answer.model,
            content=[_Text("text", answer.text)],
            stop_reason="max_tokens" if answer.cut else "end_turn",
            usage=_Usage(
                input_tokens=fresh,
                cache_read_input_tokens=usage.cache_read,
                cache_creation_input_tokens=usage.cache_write,
                output_tokens=usage.output_total,
                output_tokens_details=UNSET if usage.reasoning is UNSET else _Output(usage.reasoning),
                service_tier=UNSET if answer.service_tier is UNSET else TIERS.get(answer.service_tier, UNSET),
            ),
        )
    )
