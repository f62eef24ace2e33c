"""Writing streams: events to chunks of ``chat.completion.chunk``.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23). What clients rely on: the first delta
of a choice has the role; a call's first delta has index, id and name, its index counts the calls of its choice from 0;
the finish reason has a chunk of its own; usage comes in a last chunk without choices, to clients that asked for it;
then ``[DONE]``, but not after an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.sse import write_comment, write_event
from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
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
from ...universal.node import Opaque, Origin
from ...universal.response import Response, Usage
from ..base import Context
from ..fields import Json
from ..scope import Scope
from .carry import encode_detail
from .citations import encode_citation, foreign_citation
from .errors import stream_error
from .marks import merge
from .messages import REASONING
from .profile import NAME, TARGET
from .response import answer_id, custom_input, legacy_client, tier_of
from .stops import encode_stop
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_OBJECT: Final = "chat.completion.chunk"
# Members of the envelope that OpenAI repeats in every chunk; others are said once.
_EVERY_CHUNK: Final = frozenset({"object", "system_fingerprint"})
_DONE: Final = write_event(b"[DONE]")
_CHOICES: Final = b',"choices":['
_END: Final = b"]}\n\n"
_OPEN_REASON: Final = b',"finish_reason":null}' + _END


class _Choice:
    """What a choice has shown so far."""

    __slots__ = ("calls", "details", "length", "parts", "refused")

    def __init__(self) -> None:
        self.parts = 0
        self.calls = 0
        self.details = 0
        self.length = 0  # code points of content, where the next part's citations begin to count
        self.refused = False


class _Live:
    """An open part: its deltas are a text between two fixed pieces."""

    __slots__ = (
        "choice",
        "citations",
        "head",
        "held",
        "length",
        "number",
        "opaque",
        "part",
        "path",
        "start",
        "tail",
        "told",
    )

    def __init__(self, part: Part, choice: int, path: str, *, start: int = 0) -> None:
        self.part = part
        self.choice = choice
        self.path = path
        self.head = b""
        self.tail = b""
        self.length = 0
        self.number = 0  # a call's index
        self.start = start
        self.told: list[str] | None = None  # its text, where that is needed again at the end
        self.held = False  # whether it is said only then: the input of a custom tool
        self.opaque: list[Opaque] = []
        self.citations: list[Any] = []


class StreamEncoder:
    """Universal events in, bytes of the client's stream out.

    Args:
        context: What translating the request learned.

    Attributes:
        losses: What the stream could not say, paths as in the folded answer.
    """

    __slots__ = (
        "_choices",
        "_context",
        "_envelope",
        "_legacy",
        "_live",
        "_pending",
        "_prefix",
        "_scope",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._legacy = legacy_client(context)
        self._choices: dict[int, _Choice] = {}
        self._live: dict[int, _Live] = {}
        self._envelope: Json = {}
        self._pending: Json = {}  # members of the envelope that the next chunk carries
        self._prefix = b""
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
                part.length += len(text)
                if part.told is not None:
                    part.told.append(text)
                    if part.held:
                        continue
                if self._pending:
                    self._flush(out)
                out.append(part.head)
                out.append(json_string(text))
                out.append(part.tail)
            else:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Delta():
                pass  # written above
            case Open():
                self._open(event, out)
            case Close(key=key):
                self._close(key, out)
            case Set():
                self._set(event, out)
            case StopEvent():
                self._stop(event, out)
            case UsageEvent(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case Extra():
                self._extra(event, out)
            case Start():
                self._start(event)
            case Ping():
                out.append(write_comment(b"ping"))
            case Error(failure=failure):
                out.append(stream_error(failure))
            case End():
                self._end(out)
            case _:
                assert_never(event)

    def _start(self, start: Start) -> None:
        scope, context = self._scope, self._context
        scope.home = start.protocol == NAME
        envelope: Json = {"object": _OBJECT}
        if scope.home:
            for name in ("id", "created", "model", "service_tier"):
                if getattr(start, name) is not UNSET:
                    envelope[name] = getattr(start, name)
            for name, value in (start.ext or {}).items():
                (envelope if name in _EVERY_CHUNK else self._pending)[name] = value
        else:
            model = start.model
            if model is UNSET and context.request is not UNSET:
                model = context.request.model
            created = context.now if start.created is UNSET else int(start.created)
            blank = Response(model=model, created=created, origin=Origin(protocol=start.protocol))
            envelope["id"] = answer_id(blank) if start.id is UNSET else start.id
            envelope["created"] = created
            envelope["model"] = "" if model is UNSET else model
            tier = tier_of(start.service_tier, scope)
            if tier is not None:
                envelope["service_tier"] = tier
            scope.ext(start.ext, "")
        self._envelope = envelope
        self._repeat()

    def _repeat(self) -> None:
        """Make what every chunk begins with anew, for the open parts too."""
        old, self._prefix = len(self._prefix), b"data: " + dumps(self._envelope)[:-1]
        for live in self._live.values():
            live.head = self._prefix + live.head[old:]

    def _chunk(self, choice: int, delta: Json, out: list[bytes], **beside: Any) -> None:
        """Write one chunk with one choice."""
        body = {"index": choice, "delta": delta, **beside}
        body.setdefault("finish_reason", None)
        out += (self._head(), dumps(body), _END)

    def _head(self) -> bytes:
        if not self._pending:
            return self._prefix + _CHOICES
        members = dumps(self._pending)[1:-1]
        self._pending = {}
        return self._prefix + b"," + members + _CHOICES

    def _flush(self, out: list[bytes]) -> None:
        """Say members of the envelope that could not wait for a chunk to carry them."""
        index = next(iter(self._choices), 0)
        self._chunk(index, {}, out)

    def _begin(self, index: int, delta: Json, out: list[bytes]) -> _Choice:
        """The state of a choice; its first chunk has the role."""
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
            self._chunk(index, {"role": "assistant", **delta}, out)
        return choice

    def _open(self, event: Open, out: list[bytes]) -> None:
        part, index = event.part, event.choice
        choice = self._begin(index, {"content": None if isinstance(part, ToolCall) else ""}, out)
        path = f"candidates[{index}].turns[0].parts[{choice.parts}]"
        choice.parts += 1
        live = _Live(part, index, path, start=choice.length)
        scope = self._scope
        match part:
            case Text(text=text):
                self._template(live, {"content": "\0"}, text, out)
            case Refusal(text=text):
                choice.refused = True
                self._template(live, {"refusal": "\0"}, text, out)
            case Reasoning():
                self._open_reasoning(live, part, out)
            case ToolCall():
                if not self._open_call(live, part, choice, out):
                    scope.lacks(path, Severity.SEMANTIC, "second call for this client")
                    return
            case OpaquePart(json=json, protocol=protocol) if protocol == NAME:
                self._chunk(index, {"content": [json["content"][0] if "type" not in json else json]}, out)
                return
            case _:
                scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
                return
        self._live[event.key] = live
        live.opaque += getattr(part, "opaque", ())
        scope.ext(part.ext, path)

    def _template(self, live: _Live, delta: Json, text: str, out: list[bytes]) -> None:
        """Prepare the pieces around each delta of a part, and say the text that it begins with."""
        body = dumps({"index": live.choice, "delta": delta})
        head, _, tail = body.partition(rb'"\u0000"')
        live.head = self._prefix + _CHOICES + head
        live.tail = tail[:-1] + _OPEN_REASON
        if text:
            live.length += len(text)
            if self._pending:
                self._flush(out)
            out += (live.head, json_string(text), live.tail)

    def _open_reasoning(self, live: _Live, part: Reasoning, out: list[bytes]) -> None:
        if self._scope.home and "part:thinking" in part.form:
            delta: Json = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "\0"}]}]}
        else:
            delta = {REASONING[self._scope.home and "reasoning" in part.form]: "\0"}
        text = "".join(part.summary) + (part.text or "")
        live.told = [text]
        self._template(live, delta, text, out)

    def _open_call(self, live: _Live, call: ToolCall, choice: _Choice, out: list[bytes]) -> bool:
        """Begin a call; False when the client cannot take another."""
        name = self._scope.tool_name(call.name, f"{live.path}.name")
        live.number = choice.calls
        choice.calls += 1
        text = call.arguments.text
        live.length += len(text)
        if self._legacy or (self._scope.home and "function_call" in call.form):
            if live.number:
                return False
            self._chunk(live.choice, {"function_call": {"name": name, "arguments": text}}, out)
            self._template(live, {"function_call": {"arguments": "\0"}}, "", out)
            return True
        id_ = self._scope.call_id(call, live.path)
        custom = call.kind == "custom" or name in self._context.custom_tools
        kind, key = ("custom", "input") if custom else ("function", "arguments")
        entry: Json = {"index": live.number, "type": kind, kind: {"name": name, key: text}}
        if id_ is not UNSET:
            entry["id"] = id_
        if custom and call.kind != "custom":
            live.told, live.held = [text], True
            entry[kind][key] = ""
        if self._scope.home and call.ext is not UNSET:
            merge(entry, call.ext, kind)
        self._chunk(live.choice, {"tool_calls": [entry]}, out)
        self._template(live, {"tool_calls": [{"index": live.number, kind: {key: "\0"}}]}, "", out)
        return True

    def _close(self, key: int, out: list[bytes]) -> None:
        live = self._live.pop(key, None)
        if live is None:
            return
        part = live.part
        choice = self._choices[live.choice]
        if live.opaque:
            self._carry(live, choice, out)
        if isinstance(part, Text):
            self._cite(live, out)
            choice.length += live.length
        elif isinstance(part, ToolCall):
            if live.held:
                text = custom_input(ToolCall(name="", arguments=JsonText("".join(live.told or ()) or "{}")))
                out += (live.head, json_string(text), live.tail)
            elif not live.length and not self._scope.home and part.kind == "function":
                # Elsewhere no arguments at all mean an empty object.
                out += (live.head, b'"{}"', live.tail)

    def _carry(self, live: _Live, choice: _Choice, out: list[bytes]) -> None:
        """Give the payloads of a part to the client, who gives them back: each in one chunk, since SDKs join texts."""
        part = live.part
        if isinstance(part, Reasoning):
            text = "".join(live.told or ())
            whole = replace(part, text=text if text or part.text is not UNSET else UNSET, opaque=tuple(live.opaque))
            detail = encode_detail(whole, choice.details)
            if detail is not None:
                choice.details += 1
                self._chunk(live.choice, {"reasoning_details": [detail]}, out)
                return
        self._scope.opaque(tuple(live.opaque), live.path)

    def _cite(self, live: _Live, out: list[bytes]) -> None:
        annotations: list[Json] = []
        for index, citation in enumerate(live.citations):
            annotation = foreign_citation(citation, live.start, live.length)
            path = f"{live.path}.citations[{index}]"
            if annotation is None:
                self._scope.lacks(path, Severity.DEGRADED, "citations without a URL")
            else:
                self._scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} cites URLs only")
                annotations.append(annotation)
        if annotations:
            self._chunk(live.choice, {"annotations": annotations}, out)

    def _set(self, event: Set, out: list[bytes]) -> None:
        live = self._live.get(event.key)
        if live is None:
            return
        scope = self._scope
        match event.field:
            case "opaque":
                live.opaque.append(event.value)
            case "summary":
                scope.add(f"{live.path}.summary", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has no summaries")
                if event.value:
                    out += (live.head, json_string(event.value), live.tail)
            case "citation":
                if scope.home:
                    self._chunk(live.choice, {"annotations": [encode_citation(event.value, home=True)]}, out)
                else:
                    live.citations.append(event.value)
            case "ext":
                if scope.home:
                    self._set_ext(live, event.value, out)
                else:
                    scope.ext(event.value, live.path)
            case _:
                assert_never(event.field)

    def _set_ext(self, live: _Live, ext: Json, out: list[bytes]) -> None:
        if isinstance(live.part, ToolCall):
            entry: Json = {"index": live.number, live.part.kind: {}}
            merge(entry, ext, live.part.kind)
            self._chunk(live.choice, {"tool_calls": [entry]}, out)
        elif isinstance(live.part, Reasoning) and "part:thinking" in live.part.form:
            self._chunk(live.choice, {"content": [{"type": "thinking", "thinking": [], **ext}]}, out)

    def _stop(self, event: StopEvent, out: list[bytes]) -> None:
        choice = self._begin(event.choice, {"content": ""}, out)
        path = f"candidates[{event.choice}].stop"
        word = encode_stop(event.stop, self._scope, path, calls=choice.calls > 0, refused=choice.refused)
        if word is UNSET:
            return
        if word == "tool_calls" and self._legacy:
            word = "function_call"
        self._chunk(event.choice, {}, out, finish_reason=word)

    def _extra(self, event: Extra, out: list[bytes]) -> None:
        if not self._scope.home:
            turn = ".turns[0]" if event.at == "turn" else ""
            path = "" if event.at == "response" else f"candidates[{event.choice}]{turn}"
            self._scope.ext(event.ext, path)
        elif event.at == "response":
            for name, value in event.ext.items():
                if name in self._envelope:
                    self._envelope[name] = value
                else:
                    self._pending[name] = value
            if not self._envelope.keys().isdisjoint(event.ext):
                self._repeat()
        elif event.at == "candidate":
            self._begin(event.choice, {"content": ""}, out)
            self._chunk(event.choice, {}, out, **event.ext)
        else:
            self._begin(event.choice, {"content": ""}, out)
            self._chunk(event.choice, event.ext, out)

    def _end(self, out: list[bytes]) -> None:
        request = self._context.request
        asked = request is UNSET or request.origin.protocol != NAME or request.stream_usage is True
        if asked and self._usage is not UNSET:
            usage = encode_usage(self._usage, self._scope)
            out += (self._head(), b'],"usage":', dumps(usage), b"}\n\n")
        elif self._pending:
            out += (self._head(), _END)
        out.append(_DONE)
