"""Whose a payload is: it goes to nobody but the upstream that minted it (law L14)."""

from __future__ import annotations

from msgspec.structs import replace

from ...universal.capsule import Minter
from ...universal.content import Part, Reasoning, Text
from ...universal.loss import Loss, LossKind, Severity
from ...universal.request import Request, Turn
from .parts import payloads_of, texts_of

__all__ = ["only_for"]


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
    if not any(payloads_of(part) for turn in request.turns for part in turn.parts):
        return request, losses
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
    payloads = payloads_of(part)
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
