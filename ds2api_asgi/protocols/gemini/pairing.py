"""Which call a result answers: by id where both have one, else by name, else by order.

Calls often have no id here, which every other protocol demands: such a call gets one that is made of its ordinal and
name, so that a conversation that grows keeps its ids. The form ``id:absent`` says that the wire had none, ``id=…`` on
a result that it had another than its call (Gemini CLI makes them up), ``name:call`` that its name is its call's.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import Part, ToolCall, ToolResult
from ...universal.ids import invented_id

__all__ = ["Pairing", "invent_call_id"]


def invent_call_id(seed: str, ordinal: int, name: str) -> str:
    """An id for a call that has none: the same for the same call.

    Args:
        seed: What tells conversations or answers apart.
        ordinal: Of the call, from 0.
        name: The tool.
    """
    return invented_id(f"{seed}:{ordinal}:{name}")


class Pairing:
    """Follows a conversation and gives its calls and results their ids."""

    __slots__ = ("_count", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._open: list[ToolCall] = []  # calls that wait for their result, oldest first

    def step(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """The parts of the next turn with the ids of calls and results."""
        if not any(isinstance(part, (ToolCall, ToolResult)) for part in parts):
            return parts
        return tuple([self._part(part) for part in parts])

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            if part.id is UNSET:
                identity = invent_call_id("", self._count, part.name)
                part = replace(part, id=identity, form=(*part.form, "id:absent"))
            self._count += 1
            self._open.append(part)
        elif isinstance(part, ToolResult):
            call = self.answered(part)
            if call is not None:
                part = _paired(part, call)
        return part

    def answered(self, result: ToolResult) -> ToolCall | None:
        """The call that a result answers, which then waits no more; None when there is none."""
        call = self._find(result)
        if call is not None:
            self._open.remove(call)
        return call

    def _find(self, result: ToolResult) -> ToolCall | None:
        if result.call_id is not UNSET:
            # Ids may come back in later steps: the newest call that waits is meant.
            for call in reversed(self._open):
                if call.id == result.call_id:
                    return call
        nameless = [
            call for call in self._open if "id:absent" in call.form or result.call_id is UNSET or call.id is UNSET
        ]
        for call in nameless:
            if call.name == result.name:
                return call
        return nameless[0] if nameless else None


def _paired(result: ToolResult, call: ToolCall) -> ToolResult:
    form = list(result.form)
    if result.call_id is UNSET:
        form.append("id:absent")
    elif result.call_id != call.id:
        form.append(f"id={result.call_id}")
    name = result.name
    if name == call.name:
        form.append("name:call")
        name = UNSET
    return replace(result, call_id=call.id, name=name, form=tuple(form))
