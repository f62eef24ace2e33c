"""Reading streams: chunks of ``chat.completion.chunk`` to events.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23), and what other servers send: see
`StreamDecoder` and the comments at the rules.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import FramingError, InvalidDocument
from ...framing.sse import SseEvent, SseParser
from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.events import Close, Delta, End, Error, Event, Extra, Open, Set, Start, StopEvent, UsageEvent
from ...universal.failure import Failure, FailureKind
from ...universal.jsontext import JsonText, dumps, loads
from ...universal.response import Stop, StopReason
from ..fields import take
from .carry import decode_detail
from .errors import decode_error
from .fields import RESPONSE
from .messages import REASONING, decode_citation
from .parts import thinking_text
from .profile import NAME
from .stops import ABSENT, decode_stop
from .usage import decode_usage

__all__ = ["StreamDecoder"]

_OBJECT: Final = "chat.completion.chunk"
# Random filling against guessing texts from packet lengths: OpenAI's name, and Mistral's.
_PADDING: Final = ("obfuscation", "p")
_IDENTITY: Final = frozenset({"id", "model", "created", "object"})
_DONE: Final = b"[DONE]"
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


class _Call:
    """One tool call in the making; waits for its name before it opens."""

    __slots__ = ("id", "key", "waiting")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.key = -1
        self.waiting: list[str] = []


class _Choice:
    """One candidate in the making."""

    __slots__ = ("calls", "index", "key", "kind", "last", "open_calls", "rest", "seen", "stopped")

    def __init__(self, index: int) -> None:
        self.index = index
        self.kind = ""  # what is open beside calls: "content", "refusal", or a name of reasoning
        self.key = -1
        self.calls: dict[int | None, _Call] = {}
        self.last: _Call | None = None
        self.open_calls: list[_Call] = []
        self.rest: dict[str, Any] | None = None  # the members beside ``delta`` when they last changed
        self.seen: dict[str, Any] = {}  # odd members that were given already
        self.stopped = False


class StreamDecoder:
    """Bytes of an upstream's stream in, events out.

    A text, reasoning or refusal part is open until another kind comes; calls stay open until their choice ends, since
    their deltas may interleave. The stream is complete when each choice that began has its finish reason and ``[DONE]``
    or the end of the stream has come; ``[DONE]`` alone is believed too, since Snowflake never sends a reason.
    """

    __slots__ = ("_choices", "_envelope", "_key", "_last", "_over", "_parser", "_prelude", "_usage")

    def __init__(self) -> None:
        self._parser = SseParser()
        self._choices: dict[int, _Choice] = {}
        self._envelope: dict[str, Any] | None = None  # all members beside ``choices`` that came, newest values
        self._last: dict[str, Any] | None = None  # those of the chunk before
        self._prelude: dict[str, Any] = {}
        self._key = -1
        self._usage: Any = None
        self._over = False

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes; return every event that they complete. Garbage becomes an `Error` event."""
        out: list[Event] = []
        if self._over:
            return out
        try:
            events = self._parser.feed(data)
        except FramingError as error:
            return self._fail(out, FailureKind.SERVER, f"malformed frame: {error}")
        self._read(events, out)
        return out

    def close(self) -> list[Event]:
        """The stream ended: give what was held back, and say whether it was complete."""
        out: list[Event] = []
        if self._over:
            return out
        try:
            rest = self._parser.close()
        except FramingError as error:
            return self._fail(out, FailureKind.SERVER, f"malformed frame: {error}")
        self._read(rest, out)
        return out if self._over else self._conclude(out)

    def _conclude(self, out: list[Event]) -> list[Event]:
        if not self._choices or not all(choice.stopped for choice in self._choices.values()):
            return self._fail(out, FailureKind.TRUNCATED, "the stream ended before its answer did")
        self._end(out)
        return out

    def _read(self, events: list[SseEvent], out: list[Event]) -> None:
        for event in events:
            if self._over:
                return
            self._take(event, out)

    def _fail(self, out: list[Event], kind: FailureKind, message: str) -> list[Event]:
        self._over = True
        out.append(Error(Failure(kind=kind, message=message)))
        return out

    def _end(self, out: list[Event]) -> None:
        for choice in self._choices.values():
            self._close_all(choice, out)
        self._over = True
        out.append(End())

    def _done(self, out: list[Event]) -> None:
        if not self._choices:
            self._fail(out, FailureKind.TRUNCATED, "the stream ended without an answer")
            return
        for choice in self._choices.values():
            self._close_all(choice, out)
            if not choice.stopped:
                out.append(StopEvent(Stop(reason=StopReason.END, form=(ABSENT,)), choice.index))
        self._end(out)

    def _take(self, event: SseEvent, out: list[Event]) -> None:
        data = event.data
        try:
            chunk = loads(data)
        except InvalidDocument:
            text = data.strip()
            if text == _DONE:
                self._done(out)
            elif text and event.complete:
                self._fail(out, FailureKind.SERVER, "malformed frame: not JSON")
            return
        if type(chunk) is not dict:
            self._fail(out, FailureKind.SERVER, "malformed frame: not an object")
            return
        choices = chunk.pop("choices", None)
        usage = chunk.pop("usage", None)
        for name in _PADDING:
            chunk.pop(name, None)
        if chunk != self._last:
            self._last = chunk
            failure = self._failure(chunk, event, choices)
            if failure is None or choices:
                self._begin(chunk, choices, out)
            if failure is not None:
                for choice in choices if type(choices) is list else ():
                    if type(choice) is dict:
                        self._delta(self._choice(choice), choice.get("delta"), out)
                self._over = True
                out.append(Error(failure))
                return
        if usage is not None:
            self._count(usage, out)
        if type(choices) is list:
            for choice in choices:
                if type(choice) is dict:
                    self._step(choice, out)

    def _failure(self, chunk: dict[str, Any], event: SseEvent, choices: Any) -> Failure | None:
        told = chunk.get("error") is not None or chunk.get("object") == "error"
        if not told and not (event.name == b"error" and choices is None):
            return None
        error = {"error": chunk["error"]} if choices is not None and "error" in chunk else chunk
        return decode_error(UNSET, _NO_ROOM, dumps(error))

    def _begin(self, chunk: dict[str, Any], choices: Any, out: list[Event]) -> None:
        """Read the envelope: the first makes `Start`, later ones what has changed in them."""
        if self._envelope is None:
            # Azure opens with a chunk that has neither id nor choices: what it says waits for the real first.
            if not choices and not chunk.get("id"):
                self._prelude.update({key: value for key, value in chunk.items() if key not in _IDENTITY})
                return
            values, rest = take({**self._prelude, **chunk}, RESPONSE, handled=("object",), strict=False)
            ext = {} if rest is UNSET else rest
            ext.pop("error", None)
            if chunk.get("object", _OBJECT) != _OBJECT:
                ext["object"] = chunk["object"]
            out.append(Start(protocol=NAME, ext=ext or UNSET, **values))
            self._envelope = dict(chunk)
            return
        news = {
            key: value
            for key, value in chunk.items()
            if key not in _IDENTITY and key != "error" and self._envelope.get(key) != value
        }
        self._envelope.update(chunk)
        if news:
            out.append(Extra(news))
            inner = news.get("x_groq")
            if type(inner) is dict:
                self._count(inner.get("usage"), out)

    def _count(self, usage: Any, out: list[Event]) -> None:
        if type(usage) is dict and usage != self._usage and self._envelope is not None:
            self._usage = usage
            out.append(UsageEvent(decode_usage(usage)))

    def _choice(self, choice: dict[str, Any]) -> _Choice:
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = _Choice(index)
        return state

    def _step(self, choice: dict[str, Any], out: list[Event]) -> None:
        state = self._choice(choice)
        delta = choice.pop("delta", None)
        if delta is None:
            delta = choice.get("message")  # a whole answer where a chunk was due
        choice.pop("message", None)  # Perplexity repeats all that came so far
        news = choice != state.rest
        if news and choice.get("logprobs") is not None:
            out.append(Extra({"logprobs": choice["logprobs"]}, "candidate", state.index))
        if delta:
            if len(delta) == 1 and state.kind == "content" and type(text := delta.get("content")) is str:
                if text:
                    out.append(Delta(state.key, text))
            else:
                self._delta(state, delta, out)
        if news:
            state.rest = choice
            self._candidate(state, choice, out)

    def _candidate(self, state: _Choice, choice: dict[str, Any], out: list[Event]) -> None:
        """Read the members of a choice beside its delta."""
        ext = {
            key: value
            for key, value in choice.items()
            if key not in _CHOICE_KNOWN and value is not None and state.seen.get(key) != value
        }
        if ext:
            state.seen.update(ext)
            out.append(Extra(ext, "candidate", state.index))
        if "usage" in choice:  # Moonshot
            self._count(choice["usage"], out)
        reason = choice.get("finish_reason")
        if type(reason) is str and not state.stopped:
            self._close_all(state, out)
            state.stopped = True
            out.append(StopEvent(decode_stop(reason), state.index))

    def _delta(self, state: _Choice, delta: Any, out: list[Event]) -> None:
        if type(delta) is not dict:
            return
        for name in REASONING:
            text = delta.get(name)
            if type(text) is str:
                self._text(state, name, _THOUGHTS[name], text, out)
                break
        content = delta.get("content")
        if type(content) is str:
            self._text(state, "content", _TEXT, content, out)
        elif type(content) is list:
            for part in content:
                self._part(state, part, out)
        refusal = delta.get("refusal")
        if type(refusal) is str:
            self._text(state, "refusal", _REFUSAL, refusal, out)
        calls = delta.get("tool_calls")
        if type(calls) is list:
            self._calls(state, calls, out)
        legacy = delta.get("function_call")
        if type(legacy) is dict:
            self._calls(state, [{"function": legacy, "type": "function_call"}], out)
        if not delta.keys() <= _DELTA_READ:
            self._odd(state, delta, out)

    def _odd(self, state: _Choice, delta: dict[str, Any], out: list[Event]) -> None:
        """Read the members of a delta that have no place."""
        annotations = delta.get("annotations")
        ext: dict[str, Any] = {}
        if type(annotations) is list and annotations:
            citations = [decode_citation(entry) for entry in annotations]
            if state.kind == "content" and None not in citations:
                out.extend(Set(state.key, "citation", citation) for citation in citations)
            else:
                ext["annotations"] = annotations
        for key, value in delta.items():
            if key in _DELTA_KNOWN or value is None:
                continue
            if key == "reasoning_details" and type(value) is list:
                others = self._details(state, value, out)
                if others:
                    ext[key] = others
                continue
            if type(value) not in (dict, list):  # a list or object may be one more piece
                if state.seen.get("." + key) == value:
                    continue
                state.seen["." + key] = value
            ext[key] = value
        if ext:
            out.append(Extra(ext, "turn", state.index))

    def _details(self, state: _Choice, details: list[Any], out: list[Event]) -> list[Any]:
        """Read the details that are in our format; returns the others."""
        others: list[Any] = []
        for detail in details:
            thought = decode_detail(detail)
            if thought is None:
                others.append(detail)
            elif thought.text and state.kind == REASONING[0]:
                out.append(Set(state.key, "opaque", thought.opaque[0]))
            else:
                self._close_text(state, out)
                out.append(Close(self._open(thought, state.index, out)))
        return others

    def _text(self, state: _Choice, kind: str, part: Part, text: str, out: list[Event]) -> None:
        """More text of a kind; empty text opens nothing."""
        if not text:
            return
        if state.kind != kind:
            self._close_text(state, out)
            state.kind = kind
            state.key = self._open(part, state.index, out)
        out.append(Delta(state.key, text))

    def _part(self, state: _Choice, part: Any, out: list[Event]) -> None:
        """A part of a content list (Mistral)."""
        kind = part.get("type") if type(part) is dict else None
        if kind == "text" and type(part.get("text")) is str:
            self._text(state, "content", _TEXT, part["text"], out)
            return
        thought = thinking_text(part.get("thinking")) if kind == "thinking" else None
        if thought is None:
            self._close_text(state, out)
            json = part if type(kind) is str else {"content": [part]}
            out.append(Close(self._open(OpaquePart(json=json, protocol=NAME), state.index, out)))
            return
        self._text(state, "thinking", _THOUGHTS["thinking"], thought, out)
        ext = {key: value for key, value in part.items() if key not in ("type", "thinking")}
        if ext and state.kind == "thinking":
            out.append(Set(state.key, "ext", ext))

    def _calls(self, state: _Choice, calls: list[Any], out: list[Event]) -> None:
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
            call = state.calls.get(index) if index is not None else state.last
            # A new call iff the index is new, or it is missing or the same and another id comes. Servers without
            # indexes and ids (some send whole calls only) begin one with each name.
            if (
                call is None
                or (id_ and call.id and id_ != call.id)
                or (name and (index in fresh or (index is None and not id_)))
            ):
                self._close_text(state, out)
                call = _Call(id_)
                fresh.add(index)
                state.open_calls.append(call)
                if index is not None:
                    state.calls[index] = call
            state.last = call
            arguments = inner.get("arguments" if kind == "function" else "input")
            if type(arguments) is dict:
                arguments = dumps(arguments).decode()
            self._advance(state, call, entry, kind, inner, name, arguments, out)

    def _advance(
        self,
        state: _Choice,
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
        self._open_call(state, call, part, out)

    def _open_call(self, state: _Choice, call: _Call, part: ToolCall, out: list[Event]) -> None:
        call.key = self._open(part, state.index, out)
        out.extend(Delta(call.key, text) for text in call.waiting)
        call.waiting.clear()

    def _open(self, part: Part, index: int, out: list[Event]) -> int:
        self._key += 1
        out.append(Open(self._key, part, index))
        return self._key

    def _close_text(self, state: _Choice, out: list[Event]) -> None:
        if state.kind:
            out.append(Close(state.key))
            state.kind = ""

    def _close_all(self, state: _Choice, out: list[Event]) -> None:
        self._close_text(state, out)
        for call in state.open_calls:
            if call.key < 0:  # its name never came
                self._open_call(state, call, ToolCall(id=call.id or UNSET, name="", arguments=JsonText("")), out)
            out.append(Close(call.key))
        state.open_calls.clear()
        state.calls.clear()
        state.last = None


_CALL_KNOWN: Final = frozenset({"index", "id", "type", "function", "custom"})
_INNER_KNOWN: Final = frozenset({"name", "arguments", "input"})
