"""One grouping for all: how protocols cut a conversation into messages carries no meaning, the order of its parts does.

One protocol sends each tool result as a message of its own, another puts all results of a step and the user's next
words into one message; some merge neighbours of the same role by themselves. `regroup` takes these choices out, so
that two conversations that say the same compare equal.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from .content import Part, ToolResult
from .request import Request, Turn

__all__ = ["regroup"]


def regroup(request: Request) -> Request:
    """The same request with every tool result in a turn of its own and neighbours of the same role merged.

    Turns that carry a name, an id, or members of their own stay as they are.
    """
    turns: list[Turn] = []
    for turn in request.turns:
        for piece in _split(turn):
            last = turns[-1] if turns else None
            if last is not None and last.role == piece.role != "tool" and _plain(last) and _plain(piece):
                turns[-1] = replace(last, parts=last.parts + piece.parts)
            else:
                turns.append(piece)
    return replace(request, turns=tuple(turns))


def _split(turn: Turn) -> list[Turn]:
    if not any(isinstance(part, ToolResult) for part in turn.parts):
        return [replace(turn, form=())]
    pieces: list[Turn] = []
    rest: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            if rest:
                pieces.append(Turn(role=turn.role, parts=tuple(rest)))
                rest = []
            pieces.append(Turn(role="tool", parts=(part,), ext=turn.ext if turn.role == "tool" else UNSET))
        else:
            rest.append(part)
    if rest:
        pieces.append(Turn(role=turn.role, parts=tuple(rest)))
    return pieces


def _plain(turn: Turn) -> bool:
    silent = turn.ext is UNSET or not any(value is not None for value in turn.ext.values())  # a null says nothing
    return silent and turn.name is UNSET and turn.id is UNSET and turn.phase is UNSET
