"""Reading streams: chunks of ``chat.completion.chunk`` to events.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23), and what other servers send: see
`StreamDecoder` and the comments at the rules.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from msgspec import UNSET

from ...errors import FramingError, InvalidDocument
from ...framing.sse import SseEvent, SseParser
from ...universal.events import End, Error, Event, Extra, Start, StopEvent, UsageEvent
from ...universal.failure import Failure, FailureKind
from ...universal.jsontext import dumps, loads
from ...universal.response import Stop, StopReason
from ..fields import take
from .errors import decode_error
from .fields import RESPONSE
from .profile import NAME
from .stops import ABSENT
from .stream_choice import Choice
from .usage import decode_usage

__all__ = ["StreamDecoder"]

_OBJECT: Final = "chat.completion.chunk"
# Random filling against guessing texts from packet lengths: OpenAI's name, and Mistral's.
_PADDING: Final = ("obfuscation", "p")
_IDENTITY: Final = frozenset({"id", "model", "created", "object"})
_DONE: Final = b"[DONE]"
_NO_HEADERS: Final[dict[str, str]] = {}


class StreamDecoder:
    """Bytes of an upstream's stream in, events out.

    The stream is complete when each choice that began has its finish reason and ``[DONE]``
    or the end of the stream has come; ``[DONE]`` alone is believed too, since Snowflake never sends a reason.
    """

    __slots__ = ("_choices", "_envelope", "_keys", "_last", "_over", "_parser", "_prelude", "_usage")

    def __init__(self) -> None:
        self._parser = SseParser()
        self._choices: dict[int, Choice] = {}
        self._envelope: dict[str, Any] | None = None  # all members beside ``choices`` that came, newest values
        self._last: dict[str, Any] | None = None  # those of the chunk before
        self._prelude: dict[str, Any] = {}
        self._keys = count()
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
            choice.close_all(out)
        self._over = True
        out.append(End())

    def _done(self, out: list[Event]) -> None:
        if not self._choices:
            self._fail(out, FailureKind.TRUNCATED, "the stream ended without an answer")
            return
        for choice in self._choices.values():
            choice.close_all(out)
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
                self._fail_with(failure, choices, out)
                return
        if usage is not None:
            self._count(usage, out)
        if type(choices) is list:
            for choice in choices:
                if type(choice) is dict:
                    if "usage" in choice:  # Moonshot
                        self._count(choice["usage"], out)
                    self._choice(choice).step(choice, out)

    def _fail_with(self, failure: Failure, choices: Any, out: list[Event]) -> None:
        """Give what came beside an error, then the error."""
        for choice in choices if type(choices) is list else ():
            if type(choice) is dict:
                self._choice(choice).delta(choice.get("delta"), out)
        self._over = True
        out.append(Error(failure))

    def _failure(self, chunk: dict[str, Any], event: SseEvent, choices: Any) -> Failure | None:
        told = chunk.get("error") is not None or chunk.get("object") == "error"
        if not told and not (event.name == b"error" and choices is None):
            return None
        error = {"error": chunk["error"]} if choices is not None and "error" in chunk else chunk
        return decode_error(UNSET, _NO_HEADERS, dumps(error))

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
            self._count_groq(chunk, out)
            return
        news = {
            key: value
            for key, value in chunk.items()
            if key not in _IDENTITY and key != "error" and self._envelope.get(key) != value
        }
        self._envelope.update(chunk)
        if news:
            out.append(Extra(news))
            self._count_groq(news, out)

    def _count_groq(self, members: dict[str, Any], out: list[Event]) -> None:
        inner = members.get("x_groq")
        if type(inner) is dict:
            self._count(inner.get("usage"), out)

    def _count(self, usage: Any, out: list[Event]) -> None:
        if type(usage) is dict and usage != self._usage and self._envelope is not None:
            self._usage = usage
            out.append(UsageEvent(decode_usage(usage)))

    def _choice(self, choice: dict[str, Any]) -> Choice:
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = Choice(index, self._keys)
        return state
