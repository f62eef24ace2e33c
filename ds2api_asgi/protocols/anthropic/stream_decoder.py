"""Streams in: events of this provider to universal ones.

    message_start ─> (content_block_start ─> content_block_delta* ─> content_block_stop)* ─> message_delta+
    ─> message_stop;  ping and error anywhere

Blocks come one after the other, numbered from 0. A block may start with content. A call without deltas has the input
of its start, ``{}`` mostly. Usage in ``message_delta`` is cumulative; what it leaves out keeps its last value.
It follows https://docs.anthropic.com/en/docs/build-with-claude/streaming (read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, DecodeError
from msgspec.json import Decoder
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...framing.sse import SseEvent, SseParser
from ...universal.content import OpaquePart, Part, Reasoning, ServerCall, Text, ToolCall
from ...universal.events import (
    Close,
    Delta,
    End,
    Event,
    Extra,
    Open,
    Ping,
    Set,
    Start,
    StopEvent,
    UsageEvent,
)
from ...universal.jsontext import JsonText, loads
from ...universal.node import Opaque
from ..stream import FrameDecoder
from .errors import decode_failure
from .marks import decode_citations
from .parts import decode_answer
from .profile import NAME
from .response import split_usage
from .stops import decode_stop
from .usage import decode_usage

__all__ = ["StreamDecoder"]

_STRING: Final = Decoder(str)
_ENVELOPE: Final = frozenset(
    {"type", "role", "content", "id", "model", "usage", "stop_reason", "stop_sequence", "stop_details"}
)
_DELTA: Final = frozenset({"stop_reason", "stop_sequence", "stop_details"})
_TEXTS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_TAKES: Final[dict[type, str]] = {
    Text: "text_delta",
    Reasoning: "thinking_delta",
    ToolCall: "input_json_delta",
    ServerCall: "input_json_delta",
}
_UNFOUNDED: Final[dict[str, dict[str, Any]]] = {
    "text_delta": {"type": "text", "text": ""},
    "thinking_delta": {"type": "thinking", "thinking": ""},
}


class _Block:
    """A block in progress."""

    __slots__ = ("key", "part", "said", "signature", "whole")

    def __init__(self, key: int, part: Part, whole: str) -> None:
        self.key = key
        self.part = part
        self.said = False  # a delta with text has come
        self.signature: Opaque | None = None  # the last one: clients overwrite it, too
        self.whole = whole  # a call's input as its start had it; deltas replace it


class StreamDecoder(FrameDecoder[SseEvent]):
    """See `base.StreamDecoder`."""

    def __init__(self) -> None:
        super().__init__(SseParser())
        self._started = False
        self._stopped = False
        self._blocks: dict[int, _Block] = {}
        self._keys = 0
        self._usage: dict[str, Any] = {}
        self._tier: Any = UNSET
        # What nearly every event of a long answer starts with; the rest of it is one JSON string and two braces.
        self._hot = b"\n"
        self._hot_block: _Block | None = None
        self._on: dict[Any, Callable[[dict[str, Any], list[Event]], None]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "ping": self._ping,
            "error": self._error,
        }

    def _read(self, frames: list[SseEvent], out: list[Event]) -> None:
        for frame in frames:
            raw = frame.data
            if raw.startswith(self._hot) and (text := self._hot_text(raw)):
                out.append(Delta(self._hot_block.key, text))  # type: ignore[union-attr]
            elif self._frame(frame, out):
                break

    def _hot_text(self, raw: bytes) -> str:
        """The text of a delta that looks as expected, else nothing."""
        end = raw.rfind(b'"') + 1
        tail = raw[end:]
        if tail != b"}}" and tail.replace(b" ", b"") != b"}}":  # the provider pads events with blanks
            return ""
        try:
            text: str = _STRING.decode(raw[len(self._hot) - 1 : end])
        except (DecodeError, UnicodeDecodeError):  # the latter for bytes that are no UTF-8
            return ""
        return text

    def _frame(self, frame: SseEvent, events: list[Event]) -> bool:
        """Take an event; tells whether the stream is over with it."""
        try:
            document = loads(frame.data)
        except InvalidDocument:
            if not frame.complete or frame.data.strip() == b"[DONE]":  # cut off; what relays add
                return False
            self._unreadable(frame.data, events)
            return self._over
        if type(document) is not dict:
            self._malformed("not an object", events)
            return True
        kind = document.get("type")
        if type(kind) is not str:
            kind = "error" if "error" in document else frame.name.decode("latin-1")
        on = self._on.get(kind)
        if on is not None:  # "new event types may be added": unknown ones are to be ignored
            on(document, events)
        return self._over

    def _start(self, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Start(protocol=NAME))

    def _message_start(self, document: dict[str, Any], events: list[Event]) -> None:
        message = document.get("message")
        if self._started or type(message) is not dict:
            return
        self._started = True
        usage = message.get("usage")
        ext = {name: value for name, value in message.items() if name not in _ENVELOPE}
        if type(usage) is dict:
            _, self._tier = split_usage(usage)
        elif "usage" in message:
            ext["usage"] = usage
        texts = {name: message[name] for name in ("id", "model") if type(message.get(name)) is str}
        events.append(Start(protocol=NAME, service_tier=self._tier, ext=ext or UNSET, **texts))
        self._add_usage(usage, events)
        content = message.get("content")
        for block in content if type(content) is list else ():
            events += (Open(self._keys, decode_answer(block)), Close(self._keys))
            self._keys += 1

    def _add_usage(self, usage: Any, events: list[Event]) -> None:
        """Counts add nothing up: each overwrites its last value, and the inclusive total is made of the newest."""
        if type(usage) is not dict:
            return
        for name, value in usage.items():
            if value is not None or name not in self._usage:
                self._usage[name] = value
        members = self._usage
        if self._tier is not UNSET and members.get("service_tier") == self._tier:
            members = {name: value for name, value in members.items() if name != "service_tier"}
        events.append(UsageEvent(decode_usage(members)))

    def _block_start(self, document: dict[str, Any], events: list[Event]) -> None:
        self._start(events)
        index = document.get("index")
        if type(index) is not int:
            return
        if index in self._blocks:
            self._end_block(index, events)
        part = decode_answer(document.get("content_block"))
        whole = ""
        signature: Opaque | None = None
        if isinstance(part, (ToolCall, ServerCall)):
            whole = part.arguments.text or "{}"
            part = replace(part, arguments=JsonText(""), form=())
        elif isinstance(part, Reasoning):
            if part.text is not UNSET and part.opaque:
                signature = part.opaque[-1]
                part = replace(part, opaque=())
            part = replace(part, form=())
        block = _Block(self._keys, part, whole)
        block.signature = signature
        self._blocks[index] = block
        self._keys += 1
        if not isinstance(part, OpaquePart):  # deltas may change one that we do not know: it opens at its end
            events.append(Open(block.key, part))
        if isinstance(part, (Text, Reasoning)):
            delta = _TAKES[type(part)]
            self._hot_block = block
            self._hot = b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":"' % (
                index,
                delta.encode(),
                _TEXTS[delta].encode(),
            )

    def _block_delta(self, document: dict[str, Any], events: list[Event]) -> None:
        delta, index = document.get("delta"), document.get("index")
        if type(delta) is not dict or type(index) is not int:
            return
        kind = delta.get("type")
        if type(kind) is not str:
            return
        block = self._blocks.get(index)
        if block is None:
            if kind not in _UNFOUNDED:
                return
            self._block_start({"index": index, "content_block": _UNFOUNDED[kind]}, events)
            block = self._blocks[index]
        part = block.part
        if kind in _TEXTS and kind == _TAKES.get(type(part)):
            text = delta.get(_TEXTS[kind])
            if type(text) is str:
                block.said = block.said or bool(text)
                events.append(Delta(block.key, text))
        elif kind == "signature_delta" and isinstance(part, Reasoning) and type(delta.get("signature")) is str:
            block.signature = Opaque(kind="signature", value=delta["signature"], protocol=NAME)
        elif kind == "citations_delta" and isinstance(part, Text):
            try:
                (citation,) = decode_citations([delta.get("citation")], "")
            except InvalidDocument:
                return
            events.append(Set(block.key, "citation", citation))
        elif isinstance(part, OpaquePart) and type(part.json) is dict:
            block.part = OpaquePart(json=_changed(part.json, delta), protocol=NAME)

    def _block_stop(self, document: dict[str, Any], events: list[Event]) -> None:
        index = document.get("index")
        if type(index) is int and index in self._blocks:
            self._end_block(index, events)

    def _end_block(self, index: int, events: list[Event]) -> None:
        block = self._blocks.pop(index)
        self._hot, self._hot_block = b"\n", None
        if isinstance(block.part, OpaquePart):
            # Others may have opened since; a key is given when its part opens.
            block.key, self._keys = self._keys, self._keys + 1
            events.append(Open(block.key, block.part))
        if block.whole and not block.said:
            events.append(Delta(block.key, block.whole))
        if block.signature is not None and block.signature.value:
            events.append(Set(block.key, "opaque", block.signature))
        events.append(Close(block.key))

    def _message_delta(self, document: dict[str, Any], events: list[Event]) -> None:
        self._start(events)
        delta = document.get("delta")
        delta = delta if type(delta) is dict else {}
        self._add_usage(document.get("usage"), events)
        extra = {name: value for name, value in document.items() if name not in {"type", "delta", "usage"}}
        extra.update((name, value) for name, value in delta.items() if name not in _DELTA)
        if extra:
            events.append(Extra(extra))
        stop, _ = decode_stop(delta)
        if stop is not UNSET and not self._stopped:
            self._stopped = True
            events.append(StopEvent(stop))

    def _message_stop(self, document: dict[str, Any], events: list[Event]) -> None:
        self._start(events)
        for index in list(self._blocks):
            self._end_block(index, events)
        extra = {name: value for name, value in document.items() if name != "type"}
        if extra:
            events.append(Extra(extra))
        self._over = True
        events.append(End())

    def _ping(self, _: dict[str, Any], events: list[Event]) -> None:
        events.append(Ping())

    def _error(self, document: dict[str, Any], events: list[Event]) -> None:
        self._fail(decode_failure(document, UNSET), events)


def _changed(block: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """A block of an unknown type after a delta: texts grow, but a compaction's are overwritten, as clients do."""
    changed = dict(block)
    for name, value in delta.items():
        if name != "type":
            old = changed.get(name)
            grows = type(old) is str and type(value) is str and delta["type"] != "compaction_delta"
            changed[name] = old + value if grows else value
    return changed
