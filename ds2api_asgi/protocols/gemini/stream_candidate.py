"""One candidate of a stream: its parts, grown from the parts of chunks.

Texts of one kind in a row are one part, as the provider sends them in pieces. A signature ends the part it stands on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import Reasoning, Text, ToolCall
from ...universal.events import Close, Delta, Event, Extra, Open, Set, StopEvent
from ...universal.jsontext import JsonText
from ...universal.node import Opaque
from .citations import read_grounding
from .pairing import invent_call_id
from .parts import decode_answer
from .profile import NAME, SIGNATURE
from .spelling import canonical
from .stops import decode_stop, is_reason
from .stream_args import PartialArgs

__all__ = ["StreamCandidate"]

_HANDLED: Final = frozenset({"content", "finishReason", "finishMessage", "index", "logprobsResult"})
_PLAIN: Final = frozenset({"text", "thought", "thoughtSignature"})
_CONTENT: Final = frozenset({"parts", "role"})


class StreamCandidate:
    """What one candidate has shown so far.

    Args:
        index: Its number.
        keys: Gives each part its key.
        seed: The answer's id, from which ids of calls are made.

    Attributes:
        stopped: Its ``finishReason`` has come.

    Some servers say more after it, and say it again: the stop waits for `finish`.
    """

    __slots__ = (
        "_calls",
        "_grounding",
        "_held",
        "_index",
        "_key",
        "_keys",
        "_message",
        "_partial",
        "_seed",
        "_texts",
        "_thought",
        "_word",
        "stopped",
    )

    def __init__(self, index: int, keys: Iterator[int], seed: str) -> None:
        self.stopped = False
        self._index = index
        self._keys = keys
        self._seed = seed
        self._key: int | None = None  # of the text in progress
        self._thought = False
        self._texts: list[list[str]] = []  # of each part, in pieces
        self._calls = 0
        self._partial: tuple[int, PartialArgs] | None = None
        self._held: dict[str, Any] = {}  # members that stand for the whole answer: the last counts
        self._grounding: Any = None
        self._word: Any = None
        self._message: Any = None

    def step(self, wire: dict[str, Any], out: list[Event]) -> None:
        """Take what one chunk says of this candidate."""
        content = wire.get("content")
        if type(content) is dict:
            parts = content.get("parts")
            for part in parts if type(parts) is list else ():
                if type(part) is dict and len(part) == 1 and type(text := part.get("text")) is str:
                    if text:
                        self._say(text, False, out)
                else:
                    self._part(part, out)
            if len(content) > 2 or not _CONTENT.issuperset(content):
                extra = {key: value for key, value in content.items() if key not in _CONTENT and value is not None}
                if extra:
                    out.append(Extra(extra, "turn", self._index))
        if len(wire) > 1:
            self._members(canonical(wire)[0], out)

    def _members(self, document: dict[str, Any], out: list[Event]) -> None:
        for key, value in document.items():
            if key not in _HANDLED and value is not None:
                self._held[key] = value
        logprobs = document.get("logprobsResult")
        if logprobs is not None:
            out.append(Extra({"logprobs": logprobs}, "candidate", self._index))
        self._cite(document.get("groundingMetadata"), out)
        word = document.get("finishReason")
        if is_reason(word):
            self.stopped = True
            self._word, self._message = word, document.get("finishMessage")

    def finish(self, out: list[Event]) -> None:
        """The stream is complete: close what is open, and say what was held."""
        self._end_partial(out)
        self._close(out)
        if self._held:
            out.append(Extra(self._held, "candidate", self._index))
        if self._word is not None:
            message = UNSET if self._message is None else self._message
            out.append(StopEvent(decode_stop(self._word, message, calls=self._calls > 0), self._index))

    def _close(self, out: list[Event]) -> None:
        if self._key is not None:
            out.append(Close(self._key))
            self._key = None

    def _say(self, text: str, thought: bool, out: list[Event]) -> None:
        if self._key is None or thought is not self._thought:
            self._open_text(thought, out)
        out.append(Delta(self._key, text))  # type: ignore[arg-type]  # it is open now
        self._texts[-1].append(text)

    def _open_text(self, thought: bool, out: list[Event]) -> None:
        self._end_partial(out)
        self._close(out)
        self._key = next(self._keys)
        self._thought = thought
        self._texts.append([])
        out.append(Open(self._key, Reasoning(text="") if thought else Text(text=""), self._index))

    def _part(self, part: Any, out: list[Event]) -> None:
        document = canonical(part)[0] if type(part) is dict else {}
        call = document.get("functionCall")
        if type(call) is dict and self._piece(canonical(call)[0], document, out):
            return
        text = document.get("text")
        if type(text) is str and _PLAIN.issuperset(document):
            thought = document.get("thought") is True
            if text:
                self._say(text, thought, out)
            signature = document.get("thoughtSignature")
            if type(signature) is str:
                if self._key is None or thought is not self._thought:
                    self._open_text(thought, out)
                value = Opaque(kind=SIGNATURE, value=signature, protocol=NAME)
                out.append(Set(self._key, "opaque", value))  # type: ignore[arg-type]  # it is open now
                self._close(out)
            return
        self._whole(part, out)

    def _whole(self, wire: Any, out: list[Event]) -> None:
        """A part that comes at once."""
        self._end_partial(out)
        self._close(out)
        part = decode_answer(wire)
        key = next(self._keys)
        self._texts.append([])
        if isinstance(part, ToolCall):
            arguments, opaque = part.arguments.text, part.opaque
            part = replace(self._identified(part), arguments=JsonText(""), opaque=())
            out += (Open(key, part, self._index), Delta(key, arguments))
            out.extend(Set(key, "opaque", payload) for payload in opaque)
        else:
            out.append(Open(key, part, self._index))
        out.append(Close(key))

    def _identified(self, call: ToolCall) -> ToolCall:
        number = self._calls
        self._calls += 1
        if call.id is not UNSET:
            return call
        identity = invent_call_id(f"{self._seed}:{self._index}", number, call.name)
        return replace(call, id=identity, form=(*call.form, "id:absent"))

    # calls in pieces

    def _piece(self, call: dict[str, Any], part: dict[str, Any], out: list[Event]) -> bool:
        """Take a call that comes in pieces; False when it is whole."""
        name = call.get("name")
        more = call.get("willContinue") is True
        if type(name) is str and name:
            if not more and "partialArgs" not in call:
                return False
            self._end_partial(out)
            self._close(out)
            key = next(self._keys)
            self._texts.append([])
            bare = {"functionCall": {key: value for key, value in call.items() if key in {"id", "name"}}}
            opened = decode_answer({**part, **bare})
            if not isinstance(opened, ToolCall):
                return False
            opened = replace(self._identified(opened), arguments=JsonText(""), form=())
            opened = replace(opened, form=("id:absent",) if "id" not in call else ())
            out.append(Open(key, opened, self._index))
            self._partial = (key, PartialArgs())
        elif self._partial is None:
            return False
        key, pieces = self._partial
        pieces.whole(call.get("args"))
        pieces.add(call.get("partialArgs"))
        if not more:
            self._end_partial(out)
        return True

    def _end_partial(self, out: list[Event]) -> None:
        if self._partial is not None:
            key, pieces = self._partial
            self._partial = None
            out += (Delta(key, pieces.text()), Close(key))

    def _cite(self, metadata: Any, out: list[Event]) -> None:
        """Give the citations of the text in progress, which the metadata at the end of an answer are about."""
        if metadata is None or metadata == self._grounding or self._key is None or self._thought:
            return
        self._grounding = metadata
        last = len(self._texts) - 1
        for number, citation in read_grounding(metadata, ["".join(text) for text in self._texts]):
            if number == last:
                out.append(Set(self._key, "citation", citation))
