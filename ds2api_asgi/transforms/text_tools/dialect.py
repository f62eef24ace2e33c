"""What a dialect is: how calls and results are written, and a small recogniser that reads calls back.

A recogniser is a generator over a `Cursor` (see there). It takes the text of a block, hands the calls in it to a
`Sink`, and returns whether the block is one; what it took after the last call is then markup, otherwise text. It must
fail at the first character that no call has, so that prose is not held back, and it never looks at a character twice.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from ...universal.jsontext import JsonText
from ...universal.request import FunctionTool
from .cursor import Cursor, Steps

__all__ = ["NOT_IN_CODE", "Call", "Dialect", "Result", "Sink", "begins"]

NOT_IN_CODE: Final = "Do not put calls into code blocks or between backticks: there they are examples."
"""What the guide of a dialect says whose calls are no code."""


class Call(Struct, frozen=True):
    """A call to be written.

    Attributes:
        name: The tool.
        arguments: As JSON; always an object.
    """

    name: str
    arguments: JsonText


class Result(Struct, frozen=True):
    """What a tool answered, to be written.

    Attributes:
        name: The tool; ``""`` when nobody knows.
        text: Its words.
    """

    name: str
    text: str


class Sink(typing.Protocol):
    """Where a recogniser's calls go."""

    @property
    def eager(self) -> bool:
        """Whether arguments may be said before their call is complete."""
        ...

    def accepts(self, name: str, pending: int = 0) -> FunctionTool | None:
        """The tool of this name, if it may be called now; see `Tally.accepts`."""
        ...

    def call(self, tool: FunctionTool, arguments: str) -> None:
        """A complete call; what was taken so far is settled.

        Args:
            tool: From `accepts`.
            arguments: JSON text, or a custom tool's free text.
        """
        ...

    def begin(self, tool: FunctionTool) -> None:
        """A call that goes on in pieces (`eager`)."""
        ...

    def more(self, arguments: str) -> None:
        """A piece of its arguments; what was taken so far is settled."""
        ...

    def finish(self) -> None:
        """It is complete; what was taken so far is settled."""
        ...


class Dialect(Struct, frozen=True, kw_only=True):
    """A way to write calls.

    Attributes:
        name: What users call it: ``"xml"``.
        guide: How a call is written, for the model: a few lines.
        triggers: Characters that a call may begin with.
        opens: Tells whether a call may begin here, from what is next (up to `cursor.WINDOW` characters, the first of
            them a trigger) and whether only white space stands before it: True, False, or None when more text must
            tell. No two dialects that are read together may say True to the same text.
        recognise: Reads a block from its first character on; takes at least one character.
        write_calls: The text of calls that are made together.
        write_results: The text of their results, in the order of the calls.
    """

    name: str
    guide: str
    triggers: str
    opens: Callable[[str, bool], bool | None]
    recognise: Callable[[Cursor, Sink], Steps[bool]]
    write_calls: Callable[[Sequence[Call]], str]
    write_results: Callable[[Sequence[Result]], str]


def begins(seen: str, mark: str) -> bool | None:
    """Whether a text begins with a mark; None while it is too short to tell."""
    if seen.startswith(mark):
        return True
    return None if mark.startswith(seen) else False
