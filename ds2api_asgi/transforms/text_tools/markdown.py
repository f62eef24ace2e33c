"""`Code`: whether a place in Markdown is inside code, where a call is an example of one.

Follows https://spec.commonmark.org/0.31.2/#fenced-code-blocks and #code-spans (read 2026-11-28) as far as a stream can:

* a fence is three or more backticks or tildes at the start of a line (behind quote and list marks); it ends with as
  many or more of the same, alone on their line, or with the text;
* a span is opened by any run of backticks and closed by one of the same length. Whether one will come nobody knows yet:
  it counts as open to the end of its line, and to the end of its paragraph once it has hidden something.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Code"]

_PIECES: Final = re.compile(r"`+|~+|\n|[^`~\n]+")
_MARGIN: Final = re.compile(r"[ \t\r>*+.)0-9-]*\Z")
"""What may stand before a fence on its line: indentation, quote and list marks."""


class Code:
    """Follows a text, given in pieces."""

    __slots__ = (
        "_char",
        "_closer",
        "_fence",
        "_info",
        "_least",
        "_margin",
        "_run",
        "_size",
        "_sticky",
        "_void",
        "_wait",
    )

    def __init__(self) -> None:
        self._fence = ""  # the character of the fence that is open
        self._least = 0  # how many of it close it
        self._info = False  # on the line of the fence that has opened
        self._closer = False  # on a line that is a closing fence so far
        self._size = 0  # backticks of the span that is open
        self._sticky = False  # the span has hidden something
        self._margin = True  # nothing but a margin on this line so far
        self._void = True  # nothing but white space on this line so far
        self._run = 0  # a run of fence characters that may go on
        self._char = ""
        self._wait = False  # that run began in the margin

    @property
    def inside(self) -> bool:
        """Whether what comes next, which is no fence character, is inside code."""
        self._settle()
        return bool(self._fence or self._size)

    @property
    def fenced(self) -> bool:
        """Whether what comes next, which is no fence character, is inside a fence."""
        self._settle()
        return bool(self._fence)

    @property
    def margin(self) -> bool:
        """Whether a fence could begin here."""
        return self._margin and not self._run and not self._fence and not self._size

    def hide(self) -> None:
        """What comes next is taken for an example, since it is inside code."""
        self._sticky = True

    def feed(self, text: str) -> None:
        """The text goes on."""
        for piece in _PIECES.findall(text):
            char = piece[0]
            if char in "`~":
                if self._run and char != self._char:
                    self._settle()
                if not self._run:
                    self._char, self._wait = char, self._margin
                self._run += len(piece)
                continue
            self._settle()
            if char == "\n":
                self._line()
            elif not piece.isspace():
                self._void = self._closer = False
                self._margin = self._margin and bool(_MARGIN.match(piece))

    def _line(self) -> None:
        if self._closer:
            self._fence = ""
        if self._void or not self._sticky:
            self._size, self._sticky = 0, False
        self._info = self._closer = False
        self._margin = self._void = True

    def _settle(self) -> None:
        """The run of fence characters is complete."""
        run, self._run = self._run, 0
        if not run:
            return
        self._void = self._margin = False
        if self._info and self._char == self._fence == "`":  # no fence: its line has further backticks
            self._size, self._fence, self._info = self._least, "", False
        if self._fence:
            self._closer = not self._info and self._wait and self._char == self._fence and run >= self._least
        elif self._wait and run >= 3 and not self._size:
            self._fence, self._least, self._info = self._char, run, True
        elif self._char == "`":
            if not self._size:
                self._size = run
            elif self._size == run:
                self._size, self._sticky = 0, False
