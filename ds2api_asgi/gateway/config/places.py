"""`Places`: on which line each member of a TOML document stands, for errors that say where.

`tomllib` tells no positions. This reads a document that it has accepted, so nothing is checked here, and every
character is looked at once: a statement is a table's header or a key with its value, and of values only tables and
arrays have members.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from typing import Final, TypeAlias

__all__ = ["Path", "Places", "dotted"]

Path: TypeAlias = tuple[str | int, ...]
"""Names of members and numbers of elements: ``("access", "keys", 0, "name")``."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*+")
_REST: Final = re.compile(r"[^\n#]*+")  # white space, and the time of a date
_KEY: Final = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\]|\\.)*+")|'([^']*)')[ \t]*""")
_TOKEN: Final = re.compile(
    r'''(?P<blank>[ \t\r\n]++|\#[^\n]*+)
    | (?P<text>"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*+"{3,5} | \'\'\'(?:[^']|'{1,2}(?!'))*+'{3,5}
             | "(?:[^"\\]|\\.)*+" | '[^']*+')
    | (?P<mark>[\[\]{},])
    | (?P<bare>[^\s\[\]{},\#"']++)''',
    re.VERBOSE,
)


def dotted(path: Path) -> str:
    """A path as TOML spells it: ``upstreams."my own".keys[1]``; ``""`` for the document itself."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _BARE.fullmatch(step) else _quoted(step))
    return text


def _quoted(name: str) -> str:
    escaped = "".join(
        f"\\u{ord(one):04x}" if not one.isprintable() and ord(one) < 0x10000 else one
        for one in name.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'


class _Node:
    """A member: its line, and what is in it.

    Attributes:
        line: 0 while it is only implied by what is in it.
        members: By name or number.
        last: The number of the last element of an array of tables; None for all else.
    """

    __slots__ = ("last", "line", "members")

    def __init__(self, line: int = 0) -> None:
        self.line = line
        self.members: dict[str | int, _Node] = {}
        self.last: int | None = None

    def member(self, name: str | int, line: int) -> _Node:
        """The member of this name, made where it is not there yet."""
        node = self.members.get(name)
        if node is None:
            node = self.members[name] = _Node(line)
        return node

    def current(self) -> _Node:
        """The last table, where this is an array of tables."""
        return self if self.last is None else self.members[self.last]


class Places:
    """The lines of a document's members.

    Args:
        text: A document that `tomllib` has accepted.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._root = _Node(1)
        self._read()

    def line(self, path: Path) -> int:
        """The line of a member, counted from 1; where it is not there, that of the innermost table that would have it.

        Members stand where their key does, elements of arrays where they begin, tables at their header.
        """
        node, line = self._root, 1
        for step in path:
            found = node.members.get(step)
            if found is None:
                break
            node = found
            line = node.line
        return line

    def paths(self) -> Iterable[Path]:
        """The paths of all members, tables before what is in them."""
        rest: list[tuple[Path, _Node]] = [((), self._root)]
        while rest:
            path, node = rest.pop()
            if path:
                yield path
            rest += [((*path, name), member) for name, member in node.members.items()]

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _read(self) -> None:
        table = self._root
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._text.startswith("[[", self._at):
                table = self._element(self._header(2))
            elif self._text[self._at] == "[":
                table = self._table(self._header(1))
            else:
                self._value(self._assigned(table))

    def _skip(self, what: re.Pattern[str]) -> None:
        found = what.match(self._text, self._at)
        assert found is not None
        self._at = found.end()

    def _header(self, brackets: int) -> list[str]:
        self._here()
        self._at += brackets
        names = self._names()
        self._at += brackets
        return names

    def _names(self) -> list[str]:
        """The names of a dotted key."""
        names: list[str] = []
        while True:
            found = _KEY.match(self._text, self._at)
            assert found is not None
            bare, basic, literal = found.groups()
            if basic is not None:
                names.append(tomllib.loads(f"name = {basic}")["name"] if "\\" in basic else basic[1:-1])
            else:
                names.append(literal if bare is None else bare)
            self._at = found.end()
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _walk(self, names: Iterable[str]) -> _Node:
        node = self._root
        for name in names:
            node = node.member(name, self._line).current()
        return node

    def _table(self, names: list[str]) -> _Node:
        node = self._walk(names[:-1]).member(names[-1], self._line)
        node.line = self._line  # an explicit header says more than what only implied it
        return node

    def _element(self, names: list[str]) -> _Node:
        array = self._walk(names[:-1]).member(names[-1], self._line)
        array.last = 0 if array.last is None else array.last + 1
        return array.member(array.last, self._line)

    def _assigned(self, table: _Node) -> _Node:
        """The member that a dotted key names, up to behind its equals sign."""
        line = self._here()
        for name in self._names():
            table = table.member(name, line)
        self._at += 1
        return table

    def _value(self, node: _Node) -> None:
        """A value, to the end of its last line."""
        target: _Node | None = node
        stack: list[_Open] = []
        while target is not None or stack:
            token = _TOKEN.match(self._text, self._at)
            assert token is not None
            mark = token["mark"]
            if token["blank"] is not None:
                self._at = token.end()
                continue
            if mark in ("]", "}"):
                stack.pop()
                target = None
            elif mark == ",":
                stack[-1].number += 1
                stack[-1].begun = False
            elif target is None and stack[-1].begun:
                pass  # the second word of a date and its time
            elif target is None and not stack[-1].array:
                stack[-1].begun = True
                target = self._assigned(stack[-1].node)
                continue
            else:
                if target is None:
                    stack[-1].begun = True
                    target = stack[-1].node.member(stack[-1].number, self._here())
                if mark is not None:
                    stack.append(_Open(target, array=mark == "["))
                target = None
            self._at = token.end()
        self._skip(_REST)


class _Open:
    """An array or an inline table that is being read.

    Attributes:
        node: Itself.
        array: Whether it is an array.
        number: Commas so far.
        begun: Whether its current element or pair has begun.
    """

    __slots__ = ("array", "begun", "node", "number")

    def __init__(self, node: _Node, *, array: bool) -> None:
        self.node = node
        self.array = array
        self.number = 0
        self.begun = False
