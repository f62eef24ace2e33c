"""TOML documents in every way of writing them, drawn with the lines on which their members stand."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from hypothesis import strategies as st

Path: TypeAlias = tuple[str | int, ...]

NAMES = st.one_of(
    st.sampled_from(["a", "b", "keys", "a-b", "1", "3"]), st.text(st.sampled_from("ab .#\"\\=[]'é\t"), max_size=4)
)
SCALARS = st.one_of(
    st.sampled_from(
        ["1", "-2.5e3", "true", "inf", "0x1F", "1979-05-27", "1979-05-27 07:32:00", "1979-05-27T07:32:00Z", "07:32:00"]
    ),
    st.text(st.sampled_from('ab#[]{},="\\é '), max_size=6).map(json.dumps),
    st.sampled_from(
        ["''", "'a#\"]'", '""', "'''a'b''c\n[x]\n'''", '"""\n"a" ""b\n # \\"""\n"""', '""""q"""""', "''''q'''''"]
    ),
)


class Writer:
    """Writes a document, and remembers where it put what."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def document(self) -> None:
        self._statements((), set())
        self._tables((), 0)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def _chance(self) -> bool:
        return self._draw(st.booleans())

    def _names(self, taken: set[str]) -> list[str]:
        names = [name for name in self._draw(st.lists(NAMES, max_size=3, unique=True)) if name not in taken]
        taken.update(names)
        return names

    def _noise(self) -> None:
        self.text += self._draw(st.sampled_from(["", "\n", "# [x] a = 1\n", "\r\n", "  \t"]))

    def _space(self) -> str:
        return self._draw(st.sampled_from(["", " ", "\t"]))

    def _spelled(self, name: str) -> str:
        ways = [json.dumps(name), json.dumps(name, ensure_ascii=False).replace("\t", "\\t")]
        if name and name.isascii() and name.replace("-", "").isalnum():
            ways.append(name)
        if "'" not in name:
            ways.append(f"'{name}'")
        return self._draw(st.sampled_from(ways))

    def _key(self, names: tuple[str, ...]) -> str:
        return f"{self._space()}.{self._space()}".join(map(self._spelled, names))

    def _statements(self, above: Path, taken: set[str]) -> None:
        for name in self._names(taken):
            self._noise()
            names: tuple[str, ...] = (name, "x") if self._chance() else (name,)
            for end in range(1, len(names) + 1):
                self.lines[(*above, *names[:end])] = self.line
            self.text += f"{self._space()}{self._key(names)}{self._space()}={self._space()}"
            self._value((*above, *names), 0, breaks=True)
            self.text += self._draw(st.sampled_from(["\n", " # = ]\n", "\r\n"]))

    def _value(self, path: Path, depth: int, *, breaks: bool) -> None:
        kind = self._draw(st.sampled_from(["scalar", "array", "table"])) if depth < 3 else "scalar"
        if kind == "scalar":
            self.text += self._draw(SCALARS if breaks else SCALARS.filter(lambda text: "\n" not in text))
        elif kind == "array":
            self.text += "["
            count = self._draw(st.integers(0, 3))
            for number in range(count):
                if breaks:
                    self._noise()
                self.lines[(*path, number)] = self.line
                self._value((*path, number), depth + 1, breaks=breaks)
                if breaks:
                    self.text += self._draw(st.sampled_from(["", " ", "\n", "# ,]\n"]))
                if number < count - 1 or self._chance():
                    self.text += ","
            if breaks:
                self._noise()
            self.text += "]"
        else:
            self.text += "{" + self._space()
            for number, name in enumerate(self._names(set())):
                self.text += ", " if number else ""
                self.lines[(*path, name)] = self.line
                self.text += f"{self._key((name,))} ={self._space()}"
                self._value((*path, name), depth + 1, breaks=False)
            self.text += self._space() + "}"

    def _tables(self, above: Path, depth: int) -> None:
        """Tables and arrays of tables, each with its own ones at once or (for implied tables) only with those."""
        if depth == 3:
            return
        taken = {str(path[len(above)]) for path in self.lines if path[: len(above)] == above and len(path) > len(above)}
        for name in self._names(taken):
            path = (*above, name)
            names = tuple(str(step) for step in path if isinstance(step, str))
            if self._chance():
                for number in range(self._draw(st.integers(1, 2))):
                    self._noise()
                    self.lines.setdefault(path, self.line)
                    self._header(names, "[[", "]]", (*path, number))
                    self._tables((*path, number), depth + 1)
            elif self._chance():
                self._noise()
                self._header(names, "[", "]", path)
                self._tables(path, depth + 1)
            else:
                self._noise()
                self.lines[path] = self.line  # implied by what is in it
                self._header((*names, "y"), "[", "]", (*path, "y"))

    def _header(self, names: tuple[str, ...], opening: str, closing: str, path: Path) -> None:
        self.lines[path] = self.line
        self.text += f"{opening}{self._space()}{self._key(names)}{self._space()}{closing}\n"
        self._statements(path, set())


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    """A document, and the line of every member."""
    writer = Writer(draw)
    writer.document()
    return writer.text, writer.lines


def paths_of(value: Any, above: Path = ()) -> set[Path]:
    """The paths of everything in a parsed document."""
    found: set[Path] = {above} if above else set()
    if isinstance(value, dict):
        found.update(*(paths_of(member, (*above, name)) for name, member in value.items()))
    elif isinstance(value, list):
        found.update(*(paths_of(member, (*above, number)) for number, member in enumerate(value)))
    return found
