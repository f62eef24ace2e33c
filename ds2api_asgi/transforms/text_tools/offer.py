"""`Offer`: what a request lets the model call, and what it demands; `Tally` counts what was called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import UNSET, Struct

from ...universal.content import ToolCall
from ...universal.ids import invented_id
from ...universal.request import FunctionTool, NamedTool, Request, ToolSubset

__all__ = ["Demand", "Offer", "Tally"]

Demand: TypeAlias = Literal["auto", "none", "required"]


class Offer(Struct, frozen=True, kw_only=True):
    """What may be called.

    Attributes:
        tools: By name; nothing else becomes a call.
        demand: Whether something must be called.
        parallel: Whether one answer may hold several calls; if not, those after the first stay text.
        turns: Turns of the request: makes ids differ from one answer to the next.
        taken: Ids of calls in the history, which no new call may have.
    """

    tools: Mapping[str, FunctionTool]
    demand: Demand = "auto"
    parallel: bool = True
    turns: int = 0
    taken: frozenset[str] = frozenset()

    @classmethod
    def of(cls, request: Request) -> Offer:
        """What a request offers: its tools, narrowed to those that its choice names; none for ``"none"``."""
        tools = {tool.name: tool for tool in request.tools or () if isinstance(tool, FunctionTool)}
        choice = request.tool_choice
        demand: Demand = "auto"
        match choice:
            case NamedTool():
                tools = {name: tool for name, tool in tools.items() if name == choice.name}
                demand = "required"
            case ToolSubset():
                tools = {name: tool for name, tool in tools.items() if name in choice.names}
                demand = "required" if choice.mode == "required" else "auto"
            case "none":
                tools, demand = {}, "none"
            case "required":
                demand = "required"
            case _:
                pass
        calls = (part for turn in request.turns for part in turn.parts if isinstance(part, ToolCall))
        return cls(
            tools=tools,
            demand=demand,
            parallel=request.parallel_tools is not False,
            turns=len(request.turns),
            taken=frozenset(call.id for call in calls if call.id is not UNSET),
        )


class Tally:
    """The calls of one candidate.

    Args:
        offer: Of the request.
        choice: The candidate's number.

    Attributes:
        offer: As given.
        broken: Whether one of them broke off after it had begun to be said (`eager` only).
        calls: How many there were in words.
        native: How many there were besides.
        settled: Whether the candidate's stop has been judged.
    """

    __slots__ = ("_choice", "_used", "broken", "calls", "native", "offer", "settled")

    def __init__(self, offer: Offer, choice: int) -> None:
        self.offer = offer
        self.broken = False
        self.calls = 0
        self.native = 0
        self.settled = False
        self._choice = choice
        self._used: set[str] = set()

    def accepts(self, name: str, pending: int = 0) -> FunctionTool | None:
        """The tool of this name, if it may be called now.

        Args:
            name: As the model wrote it.
            pending: Calls of the same block that are not counted yet.
        """
        if self.calls + self.native + pending and not self.offer.parallel:
            return None
        return self.offer.tools.get(name)

    def next_id(self, name: str) -> str:
        """The id of the next call: the same for the same request and answer, whether streamed or not.

        Its digest has no arguments in it, since an id is said before they are.
        """
        digest = invented_id(f"{self.offer.turns}:{self._choice}:{self.calls}:{name}")
        self.calls += 1
        while digest in self._used or digest in self.offer.taken:
            digest = invented_id(digest)
        self._used.add(digest)
        return digest
