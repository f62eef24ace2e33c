"""Requests made to fit a vendor: what it has no place for is taken out, and reported where it stood.

It works on the universal form, so it is the same for documents that were born here and for others; how what is left
is spelled is `spelling`'s affair. The default dialects need no fitting.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ...universal.loss import LossKind, Severity
from ...universal.request import FunctionTool, NamedTool, Request, Tool, ToolSubset
from ..arguments import FREE_TEXT
from ..fields import Json, unplaced
from ..scope import Scope
from .dialects import Dialect
from .fields import REQUEST
from .fitting_turns import Conversation, unmark

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
    conversation = Conversation(dialect, inner, home=scope.home, legacy=fitting.legacy)
    changes["turns"] = tuple([conversation.turn(turn, f"turns[{at}]") for at, turn in enumerate(request.turns)])
    if request.form:
        changes["form"] = fitting.forms(request.form)
    if scope.home and request.ext is not UNSET:
        changes["ext"] = fitting.ext(request.ext)
    context = inner.context(request)
    return Fitted(replace(request, **changes), frozenset(fitting.custom), context.call_ids)


class _Fitting:
    """One request on its way, but for its turns.

    Attributes:
        custom: Names of tools that take free text, which became functions.
        legacy: Whether the vendor knows ``functions`` and their calls.
    """

    __slots__ = ("_dialect", "_home", "_scope", "custom", "legacy")

    def __init__(self, dialect: Dialect, scope: Scope, *, home: bool) -> None:
        self._dialect = dialect
        self._scope = scope
        self._home = home
        self.legacy = dialect.takes("functions") and dialect.says("function_call")
        self.custom: set[str] = set()

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
        gone = set() if self.legacy else {"functions:empty", "tools:empty", "function_call"}
        if not self._dialect.takes("stream_options"):
            gone.add("stream_options:empty")
        return tuple(form for form in forms if form not in gone)

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
        if dialect.parameters and type(changes.get("schema", tool.schema)) is not dict:
            scope.add(f"{path}.schema", LossKind.INVENTED, Severity.COSMETIC, f"{scope.protocol} demands an object")
            changes["schema"] = {"type": "object", "properties": {}}
        if "functions" in tool.form and not self.legacy:
            changes["form"] = ()
        if self._home:
            unmark(tool.cache, path, changes, scope, dialect)
        return replace(tool, **changes) if changes else tool

    def choice(self, request: Request) -> Any:
        """The choice among tools, as near as the vendor can say it."""
        choice, scope, dialect = request.tool_choice, self._scope, self._dialect
        if isinstance(choice, ToolSubset) and not dialect.subsets:
            scope.add(
                "tool_choice", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{scope.protocol} allows all tools or none"
            )
            return "required" if choice.mode == "required" else "auto"
        if isinstance(choice, NamedTool) and choice.kind == "custom" and not dialect.custom:
            return replace(choice, kind="function")
        return choice


_KNOWN: Final = frozenset(REQUEST) | set(_WIRE.values()) | {"functions", "function_call"}
