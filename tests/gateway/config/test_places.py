"""The locator knows the line of every member of every document that tomllib accepts."""

from __future__ import annotations

import time
import tomllib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ds2api_asgi.gateway.config.places import Path, Places, dotted
from toml_writer import documents, paths_of


@given(documents())
def test_every_member_is_found_on_its_line(drawn: tuple[str, dict[tuple[str | int, ...], int]]) -> None:
    text, lines = drawn
    assert paths_of(tomllib.loads(text)) == set(lines), text
    places = Places(text)
    assert {path: places.line(path) for path in lines} == lines
    assert set(places.paths()) == set(lines)


@given(documents(), st.data())
def test_whatever_tomllib_accepts_is_read_alike(
    drawn: tuple[str, dict[tuple[str | int, ...], int]], data: st.DataObject
) -> None:
    text = drawn[0]
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    piece = data.draw(
        st.sampled_from(["", "\n", '"', "'", ",", "[", "]", "{", "}", "#", ".", "=", "a", "\\", "[[z]]\n"])
    )
    changed = text[:at] + piece + text[at + cut :]
    try:
        document = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        assume(False)
    assert set(Places(changed).paths()) == paths_of(document), changed


@given(st.lists(st.one_of(st.text(), st.integers(0, 9)), min_size=1).filter(lambda path: isinstance(path[0], str)))
def test_a_path_is_spelled_as_toml_spells_it(path: list[str | int]) -> None:
    names = [step for step in path if isinstance(step, str)]
    assume(all(not 0xD800 <= ord(one) < 0xE000 for name in names for one in name))
    document = tomllib.loads(f"{dotted(names)} = 1")
    for name in names:
        assert list(document) == [name]
        document = document[name]


CASES: list[tuple[str, Path, int]] = [
    ("a = 1", ("a",), 1),
    ("a = 1", ("b", "c"), 1),
    ("\n[a]\nb = 1\n", ("a", "missing"), 2),
    ("[a.b.c]\nx = 1\n\n[a]\ny = 2\n", ("a", "missing"), 4),
    ('[a]\nb = [\n  # one\n  "x",\n  { c = 1 },\n]\n', ("a", "b", 1, "c"), 5),
    ("[[a]]\n[[a]]\n[a.b]\nc = 1\n", ("a", 1, "b", "c"), 4),
    ('x = """\n[a]\n"""\n[a]\n', ("a",), 4),
    ("when = [1979-05-27 07:32:00, 1]\ny = 2\n", ("y",), 2),
]


@pytest.mark.parametrize(("text", "path", "line"), CASES)
def test_lines_of_members_and_of_what_is_missing(text: str, path: Path, line: int) -> None:
    assert Places(text).line(path) == line


@pytest.mark.parametrize(
    "text",
    [
        "a = [" + "1, " * 100_000 + "]",
        "a = '''" + "'\n" * 100_000 + "'''",
        'a = "' + "\\\\" * 100_000 + '"',
        "# x\n" * 100_000,
        "".join(f"[[a.b]]\nc{number} = 1\n" for number in range(20_000)),
        ".".join(["a"] * 3_000) + " = 1",
    ],
    ids=["array", "quotes", "escapes", "comments", "tables", "dots"],
)
def test_reading_takes_linear_time(text: str) -> None:
    began = time.process_time()
    Places(text)
    assert time.process_time() - began < 3
