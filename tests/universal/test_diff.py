"""What a detour lost can be measured and put back, whatever the codec did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from documents import json_values
from ds2api_asgi.universal.diff import diff, format_path, patch
from ds2api_asgi.universal.jsontext import loads
from ds2api_asgi.universal.request import Request
from universals import requests, responses


@given(requests, requests)
def test_patching_what_differs_gives_the_first_tree(a: Request, b: Request) -> None:
    assert patch(b, diff(a, b)) == a


@given(requests)
def test_a_tree_does_not_differ_from_itself(a: Request) -> None:
    assert diff(a, patch(a, [])) == []


@given(responses, responses)
def test_answers_patch_too(a: object, b: object) -> None:
    assert patch(b, diff(a, b)) == a


@given(json_values, json_values)
def test_no_difference_means_equal(a: object, b: object) -> None:
    if not diff(a, b):
        assert a == b
        assert type(a) is type(b)


@given(st.lists(json_values), st.lists(json_values))
def test_lists_of_any_length_patch(a: list[object], b: list[object]) -> None:
    assert patch(b, diff(a, b)) == a


def test_the_spelling_of_a_number_is_a_difference() -> None:
    assert diff(loads(b'{"a":1.0}'), loads(b'{"a":1.00}'))
    assert diff(loads(b'{"a":1}'), loads(b'{"a":1.0}'))
    assert diff(loads(b'{"a":true}'), loads(b'{"a":1}'))
    assert not diff(loads(b'{"a":1e2,"b":2}'), loads(b'{"b":2,"a":1e2}'))


def test_paths_read_as_losses_do() -> None:
    assert format_path(("turns", 2, "parts", 0, "cache")) == "turns[2].parts[0].cache"
