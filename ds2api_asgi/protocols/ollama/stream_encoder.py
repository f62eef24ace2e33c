"""Writing streams: events to lines of NDJSON.

https://docs.ollama.com/api/streaming (read 2026-11-23). What clients rely on: texts are increments, a call comes
whole, and the last line has ``done``, the reason and the counts. Nothing says "still alive", so a `Ping` is silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.ndjson import write_line
from ...universal.content import Base64, Media, OpaquePart, Part, Reasoning, ToolCall
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
from ...universal.response import Stop, StopReason, Usage
from ..base import Context
from ..fields import Json
from ..scope import Scope
from .calls import encode_call, encode_foreign_call
from .errors import stream_error
from .generate import answer_in_generate, wanted
from .profile import NAME, TARGET
from .response import model_of
from .stops import encode_stop
from .times import written
from .turns import text_of
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_LINE_END: Final = b',"done":false}\n'


class _Live:
    """An open part: a text between two fixed pieces, or a call that is held until it is whole."""

    __slots__ = ("call", "closed", "head", "path", "told")

    def __init__(self, path: str, head: bytes = b"", call: ToolCall | None = None) -> None:
        self.path = path
        self.head = head
        self.call = call
        self.told: list[str] = [] if call is None else [call.arguments.text]
        self.closed = False


class StreamEncoder:
    """Universal events in, bytes of the client's stream out.

    Args:
        context: What translating the request learned.

    Attributes:
        losses: What the stream could not say, paths as in the folded answer.
    """

    __slots__ = (
        "_calls",
        "_context",
        "_envelope",
        "_generates",
        "_line_end",
        "_live",
        "_parts",
        "_pending",
        "_scope",
        "_stop",
        "_text",
        "_thought",
        "_usage",
        "_waiting",
        "losses",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._live: dict[int, _Live] = {}
        self._waiting: list[_Live] = []  # calls in the order in which they began
        self._parts = 0
        self._calls = 0
        self._envelope: Json = {}
        self._pending: Json = {}  # members that the next line carries beside its own
        self._generates = wanted(context)
        self._line_end = _LINE_END if self._generates else b"}" + _LINE_END
        self._text = b""
        self._thought = b""
        self._stop: Stop | UnsetType = UNSET
        self._usage: Usage | UnsetType = UNSET
        self.losses: list[Loss] = self._scope.losses

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes for these events, all that can be said by now."""
        out: list[bytes] = []
        live = self._live
        for event in events:
            if type(event) is Delta:
                part = live.get(event.key)
                text = event.text
                if part is None or not text:
                    continue
                if part.call is not None:
                    part.told.append(text)
                    continue
                if self._pending:
                    self._flush(out)
                out += (part.head, json_string(text), self._line_end)
            else:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Delta() | Ping():
                pass  # deltas are written above
            case Open():
                self._open(event, out)
            case Close(key=key):
                self._close(key, out)
            case Set():
                self._set(event, out)
            case StopEvent(stop=stop, choice=choice):
                if not choice:
                    self._stop = stop
            case UsageEvent(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case Extra():
                self._extra(event, out)
            case Start():
                self._start(event)
            case Error(failure=failure):
                out.append(stream_error(failure))
            case End():
                self._end(out)
            case _:
                assert_never(event)

    def _start(self, start: Start) -> None:
        scope = self._scope
        scope.home = start.protocol == NAME
        for name in ("id", "service_tier"):
            if getattr(start, name) is not UNSET:
                scope.lacks(name, Severity.COSMETIC, f"{name} of an answer")
        if scope.home:
            self._pending.update(start.ext or {})
        else:
            scope.ext(start.ext, "")
        self._envelope = {
            "model": model_of(start.model, self._context),
            "created_at": written(self._context.now if start.created is UNSET else start.created),
        }
        self._text = self._head("content")
        self._thought = self._head("thinking")

    def _head(self, member: str) -> bytes:
        """All of a line that stands before the text of a delta."""
        message = {"role": "assistant", "content": "", member: "\0"}  # its member comes last
        return dumps(self._spelled({**self._envelope, "message": message})).partition(rb'"\u0000"')[0]

    def _line(self, out: list[bytes], **members: Any) -> None:
        line: Json = {**self._envelope, "message": {"role": "assistant", "content": ""}, **self._pending, **members}
        self._pending = {}
        line.setdefault("done", False)
        out.append(write_line(dumps(self._spelled(line))))

    def _spelled(self, line: Json) -> Json:
        return answer_in_generate(line) if self._generates else line

    def _flush(self, out: list[bytes]) -> None:
        """Say members that could not wait for a line to carry them."""
        self._line(out)

    def _open(self, event: Open, out: list[bytes]) -> None:
        part, scope = event.part, self._scope
        path = f"candidates[{event.choice}].turns[0].parts[{self._parts}]"
        self._parts += 1
        if event.choice:
            scope.lacks(f"candidates[{event.choice}]", Severity.SEMANTIC, "second answer")
            return
        match part:
            case ToolCall():
                self._calls += 1
                live = self._live[event.key] = _Live(path, call=part)
                self._waiting.append(live)
            case Reasoning():
                scope.ext(part.ext, path)
                scope.opaque(part.opaque, path)
                self._begin(event.key, path, self._thought, "".join(part.summary) + (part.text or ""), out)
            case Media(kind="image", source=Base64(data=data)) if scope.home:
                self._line(out, message={"role": "assistant", "content": "", "images": [data]})
            case OpaquePart(json=json, protocol=protocol) if protocol == NAME:
                self._line(out, message={"role": "assistant", "content": "", **json})
            case _:
                self._open_text(event.key, part, path, out)

    def _open_text(self, key: int, part: Part, path: str, out: list[bytes]) -> None:
        text = text_of(part, path, self._scope)
        if text is None:
            self._scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
        else:
            self._begin(key, path, self._text, text, out)

    def _begin(self, key: int, path: str, head: bytes, text: str, out: list[bytes]) -> None:
        self._live[key] = _Live(path, head)
        if text:
            self._say(self._live[key], text, out)

    def _say(self, live: _Live, text: str, out: list[bytes]) -> None:
        if self._pending:
            self._flush(out)
        out += (live.head, json_string(text), self._line_end)

    def _close(self, key: int, out: list[bytes]) -> None:
        live = self._live.pop(key, None)
        if live is None or live.call is None:
            return
        live.closed = True
        while self._waiting and self._waiting[0].closed:
            self._call(self._waiting.pop(0), out)

    def _call(self, live: _Live, out: list[bytes]) -> None:
        assert live.call is not None
        call = replace(live.call, arguments=JsonText("".join(live.told)))
        entry = encode_call(call) if self._scope.home else encode_foreign_call(call, live.path, self._scope)
        self._line(out, message={"role": "assistant", "content": "", "tool_calls": [entry]})

    def _set(self, event: Set, out: list[bytes]) -> None:
        live = self._live.get(event.key)
        if live is None:
            return
        scope = self._scope
        match event.field:
            case "opaque":
                scope.opaque((event.value,), live.path)
            case "summary":
                scope.add(f"{live.path}.summary", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has no summaries")
                if event.value:
                    self._say(live, event.value, out)
            case "citation":
                scope.lacks(f"{live.path}.citations", Severity.DEGRADED, "citations")
            case "ext":
                scope.ext(event.value, live.path)
            case _:
                assert_never(event.field)

    def _extra(self, event: Extra, out: list[bytes]) -> None:
        if not self._scope.home:
            turn = ".turns[0]" if event.at == "turn" else ""
            self._scope.ext(event.ext, "" if event.at == "response" else f"candidates[{event.choice}]{turn}")
        elif event.at == "turn":
            self._line(out, message={"role": "assistant", "content": "", **event.ext})
        else:
            self._pending.update(event.ext)
            if "logprobs" in event.ext:  # each list adds to the one before
                self._flush(out)

    def _end(self, out: list[bytes]) -> None:
        for live in self._waiting:
            self._call(live, out)
        self._waiting = []
        stop, scope = self._stop, self._scope
        members: Json = {"done": True}
        if stop is UNSET:
            scope.add("candidates[0].stop", LossKind.INVENTED, Severity.DEGRADED, f"{NAME} demands a reason")
            stop = Stop(reason=StopReason.END)
        word = encode_stop(stop, "candidates[0].stop", scope, calls=self._calls > 0)
        if word is not None:
            members["done_reason"] = word
        if self._usage is not UNSET:
            members.update(encode_usage(self._usage, scope))
        self._line(out, **members)
