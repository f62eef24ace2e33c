"""The parts of a stream's choices: each delta a text between two fixed pieces, what must be whole said at the end.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23). The first delta of a choice has the
role; a call's first delta has index, id and name, its index counts the calls of its choice from 0.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import OpaquePart, Reasoning, Refusal, Text, ToolCall
from ...universal.events import Open, Set
from ...universal.jsontext import JsonText, dumps, json_string
from ...universal.loss import LossKind, Severity
from ..arguments import unwrap_text
from ..base import Context
from ..fields import Json
from ..openai_shared.marks import merge
from ..scope import Scope
from .carry import EXTRA, encode_detail, encode_extra, foreign_payloads
from .choices import legacy_client
from .citations import encode_citation, foreign_citation
from .messages import REASONING
from .profile import NAME
from .stream_envelope import CHOICES, OPEN_REASON, Envelope
from .stream_live import Live, Shown

__all__ = ["Parts"]


class Parts:
    """Writes the parts of one answer.

    Args:
        context: What translating the request learned.
        scope: This run.
        envelope: Writes the chunks.
        out: Where the bytes go, in pieces.

    Attributes:
        live: Open parts, by key.
        legacy: Whether the client offers only the legacy ``functions``.
    """

    __slots__ = ("_choices", "_context", "_envelope", "_out", "_scope", "legacy", "live")

    def __init__(self, context: Context, scope: Scope, envelope: Envelope, out: list[bytes]) -> None:
        self.live: dict[int, Live] = {}
        self.legacy = legacy_client(context)
        self._context = context
        self._scope = scope
        self._envelope = envelope
        self._out = out
        self._choices: dict[int, Shown] = {}

    def begin(self, index: int, delta: Json) -> Shown:
        """The state of a choice; its first chunk has the role."""
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Shown()
            self._envelope.chunk(index, {"role": "assistant", **delta})
        return choice

    def open(self, event: Open) -> None:
        """A part opens."""
        part, index = event.part, event.choice
        choice = self.begin(index, {"content": None if isinstance(part, ToolCall) else ""})
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
        self.live[event.key] = live
        live.opaque += getattr(part, "opaque", ())
        scope.ext(part.ext, path)

    def set(self, event: Set) -> None:
        """Something is said of a part."""
        live = self.live.get(event.key)
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

    def close(self, key: int) -> None:
        """A part is complete."""
        live = self.live.pop(key, None)
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

    def rehead(self, old: int) -> None:
        """Give the open parts the envelope's new prefix; the old one had so many bytes."""
        for live in self.live.values():
            live.head = self._envelope.prefix + live.head[old:]

    def flush(self) -> None:
        """Say members of the envelope that could not wait for a chunk to carry them."""
        index = next(iter(self._choices), 0)
        self._envelope.chunk(index, {})

    def _template(self, live: Live, delta: Json, text: str) -> None:
        """Prepare the pieces around each delta of a part, and say the text that it begins with."""
        body = dumps({"index": live.choice, "delta": delta})
        head, _, tail = body.partition(rb'"\u0000"')
        live.head = self._envelope.prefix + CHOICES + head
        live.tail = tail[:-1] + OPEN_REASON
        if text:
            live.length += len(text)
            if self._envelope.pending:
                self.flush()
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
        if self.legacy or (self._scope.home and "function_call" in call.form):
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
        extra = encode_extra(payloads) if isinstance(part, ToolCall) and not self.legacy else None
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

    def _set_ext(self, live: Live, ext: Json) -> None:
        if isinstance(live.part, ToolCall):
            entry: Json = {"index": live.number, live.part.kind: {}}
            merge(entry, ext, live.part.kind)
            self._envelope.chunk(live.choice, {"tool_calls": [entry]})
        elif isinstance(live.part, Reasoning) and "part:thinking" in live.part.form:
            self._envelope.chunk(live.choice, {"content": [{"type": "thinking", "thinking": [], **ext}]})
