"""A message that keeps kinds of parts apart, taken apart again into what it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from ...universal.capsule import Capsule, digest_of
from ...universal.content import Part, Reasoning, Text, ToolCall
from .parts import said_of
from .pieces import thought_of

__all__ = ["Message"]


class Message:
    """A message of which only the texts of each kind are known.

    Args:
        parts: As they were decoded.
        capsules: In the order in which they were given.

    Attributes:
        left: Capsules that fit nowhere.
    """

    def __init__(self, parts: Iterable[Part], capsules: list[Capsule]) -> None:
        self._thought = "".join(said_of(part) for part in parts if isinstance(part, Reasoning))
        self._texts = [part for part in parts if isinstance(part, Text)]
        self._text = "".join(part.text for part in self._texts)
        self._calls = [part for part in parts if isinstance(part, ToolCall)]
        self._others = [part for part in parts if not isinstance(part, (Reasoning, Text, ToolCall))]
        self.left = list(capsules)

    def usual(self) -> tuple[tuple[str, int], ...]:
        """The layout of a message that needed none told."""
        layout: list[tuple[str, int]] = []
        if self._thought:
            layout.append(("thought", len(self._thought)))
        layout += [("sealed", 0) for each in self.left if each.part == "thought" and not sum(each.lengths)]
        if self._text or any(each.part == "text" for each in self.left):
            layout.append(("text", len(self._text)))
        return (*layout, *(("call", 0) for _ in self._calls))

    def by(self, layout: Sequence[tuple[str, int]]) -> list[Part]:
        """The parts in their order; the usual one, if the message is not as it was when the layout was told."""
        wanted = {kind: sum(length for each, length in layout if each == kind) for kind in ("thought", "text")}
        calls = sum(kind == "call" for kind, _ in layout)
        if (wanted["thought"], wanted["text"], calls) != (len(self._thought), len(self._text), len(self._calls)):
            layout = self.usual()
        out: list[Part] = []
        thought = text = call = 0
        for kind, length in layout:
            if kind == "thought":
                out.append(self._with_thought(self._thought[thought : thought + length]))
                thought += length
            elif kind == "sealed":
                out += self._with_sealed()
            elif kind == "text":
                out += self._with_text(self._text[text : text + length], whole=length == len(self._text))
                text += length
            elif call < len(self._calls):
                out.append(self._with_call(self._calls[call]))
                call += 1
        for capsule in [each for each in self.left if each.part == "message"]:
            self.left.remove(capsule)
            out.append(Reasoning(opaque=capsule.payloads))
        return [*out, *self._others]

    def _take(self, kind: str, texts: str) -> Capsule | None:
        """The next capsule of a kind, if it is this text's."""
        for capsule in self.left:
            if capsule.part == kind and sum(capsule.lengths) == len(texts) and capsule.digest == digest_of((texts,)):
                self.left.remove(capsule)
                return capsule
        return None

    def _with_thought(self, text: str) -> Part:
        capsule = self._take("thought", text)
        return Reasoning(text=text) if capsule is None else thought_of(text, capsule)

    def _with_sealed(self) -> list[Part]:
        capsule = self._take("thought", "")
        return [] if capsule is None else [thought_of("", capsule)]

    def _with_text(self, text: str, *, whole: bool) -> list[Part]:
        capsule = self._take("text", text)
        opaque = () if capsule is None else capsule.payloads
        if not whole or (not text and opaque):
            return [Text(text=text, opaque=opaque)]
        if not opaque or not self._texts:
            return list(self._texts)
        if len(self._texts) == 1:
            return [replace(self._texts[0], opaque=opaque)]
        return [Text(text=text, opaque=opaque)]

    def _with_call(self, call: ToolCall) -> Part:
        for capsule in self.left:
            if capsule.part == "call" and capsule.call == call.id:
                self.left.remove(capsule)
                return replace(call, opaque=(*call.opaque, *capsule.payloads))
        return call
