"""Histories on their way back: capsules become the payloads that they hold, each on the part that it came on.

Clients that answer with what they were given send a run of assistant turns (items, contents of chunks) back. In a run

* a thought's capsule stands on the thought, whose text may have come in pieces;
* a text's or call's capsule stands on it, or on a redacted thought behind it, which goes away;
* where a protocol has one text of each kind, the capsules' lengths and the layout tell the parts again.

A payload whose text the client changed is worth nothing to its minter: it is dropped, and reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ...universal.capsule import Capsule
from ...universal.content import Part, Reasoning, Text, ToolCall
from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Opaque
from ...universal.request import Request, Turn
from .message import Message
from .parts import DETAILS, EXTRA, may_carry, texts_of
from .pieces import Piece, pieced, sign_call, sign_text, sign_thought
from .slots import Slots

__all__ = ["unpack"]

_CHANGED: Final = "the client changed the text that it belongs to"


def unpack(request: Request, slots: Slots, secret: bytes | None = None) -> tuple[Request, list[Loss]]:
    """A client's request with what its capsules hold.

    Args:
        request: As the client's decoder gave it.
        slots: The client's.
        secret: Key of the MAC, or None.

    Returns:
        The request, the same object when it holds no capsules; and the payloads that no longer fit.
    """
    losses: list[Loss] = []
    turns = list(request.turns)
    touched = False
    for start, end in _runs(turns):
        if not may_carry(turns[start:end]):
            continue
        run = _Run(turns, start, end, slots, secret)
        if run.capsules:
            run.restore(losses)
            touched = True
    if not touched:
        return request, losses
    return replace(request, turns=tuple(turn for turn in turns if turn is not None)), losses


def _runs(turns: Sequence[Turn]) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(turns):
        end = start
        while end < len(turns) and turns[end].role == "assistant":
            end += 1
        if end > start:
            yield start, end
        start = max(end, start + 1)


class _Held(Struct, frozen=True):
    """A part with the capsules that were on it, and without them."""

    at: int
    part: Part
    capsules: tuple[Capsule, ...]


class _Run:
    """Assistant turns in a row.

    Args:
        turns: Of the whole conversation; those of the run are written.
        start: The first of the run.
        end: One past the last.
        slots: The client's.
        secret: Key of the MAC.

    Attributes:
        capsules: Whether there are any.
    """

    def __init__(self, turns: list[Any], start: int, end: int, slots: Slots, secret: bytes | None) -> None:
        self._turns = turns
        self._start = start
        self._end = end
        self._slots = slots
        self._secret = secret
        self._seen: set[str] = set()  # a call's capsule may stand in two places
        self._held: list[_Held] = []
        for at in range(start, end):
            for part in turns[at].parts:
                self._held.append(self._opened(at, part))
            self._held += self._loose(at)
        self.capsules = any(held.capsules for held in self._held)

    def _opened(self, at: int, part: Part) -> _Held:
        found: list[Capsule] = []
        if not isinstance(part, (Reasoning, Text, ToolCall)):
            return _Held(at, part, ())
        kept: list[Opaque] = []
        for payload in part.opaque:
            capsule = self._slots.take(payload, self._secret)
            if capsule is None:
                kept.append(payload)
            else:
                self._seen.add(payload.value)
                found.append(capsule)
        changes: dict[str, Any] = {}
        if len(kept) != len(part.opaque):
            changes["opaque"] = tuple(kept)
        if isinstance(part, ToolCall) and self._slots.gathered and part.ext is not UNSET:
            signature = _signature(part.ext)
            capsule = None if signature is None else self._slots.opened(signature, self._secret)
            if capsule is not None:
                changes["ext"] = {key: value for key, value in part.ext.items() if key != EXTRA} or UNSET
                if signature not in self._seen:
                    self._seen.add(str(signature))
                    found.append(capsule)
        return _Held(at, replace(part, **changes) if changes else part, tuple(found))

    def _loose(self, at: int) -> list[_Held]:
        """Capsules in details that the decoder left alone, since the message's text says something else."""
        turn = self._turns[at]
        if not self._slots.gathered or turn.ext is UNSET or type(turn.ext.get(DETAILS)) is not list:
            return []
        found: list[_Held] = []
        left: list[Any] = []
        for detail in turn.ext[DETAILS]:
            value = (detail.get("signature") or detail.get("data")) if type(detail) is dict else None
            capsule = self._slots.opened(value, self._secret) if type(value) is str else None
            if capsule is None:
                left.append(detail)
            elif capsule.part != "call" or value not in self._seen:
                found.append(_Held(at, Reasoning(), (capsule,)))
        if len(left) != len(turn.ext[DETAILS]):
            ext = {key: value for key, value in turn.ext.items() if key != DETAILS}
            if left:
                ext[DETAILS] = left
            self._turns[at] = replace(turn, ext=ext or UNSET)
        return found

    def restore(self, losses: list[Loss]) -> None:
        """Write the turns again."""
        pieces = self._gathered(losses) if self._slots.gathered else self._in_order(losses)
        for at in range(self._start, self._end):
            turn = self._turns[at]
            parts = tuple(part for number, part in pieces if number == at)
            # A turn of which nothing is left was a piece, or a carrier.
            self._turns[at] = replace(turn, parts=parts) if parts or not turn.parts else None

    def _lose(self, at: int, capsule: Capsule, reason: str, losses: list[Loss]) -> None:
        losses += [
            Loss(
                path=f"turns[{at}]",
                kind=LossKind.DROPPED,
                severity=Severity.DEGRADED,
                reason=f"{payload.kind} of {payload.protocol}: {reason}",
            )
            for payload in capsule.payloads
        ]

    # where parts stand in their order

    def _in_order(self, losses: list[Loss]) -> list[Piece]:
        out: list[Piece] = []
        bound: list[Part] = []
        for held in self._held:
            part, at = held.part, held.at
            if not held.capsules:
                out.append((at, part))
                continue
            carrier = isinstance(part, Reasoning) and not any(texts_of(part)) and not part.opaque
            if not carrier:
                out.append((at, part))
            for capsule in held.capsules:
                self._put(at, capsule, out, losses, on_it=not carrier)
                bound += [out[-1][1]] if out else []
        return pieced(out, bound) if self._slots.inline else out

    def _put(self, at: int, capsule: Capsule, out: list[Piece], losses: list[Loss], *, on_it: bool) -> None:
        match capsule.part:
            case "call":
                done = sign_call(capsule, out, last=on_it)
            case "message":
                done = True
                if capsule.payloads:
                    out.append((at, Reasoning(opaque=capsule.payloads)))
            case "text":
                done = sign_text(at, capsule, out)
            case _:
                done = sign_thought(at, capsule, out)
        if not done:
            self._lose(at, capsule, _CHANGED, losses)

    # where there is one text of each kind

    def _gathered(self, losses: list[Loss]) -> list[Piece]:
        """Take the message apart again; it is a message at a time, since its texts are."""
        out: list[Piece] = []
        for at in range(self._start, self._end):
            held = [each for each in self._held if each.at == at]
            capsules = [capsule for each in held for capsule in each.capsules]
            out += [(at, part) for part in self._apart(at, held, capsules, losses)]
        return out

    def _apart(self, at: int, held: list[_Held], capsules: list[Capsule], losses: list[Loss]) -> list[Part]:
        parts = [
            each.part
            for each in held
            if not (each.capsules and isinstance(each.part, Reasoning) and not each.part.opaque)
            or any(texts_of(each.part))
        ]
        if not capsules:
            return parts
        layout = next((capsule.layout for capsule in capsules if capsule.layout), None)
        message = Message(parts, [capsule for capsule in capsules if not capsule.layout])
        rebuilt = message.by(layout if layout is not None else message.usual())
        for capsule in message.left:
            self._lose(at, capsule, _CHANGED, losses)
        return rebuilt


def _signature(ext: dict[str, Any]) -> str | None:
    """The ``extra_content.google.thought_signature`` of a call."""
    match ext.get(EXTRA):
        case {"google": {"thought_signature": str(value)}}:
            return value
    return None
