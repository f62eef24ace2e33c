"""What reading and watching a stream is in every protocol: `FrameDecoder` and `LineWatch`, to be completed by each.

The skeletons keep what is easily forgotten: nothing follows the terminal, garbage is an `Error` event, an end before
the terminal is a truncated stream, and a watch finds the end of a stream whose last line has no line end.
"""

from __future__ import annotations

import logging
import re
import typing
from abc import ABC, abstractmethod
from typing import Any, Final, Generic, TypeVar

from ..errors import FramingError, InvalidDocument
from ..framing.sse import MAX_LINE
from ..universal.events import Error, Event
from ..universal.failure import Failure, FailureKind
from ..universal.jsontext import loads

__all__ = ["FrameDecoder", "FrameParser", "LineWatch", "another_index", "type_at"]

Frame = TypeVar("Frame")

_MOST_SKIPPED: Final = 16
"""Frames without JSON that are left out of one stream; after them it is garbage."""

_log = logging.getLogger("ds2api_asgi.protocols")


class FrameParser(typing.Protocol[Frame]):
    """A parser of `framing`."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes, give the frames that they complete; raises `FramingError`."""
        ...

    def close(self) -> list[Frame]:
        """The stream ended: give what is left; raises `FramingError`."""
        ...


class FrameDecoder(ABC, Generic[Frame]):
    """A `base.StreamDecoder` without its frames' meaning.

    Args:
        parser: Of the framing: ``SseParser()``, ``NdjsonParser()``.

    Attributes:
        skipped: How many frames were left out since they hold no JSON.
    """

    def __init__(self, parser: FrameParser[Frame]) -> None:
        self._parser = parser
        self.skipped = 0
        self._over = False  # the terminal has been given: nothing may follow

    def feed(self, data: bytes) -> list[Event]:
        """See `base.StreamDecoder.feed`."""
        out: list[Event] = []
        if self._over:
            return out
        try:
            frames = self._parser.feed(data)
        except FramingError as error:
            self._malformed(str(error), out)
        else:
            self._read(frames, out)
        return out

    def close(self) -> list[Event]:
        """See `base.StreamDecoder.close`."""
        out: list[Event] = []
        if self._over:
            return out
        try:
            frames = self._parser.close()
        except FramingError as error:
            self._malformed(str(error), out)
            return out
        self._read(frames, out)
        if not self._over:
            self._cut(out)
        return out

    @abstractmethod
    def _read(self, frames: list[Frame], out: list[Event]) -> None:
        """Take frames; stop at the one with which the stream is over (set ``_over`` beside `End`)."""

    def _cut(self, out: list[Event]) -> None:
        """The bytes have ended without a terminal; where that may be a good end, the protocol says so here."""
        self._fail(Failure(kind=FailureKind.TRUNCATED, message="the stream ended before its answer did"), out)

    def _malformed(self, problem: str, out: list[Event]) -> None:
        """A frame is not what it should be: ``"not JSON"``."""
        self._fail(Failure(kind=FailureKind.SERVER, message=f"malformed frame: {problem}"), out)

    def _unreadable(self, frame: bytes, out: list[Event]) -> None:
        """A frame is no JSON. One that cannot be any is what some relay has added, and nothing of the answer is lost.

        If one was, the stream has no end either.
        """
        if self.skipped >= _MOST_SKIPPED or not _is_word(frame):
            self._malformed("not JSON", out)
            return
        if not self.skipped:
            _log.warning("a frame of an upstream's stream is no JSON and was left out")
        self.skipped += 1

    def _fail(self, failure: Failure, out: list[Event]) -> None:
        self._over = True
        out.append(Error(failure))


def _is_word(frame: bytes) -> bool:
    """Whether a frame is a text in which no JSON can have been."""
    return frame.isascii() and b"{" not in frame and b"[" not in frame


_SHORT: Final = 4096
"""Bytes of the longest last line that is looked at without its line end."""

_INDEX: Final = b'"index":'
_FIRST: Final = (b"0", b" 0")

_LINE_END: Final = re.compile(rb"[\r\n]")

_TYPE: Final = re.compile(
    rb"""\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[-+.\w]+)\s*,\s*)*?"type"\s*:\s*"([^"\\]+)\""""
)


class LineWatch(ABC):
    """A `base.StreamWatch` for streams that put each JSON document on one line: after ``data:``, or bare (NDJSON).

    Before content each line is read. After it only those in which a marker may stand are, a reader of JSON being the
    judge: the search merely spares it the rest. That misses nothing if a marker is part of every event that matters,
    in plain letters; it is not fooled by texts, in which a quote is always escaped. Each line is read again after
    the end, for there may be more to come (another picture), and where choices come beside each other.

    Attributes:
        content: See `base.StreamWatch`, likewise the others.
        terminal: See there.
        ended: See there.
        failure: See there.
    """

    _field = b"data:"
    _last_word: bytes | None = None  # what ends a stream without being JSON

    def __init__(self) -> None:
        self.content = False
        self.terminal = False
        self.ended = False
        self.failure: Failure | None = None
        self._line: list[bytes] = []  # the line in progress; empty only when there is none
        self._size = 0
        self._several = False  # whether answers come beside each other: then any line may begin another

    def feed(self, data: bytes) -> None:
        """See `base.StreamWatch.feed`."""
        if not self._line and data.endswith(b"\n"):  # whole lines, as most reads are
            self._look(data)
            return
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if end:
            self._look(self._completed(data[:end]) if self._line else data[:end])
            data = data[end:]
        if data:
            self._keep(data)

    def _completed(self, lines: bytes) -> bytes:
        """The lines that there are, now that the one in progress has ended; one too long is told by its beginning."""
        kept, size = self._line, self._size
        self._line = []
        self._size = 0
        if size <= MAX_LINE:
            return b"".join((*kept, lines))
        data = self._data(kept[0])
        if data is not None:
            self._too_long(data)
        return _LINE_END.split(lines, maxsplit=1)[1]

    def _keep(self, data: bytes) -> None:
        too_long = self._size > MAX_LINE
        self._size += len(data)
        if self._size > MAX_LINE:  # the parsers refuse it
            if not too_long:
                self._line = [b"".join((*self._line, data))[:_SHORT]]
            return
        self._line.append(data)
        # The last line of a stream may lack its end; to read half a line, or one twice, does no harm.
        if self._size <= _SHORT and data.endswith((b"}", b"]")):
            self._look(b"".join(self._line))

    def _look(self, lines: bytes) -> None:
        behind = self.content
        if behind and not self._marked(lines) and not self.terminal and not self._several:
            return
        unread = iter(lines.splitlines())
        for line in unread:
            data = self._data(line)
            if data is not None and (not self.content or self._matters(line)):
                self._read(data)
                if self.content and not behind:  # the rest has passed behind it
                    self._look(b"\n".join(unread))
                    return

    def _matters(self, line: bytes) -> bool:
        return self.terminal or self._several or self._marked(line)

    def _read(self, data: bytes) -> None:
        try:
            document = loads(data)
        except InvalidDocument:
            if data.strip() == self._last_word:
                self.terminal = self.ended = True
            else:
                self._no_object(data)
            return
        if type(document) is dict:
            self._document(document)
        else:
            self._no_object(data)

    def _data(self, line: bytes) -> bytes | None:
        """What stands on a line for a reader; None: nothing."""
        return line[len(self._field) :] if line.startswith(self._field) else None

    @staticmethod
    @abstractmethod
    def _marked(data: bytes) -> bool:
        """Whether a marker may stand in these bytes: of a terminal or an error.

        Several parts watch one stream, each read at about the same time: what the first of them has searched the others
        remember (`lru_cache`). Every delta is searched, so by ``data.find``: to ``in`` it comes twice as dear, for it
        asks first whether it was given a number.
        """

    @abstractmethod
    def _document(self, document: dict[str, Any]) -> None:
        """Note what one event says; may come twice."""

    def _no_object(self, data: bytes) -> None:  # noqa: B027 - by default it is left out
        """Note what is no JSON object; it may also be the beginning of one."""

    def _too_long(self, beginning: bytes) -> None:  # noqa: B027 - by default it is left out
        """Note what an event of more than `MAX_LINE` bytes says, if its first ones tell.

        An event that came in one piece is read whole, whatever its length.
        """


def another_index(data: bytes) -> bool:
    """Whether an ``"index"`` that is not 0 may stand in these bytes.

    One event is searched once for it: of each delta this is asked, and nearly all have one index.
    """
    at = data.find(_INDEX) + len(_INDEX)
    if at < len(_INDEX):
        return False
    if not data.startswith(_FIRST, at):
        return True
    if data.find(_INDEX, at) < 0:
        return False
    return data.count(_INDEX) != data.count(b'"index":0') + data.count(b'"index": 0')


def type_at(beginning: bytes) -> str | None:
    """The ``"type"`` of an event, told from its first bytes; None when they do not tell.

    Args:
        beginning: Of an object: ``{"type": "image_generation.completed", "b64_json": "iVBO``.
    """
    found = _TYPE.match(beginning)
    return None if found is None else found[1].decode("utf-8", "replace")
