"""Watching a stream pass by untouched.

Until content has passed, frames are parsed. From then on a line is parsed only if a marker may stand in it: a finish
reason that is not null, an error, ``[DONE]``, or the index of another choice. That is sound: inside a JSON string a
quote is always escaped, so ``finish_reason"`` occurs in no text, and the counts of all and of null ones differ exactly
when one is a word (or spelled in a way that we look at to be sure). What a marker means is for the parser to say: one
that stands in a text (``[DONE]``) or means something else (the index of a second call) only costs time.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import FramingError, InvalidDocument
from ...framing.sse import SseParser
from ...universal.failure import Failure
from ...universal.jsontext import dumps, loads
from .errors import decode_error
from .messages import REASONING

__all__ = ["StreamWatch"]

_CONTENT: Final = ("content", "refusal", "tool_calls", "function_call", "audio", *REASONING, "reasoning_details")
# A line longer than this that shows no marker is not kept to be parsed; only its end is searched on.
_MAX_KEPT: Final = 256 * 1024
_MARKER_SIZE: Final = 64


class StreamWatch:
    """Watches one stream.

    Attributes:
        content: A delta with content, reasoning, a refusal or a call, or a finish reason has passed.
        terminal: ``[DONE]``, or the finish reason of every choice that began, has passed.
        ended: ``[DONE]`` has passed.
        failure: The error that passed, if one did.
    """

    __slots__ = ("_choices", "_parser", "_rest", "content", "ended", "failure", "terminal")

    def __init__(self) -> None:
        self.content = False
        self.terminal = False
        self.ended = False
        self.failure: Failure | None = None
        self._parser: SseParser | None = SseParser()
        self._choices: dict[int, bool] = {}  # whether each has its finish reason
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Look at bytes on their way."""
        if self._parser is None:
            self._glance(data)
            return
        # The frame in progress must not be lost when the parser is given up.
        self._rest = _last_line(self._rest + data)
        try:
            events = self._parser.feed(data)
        except FramingError:
            self._parser = None
            return
        for event in events:
            self._look(event.data)
        if self.content:
            self._parser = None

    def _glance(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        rest = b"" if data.endswith(b"\n") else _last_line(data)
        if _marked(data):
            for line in data[: len(data) - len(rest)].splitlines():
                if line.startswith(b"data:") and _marked(line):
                    self._look(line[5:])
        self._rest = rest if len(rest) < _MAX_KEPT else rest[-_MARKER_SIZE:]

    def _look(self, data: bytes) -> None:
        try:
            chunk = loads(data)
        except InvalidDocument:
            if data.strip() == b"[DONE]":
                self.terminal = self.ended = True
            return
        if type(chunk) is not dict:
            return
        if chunk.get("error") is not None or chunk.get("object") == "error":
            if self.failure is None:
                self.failure = decode_error(UNSET, {}, dumps(chunk))
            return
        choices = chunk.get("choices")
        for choice in choices if type(choices) is list else ():
            if type(choice) is dict:
                self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        if type(choice.get("finish_reason")) is str:
            self._choices[index] = True
            self.content = True
            self.terminal = self.terminal or all(self._choices.values())
            return
        self._choices.setdefault(index, False)
        delta = choice.get("delta")
        if type(delta) is dict and not self.content:
            self.content = any(delta.get(name) for name in _CONTENT)


def _marked(data: bytes) -> bool:
    """Whether a marker may stand in these bytes."""
    reasons = data.count(b'finish_reason"')
    return (
        (reasons > 0 and reasons != data.count(b'finish_reason":null') + data.count(b'finish_reason": null'))
        or b"[DONE]" in data
        or b'"error"' in data
        or b'"index":1' in data
        or b'"index": 1' in data
    )


def _last_line(data: bytes) -> bytes:
    """The line that has not ended yet."""
    return data[max(data.rfind(b"\n"), data.rfind(b"\r")) + 1 :]
