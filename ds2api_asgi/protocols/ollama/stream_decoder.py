"""Reading streams: lines of NDJSON to events.

https://docs.ollama.com/api/streaming (read 2026-11-23). Each line is an answer with an increment as its message; the
last says ``done``. Calls come whole, each in any line.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...framing.ndjson import NdjsonParser
from ...universal.content import Part, Reasoning, Text
from ...universal.events import Close, Delta, End, Event, Extra, Open, Start, StopEvent, UsageEvent
from ...universal.jsontext import loads
from ..fields import Json
from ..stream import FrameDecoder
from .calls import keep_arguments
from .errors import decode_error
from .fields import RESPONSE_HANDLED
from .generate import answer_in_chat
from .messages import decode_message
from .profile import NAME
from .stops import decode_stop
from .times import unix_time
from .usage import decode_usage

__all__ = ["StreamDecoder"]

_TEXT: Final = Text(text="")
_THOUGHT: Final = Reasoning(text="")
_NO_HEADERS: Final[dict[str, str]] = {}


class StreamDecoder(FrameDecoder[bytes]):
    """See `base.StreamDecoder`."""

    def __init__(self) -> None:
        super().__init__(NdjsonParser())
        self._closing = False
        self._seen: Json | None = None  # members of the envelope with no place that were given; None before the start
        self._seen_in_turn: Json = {}
        self._next = 0  # the key of the next part
        self._kind: type[Part] | None = None  # what is open: a text or a thought, under the key before
        self._called = False

    def close(self) -> list[Event]:
        """See `base.StreamDecoder.close`."""
        self._closing = True
        return super().close()

    def _read(self, frames: list[bytes], out: list[Event]) -> None:
        for frame in frames:
            try:
                line = loads(frame)
            except InvalidDocument:
                # The bytes ended in the middle of a line: that is a cut, not garbage.
                self._cut(out) if self._closing else self._malformed("not JSON", out)
                return
            if type(line) is not dict:
                self._malformed("not an object", out)
                return
            message = line.get("message")
            if (
                self._kind is Text
                and len(line) == 4
                and line.get("done") is False
                and type(message) is dict
                and len(message) == 2
                and "role" in message
                and type(text := message.get("content")) is str
            ):
                if text:
                    out.append(Delta(self._next - 1, text))
                continue
            self._line(line, frame, out)
            if self._over:
                return

    def _line(self, line: Json, frame: bytes, out: list[Event]) -> None:
        if line.get("error") is not None:
            self._fail(decode_error(UNSET, _NO_HEADERS, frame), out)
            return
        if "message" not in line and "response" in line:
            line = answer_in_chat(line)
        usage, read = decode_usage(line)
        rest = {key: value for key, value in line.items() if key not in RESPONSE_HANDLED and key not in read}
        if self._seen is None:
            self._begin(line, rest, out)
        else:
            news = {key: value for key, value in rest.items() if key not in self._seen or self._seen[key] != value}
            if news:
                self._seen.update(news)
                out.append(Extra(news))
        message = line.get("message")
        if type(message) is dict:
            if message.get("tool_calls"):
                keep_arguments(line, frame)
            self._message(message, out)
        if line.get("logprobs") is not None:
            out.append(Extra({"logprobs": line["logprobs"]}, "candidate"))
        if usage is not UNSET:
            out.append(UsageEvent(usage))
        if line.get("done") is True:
            self._close_part(out)
            out.append(StopEvent(decode_stop(line.get("done_reason"), calls=self._called)))
            out.append(End())
            self._over = True

    def _begin(self, line: Json, rest: Json, out: list[Event]) -> None:
        model, created = line.get("model"), unix_time(line.get("created_at"))
        out.append(
            Start(
                protocol=NAME,
                model=model if type(model) is str else UNSET,
                created=UNSET if created is None else created,
                ext=rest or UNSET,
            )
        )
        self._seen = rest

    def _message(self, message: Json, out: list[Event]) -> None:
        if type(message.get("role")) is not str:
            message["role"] = None
        turn = decode_message(message, "", strict=False)
        for part in turn.parts:
            match part:
                case Text(text=text):
                    self._append(_TEXT, text, out)
                case Reasoning(text=str(text)):
                    self._append(_THOUGHT, text, out)
                case _:
                    self._close_part(out)
                    self._called = self._called or bool(message.get("tool_calls"))
                    out += (Open(self._next, part), Close(self._next))
                    self._next += 1
        news = {key: value for key, value in (turn.ext or {}).items() if self._seen_in_turn.get(key) != value}
        if news:
            self._seen_in_turn.update(news)
            out.append(Extra(news, "turn"))

    def _append(self, part: Text | Reasoning, text: str, out: list[Event]) -> None:
        if self._kind is not type(part):
            self._close_part(out)
            self._kind = type(part)
            out.append(Open(self._next, part))
            self._next += 1
        out.append(Delta(self._next - 1, text))

    def _close_part(self, out: list[Event]) -> None:
        if self._kind is not None:
            self._kind = None
            out.append(Close(self._next - 1))
