"""Requests made to fit a vendor: what it has no place for is taken out, and reported where it stood.

It works on the universal form, so it is the same for documents that were born here and for others; how what is left
is spelled is `spelling`'s affair. The default dialects need no fitting.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ...universal.content import CacheMark, Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.request import FunctionTool, NamedTool, Request, Tool, ToolSubset, Turn
from ..arguments import FREE_TEXT, wrap_text
from ..fields import Json, unplaced
from ..scope import Scope
from .dialects import Dialect
from .fields import REQUEST

__all__ = ["Fitted", "fit"]

_WIRE: Final = {
    **{field.name: wire for wire, field in REQUEST.items() if wire != "reasoning_effort"},
    "tools": "tools",
    "tool_choice": "tool_choice",
    "stop": "stop",
    "output_format": "response_format",
    "stream_usage": "stream_options",
    "stream_obfuscation": "stream_options",
}
_ALL: Final = frozenset(Request.__struct_fields__)
_BOUNDS: Final = ("max_tokens", "max_completion_tokens")
_FORMATS: Final = {"text": "text", "json": "json_object", "json_schema": "json_schema"}


class Fitted(Struct, frozen=True):
    """A request that fits.

    Attributes:
        request: It.
        custom: Names of tools that take free text, which became functions.
        call_ids: Spelling there to the client's, where a call id had to change.
    """

    request: Request
    custom: frozenset[str]
    call_ids: dict[str, str]


def fit(request: Request, dialect: Dialect, scope: Scope) -> Fitted:
    """Take out what a vendor has no place for.

    Args:
        request: Born anywhere.
        dialect: The vendor's.
        scope: Of the encoder; takes the losses.
    """
    inner = Scope(dialect.target, origin=UNSET, dialect=dialect.name)
    inner.losses = scope.losses
    fitting = _Fitting(dialect, inner, home=scope.home)
    changes = fitting.members(request)
    if request.tools is not UNSET and "tools" not in changes:
        changes["tools"] = tuple([fitting.tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools)])
    if request.tool_choice is not UNSET and "tool_choice" not in changes:
        changes["tool_choice"] = fitting.choice(request)
    changes["turns"] = tuple([fitting.turn(turn, f"turns[{at}]") for at, turn in enumerate(request.turns)])
    if request.form:
        changes["form"] = fitting.forms(request.form)
    if scope.home and request.ext is not UNSET:
        changes["ext"] = fitting.ext(request.ext)
    context = inner.context(request)
    return Fitted(replace(request, **changes), frozenset(fitting.custom), context.call_ids)


class _Fitting:
    """One request on its way.

    Attributes:
        custom: Names of tools that take free text, which became functions.
    """

    __slots__ = ("_dialect", "_home", "_legacy", "_scope", "custom")

    def __init__(self, dialect: Dialect, scope: Scope, *, home: bool) -> None:
        self._dialect = dialect
        self._scope = scope
        self._home = home
        self._legacy = dialect.takes("functions") and dialect.says("function_call")
        self.custom: set[str] = set()

    # members of the request

    def members(self, request: Request) -> dict[str, Any]:
        """The members that have to change, but for tools and turns."""
        dialect, scope = self._dialect, self._scope
        refused = frozenset(name for name, wire in _WIRE.items() if not dialect.takes(wire))
        if dialect.accepts is not None:
            refused |= {"stream_obfuscation"}
        scope.losses.extend(unplaced(request, _ALL - refused, scope.protocol))
        changes: dict[str, Any] = {name: UNSET for name in refused if getattr(request, name) is not UNSET}
        if "stop" not in changes and request.stop is not UNSET and len(request.stop) > dialect.max_stop:
            reason = f"{scope.protocol} takes {dialect.max_stop} stop sequences"
            scope.add("stop", LossKind.CLAMPED, Severity.SEMANTIC, reason)
            changes["stop"] = request.stop[: dialect.max_stop]
        if "service_tier" not in changes:
            self._tier(request, changes)
        if "output_format" not in changes and request.output_format is not UNSET:
            self._format(request, changes)
        return changes

    def _tier(self, request: Request, changes: dict[str, Any]) -> None:
        tier, known = request.service_tier, self._dialect.tiers
        if tier is UNSET or tier in known or (tier == "standard_only" and "default" in known):
            return
        self._scope.lacks("service_tier", Severity.COSMETIC, "such tier")
        changes["service_tier"] = UNSET

    def _format(self, request: Request, changes: dict[str, Any]) -> None:
        shape, known = request.output_format, self._dialect.formats
        assert shape is not UNSET
        if _FORMATS[shape.kind] in known:
            return
        if shape.kind == "json_schema" and "json_object" in known:
            reason = f"{self._scope.protocol} has no schemas of answers"
            self._scope.add("output_format", LossKind.APPROXIMATED, Severity.SEMANTIC, reason)
            changes["output_format"] = replace(
                shape, kind="json", name=UNSET, description=UNSET, schema=UNSET, strict=UNSET, ext=UNSET
            )
        else:
            self._scope.lacks("output_format", Severity.SEMANTIC, "such format of answers")
            changes["output_format"] = UNSET

    def ext(self, ext: Json) -> Json | UnsetType:
        """The members that only a client of this protocol sends, as far as the vendor documents them."""
        kept: Json = {}
        for key, value in ext.items():
            group = key.partition(".")[0]
            taken = self._dialect.takes(group) if group in _KNOWN or not self._dialect.open else True
            if taken and not (
                group in _BOUNDS or (group == "stream_options" and key != "stream_options.include_usage")
            ):
                kept[key] = value
            elif value is not None:
                self._scope.lacks(f"ext.{key}", Severity.DEGRADED, "such member")
        return kept or UNSET

    def forms(self, forms: tuple[str, ...]) -> tuple[str, ...]:
        """Ways of spelling that the vendor knows."""
        gone = set() if self._legacy else {"functions:empty", "tools:empty", "function_call"}
        if not self._dialect.takes("stream_options"):
            gone.add("stream_options:empty")
        return tuple(form for form in forms if form not in gone)

    # tools

    def tool(self, tool: Tool, path: str) -> Tool:
        """A tool; one of free text becomes a function that takes one text."""
        scope, dialect = self._scope, self._dialect
        if not isinstance(tool, FunctionTool):
            return tool
        changes: dict[str, Any] = {}
        if tool.kind == "custom" and not dialect.custom:
            severity = Severity.DEGRADED if tool.schema is UNSET else Severity.SEMANTIC
            scope.add(path, LossKind.APPROXIMATED, severity, f"{scope.protocol} has functions only; it takes one text")
            self.custom.add(tool.name)
            changes.update(kind="function", schema=FREE_TEXT)
        if tool.strict is not UNSET and not dialect.strict:
            scope.lacks(f"{path}.strict", Severity.DEGRADED if tool.strict else Severity.COSMETIC, "strict tools")
            changes["strict"] = UNSET
        if "description" in dialect.demands and tool.description is UNSET:
            scope.add(f"{path}.description", LossKind.INVENTED, Severity.COSMETIC, f"{scope.protocol} demands one")
            changes["description"] = ""
        if "parameters" in dialect.demands and type(changes.get("schema", tool.schema)) is not dict:
            scope.add(f"{path}.schema", LossKind.INVENTED, Severity.COSMETIC, f"{scope.protocol} demands an object")
            changes["schema"] = {"type": "object", "properties": {}}
        if "functions" in tool.form and not self._legacy:
            changes["form"] = ()
        if self._home:
            self._unmark(tool.cache, path, changes)
        return replace(tool, **changes) if changes else tool

    def choice(self, request: Request) -> Any:
        """The choice among tools, as near as the vendor can say it."""
        choice, scope, dialect = request.tool_choice, self._scope, self._dialect
        if isinstance(choice, ToolSubset) and not dialect.subsets:
            scope.add(
                "tool_choice", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{scope.protocol} allows all tools or none"
            )
            return "required" if choice.mode == "required" else "auto"
        if isinstance(choice, NamedTool):
            if not dialect.named:
                reason = f"{scope.protocol} cannot name the tool"
                scope.add("tool_choice", LossKind.APPROXIMATED, Severity.SEMANTIC, reason)
                return "required"
            if choice.kind == "custom" and not dialect.custom:
                return replace(choice, kind="function")
        return choice

    # the conversation

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
                self._unmark(part.cache, path, changes)
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
        form = part.form if thoughts == "thinking" else ()
        return replace(part, opaque=(), form=form, ext=part.ext if form else UNSET)

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
            self._unmark(result.cache, path, changes)
            if result.parts is not UNSET:
                parts = [self._part(part, f"{path}.parts[{at}]") for at, part in enumerate(result.parts)]
                changes["parts"] = tuple([part for part in parts if part is not None])
        return replace(result, **changes) if changes else result

    def _message_ext(self, ext: Json, path: str) -> Json | UnsetType:
        if self._dialect.message is None:
            return ext
        kept = {key: value for key, value in ext.items() if key in self._dialect.message}
        self._scope.ext({key: value for key, value in ext.items() if key not in kept}, path)
        return kept or UNSET

    def _unmark(self, mark: CacheMark | UnsetType, path: str, changes: dict[str, Any]) -> None:
        if mark is not UNSET and not self._dialect.marks:
            self._scope.lacks(f"{path}.cache", Severity.COSMETIC, "such cache mark")
            changes["cache"] = UNSET


_KNOWN: Final = frozenset(REQUEST) | set(_WIRE.values()) | {"functions", "function_call"}
