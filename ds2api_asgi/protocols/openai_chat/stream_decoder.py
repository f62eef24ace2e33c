"""Reading streams: chunks of ``chat.completion.chunk`` to events.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23), and what other servers send: see
`StreamDecoder` and the comments at the rules.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...framing.sse import SseEvent, SseParser
from ...universal.events import Delta, End, Event, Extra, Start, StopEvent, UsageEvent
from ...universal.failure import Failure
from ...universal.jsontext import loads
from ...universal.response import Stop, StopReason
from ..fields import take
from ..mould import Mould
from ..stream import FrameDecoder
from .errors import decode_failure, error_of
from .fields import RESPONSE
from .messages import REASONING
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


class StreamDecoder(FrameDecoder[SseEvent]):
    """See `base.StreamDecoder`.

    The stream is complete when each choice that began has its finish reason and ``[DONE]``
    or the end of the stream has come; ``[DONE]`` alone is believed too, since Snowflake never sends a reason.
    """

    def __init__(self) -> None:
        super().__init__(SseParser())
        self._choices: dict[int, Choice] = {}
        self._envelope: dict[str, Any] | None = None  # all members beside ``choices`` that came, newest values
        self._last: dict[str, Any] | None = None  # those of the chunk before
        self._prelude: dict[str, Any] = {}
        self._keys = count()
        self._usage: Any = None
        self._mould = Mould(("choices", 0, "delta"), "content", *REASONING)
        self._key = -1  # the part that the mould's text belongs to

    def _read(self, frames: list[SseEvent], out: list[Event]) -> None:
        for frame in frames:
            if self._over:
                return
            self._take(frame, out)

    def _cut(self, out: list[Event]) -> None:
        if self._choices and all(choice.stopped for choice in self._choices.values()):
            self._end(out)
        else:
            super()._cut(out)

    def _end(self, out: list[Event]) -> None:
        for choice in self._choices.values():
            choice.close_all(out)
        self._over = True
        out.append(End())

    def _done(self, out: list[Event]) -> None:
        if not self._choices:
            self._cut(out)
            return
        for choice in self._choices.values():
            choice.close_all(out)
            if not choice.stopped:
                out.append(StopEvent(Stop(reason=StopReason.END, form=(ABSENT,)), choice.index))
        self._end(out)

    def _take(self, event: SseEvent, out: list[Event]) -> None:
        data = event.data
        text = self._mould.text(data)
        if text is None:
            known = len(out)
            self._mould.drop()
            self._parse(event, out)
            if len(out) == known + 1 and type(delta := out[-1]) is Delta:
                self._key = delta.key
                self._mould.make(data, delta.text)
        elif text:
            out.append(Delta(self._key, text))

    def _parse(self, event: SseEvent, out: list[Event]) -> None:
        data = event.data
        try:
            chunk = loads(data)
        except InvalidDocument:
            text = data.strip()
            if text == _DONE:
                self._done(out)
            elif text and event.complete:
                self._unreadable(data, out)
            return
        if type(chunk) is not dict:
            self._malformed("not an object", out)
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
                    if "error" in choice and (error := error_of({"choices": choices})) is not None:
                        self._fail_with(decode_failure(error), choices, out)
                        return
                    if "usage" in choice:  # Moonshot
                        self._count(choice["usage"], out)
                    self._choice(choice).step(choice, out)

    def _fail_with(self, failure: Failure, choices: Any, out: list[Event]) -> None:
        """Give what came beside an error, then the error."""
        for choice in choices if type(choices) is list else ():
            if type(choice) is dict:
                self._choice(choice).delta(choice.get("delta"), out)
        self._fail(failure, out)

    def _failure(self, chunk: dict[str, Any], event: SseEvent, choices: Any) -> Failure | None:
        told = chunk.get("error") is not None or chunk.get("object") == "error"
        if not told and not (event.name == b"error" and choices is None):
            return None
        error = {"error": chunk["error"]} if choices is not None and "error" in chunk else chunk
        return decode_failure(error)

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
