"""The request as a model without tools can read it: calls and results of the history in words, tools in the prompt.

| in the request | in what is asked |
|---|---|
| tools, choice, parallel flag | a guide at the end of the first turn, if that is the system's, else a turn before it |
| calls that stand together, also in turns of their own | one block in the assistant's text, behind what it said |
| results that stand together, also in several turns | one block in a user turn, in the order of their calls |
| media in results | behind that block |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...universal.content import (
    CacheMark,
    Inline,
    Media,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from ...universal.loss import Loss, LossKind, Severity
from ...universal.request import FunctionTool, NamedTool, OpaqueTool, Request, Turn
from ...universal.templates import ERROR_PREFIX
from .arguments import written
from .dialect import Call, Dialect, Result
from .guide import guide
from .offer import Offer

__all__ = ["Told", "told"]

_GAP = "\n\n"
"""Between what an assistant said and its calls."""

_NOTHING = "null"
"""The words of a result that has none."""


_P = TypeVar("_P", bound=Part)
_Placed: TypeAlias = tuple[_P, str]
"""A part and its path in the client's request."""


class Told:
    """A request on its way into words.

    Args:
        dialect: How calls are written.

    Attributes:
        losses: What could not be said.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.losses: list[Loss] = []
        self._dialect = dialect
        self._names: dict[str, str] = {}  # of the calls so far, by id
        self._order: dict[str, int] = {}
        self._calls = 0

    def turns(self, turns: Sequence[Turn]) -> list[Turn]:
        """All turns in words."""
        out: list[Turn] = []
        results: list[_Placed[ToolResult]] = []
        for turn, placed in _steps(turns):
            found = [(part, where) for part, where in placed if isinstance(part, ToolResult)]
            rest = [(part, where) for part, where in placed if not isinstance(part, ToolResult)]
            results += found
            if found and not rest:
                self._ext(turn.ext, placed[0][1].partition(".")[0])
                continue
            said = self._results(results)
            results.clear()
            if said and not found:
                out.append(Turn(role="user", parts=tuple(said)))
                said = []
            out.append(self._turn(turn, said, rest))
        if results:
            out.append(Turn(role="user", parts=tuple(self._results(results))))
        return out

    def _turn(self, turn: Turn, said: list[Part], rest: Sequence[_Placed[Part]]) -> Turn:
        """A turn with the words of results that stand in it, and those of its calls."""
        if not said and not any(isinstance(part, ToolCall) for part, _ in rest):
            return turn
        role = "user" if turn.role == "tool" else turn.role
        told = replace(turn, role=role, parts=(*said, *self._parts(rest)), form=())
        # The id of an item that was a call, or a result, is none of a text's.
        return told if any(isinstance(part, Text) for part, _ in rest) else replace(told, id=UNSET, status=UNSET)

    def _parts(self, parts: Iterable[_Placed[Part]]) -> list[Part]:
        out: list[Part] = []
        calls: list[ToolCall] = []
        for part, where in parts:
            if isinstance(part, ToolCall):
                self._note(part, where)
                calls.append(part)
                continue
            self._say(calls, out)
            out.append(part)
        self._say(calls, out)
        return out

    def _say(self, calls: list[ToolCall], out: list[Part]) -> None:
        if not calls:
            return
        text = self._dialect.write_calls([Call(call.name, written(call)) for call in calls])
        cache: CacheMark | object = next((call.cache for call in calls if call.cache is not UNSET), UNSET)
        calls.clear()
        last = out[-1] if out else None
        if isinstance(last, Text) and not last.citations and last.cache is UNSET and not last.opaque:
            gap = _GAP if last.text.strip() else ""
            out[-1] = replace(last, text=last.text + gap + text, **({} if cache is UNSET else {"cache": cache}))
        else:
            out.append(Text(text=text, **({} if cache is UNSET else {"cache": cache})))  # type: ignore[arg-type]

    def _note(self, call: ToolCall, path: str) -> None:
        if call.id is not UNSET:
            self._names[call.id] = call.name
            self._order[call.id] = self._calls
        self._calls += 1
        if call.opaque:
            self._drop(f"{path}.opaque", Severity.DEGRADED, "a call in words carries no payload")
        for name in ("namespace", "caller"):
            if getattr(call, name) is not UNSET:
                self._drop(f"{path}.{name}", Severity.COSMETIC, f"a call in words has no {name}")
        self._ext(call.ext, path)

    def _results(self, results: Sequence[_Placed[ToolResult]]) -> list[Part]:
        if not results:
            return []
        ordered = sorted(
            range(len(results)), key=lambda at: (self._order.get(results[at][0].call_id or "", self._calls), at)
        )
        texts: list[Result] = []
        media: list[Part] = []
        cache: CacheMark | object = UNSET
        for at in ordered:
            result, path = results[at]
            text, others = _result_words(result)
            self._ext(result.ext, path)
            if result.is_error is True:
                self._lose(
                    f"{path}.is_error", LossKind.TEXTUALISED, Severity.COSMETIC, "said in words", ERROR_PREFIX[0]
                )
            texts.append(Result(result.name or self._names.get(result.call_id or "", ""), text))
            media += others
            if result.cache is not UNSET:
                cache = result.cache
        words = self._dialect.write_results(texts)
        return [Text(text=words, **({} if cache is UNSET else {"cache": cache})), *media]  # type: ignore[arg-type]

    def _ext(self, ext: dict[str, Any] | UnsetType, path: str) -> None:
        for name, value in (ext or {}).items():
            if value is not None:  # a null says nothing
                self._drop(f"{path}.ext.{name}", Severity.DEGRADED, "words have no place for it")

    def _drop(self, path: str, severity: Severity, reason: str) -> None:
        self._lose(path, LossKind.DROPPED, severity, reason)

    def _lose(self, path: str, kind: LossKind, severity: Severity, reason: str, template: str | None = None) -> None:
        self.losses.append(
            Loss(
                path=path, kind=kind, severity=severity, reason=reason, template=UNSET if template is None else template
            )
        )

    def tools(self, request: Request) -> None:
        """Report what cannot be said of the tools."""
        if any(isinstance(tool, FunctionTool) for tool in request.tools or ()):
            self._lose("tools", LossKind.TEXTUALISED, Severity.COSMETIC, "told in words")
        for index, tool in enumerate(request.tools or ()):
            path = f"tools[{index}]"
            if isinstance(tool, OpaqueTool):
                self._drop(path, Severity.SEMANTIC, "a tool of the provider cannot be told in words")
                continue
            if tool.strict is True:
                self._drop(f"{path}.strict", Severity.DEGRADED, "nothing holds words to a schema")
            if tool.cache is not UNSET:
                self._drop(f"{path}.cache", Severity.COSMETIC, "a tool in words has no cache mark")
            self._ext(tool.ext, path)


def _steps(turns: Sequence[Turn]) -> list[tuple[Turn, list[_Placed[Part]]]]:
    """Turns with their parts and where these stand; calls in turns of their own join the assistant's turn before."""
    steps: list[tuple[Turn, list[_Placed[Part]]]] = []
    for index, turn in enumerate(turns):
        placed: list[_Placed[Part]] = [(part, f"turns[{index}].parts[{at}]") for at, part in enumerate(turn.parts)]
        calls = bool(turn.parts) and all(isinstance(part, ToolCall) for part in turn.parts)
        if calls and turn.role == "assistant" and steps and _said(*steps[-1]):
            steps[-1][1].extend(placed)
        else:
            steps.append((turn, placed))
    return steps


def _said(turn: Turn, placed: list[_Placed[Part]]) -> bool:
    """Whether an assistant's turn has words, or calls: a lone thought stays an item of its own."""
    return turn.role == "assistant" and not all(isinstance(part, Reasoning) for part, _ in placed)


def _result_words(result: ToolResult) -> tuple[str, list[Part]]:
    texts: list[str] = []
    others: list[Part] = []
    for part in result.parts or ():
        match part:
            case Text(text=text) | Refusal(text=text) | Media(source=PlainText(text=text)):
                texts.append(text)
            case Media(source=Inline(parts=parts)) if all(isinstance(inner, Text) for inner in parts):
                texts += [inner.text for inner in parts if isinstance(inner, Text)]
            case _:
                others.append(part)
    text = "".join(texts)
    if not text and not others:
        text = _NOTHING
    return (ERROR_PREFIX[1] if result.is_error is True else "") + text, others


def told(request: Request, offer: Offer, dialect: Dialect) -> tuple[Request, list[Loss]]:
    """The request in words, and what it does not say.

    Args:
        request: The client's.
        offer: What it offers.
        dialect: How calls are written.

    Returns:
        The same request if it has nothing to do with tools.
    """
    telling = Told(dialect)
    turns = telling.turns(request.turns)
    telling.tools(request)
    if offer.tools:
        turns = _with_guide(turns, guide(offer, dialect, named=isinstance(request.tool_choice, NamedTool)))
    changed = replace(request, turns=tuple(turns), tools=UNSET, tool_choice=UNSET, parallel_tools=UNSET)
    return (request if changed == request else changed), telling.losses


def _with_guide(turns: list[Turn], words: str) -> list[Turn]:
    if not turns or turns[0].role not in ("system", "developer"):
        return [Turn(role="system", parts=(Text(text=words),)), *turns]
    parts = turns[0].parts
    last = parts[-1] if parts else None
    if isinstance(last, Text) and not last.citations and last.cache is UNSET and not last.opaque and last.text:
        parts = (*parts[:-1], replace(last, text=last.text + _GAP + words))
    else:
        parts = (*parts, Text(text=words))
    return [replace(turns[0], parts=parts), *turns[1:]]
