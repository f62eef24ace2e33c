"""What a server of this protocol said of its items, come back through a client of another: ids, phases, ciphers.

Such a part becomes the item that it was: a thought directly before the item it led to, each with the id that binds
them (https://platform.openai.com/docs/guides/reasoning, read 2026-11-28).
"""

from __future__ import annotations

from typing import Any, Final

from ...universal.content import Text
from ...universal.node import Opaque
from ..fields import Json
from .profile import NAME

__all__ = ["foreign_payloads", "id_of", "message_of"]

_ID: Final = "item_id"
_PHASE: Final = "phase"


def _value(payloads: tuple[Opaque, ...], kind: str) -> str | None:
    return next((each.value for each in payloads if each.protocol == NAME and each.kind == kind), None)


def id_of(payloads: tuple[Opaque, ...]) -> str | None:
    """The id that a part's item had here, or None."""
    return _value(payloads, _ID)


def foreign_payloads(payloads: tuple[Opaque, ...], *kinds: str) -> tuple[Opaque, ...]:
    """Those that have no place on a part.

    Args:
        payloads: A part's.
        kinds: What has a place on it beside id and phase.
    """
    known = (_ID, _PHASE, *kinds)
    return tuple(each for each in payloads if each.protocol != NAME or each.kind not in known)


def message_of(part: Text, content: Json, last: Any) -> Json | None:
    """The message that a text was here.

    Args:
        part: The text.
        content: As a content part.
        last: The item before it, which it joins if both were one.

    Returns:
        The item to add, an empty one when it joined the last; None when nothing is known of it.
    """
    id_, phase = id_of(part.opaque), _value(part.opaque, _PHASE)
    if id_ is None and phase is None:
        return None
    if id_ is not None and type(last) is dict and last.get("type") == "message" and last.get("id") == id_:
        last["content"].append(content)
        return {}
    item: Json = {"type": "message", "role": "assistant"}
    if id_ is None:
        item["content"] = content["text"]
    else:
        item.update(id=id_, status="completed", content=[{"annotations": [], **content}])
    if phase is not None:
        item["phase"] = phase
    return item
