"""Items in a stream of parts: what item a part stands in, and the turns of a folded stream.

Events know parts only. The part of an item carries tags in its ``form``, which others ignore, and by them `settle`
gives a folded stream the turns that its document would have had.

| form | on | meaning |
|---|---|---|
| ``item:3:msg_1`` | a part of a stream | it stands in the fourth item, whose id is that |
| ``phase:…`` | a part of a stream | that item's phase |
| ``status`` | a part of a stream | that item states a status: ``completed``, unless ``ext`` says otherwise |
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import OpaquePart, Part
from ...universal.request import Turn
from ...universal.response import Candidate, Response
from ..fields import Json
from .fields import RESPONSE
from .items import opaque_turn

__all__ = ["COMPLETED", "amended", "bare", "item_tags", "late_members", "settle", "tagged", "turn_of"]

COMPLETED = "completed"


def item_tags(index: int, turn: Turn) -> tuple[str, ...]:
    """The tags of the parts of an item: its place, and of its turn the id, phase and whether it states a status."""
    tags = [f"item:{index}" if turn.id is UNSET else f"item:{index}:{turn.id}"]
    if turn.phase is not UNSET:
        tags.append(f"phase:{turn.phase}")
    if turn.status is not UNSET:
        tags.append("status")
    return tuple(tags)


def tagged(part: Part, tags: tuple[str, ...]) -> Part:
    """The part with tags; one that is kept whole needs none."""
    if isinstance(part, OpaquePart):
        return part
    return replace(part, form=tuple(sorted((*part.form, *tags))))


def turn_of(part: Part) -> Turn:
    """The turn, without parts, that a part's tags tell of; its ``form`` has the place of the item."""
    values: dict[str, Any] = {}
    place = ""
    for form in getattr(part, "form", ()):
        name, colon, rest = form.partition(":")
        if name == "item":
            place, known, id_ = rest.partition(":")
            if known:
                values["id"] = id_
        elif name == "phase":
            values["phase"] = rest
        elif form == "status" and not colon:
            values["status"] = COMPLETED
    return Turn(role="assistant", form=(place,), **values)


def settle(response: Response) -> Response:
    """Give a folded stream its items, and what it said late of its envelope its place."""
    candidates = tuple(map(_settle_candidate, response.candidates)) or (Candidate(),)
    ext = dict(response.ext or {})
    late = {field.name: ext.pop(wire) for wire, field in RESPONSE.items() if type(ext.get(wire)) in (str, int, float)}
    return replace(response, candidates=candidates, ext=ext or UNSET, **late)


def _settle_candidate(candidate: Candidate) -> Candidate:
    turns: list[Turn] = []
    last = ""
    for part in (part for turn in candidate.turns for part in turn.parts):
        if isinstance(part, OpaquePart):
            turns.append(opaque_turn(part.json))
            last = ""
            continue
        about = turn_of(part)
        (place,) = about.form
        plain, members = bare(part)
        if place and place == last:
            turns[-1] = amended(replace(turns[-1], parts=(*turns[-1].parts, plain)), members)
        else:
            turns.append(amended(replace(about, parts=(plain,), form=()), members))
        last = place
    return replace(candidate, turns=tuple(turns))


def bare(part: Any) -> tuple[Part, Json]:
    """The part without tags, and the members of its item."""
    form = tuple(f for f in part.form if not f.startswith(("item:", "phase:")) and f != "status")
    ext = dict(part.ext or {})
    members = late_members(ext)
    return replace(part, form=form, ext=ext or UNSET), members


def late_members(ext: Json) -> Json:
    """Take the members of an item that came late out of a part's; a member that a provider calls ``""`` stays."""
    members = ext.get("")
    if type(members) is not dict:
        return {}
    del ext[""]
    return members


def amended(turn: Turn, members: Json) -> Turn:
    """The turn with the members of its item that came late."""
    if not members:
        return turn
    rest = dict(members)
    late = {name: rest.pop(name) for name in ("status", "phase") if name in rest}
    values: dict[str, Any] = {name: UNSET if value is None else value for name, value in late.items()}
    return replace(turn, ext={**(turn.ext or {}), **rest} or UNSET, **values)
