"""Streams out: universal events to events of this provider.

The provider's blocks come strictly one after the other; universal parts may be open side by side. So one part is *on
the wire*, events of the others wait in its part's queue, in the order in which the parts opened. The next one's turn
comes when the part on the wire closes, or, if others wait, when its arguments are complete JSON: a source that closes
all calls at its end does not hold the second call back.
It follows https://docs.anthropic.com/en/docs/build-with-claude/streaming (read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.sse import write_event
from ...universal.content import Part, Reasoning, Refusal, ServerCall, Text, ToolCall
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
from ...universal.fold import merge_usage
from ...universal.jsontext import JsonText, dumps, json_string
from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Opaque
from ...universal.response import Stop, Usage
from ...universal.templates import RAW_ARGUMENTS
from ..base import Context
from ..fields import ext_losses
from ..scope import Scope
from .errors import stream_error
from .marks import encode_citation
from .parts import encode_part
from .profile import NAME, TARGET
from .response import encode_tier, invent_id
from .scan import Scanner
from .stops import encode_stop
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_DELTA_USAGE: Final = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "server_tool_use",
        "output_tokens_details",
    }
)
_PING: Final = write_event(b'{"type":"ping"}', b"ping")
_STOP: Final = write_event(b'{"type":"message_stop"}', b"message_stop")
_SUFFIX: Final = b"}}\n\n"


class _Wire:
    """The part on the wire, and how its texts are said there.

    Attributes:
        blank: White space before the arguments.
        key: The part's.
        part: As it opened.
        started: Its block has started.
        signature: Comes as one delta at the end, whenever it came: clients overwrite it with each.
        scanner: Tells when a call's arguments are complete; None where they need not be followed.
        wrapped: The arguments are no object and stand in one as text.
    """

    __slots__ = ("blank", "key", "part", "scanner", "signature", "started", "wrapped")

    def __init__(self, key: int, part: Part) -> None:
        self.key = key
        self.part = part
        self.started = False
        self.signature = ""
        self.scanner: Scanner | None = None
        self.wrapped = False
        self.blank = ""


class StreamEncoder:
    """See `base.StreamEncoder`.

    ``message_delta`` waits for the end, since other providers state usage after the stop. An answer's text parts that
    stay empty get no block, which clients could not send back.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope: Scope = Scope(TARGET, origin=UNSET, context=context)
        self.losses: list[Loss] = self._scope.losses
        self._out: list[bytes] = []
        self._begun: Start | None = None  # seen, not yet written
        self._live = False  # message_start is written
        self._index = -1
        self._wire: _Wire | None = None
        self._hot_key = -1
        self._prefix = b""
        self._waiting: dict[int, list[Event]] = {}  # by key, in the order of opening
        self._numbers: dict[int, int] = {}  # key to the part's number, for losses
        self._done: set[int] = set()  # closed on the wire before the source closed them
        self._unsaid: set[int] = set()  # parts that cannot be said
        self._usage: Usage | UnsetType = UNSET
        self._first_usage: dict[str, Any] = {}
        self._stop: Stop | UnsetType = UNSET
        self._tier: str | UnsetType = UNSET
        self._extra: dict[str, Any] = {}
        self._calls = False
        self._refused = False

    def write(self, events: Iterable[Event]) -> bytes:
        """See `base.StreamEncoder.write`."""
        out = self._out
        for event in events:
            if type(event) is Delta and event.key == self._hot_key:
                out += (self._prefix, json_string(event.text), _SUFFIX)
            else:
                self._event(event)
        self._message_start()
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        return data

    def _event(self, event: Event) -> None:
        kind = type(event)
        if kind is Delta or kind is Set or kind is Close:
            self._of_part(event)
        elif isinstance(event, Open):
            self._open(event)
        elif isinstance(event, UsageEvent):
            self._usage = merge_usage(self._usage, event.usage)
        elif isinstance(event, Start):
            self._scope.home = event.protocol == NAME
            self._begun = event
        elif isinstance(event, StopEvent):
            if event.choice == 0:
                self._stop = event.stop
        elif isinstance(event, Extra):
            self._take_extra(event)
        elif isinstance(event, Ping):
            self._message_start()
            if self._live:
                self._out.append(_PING)
        elif isinstance(event, Error):
            self._message_start()
            self._out.append(stream_error(event.failure))
        elif isinstance(event, End):
            self._end()

    # --- the envelope

    def _message_start(self) -> None:
        start = self._begun
        if start is None:
            return
        self._begun = None
        self._live = True
        scope = self._scope
        self._first_usage = self._counts(first=True)
        message: dict[str, Any] = {
            "id": start.id or invent_id(b"stream", self._context.now),
            "type": "message",
            "role": "assistant",
            "model": self._model(start),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._first_usage,
        }
        self._tier = start.service_tier
        if scope.home:
            if start.service_tier is not UNSET:
                self._first_usage["service_tier"] = start.service_tier
            message.update(start.ext or {})
        else:
            encode_tier(start.service_tier, self._first_usage, scope)
            scope.ext(start.ext, "")
        self._say(b"message_start", {"type": "message_start", "message": message})

    def _model(self, start: Start) -> str:
        if start.model is not UNSET:
            return start.model
        request = self._context.request
        return "" if request is UNSET else request.model or ""

    def _counts(self, *, first: bool) -> dict[str, Any]:
        """Usage as the wire has it; zeros at the start are a form, at the end they are a loss."""
        losses = self._scope.losses
        known = len(losses)
        document = encode_usage(self._usage, self._scope)
        if first:
            del losses[known:]
        for name in ("input_tokens", "output_tokens"):
            document.setdefault(name, 0)
        return document

    def _take_extra(self, event: Extra) -> None:
        if event.choice != 0:
            return
        if self._scope.home:
            self._extra.update(event.ext)
            return
        path = {"response": "", "candidate": "candidates[0]", "turn": "candidates[0].turns[0]"}[event.at]
        known = {loss.path for loss in self.losses}
        self._scope.losses.extend(loss for loss in ext_losses(event.ext, path, NAME) if loss.path not in known)

    def _end(self) -> None:
        self._message_start()
        self._flush()
        counts = self._counts(first=False)
        usage = {
            name: value
            for name, value in counts.items()
            if name in _DELTA_USAGE or name not in self._first_usage or self._first_usage[name] != value
        }
        if self._stop is UNSET:
            delta: dict[str, Any] = {"stop_reason": None, "stop_sequence": None}
        else:
            delta = encode_stop(self._stop, calls=self._calls, refused=self._refused, scope=self._scope)
        if "container" in self._extra:
            delta["container"] = self._extra.pop("container")
        self._say(b"message_delta", {"type": "message_delta", "delta": delta, "usage": usage, **self._extra})
        self._out.append(_STOP)

    def _say(self, name: bytes, document: dict[str, Any]) -> None:
        self._out.append(b"event: %b\ndata: %b\n\n" % (name, dumps(document)))

    # --- parts

    def _open(self, event: Open) -> None:
        self._message_start()
        if event.choice != 0:
            self._unsaid.add(event.key)
            path = f"candidates[{event.choice}]"
            if all(loss.path != path for loss in self.losses):
                self._scope.drop(path, Severity.SEMANTIC, f"{NAME} gives one answer")
            return
        self._numbers[event.key] = len(self._numbers)
        if isinstance(event.part, ToolCall):
            self._calls = True
        elif isinstance(event.part, Refusal):
            self._refused = True
        if self._wire is None:
            self._take_wire(event.key, event.part)
        else:
            self._waiting[event.key] = [event]
            self._pass_on()

    def _of_part(self, event: Any) -> None:
        key = event.key
        if key in self._unsaid:
            return
        wire = self._wire
        if wire is not None and wire.key == key:
            self._on_wire(wire, event)
            if self._waiting:
                self._pass_on()
        elif key in self._waiting:
            self._waiting[key].append(event)
        elif key in self._done and type(event) is Delta and event.text.strip():
            path = f"{self._path(key)}.arguments"
            self._scope.drop(path, Severity.DEGRADED, "it came after the arguments were complete")

    def _path(self, key: int) -> str:
        return f"candidates[0].turns[0].parts[{self._numbers[key]}]"

    def _pass_on(self) -> None:
        """Give the wire to those who wait, as long as the one that has it has nothing more to say."""
        while self._waiting and (self._wire is None or _complete(self._wire)):
            if self._wire is not None:
                self._done.add(self._wire.key)
                self._leave_wire(self._wire)
            key, (opened, *events) = next(iter(self._waiting.items()))
            del self._waiting[key]
            assert isinstance(opened, Open)
            self._take_wire(key, opened.part)
            for event in events:
                if self._wire is not None and self._wire.key == key:
                    self._on_wire(self._wire, event)

    def _flush(self) -> None:
        """Say all that waits: nothing more will come."""
        while self._wire is not None or self._waiting:
            if self._wire is not None:
                self._leave_wire(self._wire)
            self._pass_on()

    def _take_wire(self, key: int, part: Part) -> None:
        self._wire = wire = _Wire(key, part)
        home = self._scope.home
        if isinstance(part, (Text, Refusal)):
            if isinstance(part, Refusal):
                path = self._path(key)
                self._scope.add(path, LossKind.TEXTUALISED, Severity.DEGRADED, f"{NAME} has no refusals")
            if home:
                self._start_block(wire)
            if part.text:
                self._text(wire, part.text)
            cited = part.citations if isinstance(part, Text) else UNSET
            if not home:
                for citation in cited or ():
                    self._citation(wire, citation)
        elif isinstance(part, Reasoning) and (part.text is not UNSET or not home):
            if home:
                self._start_block(wire)
            for text in (part.text or "", *(() if part.text else part.summary)):
                self._text(wire, text)
            for payload in part.opaque:
                self._payload(wire, payload)
        elif isinstance(part, ToolCall) or (home and isinstance(part, ServerCall)):
            if not home or part.kind == "custom":
                wire.scanner = Scanner()
                wire.wrapped = part.kind == "custom"
            self._start_block(wire)
            if wire.wrapped:
                self._json('{"input":"')
            if part.arguments.text:
                self._text(wire, part.arguments.text)
        else:
            self._whole(wire)

    def _whole(self, wire: _Wire) -> None:
        """A part that comes in one piece, or cannot be said."""
        blocks = encode_part(wire.part, self._path(wire.key), self._scope)
        if not blocks:
            self._unsaid.add(wire.key)
            self._wire = None
            return
        self._begin(wire, blocks[0])

    def _start_block(self, wire: _Wire) -> None:
        """Start the block without its text, which comes as deltas: some clients look for it there only."""
        part = wire.part
        home = self._scope.home
        if isinstance(part, (ToolCall, ServerCall)):
            block = encode_part(replace(part, arguments=JsonText("{}"), form=()), self._path(wire.key), self._scope)[0]
            block["input"] = {}
            delta, member = b"input_json_delta", b"partial_json"
        elif isinstance(part, Reasoning):
            block = {"type": "thinking", "thinking": "", "signature": ""}
            block.update((part.ext or {}) if home else {})
            delta, member = b"thinking_delta", b"thinking"
        else:
            block = {"type": "text", "text": ""}
            if home and isinstance(part, Text):
                block = encode_part(replace(part, text=""), self._path(wire.key), self._scope)[0]
            delta, member = b"text_delta", b"text"
        self._begin(wire, block)
        self._prefix = (
            b"event: content_block_delta\ndata: "
            b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (self._index, delta, member)
        )
        if wire.scanner is None:
            self._hot_key = wire.key

    def _begin(self, wire: _Wire, block: dict[str, Any]) -> None:
        wire.started = True
        self._index += 1
        self._say(b"content_block_start", {"type": "content_block_start", "index": self._index, "content_block": block})

    def _on_wire(self, wire: _Wire, event: Any) -> None:
        if type(event) is Delta:
            self._text(wire, event.text)
        elif type(event) is Close:
            self._leave_wire(wire)
            self._pass_on()
        elif event.field == "opaque":
            self._payload(wire, event.value)
        elif event.field == "citation":
            self._citation(wire, event.value)
        elif event.field == "summary":
            self._summary(wire, event.value)
        elif not self._scope.home:
            self._scope.ext(event.value, self._path(wire.key))

    def _text(self, wire: _Wire, text: str) -> None:
        if not wire.started:
            if not text or (not text.strip() and isinstance(wire.part, Reasoning)):
                return
            self._start_block(wire)
        scanner = wire.scanner
        if scanner is None:
            self._out += (self._prefix, json_string(text), _SUFFIX)
            return
        if not wire.wrapped:
            begun = scanner.first
            scanner.feed(text)
            if not scanner.first:  # clients cannot read white space alone
                wire.blank += text
                return
            if not begun:
                text, wire.blank = wire.blank + text, ""
                if scanner.first != "{":
                    wire.wrapped = True
                    self._json(f'{{"{RAW_ARGUMENTS[1]}":"')
        if wire.wrapped:
            text = json_string(text).decode()[1:-1]
        if text:
            self._json(text)

    def _json(self, text: str) -> None:
        self._out += (self._prefix, json_string(text), _SUFFIX)

    def _summary(self, wire: _Wire, text: str) -> None:
        """The next summary is a block of its own: no joiner is ours to invent."""
        if wire.started:
            self._out.append(self._block_stop())
            wire.started = False
            self._hot_key = -1
        self._text(wire, text)

    def _payload(self, wire: _Wire, payload: Opaque) -> None:
        if payload.protocol == NAME and payload.kind == "signature" and isinstance(wire.part, Reasoning):
            wire.signature = payload.value
        else:
            self._scope.opaque((payload,), self._path(wire.key))

    def _citation(self, wire: _Wire, citation: Any) -> None:
        if not wire.started:
            self._start_block(wire)
        document = encode_citation(citation, f"{self._path(wire.key)}.citations[0]", self._scope)
        if document is not None:
            self._delta({"type": "citations_delta", "citation": document})

    def _delta(self, delta: dict[str, Any]) -> None:
        self._say(b"content_block_delta", {"type": "content_block_delta", "index": self._index, "delta": delta})

    def _leave_wire(self, wire: _Wire) -> None:
        if wire.signature and not wire.started:
            self._start_block(wire)
        if wire.wrapped:
            self._json('"}')
        if wire.signature:
            self._delta({"type": "signature_delta", "signature": wire.signature})
        if wire.started:
            self._out.append(self._block_stop())
        self._wire = None
        self._hot_key = -1

    def _block_stop(self) -> bytes:
        return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index


def _complete(wire: _Wire) -> bool:
    return wire.scanner is not None and wire.scanner.complete and not wire.wrapped
