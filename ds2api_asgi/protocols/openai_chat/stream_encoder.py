"""Writing streams: events to chunks of ``chat.completion.chunk``.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23). What clients rely on: the first delta
of a choice has the role; a call's first delta has index, id and name, its index counts the calls of its choice from 0;
the finish reason has a chunk of its own; usage comes in a last chunk without choices, to clients that asked for it;
then ``[DONE]``, but not after an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.sse import write_comment, write_event
from ...universal.content import OpaquePart, Reasoning, Refusal, Text, ToolCall
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
from ...universal.node import Origin
from ...universal.response import Response, Usage
from ..arguments import unwrap_text
from ..base import Context
from ..fields import Json
from ..openai_shared.answers import created_of, model_of
from ..openai_shared.marks import merge
from ..openai_shared.settings import ANSWER_TIERS, tier_of
from ..scope import Scope
from .carry import EXTRA, encode_detail, encode_extra, foreign_payloads
from .choices import legacy_client
from .citations import encode_citation, foreign_citation
from .errors import stream_error
from .messages import REASONING
from .profile import NAME, TARGET
from .response import answer_id
from .stops import encode_stop
from .stream_envelope import CHOICES, END, OPEN_REASON, Envelope
from .stream_live import Live, Shown
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_OBJECT: Final = "chat.completion.chunk"
_DONE: Final = write_event(b"[DONE]")


class StreamEncoder:
    """See `base.StreamEncoder`; the paths of losses are those of the folded answer."""

    __slots__ = (
        "_choices",
        "_context",
        "_envelope",
        "_legacy",
        "_live",
        "_out",
        "_scope",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._legacy = legacy_client(context)
        self._choices: dict[int, Shown] = {}
        self._live: dict[int, Live] = {}
        self._out: list[bytes] = []
        self._envelope = Envelope(self._out)
        self._usage: Usage | UnsetType = UNSET
        self.losses: list[Loss] = self._scope.losses

    def write(self, events: Iterable[Event]) -> bytes:
        """See `base.StreamEncoder.write`."""
        out = self._out
        live = self._live
        envelope = self._envelope
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
                if envelope.pending:
                    self._flush()
                out.append(part.head)
                out.append(json_string(text))
                out.append(part.tail)
            else:
                self._other(event)
        data = b"".join(out)
        del out[:]
        return data

    def _other(self, event: Event) -> None:
        match event:
            case Delta():
                pass  # written above
            case Open():
                self._open(event)
            case Close(key=key):
                self._close(key)
            case Set():
                self._set(event)
            case StopEvent():
                self._stop(event)
            case UsageEvent(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case Extra():
                self._extra(event)
            case Start():
                self._start(event)
            case Ping():
                self._out.append(write_comment(b"ping"))
            case Error(failure=failure):
                self._out.append(stream_error(failure))
            case End():
                self._end()
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
        else:
            blank = Response(model=start.model, created=start.created, origin=Origin(protocol=start.protocol))
            created, model = created_of(blank, context), model_of(blank, context)
            blank = replace(blank, model=model or UNSET, created=created)
            envelope["id"] = answer_id(blank) if start.id is UNSET else start.id
            envelope["created"] = created
            envelope["model"] = model
            tier = tier_of(start.service_tier, scope, ANSWER_TIERS)
            if tier is not None:
                envelope["service_tier"] = tier
            scope.ext(start.ext, "")
        self._envelope.begin(envelope, (start.ext or {}) if scope.home else {})

    def _rehead(self, old: int) -> None:
        """Give the open parts the envelope's new prefix; the old one had so many bytes."""
        for live in self._live.values():
            live.head = self._envelope.prefix + live.head[old:]

    def _flush(self) -> None:
        """Say members of the envelope that could not wait for a chunk to carry them."""
        index = next(iter(self._choices), 0)
        self._envelope.chunk(index, {})

    def _begin(self, index: int, delta: Json) -> Shown:
        """The state of a choice; its first chunk has the role."""
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Shown()
            self._envelope.chunk(index, {"role": "assistant", **delta})
        return choice

    def _open(self, event: Open) -> None:
        part, index = event.part, event.choice
        choice = self._begin(index, {"content": None if isinstance(part, ToolCall) else ""})
        path = f"candidates[{index}].turns[0].parts[{choice.parts}]"
        choice.parts += 1
        live = Live(part, index, path, start=choice.length)
        scope = self._scope
        match part:
            case Text(text=text):
                self._template(live, {"content": "\0"}, text)
            case Refusal(text=text):
                choice.refused = True
                self._template(live, {"refusal": "\0"}, text)
            case Reasoning():
                self._open_reasoning(live, part)
            case ToolCall():
                if not self._open_call(live, part, choice):
                    scope.lacks(path, Severity.SEMANTIC, "second call for this client")
                    return
            case OpaquePart(json=json, protocol=protocol) if protocol == NAME:
                self._envelope.chunk(index, {"content": [json["content"][0] if "type" not in json else json]})
                return
            case _:
                scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
                return
        self._live[event.key] = live
        live.opaque += getattr(part, "opaque", ())
        scope.ext(part.ext, path)

    def _template(self, live: Live, delta: Json, text: str) -> None:
        """Prepare the pieces around each delta of a part, and say the text that it begins with."""
        body = dumps({"index": live.choice, "delta": delta})
        head, _, tail = body.partition(rb'"\u0000"')
        live.head = self._envelope.prefix + CHOICES + head
        live.tail = tail[:-1] + OPEN_REASON
        if text:
            live.length += len(text)
            if self._envelope.pending:
                self._flush()
            self._out += (live.head, json_string(text), live.tail)

    def _open_reasoning(self, live: Live, part: Reasoning) -> None:
        if self._scope.home and "part:thinking" in part.form:
            delta: Json = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "\0"}]}]}
        else:
            delta = {REASONING[self._scope.home and "reasoning" in part.form]: "\0"}
        text = "".join(part.summary) + (part.text or "")
        live.told = [text]
        self._template(live, delta, text)

    def _open_call(self, live: Live, call: ToolCall, choice: Shown) -> bool:
        """Begin a call; False when the client cannot take another."""
        name = self._scope.tool_name(call.name, f"{live.path}.name")
        live.number = choice.calls
        choice.calls += 1
        text = call.arguments.text
        live.length += len(text)
        if self._legacy or (self._scope.home and "function_call" in call.form):
            if live.number:
                return False
            self._envelope.chunk(live.choice, {"function_call": {"name": name, "arguments": text}})
            self._template(live, {"function_call": {"arguments": "\0"}}, "")
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
        self._envelope.chunk(live.choice, {"tool_calls": [entry]})
        self._template(live, {"tool_calls": [{"index": live.number, kind: {key: "\0"}}]}, "")
        return True

    def _close(self, key: int) -> None:
        live = self._live.pop(key, None)
        if live is None:
            return
        part = live.part
        choice = self._choices[live.choice]
        if live.opaque:
            self._carry(live, choice)
        if isinstance(part, Text):
            self._cite(live)
            choice.length += live.length
        elif isinstance(part, ToolCall):
            if live.held:
                text = unwrap_text(JsonText("".join(live.told or ()) or "{}"))
                self._out += (live.head, json_string(text), live.tail)
            elif not live.length and not self._scope.home and part.kind == "function":
                # Elsewhere no arguments at all mean an empty object.
                self._out += (live.head, b'"{}"', live.tail)

    def _carry(self, live: Live, choice: Shown) -> None:
        """Give the payloads of a part to the client, who gives them back: each in one chunk, since SDKs join texts."""
        part = live.part
        if isinstance(part, Reasoning):
            text = "".join(live.told or ())
            told = text if text or part.text is not UNSET else UNSET
            whole = replace(part, text=told, summary=(), opaque=tuple(live.opaque))
            detail = encode_detail(whole, choice.details)
            if detail is not None:
                choice.details += 1
                self._envelope.chunk(live.choice, {"reasoning_details": [detail]})
                return
        payloads = tuple(live.opaque)
        extra = encode_extra(payloads) if isinstance(part, ToolCall) and not self._legacy else None
        if extra is not None:
            assert isinstance(part, ToolCall)
            inner = {"arguments" if part.kind == "function" else "input": ""}  # SDKs want it in every piece
            entry: Json = {"index": live.number, part.kind: inner, EXTRA: extra}
            self._envelope.chunk(live.choice, {"tool_calls": [entry]})
            payloads = foreign_payloads(payloads)
        self._scope.opaque(payloads, live.path)

    def _cite(self, live: Live) -> None:
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
            self._envelope.chunk(live.choice, {"annotations": annotations})

    def _set(self, event: Set) -> None:
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
                    if live.told is not None:
                        live.told.append(event.value)
                    self._out += (live.head, json_string(event.value), live.tail)
            case "citation":
                if scope.home:
                    self._envelope.chunk(live.choice, {"annotations": [encode_citation(event.value, home=True)]})
                else:
                    live.citations.append(event.value)
            case "ext":
                if scope.home:
                    self._set_ext(live, event.value)
                else:
                    scope.ext(event.value, live.path)
            case _:
                assert_never(event.field)

    def _set_ext(self, live: Live, ext: Json) -> None:
        if isinstance(live.part, ToolCall):
            entry: Json = {"index": live.number, live.part.kind: {}}
            merge(entry, ext, live.part.kind)
            self._envelope.chunk(live.choice, {"tool_calls": [entry]})
        elif isinstance(live.part, Reasoning) and "part:thinking" in live.part.form:
            self._envelope.chunk(live.choice, {"content": [{"type": "thinking", "thinking": [], **ext}]})

    def _stop(self, event: StopEvent) -> None:
        choice = self._begin(event.choice, {"content": ""})
        path = f"candidates[{event.choice}].stop"
        word = encode_stop(event.stop, self._scope, path, calls=choice.calls > 0, refused=choice.refused)
        if word is UNSET:
            return
        if word == "tool_calls" and self._legacy:
            word = "function_call"
        self._envelope.chunk(event.choice, {}, {"finish_reason": word})

    def _extra(self, event: Extra) -> None:
        if not self._scope.home:
            turn = ".turns[0]" if event.at == "turn" else ""
            path = "" if event.at == "response" else f"candidates[{event.choice}]{turn}"
            self._scope.ext(event.ext, path)
        elif event.at == "response":
            old = len(self._envelope.prefix)
            if self._envelope.change(event.ext):
                self._rehead(old)
        elif event.at == "candidate":
            self._begin(event.choice, {"content": ""})
            self._envelope.chunk(event.choice, {}, event.ext)
        else:
            self._begin(event.choice, {"content": ""})
            self._envelope.chunk(event.choice, event.ext)

    def _end(self) -> None:
        request = self._context.request
        asked = request is UNSET or request.origin.protocol != NAME or request.stream_usage is True
        if asked and self._usage is not UNSET:
            usage = encode_usage(self._usage, self._scope)
            self._out += (self._envelope.head(), b'],"usage":', dumps(usage), b"}\n\n")
        elif self._envelope.pending:
            self._out += (self._envelope.head(), END)
        self._out.append(_DONE)
