"""Conversations made to fit a vendor: roles, names, thoughts, refusals, ids and media.

Part of `fitting`, whose rule holds here: what goes is reported where it stood.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...universal.content import CacheMark, Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.request import Turn
from ..arguments import wrap_text
from ..fields import Json
from ..scope import Scope
from .dialects import Dialect

__all__ = ["Conversation", "unmark"]


class Conversation:
    """The turns of one request, in their order.

    Args:
        dialect: The vendor's.
        scope: Spells ids for the vendor and takes the losses.
        home: Whether the request was born in this protocol.
        legacy: Whether the vendor knows ``functions`` and their calls.
    """

    __slots__ = ("_dialect", "_home", "_legacy", "_scope")

    def __init__(self, dialect: Dialect, scope: Scope, *, home: bool, legacy: bool) -> None:
        self._dialect = dialect
        self._scope = scope
        self._home = home
        self._legacy = legacy

    def turn(self, turn: Turn, path: str) -> Turn:
        """One message."""
        scope, dialect = self._scope, self._dialect
        changes: dict[str, Any] = {}
        if turn.role == "developer" and not dialect.developer:
            scope.add(
                f"{path}.role", LossKind.APPROXIMATED, Severity.COSMETIC, f"{scope.protocol} has system messages only"
            )
            changes["role"] = "system"
        if turn.name is not UNSET and not dialect.names:
            scope.lacks(f"{path}.name", Severity.DEGRADED, "names of speakers")
            changes["name"] = UNSET
        fitted = [self._part(part, f"{path}.parts[{at}]") for at, part in enumerate(turn.parts)]
        parts = tuple([part for part in fitted if part is not None])
        if any(now is not before for now, before in zip(fitted, turn.parts, strict=True)):
            changes["parts"] = parts
        if self._home:
            if turn.ext is not UNSET:
                changes["ext"] = self._message_ext(turn.ext, path)
            gone = {"role:function"} if not self._legacy else set()
            gone |= set() if dialect.says("refusal") else {"refusal:null"}
            if not gone.isdisjoint(turn.form):
                changes["form"] = tuple([word for word in turn.form if word not in gone])
            if turn.parts and not parts:  # it was nothing but what has gone
                changes["parts"] = (Text(text=""),)
                changes["form"] = (*changes.get("form", turn.form), "content:string")
        return replace(turn, **changes) if changes else turn

    def _part(self, part: Part, path: str) -> Part | None:
        match part:
            case Reasoning():
                return self._reasoning(part, path)
            case Refusal() if not self._dialect.says("refusal"):
                reason = f"{self._scope.protocol} has no refusals in messages"
                self._scope.add(path, LossKind.APPROXIMATED, Severity.DEGRADED, reason)
                return Text(text=part.text)
            case ToolCall():
                return self._call(part, path)
            case ToolResult():
                return self._result(part, path)
            case Media(kind=kind) if self._dialect.media is not None and kind not in self._dialect.media:
                self._scope.lacks(path, Severity.SEMANTIC, f"{kind} in messages")
                return None
            case Text() | Media() if self._home:
                changes: dict[str, Any] = {}
                unmark(part.cache, path, changes, self._scope, self._dialect)
                return replace(part, **changes) if changes else part
            case _:
                return part

    def _reasoning(self, part: Reasoning, path: str) -> Reasoning | None:
        """A thought; what only its minter can read goes in no vendor's member."""
        scope, thoughts = self._scope, self._dialect.thoughts
        if part.text is UNSET and not part.summary and not self._home:
            return part  # the encoder reports it
        if not thoughts:
            scope.lacks(path, Severity.DEGRADED, "reasoning in messages")
            return None
        if not self._home:
            return part
        if part.text is UNSET and not part.summary:
            scope.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, "only its minter can read it")
            return None
        scope.opaque(part.opaque, path)
        if thoughts == "thinking":
            return replace(part, opaque=())
        scope.ext(part.ext, path)
        return replace(part, opaque=(), form=(), ext=UNSET)

    def _call(self, call: ToolCall, path: str) -> ToolCall:
        scope = self._scope
        changes: dict[str, Any] = {}
        old = "function_call" in call.form
        if not (old and self._legacy):
            id_ = scope.call_id(call, path)
            if id_ != call.id:
                changes["id"] = id_
            if old:
                changes["form"] = tuple(form for form in call.form if form != "function_call")
        if call.kind == "custom" and not self._dialect.custom:
            scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{scope.protocol} has functions only")
            changes.update(kind="function", arguments=wrap_text(call.arguments.text))
        if self._home and self._dialect.message is not None and call.ext is not UNSET:
            scope.ext(call.ext, path)
            changes["ext"] = UNSET
        return replace(call, **changes) if changes else call

    def _result(self, result: ToolResult, path: str) -> ToolResult:
        changes: dict[str, Any] = {}
        if not (self._legacy and result.call_id is UNSET and self._home):
            call_id = self._scope.result_id(result, path)
            if call_id != result.call_id:
                changes["call_id"] = call_id
        if self._home:
            if result.name is not UNSET and not self._dialect.says("name"):
                self._scope.lacks(f"{path}.name", Severity.COSMETIC, "name on a tool result")
                changes["name"] = UNSET
            if result.ext is not UNSET:
                changes["ext"] = self._message_ext(result.ext, path)
            unmark(result.cache, path, changes, self._scope, self._dialect)
        fitted = [self._part(part, f"{path}.parts[{at}]") for at, part in enumerate(result.parts or ())]
        if any(now is not before for now, before in zip(fitted, result.parts or (), strict=True)):
            changes["parts"] = tuple([part for part in fitted if part is not None])
        return replace(result, **changes) if changes else result

    def _message_ext(self, ext: Json, path: str) -> Json | UnsetType:
        if self._dialect.message is None:
            return ext
        kept = {key: value for key, value in ext.items() if key in self._dialect.message}
        self._scope.ext({key: value for key, value in ext.items() if key not in kept}, path)
        return kept or UNSET


def unmark(mark: CacheMark | UnsetType, path: str, changes: dict[str, Any], scope: Scope, dialect: Dialect) -> None:
    """Take a cache mark off a node, if the vendor has none."""
    if mark is not UNSET and not dialect.marks:
        scope.lacks(f"{path}.cache", Severity.COSMETIC, "such cache mark")
        changes["cache"] = UNSET
