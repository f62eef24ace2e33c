"""One run of an encoder: what it writes for, what it could not say, and how names and ids are spelled there.

Every encoder makes one `Scope` and hands it to its functions, in place of a list of losses, a flag and two tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from ..universal.content import OpaquePart, ToolCall, ToolResult
from ..universal.ids import CallIds, ToolNames
from ..universal.loss import Loss, LossKind, Severity
from ..universal.node import Opaque
from ..universal.request import Request
from .base import Context
from .fields import ext_losses

__all__ = ["Scope", "Target"]


class Target(Struct, frozen=True, kw_only=True):
    """What a protocol accepts as names and ids; stands in its ``profile``.

    Attributes:
        protocol: Its name.
        call_id: What a whole call id must match.
        tool_name: What a whole tool name must match.
        max_tool_name: Characters of the longest tool name.
        id_length: Characters of call ids that are made for it; 0: the usual ones.
    """

    protocol: str
    call_id: re.Pattern[str]
    tool_name: re.Pattern[str]
    max_tool_name: int
    id_length: int = 0


class Scope:
    """One run of an encoder.

    Args:
        target: What the protocol accepts.
        origin: The protocol that the document was born in.
        dialect: The dialect it is written in.
        context: What the request's run learned, when an answer is written for a client; None: a request is written
            for an upstream.

    Attributes:
        home: The document was born in this protocol: its ``ext`` and ``form`` are ours to write back.
        answer: An answer is written (for a client), not a request (for an upstream).
        dialect: As given.
        losses: In the order in which they were found.
    """

    __slots__ = ("_calls_back", "_ids", "_names", "_names_back", "_target", "answer", "dialect", "home", "losses")

    def __init__(
        self, target: Target, *, origin: str | UnsetType, dialect: str = "", context: Context | None = None
    ) -> None:
        self.home = origin == target.protocol
        self.answer = context is not None
        self.dialect = dialect
        self.losses: list[Loss] = []
        self._target = target
        self._ids: CallIds | None = None  # made when they are first asked for: most conversations call nothing
        self._names: ToolNames | None = None
        self._names_back = {} if context is None else context.tool_names
        self._calls_back = {} if context is None else context.call_ids

    @property
    def protocol(self) -> str:
        """The name of the protocol that is written."""
        return self._target.protocol

    # losses

    def add(
        self,
        path: str,
        kind: LossKind,
        severity: Severity,
        reason: str,
        *,
        target: str | UnsetType = UNSET,
        template: str | UnsetType = UNSET,
    ) -> None:
        """Note a loss; the arguments are those of `Loss`."""
        self.losses.append(
            Loss(path=path, kind=kind, severity=severity, reason=reason, target=target, template=template)
        )

    def drop(self, path: str, severity: Severity, reason: str) -> None:
        """Note that something is gone."""
        self.losses.append(Loss(path=path, kind=LossKind.DROPPED, severity=severity, reason=reason))

    def lacks(self, path: str, severity: Severity, what: str) -> None:
        """Note that something is gone because the protocol has none: ``"names of speakers"``."""
        self.drop(path, severity, f"{self._target.protocol} has no {what}")

    def lacks_each(self, node: Struct, names: Iterable[str], path: str, severity: Severity, where: str) -> None:
        """Note the members of a node, out of these, that are gone because the protocol has none: ``"of a stop"``."""
        for name in names:
            if getattr(node, name) is not UNSET:
                self.lacks(f"{path}.{name}", severity, f"{name} {where}")

    def ext(self, ext: dict[str, Any] | UnsetType, path: str) -> None:
        """Note the members of a node that only its home knows, unless that is here."""
        if ext is not UNSET and not self.home:
            self.losses.extend(ext_losses(ext, path, self._target.protocol))

    def foreign(self, part: OpaquePart, path: str) -> None:
        """Note a part that only its home knows; path is the part's."""
        name = self._target.protocol
        if part.stateful:
            reason = f"only a server of {part.protocol} can resolve this {part.stateful}"
            self.add(path, LossKind.STATEFUL, Severity.BLOCKING, reason)
        else:
            self.add(path, LossKind.DROPPED, Severity.SEMANTIC, f"{name} has no place for this part of {part.protocol}")

    def opaque(self, payloads: Iterable[Opaque], path: str) -> None:
        """Note payloads that this node cannot carry; path is the node's."""
        name = self._target.protocol
        for index, payload in enumerate(payloads):
            own = payload.protocol == name
            self.add(
                f"{path}.opaque[{index}]",
                LossKind.DROPPED if own else LossKind.ORIGIN_MISMATCH,
                Severity.DEGRADED,
                f"{name} has no place for it here" if own else f"only {payload.protocol} can read its {payload.kind}",
            )

    # names and ids

    def tool_name(self, name: str, path: str) -> str:
        """The name as this document has to spell it; path is the name's."""
        if self.answer:
            return self._names_back.get(name, name)
        if self.home:
            return name
        if self._names is None:
            self._names = ToolNames(self._target.tool_name, self._target.max_tool_name)
        target = self._names.of(name)
        self._changed(name, target, path)
        return target

    def call_id(self, call: ToolCall, path: str) -> str | UnsetType:
        """The id of the next call as this document has to spell it; path is the call's."""
        if self.answer and call.id:
            return self._calls_back.get(call.id, call.id)
        if self.home:
            return call.id
        target = self._calls().call(None if call.id is UNSET else call.id, call.name)
        self._changed(call.id, target, f"{path}.id")
        return target

    def result_id(self, result: ToolResult, path: str) -> str | UnsetType:
        """The id of the call that a result answers; path is the result's."""
        if self.home:
            return result.call_id
        name = None if result.name is UNSET else result.name
        target = self._calls().result(None if result.call_id is UNSET else result.call_id, name)
        self._changed(result.call_id, target, f"{path}.call_id")
        return target

    def _calls(self) -> CallIds:
        if self._ids is None:
            self._ids = CallIds(self._target.call_id, self._target.id_length)
        return self._ids

    def _changed(self, source: str | UnsetType, target: str, path: str) -> None:
        name = self._target.protocol
        if source is UNSET:
            self.add(path, LossKind.INVENTED, Severity.COSMETIC, f"{name} demands one")
        elif source != target:
            self.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{name} has another alphabet, or had it before")

    def context(self, request: Request, custom_tools: Iterable[str] = ()) -> Context:
        """What the way back of the answer needs to know of this run.

        Args:
            request: What was encoded.
            custom_tools: Names of tools that take free text and were wrapped into functions.
        """
        names = {} if self._names is None else self._names.back
        custom = frozenset(custom_tools)
        if custom:
            custom |= {target for target, source in names.items() if source in custom}
        ids = {} if self._ids is None else self._ids.back
        return Context(request=request, tool_names=names, call_ids=ids, custom_tools=custom)
