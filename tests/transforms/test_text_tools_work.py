"""Linear work and bounded memory, counted and not timed, on the texts that the benchmark measures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ds2api_asgi.transforms.text_tools import DIALECTS
from ds2api_asgi.transforms.text_tools.cursor import WINDOW
from ds2api_asgi.transforms.text_tools.offer import Tally
from ds2api_asgi.transforms.text_tools.pieces import Arguments, Called, Done
from ds2api_asgi.transforms.text_tools.repair import listed, repaired
from ds2api_asgi.transforms.text_tools.sieve import MAX_BLANK, Sieve
from ds2api_asgi.transforms.text_tools.values import Value, json_of

_PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "text_tools.py"
_SPEC = importlib.util.spec_from_file_location("text_tools_benchmark", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
BENCHMARK: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(BENCHMARK)

MOST = 80
"""Looks at each character that no text may exceed: a window at each trigger, and what one takes of a character."""


def sieve(*, eager: bool = False, bound: int = 10**6) -> Sieve:
    return Sieve(DIALECTS, Tally(BENCHMARK.OFFER, 0), eager=eager, bound=bound)


def work(text: str, piece: int, *, eager: bool = False) -> int:
    reader = sieve(eager=eager)
    for at in range(0, len(text), piece):
        reader.feed(text[at : at + piece])
    reader.close()
    return reader.work


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("piece", [1, 16, 10**6])
@pytest.mark.parametrize("kind", BENCHMARK.TEXTS)
def test_twice_the_text_takes_twice_the_work(kind: str, piece: int, eager: bool) -> None:
    once, twice = (work(BENCHMARK.text_of(kind, size), piece, eager=eager) for size in (2048, 4096))
    assert twice <= MOST * 4096
    assert twice <= 2.1 * once + MOST * WINDOW


def calls(text: str, piece: int) -> int:
    """Functions that reading a text calls, Python's and C's."""
    reader = sieve()
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        for at in range(0, len(text), piece):
            reader.feed(text[at : at + piece])
        reader.close()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", BENCHMARK.TEXTS)
def test_twice_the_text_takes_twice_the_calls(kind: str) -> None:
    """What the count of characters does not see: values, repair, Markdown."""
    once, twice = (calls(BENCHMARK.text_of(kind, size), 16) for size in (1024, 2048))
    assert twice <= 2.2 * once + 100


@pytest.mark.parametrize("bound", [100, 1000])
@pytest.mark.parametrize("kind", BENCHMARK.TEXTS)
def test_no_more_is_held_than_the_bound(kind: str, bound: int) -> None:
    reader = sieve(bound=bound)
    text = BENCHMARK.text_of(kind, 8192)
    for at in range(0, len(text), 16):
        reader.feed(text[at : at + 16])
        assert reader.held <= bound + WINDOW + MAX_BLANK
    reader.close()
    assert reader.held == 0


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (f"{BENCHMARK.HEAD}<![CDATA[", "]]></parameter></invoke></tool_calls>"),
        ('<tool_call>{"name": "f", "arguments": {"a": "', '"}}</tool_call>'),
    ],
)
@pytest.mark.parametrize("many", [1, 1000])
def test_an_eager_string_is_not_kept(head: str, tail: str, many: int) -> None:
    reader = sieve(eager=True, bound=200)
    out = reader.feed(head)
    for _ in range(1000 // many):
        out += reader.feed("sixteen letters." * many)
        assert reader.held < WINDOW
    out += reader.feed(tail) + reader.close()
    assert isinstance(out[0], Called)
    assert out[-1] == Done(whole=True)
    said = "".join(piece.text for piece in out if isinstance(piece, Arguments))
    assert json.loads(said) == {"a": "sixteen letters." * 1000}


@pytest.mark.parametrize("size", [500, 100_000])
@pytest.mark.parametrize(
    "text",
    ['{"', '\\"', "{a:", '"\\', ", ", "[", "{", "a ", '{"a', "<a", "<a ", "<item>", "</item>", "<br", "&#1"],
)
def test_what_cannot_be_read_is_given_up_soon(text: str, size: int) -> None:
    """One pass of a regular expression over each: a quadratic one would not come back from the larger size."""
    hurt = text * size
    assert repaired(f'{{"a": {hurt}') is None
    assert listed(f"{{{hurt}") is None
    for schema in ({"type": "array"}, {"type": "object"}, {}):
        for value in (hurt, f"<item>{hurt}", f"{{{hurt}", f'"{hurt}'):
            assert json_of([Value(((value, False),))], schema, schema) is not None


def test_the_benchmark_runs() -> None:
    seconds, looked = BENCHMARK.cost(BENCHMARK.text_of("prose", 1000))
    assert seconds >= 0
    assert looked > 1
