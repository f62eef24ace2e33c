"""What one run of an encoder carries along: whose the document is, what it lost, and how names and ids changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from msgspec import UNSET, UnsetType

from ...universal.content import ToolCall, ToolResult
from ...universal.ids import CallIds
from ...universal.loss import LossKind, Severity
from ...universal.node import Opaque
from .fields import NAME, Losses
from .profile import CALL_ID, TOOL_NAME

__all__ = ["Names", "Scope"]


class Names:
    """Tool names in the alphabet of this protocol; injective: a name that had to change carries a digest of itself.

    Attributes:
        back: Our spelling to the source's, for names that had to change.
    """

    __slots__ = ("back",)

    def __init__(self) -> None:
        self.back: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The target's spelling of a name; the same name always gets the same."""
        if TOOL_NAME.fullmatch(name):
            return name
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        clean = "".join(char if TOOL_NAME.fullmatch(char) else "_" for char in name[:100])
        target = f"{clean}_{digest}"
        self.back[target] = name
        return target


class Scope:
    """One run of an encoder.

    Attributes:
        home: The document was born in this protocol: its ``ext`` and ``form`` are ours.
        strict: The dialect is 2026-10-21 or later.
        answer: An answer is written (for a client), not a request (for an upstream).
        losses: What was lost so far.
        names: Tool names that changed on the way out (requests).
        ids: Call ids that changed on the way out (requests from elsewhere); None: ids stay.
        names_back: An upstream's spelling of tool names to the client's (answers).
        ids_back: An upstream's spelling of call ids to the client's (answers).
    """

    __slots__ = ("answer", "home", "ids", "ids_back", "losses", "names", "names_back", "strict")

    def __init__(
        self,
        *,
        home: bool,
        strict: bool = False,
        answer: bool = False,
        names_back: Mapping[str, str] | None = None,
        ids_back: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.strict = strict
        self.answer = answer
        self.losses = Losses()
        self.names = Names()
        self.ids = None if home else CallIds(CALL_ID)
        self.names_back = names_back or {}
        self.ids_back = ids_back or {}

    def tool_name(self, name: str, path: str) -> str:
        """The name as this document has to spell it."""
        if self.answer:
            return self.names_back.get(name, name)
        if self.home:
            return name
        target = self.names.of(name)
        self._changed(name, target, path)
        return target

    def call_id(self, part: ToolCall, path: str) -> str | UnsetType:
        """The id of the next call as this document has to spell it; path is the call's."""
        if self.answer and part.id:
            return self.ids_back.get(part.id, part.id)
        if self.ids is None:
            return part.id
        target = self.ids.call(part.id or None, part.name)
        self._changed(part.id, target, f"{path}.id")
        return target

    def result_id(self, part: ToolResult, path: str) -> str | UnsetType:
        """The id of the call that a result answers; path is the result's."""
        if self.ids is None:
            return part.call_id
        target = self.ids.result(part.call_id or None)
        self._changed(part.call_id, target, f"{path}.call_id")
        return target

    def _changed(self, source: str | UnsetType, target: str, path: str) -> None:
        if source is UNSET:
            self.losses.add(path, LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands one")
        elif source != target:
            self.losses.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has another alphabet")

    def foreign_payloads(self, opaque: Iterable[Opaque], path: str) -> None:
        """Report payloads that this part cannot carry; only their minter could have read them."""
        for index, payload in enumerate(opaque):
            own = payload.protocol == NAME
            self.losses.add(
                f"{path}.opaque[{index}]",
                LossKind.DROPPED if own else LossKind.ORIGIN_MISMATCH,
                Severity.DEGRADED,
                f"{NAME} has no place for it here" if own else f"only {payload.protocol} can read it",
            )
