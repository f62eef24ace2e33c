"""The blocks of a stream: universal parts, which may be open side by side, strictly one after the other.

One part is *on the wire*, events of the others wait in its part's queue, in the order in which the parts opened. The
next one's turn comes when the part on the wire closes, or, if others wait, when its arguments are complete JSON: a
source that closes all calls at its end does not hold the second call back.
It follows https://docs.anthropic.com/en/docs/build-with-claude/streaming (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec import UNSET
from msgspec.structs import replace

from ...framing.sse import write_event
from ...universal.content import Part, Reasoning, Refusal, ServerCall, Text, ToolCall
from ...universal.events import Close, Delta, Open, Set
from ...universal.jsontext import JsonText, dumps, json_string
from ...universal.loss import LossKind, Severity
from ...universal.node import Opaque
from ..arguments import RAW
from ..scope import Scope
from .marks import encode_citation
from .parts import encode_part
from .profile import NAME
from .reasoning import is_sealed
from .scan import Scanner

__all__ = ["SUFFIX", "Blocks"]

PartEvent: TypeAlias = Delta | Set | Close

SUFFIX: Final = b"}}\n\n"
"""What ends each delta, behind its text."""


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


class Blocks:
    """Writes the parts of one answer.

    An answer's text parts that stay empty get no block, which clients could not send back.

    Args:
        scope: This run.
        out: Where the bytes go, in pieces.

    Attributes:
        hot_key: The part whose deltas are nothing but `prefix`, the text as JSON and `SUFFIX`; -1 when there is none.
        prefix: What begins a delta of the part on the wire.
        calls: A tool of the client was called.
        refused: The model declined in words.
    """

    def __init__(self, scope: Scope, out: list[bytes]) -> None:
        self.hot_key = -1
        self.prefix = b""
        self.calls = False
        self.refused = False
        self._scope = scope
        self._out = out
        self._index = -1
        self._wire: _Wire | None = None
        self._waiting: dict[int, tuple[Part, list[PartEvent]]] = {}  # by key, in the order of opening
        self._numbers: dict[int, int] = {}  # key to the part's number, for losses
        self._done: set[int] = set()  # closed on the wire before the source closed them
        self._unsaid: set[int] = set()  # parts that cannot be said

    def open(self, event: Open) -> None:
        """A part opens."""
        if event.choice != 0:
            self._unsaid.add(event.key)
            path = f"candidates[{event.choice}]"
            if all(loss.path != path for loss in self._scope.losses):
                self._scope.drop(path, Severity.SEMANTIC, f"{NAME} gives one answer")
            return
        self._numbers[event.key] = len(self._numbers)
        if isinstance(event.part, ToolCall):
            self.calls = True
        elif isinstance(event.part, Refusal):
            self.refused = True
        if self._wire is None:
            self._take_wire(event.key, event.part)
        else:
            self._waiting[event.key] = (event.part, [])
            self._pass_on()

    def take(self, event: PartEvent) -> None:
        """An event of a part that is open."""
        key = event.key
        if key in self._unsaid:
            return
        wire = self._wire
        if wire is not None and wire.key == key:
            self._on_wire(wire, event)
            if self._waiting:
                self._pass_on()
        elif key in self._waiting:
            self._waiting[key][1].append(event)
        elif key in self._done and isinstance(event, Delta) and event.text.strip():
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
            key, (part, events) = next(iter(self._waiting.items()))
            del self._waiting[key]
            self._take_wire(key, part)
            for event in events:
                if self._wire is not None and self._wire.key == key:
                    self._on_wire(self._wire, event)

    def flush(self) -> None:
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
        elif isinstance(part, Reasoning) and (part.text is not UNSET or not (home or is_sealed(part))):
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
        self.prefix = (
            b"event: content_block_delta\ndata: "
            b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (self._index, delta, member)
        )
        if wire.scanner is None:
            self.hot_key = wire.key

    def _begin(self, wire: _Wire, block: dict[str, Any]) -> None:
        wire.started = True
        self._index += 1
        self._say(b"content_block_start", {"type": "content_block_start", "index": self._index, "content_block": block})

    def _on_wire(self, wire: _Wire, event: PartEvent) -> None:
        if isinstance(event, Delta):
            self._text(wire, event.text)
        elif isinstance(event, Close):
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
            self._out += (self.prefix, json_string(text), SUFFIX)
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
                    self._json(f'{{"{RAW}":"')
        if wire.wrapped:
            text = json_string(text).decode()[1:-1]
        if text:
            self._json(text)

    def _json(self, text: str) -> None:
        self._out += (self.prefix, json_string(text), SUFFIX)

    def _summary(self, wire: _Wire, text: str) -> None:
        """The next summary is a block of its own: no joiner is ours to invent."""
        if wire.started:
            if wire.signature:
                self._delta({"type": "signature_delta", "signature": wire.signature})
                wire.signature = ""
            self._out.append(self._block_stop())
            wire.started = False
            self.hot_key = -1
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
        self.hot_key = -1

    def _block_stop(self) -> bytes:
        return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index

    def _say(self, name: bytes, document: dict[str, Any]) -> None:
        self._out.append(write_event(dumps(document), name))


def _complete(wire: _Wire) -> bool:
    return wire.scanner is not None and wire.scanner.complete and not wire.wrapped
