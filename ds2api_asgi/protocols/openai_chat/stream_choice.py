"""One choice of a stream: its deltas to events.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23). A text, reasoning or refusal part is
open until another kind comes; calls stay open until their choice ends, since their deltas may interleave.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET

from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.events import Close, Delta, Event, Extra, Open, Set, StopEvent
from ...universal.jsontext import JsonText, dumps
from .carry import decode_detail
from .citations import decode_citation
from .messages import REASONING
from .parts import thinking_text
from .profile import NAME
from .stops import decode_stop

__all__ = ["Choice"]

_TEXT: Final = Text(text="")
_REFUSAL: Final = Refusal(text="")
_THOUGHTS: Final = {
    "reasoning_content": Reasoning(text=""),
    "reasoning": Reasoning(text="", form=("reasoning",)),
    "thinking": Reasoning(text="", form=("part:thinking",)),
}
_DELTA_READ: Final = frozenset({"role", "content", "refusal", "tool_calls", "function_call", *REASONING})
_DELTA_KNOWN: Final = _DELTA_READ | {"annotations"}
_CHOICE_KNOWN: Final = frozenset({"index", "logprobs", "finish_reason", "usage"})
_NO_ROOM: Final[dict[str, Any]] = {}
_CALL_KNOWN: Final = frozenset({"index", "id", "type", "function", "custom"})
_INNER_KNOWN: Final = frozenset({"name", "arguments", "input"})


class _Call:
    """One tool call in the making; waits for its name before it opens."""

    __slots__ = ("id", "key", "waiting")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.key = -1
        self.waiting: list[str] = []


class Choice:
    """One candidate in the making.

    Args:
        index: Its number.
        keys: Numbers for parts, shared by all choices of a stream.

    Attributes:
        index: Its number.
        stopped: Whether its finish reason has come.
    """

    __slots__ = ("_calls", "_key", "_keys", "_kind", "_last", "_open_calls", "_rest", "_seen", "index", "stopped")

    def __init__(self, index: int, keys: Iterator[int]) -> None:
        self.index = index
        self._keys = keys
        self._kind = ""  # what is open beside calls: "content", "refusal", or a name of reasoning
        self._key = -1
        self._calls: dict[int | None, _Call] = {}
        self._last: _Call | None = None
        self._open_calls: list[_Call] = []
        self._rest: dict[str, Any] | None = None  # the members beside ``delta`` when they last changed
        self._seen: dict[str, Any] = {}  # odd members that were given already
        self.stopped = False

    def step(self, choice: dict[str, Any], out: list[Event]) -> None:
        """Read one entry of a chunk's ``choices``; takes it apart."""
        delta = choice.pop("delta", None)
        if delta is None:
            delta = choice.get("message")  # a whole answer where a chunk was due
        choice.pop("message", None)  # Perplexity repeats all that came so far
        news = choice != self._rest
        if news and choice.get("logprobs") is not None:
            out.append(Extra({"logprobs": choice["logprobs"]}, "candidate", self.index))
        if delta and type(delta) is dict:
            if len(delta) == 1 and self._kind == "content" and type(text := delta.get("content")) is str:
                if text:
                    out.append(Delta(self._key, text))
            else:
                self.delta(delta, out)
        if news:
            self._rest = choice
            self._candidate(choice, out)

    def _candidate(self, choice: dict[str, Any], out: list[Event]) -> None:
        """Read the members of a choice beside its delta."""
        ext = {
            key: value
            for key, value in choice.items()
            if key not in _CHOICE_KNOWN and value is not None and self._seen.get(key) != value
        }
        if ext:
            self._seen.update(ext)
            out.append(Extra(ext, "candidate", self.index))
        reason = choice.get("finish_reason")
        if type(reason) is str and not self.stopped:
            self.close_all(out)
            self.stopped = True
            out.append(StopEvent(decode_stop(reason), self.index))

    def delta(self, delta: Any, out: list[Event]) -> None:
        """Read a delta in the order in which a message keeps its kinds."""
        if type(delta) is not dict:
            return
        for name in REASONING:
            text = delta.get(name)
            if type(text) is str:
                self._text(name, _THOUGHTS[name], text, out)
                break
        content = delta.get("content")
        if type(content) is str:
            self._text("content", _TEXT, content, out)
        elif type(content) is list:
            for part in content:
                self._part(part, out)
        refusal = delta.get("refusal")
        if type(refusal) is str:
            self._text("refusal", _REFUSAL, refusal, out)
        calls = delta.get("tool_calls")
        if type(calls) is list:
            self._read_calls(calls, out)
        legacy = delta.get("function_call")
        if type(legacy) is dict:
            self._read_calls([{"function": legacy, "type": "function_call"}], out)
        if not delta.keys() <= _DELTA_READ:
            self._odd(delta, out)

    def _odd(self, delta: dict[str, Any], out: list[Event]) -> None:
        """Read the members of a delta that have no place."""
        annotations = delta.get("annotations")
        ext: dict[str, Any] = {}
        if type(annotations) is list and annotations:
            citations = [decode_citation(entry) for entry in annotations]
            if self._kind == "content" and None not in citations:
                out.extend(Set(self._key, "citation", citation) for citation in citations)
            else:
                ext["annotations"] = annotations
        for key, value in delta.items():
            if key in _DELTA_KNOWN or value is None:
                continue
            if key == "reasoning_details" and type(value) is list:
                others = self._details(value, out)
                if others:
                    ext[key] = others
                continue
            if type(value) not in (dict, list):  # a list or object may be one more piece
                if self._seen.get("." + key) == value:
                    continue
                self._seen["." + key] = value
            ext[key] = value
        if ext:
            out.append(Extra(ext, "turn", self.index))

    def _details(self, details: list[Any], out: list[Event]) -> list[Any]:
        """Read the details that are in our format; returns the others."""
        others: list[Any] = []
        for detail in details:
            thought = decode_detail(detail)
            if thought is None:
                others.append(detail)
            elif thought.text and self._kind == REASONING[0]:
                out.append(Set(self._key, "opaque", thought.opaque[0]))
                self._close_text(out)  # the payload ends its thought; more text is the next one's
            else:
                self._close_text(out)
                out.append(Close(self._open(thought, out)))
        return others

    def _text(self, kind: str, part: Part, text: str, out: list[Event]) -> None:
        """More text of a kind; empty text opens nothing."""
        if not text:
            return
        if self._kind != kind:
            self._close_text(out)
            self._kind = kind
            self._key = self._open(part, out)
        out.append(Delta(self._key, text))

    def _part(self, part: Any, out: list[Event]) -> None:
        """A part of a content list (Mistral)."""
        kind = part.get("type") if type(part) is dict else None
        if kind == "text" and type(part.get("text")) is str:
            self._text("content", _TEXT, part["text"], out)
            return
        thought = thinking_text(part.get("thinking")) if kind == "thinking" else None
        if thought is None:
            self._close_text(out)
            json = part if type(kind) is str else {"content": [part]}
            out.append(Close(self._open(OpaquePart(json=json, protocol=NAME), out)))
            return
        self._text("thinking", _THOUGHTS["thinking"], thought, out)
        ext = {key: value for key, value in part.items() if key not in ("type", "thinking")}
        if ext and self._kind == "thinking":
            out.append(Set(self._key, "ext", ext))

    def _read_calls(self, calls: list[Any], out: list[Event]) -> None:
        fresh: set[int | None] = set()  # begun in this very chunk: a second entry with a name is another call
        for entry in calls:
            if type(entry) is not dict:
                continue
            index = entry.get("index")
            if type(index) is not int:
                index = None
            id_ = entry.get("id")
            if type(id_) is not str:
                id_ = ""
            kind = "custom" if type(entry.get("custom")) is dict else "function"
            inner = entry.get(kind)
            inner = inner if type(inner) is dict else _NO_ROOM
            name = inner.get("name")
            call = self._calls.get(index) if index is not None else self._last
            # A new call iff the index is new, or it is missing or the same and another id comes. Servers without
            # indexes and ids (some send whole calls only) begin one with each name.
            if (
                call is None
                or (id_ and call.id and id_ != call.id)
                or (name and (index in fresh or (index is None and not id_)))
            ):
                self._close_text(out)
                call = _Call(id_)
                fresh.add(index)
                self._open_calls.append(call)
                if index is not None:
                    self._calls[index] = call
            self._last = call
            arguments = inner.get("arguments" if kind == "function" else "input")
            if type(arguments) is dict:
                arguments = dumps(arguments).decode()
            self._advance(call, entry, kind, inner, name, arguments, out)

    def _advance(
        self,
        call: _Call,
        entry: dict[str, Any],
        kind: str,
        inner: dict[str, Any],
        name: Any,
        arguments: Any,
        out: list[Event],
    ) -> None:
        """More of one call."""
        ext = {key: value for key, value in entry.items() if key not in _CALL_KNOWN and value is not None}
        for key, value in inner.items():
            if key not in _INNER_KNOWN and value is not None:
                ext[f"{kind}.{key}"] = value
        if call.key >= 0:
            if ext:
                out.append(Set(call.key, "ext", ext))
            if type(arguments) is str and arguments:
                out.append(Delta(call.key, arguments))
            return
        if type(arguments) is str and arguments:
            call.waiting.append(arguments)
        if type(name) is not str or not name:
            return
        legacy = entry.get("type") == "function_call"
        part = ToolCall(
            id=call.id if call.id or type(entry.get("id")) is str else UNSET,
            name=name,
            arguments=JsonText(""),
            kind="custom" if kind == "custom" else "function",
            ext=ext or UNSET,
            form=("function_call",) if legacy else (),
        )
        self._open_call(call, part, out)

    def _open_call(self, call: _Call, part: ToolCall, out: list[Event]) -> None:
        call.key = self._open(part, out)
        out.extend(Delta(call.key, text) for text in call.waiting)
        call.waiting.clear()

    def _open(self, part: Part, out: list[Event]) -> int:
        key = next(self._keys)
        out.append(Open(key, part, self.index))
        return key

    def _close_text(self, out: list[Event]) -> None:
        if self._kind:
            out.append(Close(self._key))
            self._kind = ""

    def close_all(self, out: list[Event]) -> None:
        """Close every part that is open; further deltas begin new ones."""
        self._close_text(out)
        for call in self._open_calls:
            if call.key < 0:  # its name never came
                self._open_call(call, ToolCall(id=call.id or UNSET, name="", arguments=JsonText("")), out)
            out.append(Close(call.key))
        self._open_calls.clear()
        self._calls.clear()
        self._last = None
