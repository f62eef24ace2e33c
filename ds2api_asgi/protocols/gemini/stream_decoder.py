"""Reading streams: each frame is a whole GenerateContentResponse that says what is new.

It follows https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11-23).
There is no last word: a stream is complete when it ends and each candidate that began has its ``finishReason``, or the
prompt was blocked.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.events import End, Event, Extra, Start, StopEvent, UsageEvent
from ...universal.jsontext import loads
from ..stream import FrameDecoder
from .errors import decode_failure
from .profile import NAME
from .response import envelope
from .spelling import canonical
from .stops import blocked
from .stream_candidate import StreamCandidate
from .stream_frames import Frames
from .usage import decode_usage

__all__ = ["StreamDecoder"]

_IDENTITY: Final = frozenset({"responseId", "modelVersion", "createTime"})


class StreamDecoder(FrameDecoder[bytes]):
    """See `base.StreamDecoder`."""

    def __init__(self) -> None:
        super().__init__(Frames())
        self._candidates: dict[int, StreamCandidate] = {}
        self._started = False
        self._seed = ""
        self._said: dict[str, Any] = {}  # all members beside the candidates that came, newest values
        self._last: dict[str, Any] | None = None  # those of the chunk before
        self._usage: Any = None
        self._blocked = False
        self._keys = count()

    def _read(self, frames: list[bytes], out: list[Event]) -> None:
        for frame in frames:
            if self._over:
                return
            self._take(frame, out)

    def _take(self, frame: bytes, out: list[Event]) -> None:
        try:
            chunk = loads(frame)
        except InvalidDocument:
            lines = frame.splitlines()
            if len(lines) > 1:  # relays that leave out the blank lines between frames
                self._read(lines, out)
            elif frame.strip() not in {b"", b"[DONE]"}:
                self._unreadable(frame, out)
            return
        if type(chunk) is list and chunk:
            chunk = chunk[0]
        if type(chunk) is not dict:
            self._malformed("not an object", out)
            return
        chunk = dict(canonical(chunk)[0])
        if chunk.get("error") is not None:
            self._fail(decode_failure(chunk, UNSET), out)
            return
        candidates = chunk.pop("candidates", None)
        usage = chunk.pop("usageMetadata", None)
        if chunk != self._last or not self._started:
            self._last = chunk
            self._envelope(chunk, usage, out)
        if usage is not None:
            # Each chunk has the counts so far: the first tells the input's, and at the end the last are given.
            if self._usage is None:
                self._usage = usage
                self._count(out)
            self._usage = usage
        for candidate in candidates if type(candidates) is list else ():
            if type(candidate) is dict:
                self._candidate(candidate).step(candidate, out)

    def _envelope(self, chunk: dict[str, Any], usage: Any, out: list[Event]) -> None:
        if not self._started:
            self._started = True
            values, ext = envelope(chunk)
            if type(usage) is dict:
                values["service_tier"] = decode_usage(usage)[1]
            self._seed = str(values.get("id", ""))
            out.append(Start(protocol=NAME, ext=ext or UNSET, **values))
        else:
            news = {
                key: value
                for key, value in chunk.items()
                if key not in _IDENTITY and value is not None and self._said.get(key) != value
            }
            if news:
                out.append(Extra(news))
        self._said.update(chunk)
        stop = blocked(chunk.get("promptFeedback"))
        if stop is not None and not self._candidates and not self._blocked:
            self._blocked = True
            out.append(StopEvent(stop))

    def _count(self, out: list[Event]) -> None:
        if type(self._usage) is dict:
            out.append(UsageEvent(replace(decode_usage(self._usage)[0], form=())))

    def _candidate(self, document: dict[str, Any]) -> StreamCandidate:
        index = document.get("index")
        if type(index) is not int:
            index = 0
        state = self._candidates.get(index)
        if state is None:
            state = self._candidates[index] = StreamCandidate(index, self._keys, self._seed)
            if self._blocked and index == 0:
                state.stopped = True
        return state

    def _cut(self, out: list[Event]) -> None:
        states = self._candidates.values()
        if self._started:
            self._count(out)
        if not (self._blocked or states) or not all(state.stopped for state in states):
            super()._cut(out)
            return
        for state in states:
            state.finish(out)
        self._over = True
        out.append(End())
