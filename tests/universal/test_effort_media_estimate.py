"""Effort and budgets, data URLs, and the guess of tokens."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.effort import BUDGETS, EFFORTS, budget_of, effort_of
from ds2api_asgi.universal.estimate import estimate_input_tokens
from ds2api_asgi.universal.media import data_url, parse_data_url
from ds2api_asgi.universal.normal import regroup
from ds2api_asgi.universal.request import Request
from universals import requests


def test_an_effort_survives_its_budget() -> None:
    for effort in EFFORTS:
        budget = budget_of(effort)
        assert budget is not None
        assert effort_of(budget) == effort


@given(st.integers(-1, 10**6), st.integers(-1, 10**6))
def test_more_budget_is_never_less_effort(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert EFFORTS.index(effort_of(low)) <= EFFORTS.index(effort_of(high))


@given(st.integers(0, 10**6))
def test_going_to_effort_and_back_is_a_fixed_point(budget: int) -> None:
    once = BUDGETS[effort_of(budget)]
    assert BUDGETS[effort_of(once)] == once


@given(st.sampled_from(["image/png", "application/pdf"]), st.binary(max_size=20))
def test_data_urls_come_apart_as_they_were_put_together(mime: str, data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert parse_data_url(data_url(mime, text)) == (mime, text)


def test_data_urls_follow_rfc_2397() -> None:
    assert parse_data_url("data:,a%20b") == ("text/plain", base64.b64encode(b"a b").decode())
    assert parse_data_url("data:text/plain;charset=utf-8;base64,YQ==") == ("text/plain;charset=utf-8", "YQ==")
    assert parse_data_url("DATA:image/png;BASE64,YQ==") == ("image/png", "YQ==")
    assert parse_data_url("https://example.org/x.png") is None


@given(requests)
def test_a_guess_is_at_least_one_token(request: Request) -> None:
    assert estimate_input_tokens(request) >= 1


@given(requests)
def test_regrouping_twice_is_regrouping_once(request: Request) -> None:
    once = regroup(request)
    assert regroup(once) == once


@given(requests)
def test_regrouping_keeps_every_part_in_order(request: Request) -> None:
    before = [part for turn in request.turns for part in turn.parts]
    assert [part for turn in regroup(request).turns for part in turn.parts] == before
