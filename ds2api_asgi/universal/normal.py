"""One grouping for all: how protocols cut a conversation into messages carries no meaning, the order of its parts does.

One protocol sends each tool result as a message of its own, another puts all results of a step and the user's next
words into one message; some merge neighbours of the same role by themselves. `regroup` takes these choices out, so
that two conversations that say the same compare equal.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET
from msgspec.structs import replace

from .content import Part, ToolCall, ToolResult
from .request import Request, Turn

__all__ = ["regroup"]


def regroup(request: Request) -> Request:
    """The same request with every tool result in a turn of its own and neighbours of the same role merged.

    Turns that carry a name, an id, or members of their own stay as they are. A result's name goes if it is its call's:
    it says nothing new.
    """
    turns: list[Turn] = []
    called: dict[str, str] = {}
    for turn in request.turns:
        called.update((part.id, part.name) for part in turn.parts if isinstance(part, ToolCall) and part.id)
        for piece in _split(turn, called):
            last = turns[-1] if turns else None
            if last is not None and last.role == piece.role != "tool" and _plain(last) and _plain(piece):
                turns[-1] = replace(last, parts=last.parts + piece.parts)
            else:
                turns.append(piece)
    return replace(request, turns=tuple(turns))


def _split(turn: Turn, called: Mapping[str, str]) -> list[Turn]:
    if not any(isinstance(part, ToolResult) for part in turn.parts):
        return [replace(turn, form=())]
    pieces: list[Turn] = []
    rest: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            if rest:
                pieces.append(Turn(role=turn.role, parts=tuple(rest)))
                rest = []
            if part.call_id and part.name is not UNSET and part.name == called.get(part.call_id):
                part = replace(part, name=UNSET)  # noqa: PLW2901
            pieces.append(Turn(role="tool", parts=(part,), ext=turn.ext if turn.role == "tool" else UNSET))
        else:
            rest.append(part)
    if rest:
        pieces.append(Turn(role=turn.role, parts=tuple(rest)))
    return pieces


def _plain(turn: Turn) -> bool:
    silent = turn.ext is UNSET or not any(value is not None for value in turn.ext.values())  # a null says nothing
    return silent and turn.name is UNSET and turn.id is UNSET and turn.phase is UNSET
