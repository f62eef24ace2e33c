"""The parts of a stream's candidates: texts in pieces, calls whole, each in a frame of its own.

It follows https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, assert_never

from msgspec.structs import replace

from ...universal.content import Media, OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.events import Open, Set
from ...universal.jsontext import JsonText
from ...universal.loss import LossKind, Severity
from ...universal.node import Opaque
from ..scope import Scope
from .citations import Ground
from .parts import encode_part
from .profile import NAME, SIGNATURE
from .stream_frames import FrameWriter

__all__ = ["Choice", "Live", "Parts"]


class Live:
    """An open part: its deltas are a text between two fixed pieces.

    Attributes:
        part: As it opened.
        choice: The candidate that it is in.
        path: Where it stands, for losses.
        head: What each frame of it begins with, up to the text; None: it comes whole.
        tail: What each ends with.
        told: Its text, where that is needed at the end.
        opaque: Payloads of a call.
        citations: Those that came.
        waiting: Of a thought from elsewhere: its last piece, for the payload to stand on.
    """

    __slots__ = ("choice", "citations", "head", "opaque", "part", "path", "tail", "told", "waiting")

    def __init__(self, part: Part, choice: int, path: str) -> None:
        self.part = part
        self.choice = choice
        self.path = path
        self.head: bytes | None = None
        self.tail = b""
        self.told: list[str] | None = None
        self.opaque: list[Opaque] = []
        self.citations: list[Any] = []
        self.waiting = ""


class Choice:
    """What a candidate has shown so far.

    Attributes:
        calls: By key, in the order in which they began; None: not complete.
        parts: How many parts of the source opened.
        members: What its last frame says.
        ground: What its citations say.
    """

    __slots__ = ("calls", "ground", "members", "parts")

    def __init__(self) -> None:
        self.calls: dict[int, Live | None] = {}
        self.parts = 0
        self.members: dict[str, Any] = {}
        self.ground = Ground()


class Parts:
    """Writes the parts of one answer.

    Args:
        scope: This run.
        frames: Writes the frames.

    Attributes:
        live: Open parts, by key.
        choices: Candidates, by index.
    """

    __slots__ = ("_frames", "_scope", "choices", "live")

    def __init__(self, scope: Scope, frames: FrameWriter) -> None:
        self.live: dict[int, Live] = {}
        self.choices: dict[int, Choice] = {}
        self._scope = scope
        self._frames = frames

    def cut(self) -> None:
        """The answer ends before its time: say what was held back."""
        for live in self.live.values():
            self.think(live, "")

    def choice(self, index: int) -> Choice:
        """What a candidate has shown; from here on there is one, if it has shown nothing yet."""
        choice = self.choices.get(index)
        if choice is None:
            choice = self.choices[index] = Choice()
        return choice

    def open(self, event: Open) -> None:
        """A part opens."""
        part, index = event.part, event.choice
        choice = self.choice(index)
        path = f"candidates[{index}].turns[0].parts[{choice.parts}]"
        choice.parts += 1
        live = Live(part, index, path)
        text = ""
        match part:
            case Text(text=text):
                live.head, live.tail = self._frames.around(index, {"text": "\0"})
                live.told = [text]
            case Refusal(text=text):
                live.head, live.tail = self._frames.around(index, {"text": "\0"})
                self._scope.add(path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no refusals beside texts")
            case Reasoning():
                if self._scope.home:
                    live.head, live.tail = self._frames.around(index, {"text": "\0", "thought": True})
                text = "".join(part.summary) + (part.text or "")
            case ToolCall():
                live.told = [part.arguments.text]
            case Media() | OpaquePart():
                for document in encode_part(part, path, self._scope):
                    self._frames.candidate(index, document)
                return
            case _:
                self._scope.drop(path, Severity.SEMANTIC, "a tool of another provider")
                return
        self.live[event.key] = live
        if isinstance(part, ToolCall):
            choice.calls[event.key] = None
            return  # its ``ext`` and payloads are written with it
        self._scope.ext(part.ext, path)
        if text and live.head is None:
            self.think(live, text)
        elif text:
            self.say(live, text)
        for payload in getattr(part, "opaque", ()):
            self._payload(live, payload)

    def set(self, event: Set) -> None:
        """Something is said of a part."""
        live = self.live.get(event.key)
        if live is None:
            return
        match event.field:
            case "opaque":
                if isinstance(live.part, ToolCall):
                    live.opaque.append(event.value)
                else:
                    self._payload(live, event.value)
            case "summary":
                self._scope.add(live.path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no summaries")
                if event.value:
                    self.think(live, event.value)
            case "citation":
                if not self._scope.home:
                    live.citations.append(event.value)
            case "ext":
                self._scope.ext(event.value, live.path)
            case _:
                assert_never(event.field)

    def close(self, key: int) -> None:
        """A part is complete."""
        live = self.live.pop(key, None)
        if live is None:
            return
        part = live.part
        choice = self.choices[live.choice]
        if isinstance(part, ToolCall):
            choice.calls[key] = live
            self._calls(choice)
        elif isinstance(part, Reasoning):
            self.think(live, "")
        elif live.citations:
            # A text is one part to a client that puts the pieces together.
            choice.ground.add(live.citations, "".join(live.told or ()), 0, live.path, self._scope)

    def say(self, live: Live, text: str) -> None:
        """Write a text when there is more to say than its template does."""
        thought = {"thought": True} if isinstance(live.part, Reasoning) else {}
        self._frames.candidate(live.choice, {"text": text, **thought})

    def think(self, live: Live, text: str) -> None:
        """Write what was thought so far, but for this piece.

        A payload of another provider's thought comes behind its text, and clients drop parts without any.
        """
        waiting, live.waiting = live.waiting, text
        if waiting:
            self.say(live, waiting)

    def _calls(self, choice: Choice) -> None:
        """Write the calls that are complete, in the order in which they began."""
        while choice.calls and (live := choice.calls[next(iter(choice.calls))]) is not None:
            del choice.calls[next(iter(choice.calls))]
            part = live.part
            assert isinstance(part, ToolCall)
            text = "".join(live.told or ())
            whole = replace(part, arguments=JsonText(text), opaque=(*part.opaque, *live.opaque))
            for document in encode_part(whole, live.path, self._scope):
                self._frames.candidate(live.choice, document)

    def _payload(self, live: Live, payload: Opaque) -> None:
        if payload.protocol != NAME or payload.kind != SIGNATURE:
            self._scope.opaque((payload,), live.path)
            return
        thought = {"thought": True} if isinstance(live.part, Reasoning) else {}
        text, live.waiting = live.waiting, ""
        self._frames.candidate(live.choice, {"text": text, **thought, "thoughtSignature": payload.value})
