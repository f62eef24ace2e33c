"""Histories on their way back: capsules become the payloads that they hold, each on the part that it came on.

Clients that answer with what they were given send a run of assistant turns (items, contents of chunks) back. In a run

* a thought's capsule stands on the thought, whose text may have come in pieces;
* a text's or call's capsule stands on it, or on a redacted thought behind it, which goes away;
* where a protocol has one text of each kind, the capsules' lengths and the layout tell the parts again.

A payload whose text the client changed is worth nothing to its minter: it is dropped, and reported. Then everything
that another minter made is dropped and reported: a payload goes to nobody but the upstream that minted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ...universal.capsule import Capsule, Minter, digest_of
from ...universal.content import Part, Reasoning, Text, ToolCall
from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Opaque
from ...universal.request import Request, Turn
from .pack import DETAILS, EXTRA, texts_of
from .slots import Slots

__all__ = ["only_for", "unpack"]

Piece: TypeAlias = tuple[int, Part]
"""A part and the turn that it stands in."""

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
    turns = list(request.turns)
    losses: list[Loss] = []
    touched = False
    for start, end in _runs(turns):
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
        return _pieced(out, bound) if self._slots.inline else out

    def _put(self, at: int, capsule: Capsule, out: list[Piece], losses: list[Loss], *, on_it: bool) -> None:
        match capsule.part:
            case "call":
                done = _sign_call(capsule, out, last=on_it)
            case "message":
                done = True
                if capsule.payloads:
                    out.append((at, Reasoning(opaque=capsule.payloads)))
            case "text":
                done = _sign_text(at, capsule, out)
            case _:
                done = _sign_thought(at, capsule, out)
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
        message = _Message(parts, [capsule for capsule in capsules if not capsule.layout])
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


def _pieced(pieces: list[Piece], bound: list[Part]) -> list[Piece]:
    """What came in chunks as one part again, where no capsule told so: neighbours of one kind in turns of their own."""
    out: list[Piece] = []
    for at, part in pieces:
        if not _is_piece(part) or any(part is each for each in bound):
            out.append((at, part))
        elif not _said(part):
            continue  # the end of a stream says nothing
        elif out and _joins(out[-1], at, part, bound):
            out[-1] = (at, replace(part, text=_said(out[-1][1]) + _said(part)))
        else:
            out.append((at, part))
    return out


def _joins(last: Piece, at: int, part: Part, bound: list[Part]) -> bool:
    return last[0] != at and type(last[1]) is type(part) and _is_piece(last[1]) and all(last[1] is not b for b in bound)


def _is_piece(part: Part) -> bool:
    if isinstance(part, Text):
        return not part.opaque and UNSET is part.citations is part.cache is part.ext
    return isinstance(part, Reasoning) and not (part.opaque or part.summary) and part.ext is UNSET


def _sign_call(capsule: Capsule, out: list[Piece], *, last: bool) -> bool:
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
        if not isinstance(part, kind) or _payloads(part):
            break
        begin -= 1
        length += len(_said(part))
    if length < wanted:
        return None
    text = "".join(_said(part) for _, part in out[begin:])
    if digest_of((text[length - wanted :],)) != capsule.digest:
        return None
    if length > wanted:
        at, part = out[begin]
        whole: Any = part
        said = _said(part)
        cut = length - wanted
        changes: dict[str, Any] = {"summary": ()} if isinstance(part, Reasoning) else {}
        before = replace(whole, text=said[:cut], **changes)
        out[begin : begin + 1] = [(at, before), (at, replace(whole, text=said[cut:], **changes))]
        begin += 1
    return begin


def _payloads(part: Any) -> tuple[Opaque, ...]:
    found: tuple[Opaque, ...] = getattr(part, "opaque", ())
    return found


def _said(part: Any) -> str:
    return "".join(texts_of(part)) if isinstance(part, Reasoning) else str(part.text)


def _sign_text(at: int, capsule: Capsule, out: list[Piece]) -> bool:
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
        text = "".join(_said(part) for _, part in pieces)
        out[begin:] = [(pieces[-1][0] if pieces else at, Text(text=text, opaque=capsule.payloads))]
    return True


def _sign_thought(at: int, capsule: Capsule, out: list[Piece]) -> bool:
    begin = _tail(out, capsule, Reasoning)
    if begin is None:
        return False
    pieces = out[begin:]
    text = "".join(_said(part) for _, part in pieces)
    out[begin:] = [(pieces[-1][0] if pieces else at, _thought(text, capsule))]
    return True


def _thought(text: str, capsule: Capsule) -> Reasoning:
    texts: list[str] = []
    start = 0
    for length in capsule.lengths:
        texts.append(text[start : start + length])
        start += length
    told = texts.pop() if capsule.told and texts else UNSET
    return Reasoning(text=told, summary=tuple(texts), opaque=capsule.payloads)


class _Message:
    """A message of which only the texts of each kind are known.

    Args:
        parts: As they were decoded.
        capsules: In the order in which they were given.

    Attributes:
        left: Capsules that fit nowhere.
    """

    def __init__(self, parts: Iterable[Part], capsules: list[Capsule]) -> None:
        self._thought = "".join(_said(part) for part in parts if isinstance(part, Reasoning))
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
        return Reasoning(text=text) if capsule is None else _thought(text, capsule)

    def _with_sealed(self) -> list[Part]:
        capsule = self._take("thought", "")
        return [] if capsule is None else [_thought("", capsule)]

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


def only_for(request: Request, minter: Minter) -> tuple[Request, list[Loss]]:
    """The request without payloads that others than this minter minted, as far as they say who it was.

    Args:
        request: After `unpack`.
        minter: The upstream that will be asked.

    Returns:
        The request, the same object when nothing had to go; and what went.
    """
    turns: list[Turn] = []
    losses: list[Loss] = []
    for index, turn in enumerate(request.turns):
        parts = [_only(part, minter, f"turns[{index}]", losses) for part in turn.parts]
        kept = tuple(part for part in parts if part is not None)
        same = len(kept) == len(turn.parts) and all(a is b for a, b in zip(kept, turn.parts, strict=True))
        if same:
            turns.append(turn)
        elif kept:
            turns.append(replace(turn, parts=kept))
    return (replace(request, turns=tuple(turns)) if losses else request), losses


def _only(part: Part, minter: Minter, path: str, losses: list[Loss]) -> Part | None:
    payloads = _payloads(part)
    foreign = [each for each in payloads if each.origin and each.origin != minter.token]
    if not foreign:
        return part
    losses += [
        Loss(
            path=path,
            kind=LossKind.ORIGIN_MISMATCH,
            severity=Severity.DEGRADED,
            reason=f"only {payload.origin} can read its {payload.kind}",
        )
        for payload in foreign
    ]
    kept = tuple(each for each in payloads if each not in foreign)
    if isinstance(part, Reasoning) and not kept and not any(texts_of(part)):
        return None
    if isinstance(part, Text) and not kept and not part.text:
        return None
    return replace(part, opaque=kept)
