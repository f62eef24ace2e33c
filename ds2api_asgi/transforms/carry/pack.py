"""Answers on their way to a client of another protocol: payloads become capsules in the client's own slots.

What is done with one part, once it is complete, is the same for a whole answer and for a stream (`stream`): `Packer`
says what the part is to the client, and which parts that only carry a capsule come behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ...universal.capsule import Capsule, Minter, digest_of, write
from ...universal.content import Part, Reasoning, Text, ToolCall
from ...universal.ids import call_id_of
from ...universal.jsontext import dumps
from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Opaque
from ...universal.request import Turn
from ...universal.response import Candidate, Response
from .parts import DETAILS, EXTRA, ITEM, is_plain, item_payloads, texts_of
from .slots import Slots
from .store import MAX_STORED

__all__ = ["Packed", "Packer"]

_CHAT: Final = "openai-chat"


class _Choice:
    """One candidate so far.

    Attributes:
        calls: How many calls it had.
        thought: A thought came with a payload, so that what follows is bound to it.
        carries: A capsule was given to the client.
        layout: What its parts were.
    """

    __slots__ = ("calls", "carries", "layout", "parts", "thought")

    def __init__(self) -> None:
        self.calls = 0
        self.parts = 0
        self.thought = False
        self.carries = False
        self.layout: list[tuple[str, int]] = []


class Packed(Struct, frozen=True):
    """What a complete part is to the client.

    Attributes:
        parts: The part, several if its thoughts are told apart; empty: only `behind` is said.
        behind: Parts that carry capsules.
    """

    parts: tuple[Part, ...]
    behind: tuple[Part, ...] = ()


class Packer:
    """Puts the payloads of one answer into capsules.

    Args:
        slots: The client's; None: it keeps nothing.
        minter: Tells who answers; asked when there is something to tell it of.
        secret: Key of the MAC, or None.
        turn: How many answers the conversation had before.
        ids: Call ids that the client knows by another spelling.
        keeps: Whether the parts are kept for a store.

    Attributes:
        losses: Payloads that are too large, with the paths that the part has in the upstream's answer.
        kept: The parts of the first candidate with their payloads; None: they are not kept, or too large.
    """

    def __init__(
        self,
        *,
        slots: Slots | None,
        minter: Callable[[], Minter],
        secret: bytes | None = None,
        turn: int = 0,
        ids: Mapping[str, str] | None = None,
        keeps: bool = False,
    ) -> None:
        self.slots = slots
        self.losses: list[Loss] = []
        self.kept: list[Part] | None = [] if keeps else None
        self._room = MAX_STORED
        self._ids = ids or {}
        self._minter = minter
        self._secret = secret
        self._turn = turn
        self._choices: dict[int, _Choice] = {}

    @property
    def _of_chat(self) -> bool:
        return self._minter().protocol == _CHAT

    def _choice(self, index: int) -> _Choice:
        return self._choices.setdefault(index, _Choice())

    def response(self, response: Response) -> Response:
        """A whole answer."""
        if self.kept is None and is_plain(response):
            return response
        return replace(response, candidates=tuple(map(self._candidate, response.candidates)))

    def _candidate(self, candidate: Candidate) -> Candidate:
        turns: list[Turn] = []
        for turn in candidate.turns:
            about = item_payloads(turn)
            parts: list[Part] = []
            for part in turn.parts:
                packed = self.part(self.identified(part, candidate.index), candidate.index, about)
                parts += [*packed.parts, *packed.behind]
            rest, details = _without_details(turn, self._of_chat)
            if details is not None:
                parts += self.message(details, candidate.index)
            changes: dict[str, Any] = {}
            if about and self.slots is not None:  # what is carried is not lost
                changes = {"phase": UNSET, "id": UNSET if self._choice(candidate.index).thought else turn.id}
            turns.append(replace(rest, parts=tuple(parts), **changes))
        behind = self.layout(candidate.index)
        if behind and turns:
            turns[-1] = replace(turns[-1], parts=(*turns[-1].parts, *behind))
        return replace(candidate, turns=tuple(turns))

    def identified(self, part: Part, index: int) -> Part:
        """The part, with an id if it is a call that has none, or one that its decoder made up."""
        if not isinstance(part, ToolCall):
            return part
        choice = self._choice(index)
        ordinal, choice.calls = choice.calls, choice.calls + 1
        if part.id is not UNSET and "id:absent" not in part.form:
            return part
        number = ordinal + 1000 * index  # candidates are one conversation to their client
        return replace(part, id=call_id_of(self._turn, number, part.name, part.arguments))

    def part(self, part: Part, index: int, about: tuple[Opaque, ...] = ()) -> Packed:
        """A complete part.

        Args:
            part: The part.
            index: Its candidate's.
            about: Payloads of the item that it stands in.
        """
        choice = self._choice(index)
        choice.parts += 1
        if not isinstance(part, (Reasoning, Text, ToolCall)):
            return Packed((part,))
        slots = self.slots
        payloads = self._payloads(part, choice, about)
        bare = _bare(part, self._of_chat) if payloads or part.opaque else part
        if index == 0 and self.kept is not None:
            self._keep(replace(bare, opaque=tuple(payloads)))
        elif slots is None:
            return Packed((part,))  # its encoder reports what is lost
        if slots is None:
            sealed = bool(payloads) and isinstance(bare, Reasoning) and not any(texts_of(bare))
            return Packed(() if sealed else (bare,))
        part = bare
        if isinstance(part, Reasoning):
            return self._thought(part, payloads, choice, index, slots)
        return self._other(part, payloads, choice, index, slots)

    def _payloads(self, part: Reasoning | Text | ToolCall, choice: _Choice, about: tuple[Opaque, ...]) -> list[Opaque]:
        """What is carried of a part: ids of items only where a thought binds them, since alone they mean nothing."""
        payloads = list(part.opaque)
        if isinstance(part, ToolCall) and part.ext is not UNSET and EXTRA in part.ext and self._of_chat:
            payloads.append(Opaque(kind=EXTRA, value=dumps(part.ext[EXTRA]).decode(), protocol=_CHAT))
        if isinstance(part, Reasoning):
            choice.thought = choice.thought or bool(payloads)
            return [*payloads, *about] if payloads else []
        return [*payloads, *(each for each in about if each.kind != ITEM or choice.thought)]

    def _keep(self, part: Reasoning | Text | ToolCall) -> None:
        texts = texts_of(part) if isinstance(part, Reasoning) else [getattr(part, "text", "")]
        self._room -= sum(map(len, texts)) + 1
        if self.kept is not None:
            self.kept.append(part)
            if self._room < 0:
                self.kept = None
                path = "candidates[0].turns[0]"
                reason = "too large to be kept for the next turn"
                self.losses.append(Loss(path=path, kind=LossKind.DROPPED, severity=Severity.DEGRADED, reason=reason))

    def _thought(self, part: Reasoning, payloads: list[Opaque], choice: _Choice, index: int, slots: Slots) -> Packed:
        texts = texts_of(part)
        visible = any(texts)
        if visible:
            choice.layout.append(("thought", sum(map(len, texts))))
        bound = visible and slots.inline and choice.carries
        told = part.text is not UNSET
        value = self._write("thought", payloads, choice, index, texts=texts, told=told, bound=bound)
        if not visible:
            if value is None:
                return Packed((part,) if not payloads else ())
            choice.layout.append(("sealed", 0))
            return Packed((), (Reasoning(opaque=(slots.put(value, slots.sealed),)),))
        opaque = () if value is None else (slots.put(value, slots.thought),)
        if slots.summaries or not part.summary:
            return Packed((replace(part, opaque=opaque),))
        if slots.split:
            said = [text for text in texts if text]
            pieces: list[Part] = [
                Reasoning(text=text, opaque=self.piece(text, index) if opaque else ()) for text in said[:-1]
            ]
            return Packed((*pieces, replace(part, text=said[-1], summary=(), opaque=opaque)))
        return Packed((replace(part, text="".join(texts), summary=(), opaque=opaque),))

    def piece(self, text: str, index: int) -> tuple[Opaque, ...]:
        """What stands on a piece of a thought that goes on: a capsule with nothing in it.

        A thought without a signature is dropped by some clients, and refused by their protocol; then that of the whole
        would be worth nothing.
        """
        slots = self.slots
        if slots is None or not slots.split:
            return ()
        value = self._write("thought", [], self._choice(index), index, texts=[text], told=True, bound=True)
        return () if value is None else (slots.put(value, slots.thought),)

    def _other(
        self, part: Text | ToolCall, payloads: list[Opaque], choice: _Choice, index: int, slots: Slots
    ) -> Packed:
        if isinstance(part, Text):
            if part.text or payloads:
                choice.layout.append(("text", len(part.text)))
            bound = bool(part.text) and slots.inline and choice.carries
            value = self._write("text", payloads, choice, index, texts=[part.text], bound=bound)
        else:
            choice.layout.append(("call", 0))
            value = self._write("call", payloads, choice, index, call=self._ids.get(part.id or "", part.id or ""))
        if value is None:
            return Packed((part,))
        if slots.inline:
            return Packed((replace(part, opaque=(slots.put(value, slots.thought),)),))
        carrier = Reasoning(opaque=(slots.put(value, slots.sealed),))
        if slots.gathered and any(payload.kind == "thought_signature" for payload in payloads):
            part = replace(part, opaque=(slots.put(value, "thought_signature"),))
        return Packed((part,), (carrier,))

    def message(self, details: Any, index: int) -> list[Part]:
        """The parts that carry what a vendor's message says of its thoughts as a whole."""
        slots = self.slots
        payload = Opaque(kind=DETAILS, value=dumps(details).decode(), protocol=_CHAT)
        if index == 0 and self.kept is not None:
            self._keep(Reasoning(opaque=(payload,)))
        if slots is None:
            return []
        value = self._write("message", [payload], self._choice(index), index)
        return [] if value is None else [Reasoning(opaque=(slots.put(value, slots.sealed),))]

    def layout(self, index: int) -> list[Part]:
        """The part that tells what the order of a candidate's parts was, where the client's protocol loses it."""
        choice, slots = self._choice(index), self.slots
        if slots is None or not slots.gathered or not choice.carries or _canonical(choice.layout):
            return []
        capsule = Capsule(minter=self._minter(), part="message", layout=tuple(choice.layout))
        value = write(capsule, self._secret)
        return [] if value is None else [Reasoning(opaque=(slots.put(value, slots.sealed),))]

    def _write(
        self,
        kind: str,
        payloads: list[Opaque],
        choice: _Choice,
        index: int,
        *,
        texts: Iterable[str] = (),
        told: bool = False,
        call: str = "",
        bound: bool = False,
    ) -> str | None:
        """The capsule of a part; None when it has no payloads, or too many.

        One that is `bound` has a capsule all the same: its client may send it back in pieces, and what was signed
        before it is signed together with it.
        """
        if not payloads and not bound:
            return None
        texts = tuple(texts)
        capsule = Capsule(
            minter=self._minter(),
            part=kind,
            payloads=tuple(payloads),
            lengths=tuple(map(len, texts)),
            told=told,
            digest=digest_of(texts),
            call=call,
        )
        value = write(capsule, self._secret)
        if value is None:
            path = f"candidates[{index}].turns[0].parts[{choice.parts - 1}].opaque"
            self.losses.append(
                Loss(path=path, kind=LossKind.DROPPED, severity=Severity.DEGRADED, reason="too large for a capsule")
            )
            return None
        choice.carries = True
        return value


def _bare(part: Any, of_chat: bool) -> Any:
    changes: dict[str, Any] = {}
    if part.opaque:
        changes["opaque"] = ()
    if of_chat and isinstance(part, ToolCall) and part.ext is not UNSET and EXTRA in part.ext:
        changes["ext"] = {key: value for key, value in part.ext.items() if key != EXTRA} or UNSET
    return replace(part, **changes) if changes else part


def _without_details(turn: Turn, of_chat: bool) -> tuple[Turn, Any]:
    if turn.ext is UNSET or type(turn.ext.get(DETAILS)) is not list or not of_chat:
        return turn, None
    ext = dict(turn.ext)
    details = ext.pop(DETAILS)
    return replace(turn, ext=ext or UNSET), details


_RANKS: Final = {"thought": 0, "sealed": 1, "text": 2, "call": 3}


def _canonical(layout: list[tuple[str, int]]) -> bool:
    """Whether a message that keeps kinds apart tells the order all the same."""
    ranks = [_RANKS[kind] for kind, _ in layout]
    return ranks == sorted(ranks) and ranks.count(0) <= 1 and ranks.count(2) <= 1
