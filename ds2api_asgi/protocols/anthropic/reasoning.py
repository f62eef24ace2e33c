"""Thoughts, signed or redacted.

It follows https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking (read 2026-11-22).
"""

from __future__ import annotations

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Part, Reasoning
from ...universal.loss import LossKind, Severity
from ..capsule import seal, unseal
from ..fields import STRING, Json, optional, rest
from ..scope import Scope
from .profile import NAME

__all__ = ["decode_redacted", "decode_thinking", "encode_reasoning"]


def decode_thinking(block: Json, path: str) -> Part:
    """Read a ``thinking`` block; the form ``signature:absent`` is on one without."""
    thought = block.get("thinking")
    if type(thought) is not str:
        raise InvalidDocument(f"{path}.thinking", "must be a string")
    signature = optional(block, "signature", STRING, path)
    return Reasoning(
        text=thought,
        opaque=(unseal(signature, kind="signature", protocol=NAME),) if signature else (),
        ext=rest(block, ("type", "thinking", "signature")),
        form=("signature:absent",) if signature is UNSET else (),
    )


def decode_redacted(block: Json, path: str) -> Part:
    """Read a ``redacted_thinking`` block."""
    data = block.get("data")
    if type(data) is not str:
        raise InvalidDocument(f"{path}.data", "must be a string")
    payload = unseal(data, kind="redacted", protocol=NAME)
    return Reasoning(opaque=(payload,), ext=rest(block, ("type", "data")))


def encode_reasoning(part: Reasoning, path: str, scope: Scope) -> list[Json]:
    """Write a thought: upstream only what this provider signed, to clients all there is to read, and to carry."""
    blocks: list[Json] = []
    signature = ""
    texts = part.summary if part.text is UNSET else (part.text,)
    for index, payload in enumerate(part.opaque):
        if payload.protocol == NAME and payload.kind == "signature":
            signature = payload.value
        elif payload.protocol == NAME and payload.kind == "redacted":
            blocks.append({"type": "redacted_thinking", "data": payload.value})
        elif (scope.home or scope.answer) and len(part.opaque) == 1:
            sealed = seal(payload, protocol=NAME)
            if texts:
                signature = sealed
            else:
                blocks.append({"type": "redacted_thinking", "data": sealed})
        else:
            scope.add(
                f"{path}.opaque[{index}]",
                LossKind.ORIGIN_MISMATCH,
                Severity.DEGRADED,
                f"only {payload.protocol} can read it",
            )
    if not (scope.home or scope.answer) and not signature and not (blocks and not texts):
        scope.drop(path, Severity.DEGRADED, f"{NAME} takes only thoughts that it has signed")
        return []
    if part.summary and not scope.home:
        kind = LossKind.DROPPED if part.text is not UNSET else LossKind.APPROXIMATED
        scope.add(f"{path}.summary", kind, Severity.DEGRADED, f"{NAME} has no summaries beside thoughts")
        if part.text is UNSET:
            scope.add(f"{path}.text", LossKind.INVENTED, Severity.COSMETIC, "it is the summary")
    for text in reversed(texts):
        blocks.insert(0, {"type": "thinking", "thinking": text, "signature": ""})
    if not blocks:
        scope.drop(path, Severity.DEGRADED, "there is nothing in it that can be said")
        return []
    if texts:
        blocks[len(texts) - 1]["signature"] = signature
        if scope.home and "signature:absent" in part.form and not signature:
            del blocks[0]["signature"]
    if scope.home:
        blocks[0].update(part.ext or {})
    else:
        scope.ext(part.ext, path)
    return blocks
