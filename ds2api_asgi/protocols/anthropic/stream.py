"""Streams in: events of this provider to universal ones, and the cheap watch.

    message_start ─> (content_block_start ─> content_block_delta* ─> content_block_stop)* ─> message_delta+
    ─> message_stop;  ping and error anywhere

Blocks come one after the other, numbered from 0. A block may start with content. A call without deltas has the input
of its start, ``{}`` mostly. Usage in ``message_delta`` is cumulative; what it leaves out keeps its last value.
It follows https://docs.anthropic.com/en/docs/build-with-claude/streaming (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, DecodeError, UnsetType
from msgspec.json import Decoder
from msgspec.structs import replace

from ...errors import FramingError, InvalidDocument
from ...framing.sse import MAX_LINE, SseEvent, SseParser
from ...universal.content import OpaquePart, Part, Reasoning, ServerCall, Text, ToolCall
from ...universal.events import (
    Close,
    Delta,
    End,
    Error,
    Event,
    Extra,
    Open,
    Ping,
    Set,
    Start,
    StopEvent,
    UsageEvent,
)
from ...universal.failure import Failure, FailureKind
from ...universal.jsontext import JsonText, dumps, loads
from ...universal.node import Opaque
from .errors import decode_failure
from .fields import NAME
from .marks import decode_citations
from .parts import decode_answer
from .response import decode_stop, split_usage

__all__ = ["Decoder_", "StreamDecoder", "StreamWatch"]

_STRING = Decoder(str)
_HOT = (
    b'{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":"',
    b'{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":"',
    b'{"type":"content_block_delta","index":%d,"delta":{"type":"thinking_delta","thinking":"',
)
_ENVELOPE = frozenset({"type", "role", "content", "id", "model", "usage", "stop_reason", "stop_sequence", "stop_details"})
_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class _Block:
    """The block in progress."""

    __slots__ = ("key", "part", "said", "signature", "whole")

    def __init__(self, key: int, part: Part) -> None:
        self.key = key
        self.part = part
        self.said = False  # a delta with text has come
        self.signature: str | None = None  # the last one: clients overwrite it, too
        self.whole = ""  # a call's input as its start had it
