"""`Sieve`: finds the calls in one text, given in pieces, in one pass and linear time.

| state | text | leaves it when |
|---|---|---|
| text | goes out at once | a dialect says that a call begins here (`Dialect.opens`), outside code |
| opening | at most `WINDOW` characters wait | no dialect may begin any more, or one does |
| capture | kept, at most `MAX_KEPT` characters | the recogniser knows; what is no call goes out as text |

White space alone between calls, before the first or behind the last of them is markup; any other character that is
not in a call goes out, in order, as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...universal.request import FunctionTool
from .cursor import WINDOW, Cursor, Full, Steps
from .dialect import Dialect
from .markdown import Code
from .offer import Tally
from .pieces import Arguments, Called, Done, Piece, Said

__all__ = ["MAX_BLANK", "MAX_KEPT", "Sieve"]

MAX_KEPT: Final = 1024 * 1024
"""Characters of one call that are kept until it is known to be one; a longer one goes out as text."""

MAX_BLANK: Final = 1024
"""Characters of white space that may be markup; more of it is text."""


class Sieve:
    """Takes one text.

    Args:
        dialects: What is recognised.
        tally: Of the candidate that the text belongs to.
        eager: Whether arguments go out before their call is complete.
        bound: Stands for `MAX_KEPT`.
    """

    __slots__ = (
        "_blank",
        "_by_char",
        "_called",
        "_code",
        "_cursor",
        "_fresh",
        "_open",
        "_out",
        "_steps",
        "_tally",
        "_triggers",
        "eager",
    )

    def __init__(self, dialects: Sequence[Dialect], tally: Tally, *, eager: bool, bound: int = MAX_KEPT) -> None:
        self.eager = eager
        self._tally = tally
        self._cursor = Cursor(bound)
        self._code = Code()
        self._by_char = {
            char: [dialect for dialect in dialects if char in dialect.triggers]
            for char in sorted({char for dialect in dialects for char in dialect.triggers})
        }
        self._triggers = re.compile(f"[{re.escape(''.join(self._by_char))}]")
        self._out: list[Piece] = []
        self._blank = ""  # white space that may be markup
        self._fresh = True  # nothing but white space since the beginning or the last call
        self._called = False  # a call was found
        self._open = False  # a call is going on
        self._steps = self._run()

    @property
    def work(self) -> int:
        """Characters that were looked at so far; see `Cursor.work`."""
        return self._cursor.work

    @property
    def held(self) -> int:
        """Characters that have come and are neither out nor dropped as markup."""
        return self._cursor.held + len(self._blank)

    def feed(self, text: str) -> list[Piece]:
        """What is certain now that this has come."""
        self._cursor.feed(text)
        next(self._steps, None)
        return self._flush()

    def close(self) -> list[Piece]:
        """What was held back; the text has come to its end."""
        self._cursor.ended = True
        next(self._steps, None)
        if self._blank and not self._called:
            self._out.append(Said(self._blank))
        self._blank = ""
        return self._flush()

    def cut(self) -> list[Piece]:
        """What was held back, as text: the text broke off, so nothing is certain of it."""
        self._steps.close()
        rest = self._cursor.give_back() + self._cursor.take(self._cursor.here)
        if self._open:
            self._end(whole=False)
        if rest:
            self._say(rest)
        return self.close()

    def _flush(self) -> list[Piece]:
        out, self._out = self._out, []
        return out

    def _run(self) -> Steps[None]:
        cursor = self._cursor
        while True:
            size, found = cursor.find(self._triggers)
            if size:
                self._say(cursor.take(size))
            if found:
                dialect = yield from self._opening()
                if dialect is None:
                    self._say(cursor.take(1))
                else:
                    yield from self._capture(dialect)
            elif cursor.ended:
                return
            else:
                yield

    def _opening(self) -> Steps[Dialect | None]:
        """The dialect that a call begins in at the trigger which is next."""
        cursor, code = self._cursor, self._code
        fence = cursor.look(1) in "`~"
        if not code.margin if fence else code.fenced:
            return None
        waiting = self._by_char[cursor.look(1)]
        start = self._fresh and not self._called
        while True:
            seen = cursor.look()
            told = [(dialect, dialect.opens(seen, start)) for dialect in waiting]
            for dialect, opens in told:
                if opens:
                    if not fence and code.inside:
                        code.hide()
                        return None
                    return dialect
            waiting = [dialect for dialect, opens in told if opens is None]
            if not waiting or cursor.ended or len(seen) == WINDOW:
                return None
            yield

    def _capture(self, dialect: Dialect) -> Steps[None]:
        cursor = self._cursor
        cursor.keep()
        try:
            block = yield from dialect.recognise(cursor, self)
        except Full:
            block = False
        kept = cursor.give_back()
        if self._open:
            self._end(whole=False)
        if kept and not block:
            self._say(kept)

    def _say(self, text: str) -> None:
        self._code.feed(text)
        if self._fresh:
            if text.isspace() and len(self._blank) + len(text) <= MAX_BLANK:
                self._blank += text
                return
            text = self._blank + text
            self._blank, self._fresh = "", False
        self._out.append(Said(text))

    def accepts(self, name: str, pending: int = 0) -> FunctionTool | None:
        """See `Sink`."""
        return self._tally.accepts(name, pending)

    def call(self, tool: FunctionTool, arguments: str) -> None:
        """See `Sink`."""
        self.begin(tool)
        if arguments:
            self.more(arguments)
        self.finish()

    def begin(self, tool: FunctionTool) -> None:
        """See `Sink`."""
        self._open = self._called = self._fresh = True
        self._blank = ""
        self._out.append(Called(tool, self._tally.next_id(tool.name)))

    def more(self, arguments: str) -> None:
        """See `Sink`."""
        self._cursor.settle()
        self._out.append(Arguments(arguments))

    def finish(self) -> None:
        """See `Sink`."""
        self._cursor.settle()
        self._end(whole=True)

    def _end(self, *, whole: bool) -> None:
        self._open = False
        self._tally.broken |= not whole
        self._out.append(Done(whole))
