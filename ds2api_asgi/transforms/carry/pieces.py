"""Parts that came back in their order, perhaps in pieces: capsules put to the parts that they belong to.

A piece is a part and the number of the turn that it stands in; what came in the chunks of a stream has a turn each.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.capsule import Capsule, digest_of
from ...universal.content import Part, Reasoning, Text, ToolCall
from .parts import payloads_of, said_of

__all__ = ["Piece", "pieced", "sign_call", "sign_text", "sign_thought", "thought_of"]

Piece: TypeAlias = tuple[int, Part]
"""A part and the turn that it stands in."""


def pieced(pieces: list[Piece], bound: list[Part]) -> list[Piece]:
    """What came in chunks as one part again, where no capsule told so: neighbours of one kind in turns of their own."""
    out: list[Piece] = []
    for at, part in pieces:
        if not _is_piece(part) or any(part is each for each in bound):
            out.append((at, part))
        elif not said_of(part):
            continue  # the end of a stream says nothing
        elif out and _joins(out[-1], at, part, bound):
            out[-1] = (at, replace(part, text=said_of(out[-1][1]) + said_of(part)))
        else:
            out.append((at, part))
    return out


def _joins(last: Piece, at: int, part: Part, bound: list[Part]) -> bool:
    return last[0] != at and type(last[1]) is type(part) and _is_piece(last[1]) and all(last[1] is not b for b in bound)


def _is_piece(part: Part) -> bool:
    if isinstance(part, Text):
        return not part.opaque and UNSET is part.citations is part.cache is part.ext
    return isinstance(part, Reasoning) and not (part.opaque or part.summary) and part.ext is UNSET


def sign_call(capsule: Capsule, out: list[Piece], *, last: bool) -> bool:
    """Put a call's payloads to it: to the last call, or to the one that the capsule names; False: there is none."""
    for index in range(len(out) - 1, -1, -1):
        at, part = out[index]
        if isinstance(part, ToolCall) and (last or part.id == capsule.call):
            out[index] = (at, replace(part, opaque=(*part.opaque, *capsule.payloads)))
            return True
    return False


def _tail(out: list[Piece], capsule: Capsule, kind: type) -> int | None:
    """Where the pieces begin that the capsule's part came in; None: they are not there as they were.

    A client that joins what comes in chunks may have joined the part to the one before it, which is cut off again.
    """
    wanted = sum(capsule.lengths)
    begin = len(out)
    length = 0
    while length < wanted and begin:
        part = out[begin - 1][1]
        if not isinstance(part, kind) or payloads_of(part):
            break
        begin -= 1
        length += len(said_of(part))
    if length < wanted:
        return None
    text = "".join(said_of(part) for _, part in out[begin:])
    if digest_of((text[length - wanted :],)) != capsule.digest:
        return None
    if length > wanted:
        at, part = out[begin]
        whole: Any = part
        said = said_of(part)
        cut = length - wanted
        changes: dict[str, Any] = {"summary": ()} if isinstance(part, Reasoning) else {}
        before = replace(whole, text=said[:cut], **changes)
        out[begin : begin + 1] = [(at, before), (at, replace(whole, text=said[cut:], **changes))]
        begin += 1
    return begin


def sign_text(at: int, capsule: Capsule, out: list[Piece]) -> bool:
    """Put a text's payloads to it, made one again if it came in pieces; False: it is not what it was."""
    begin = _tail(out, capsule, Text)
    if begin is None:
        return False
    if begin == len(out) and out and isinstance(last := out[-1][1], Text) and not last.text and not last.opaque:
        begin -= 1  # the empty text that it stood on
    pieces = out[begin:]
    if len(pieces) == 1:
        number, part = pieces[0]
        out[begin] = (number, replace(part, opaque=capsule.payloads))
    else:
        text = "".join(said_of(part) for _, part in pieces)
        out[begin:] = [(pieces[-1][0] if pieces else at, Text(text=text, opaque=capsule.payloads))]
    return True


def sign_thought(at: int, capsule: Capsule, out: list[Piece]) -> bool:
    """Put a thought's payloads to it, likewise."""
    begin = _tail(out, capsule, Reasoning)
    if begin is None:
        return False
    pieces = out[begin:]
    text = "".join(said_of(part) for _, part in pieces)
    out[begin:] = [(pieces[-1][0] if pieces else at, thought_of(text, capsule))]
    return True


def thought_of(text: str, capsule: Capsule) -> Reasoning:
    """The thought that a capsule was on, from all that it told."""
    texts: list[str] = []
    start = 0
    for length in capsule.lengths:
        texts.append(text[start : start + length])
        start += length
    told = texts.pop() if capsule.told and texts else UNSET
    return Reasoning(text=told, summary=tuple(texts), opaque=capsule.payloads)
