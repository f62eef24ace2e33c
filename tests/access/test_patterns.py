"""Allow-lists: what a pattern matches, and how long that takes."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import ConfigurationError
from ds2api_asgi.access.patterns import LONGEST, Patterns


@given(st.text("ab*", min_size=1, max_size=9).filter(lambda text: text.count("*") <= 4), st.text("ab\n", max_size=12))
def test_a_star_is_any_characters_and_nothing_else_is_special(pattern: str, model: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), model, re.DOTALL) is not None
    assert Patterns([pattern]).match(model) is expected


@pytest.mark.parametrize("name", ["gpt-5", "models/gpt-5", "gpt-5:latest"])
@pytest.mark.parametrize("pattern", ["gpt-5", "models/gpt-5", "gpt-*", "*", "g?t-5|gpt-5"])
def test_the_ways_of_writing_a_name_are_one(name: str, pattern: str) -> None:
    assert Patterns([pattern]).match(name) is ("?" not in pattern)


def test_a_hostile_name_takes_no_longer_than_another() -> None:
    patterns = Patterns(["*a*a*a*ab", "x*a*a*a*b"])
    began = time.thread_time()
    assert not patterns.match("a" * 255 + "c")
    assert not patterns.match("x" + "a" * 254)
    assert time.thread_time() - began < 0.25  # with backtracking it is a second
    assert not patterns.match("a" * (LONGEST + 1))


@pytest.mark.parametrize("wrong", ["", "a*b*c*d*e*f", "x" * (LONGEST + 1), 7])
def test_patterns_that_cannot_work_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError):
        Patterns([wrong])  # type: ignore[list-item]
