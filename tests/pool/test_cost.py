"""The guess of what a request may cost: total, cheap, and never far below."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.pool.cost import DEFAULT_OUTPUT, Costs, cost_of


@given(st.binary(max_size=500))
def test_garbage_costs_its_bytes_and_the_default_answer(body: bytes) -> None:
    assert DEFAULT_OUTPUT + len(body) // 4 <= cost_of(body) <= 1.25 * (DEFAULT_OUTPUT + len(body) / 4 + 1)


@pytest.mark.parametrize(
    "bound",
    [
        {"max_tokens": 9_000},
        {"max_completion_tokens": 9_000, "max_tokens": 1},
        {"max_output_tokens": 9_000},
        {"generationConfig": {"maxOutputTokens": 9_000}},
        {"generation_config": {"max_output_tokens": 9_000}},
        {"options": {"num_predict": 9_000}},
    ],
)
def test_every_protocols_bound_of_the_output_is_seen(bound: dict[str, Any]) -> None:
    assert 9_000 <= cost_of(json.dumps({"model": "m", **bound}).encode()) <= 1.25 * 9_100


@pytest.mark.parametrize("bound", [-1, 0, 1e400, "9", None, True, 10**9])
def test_a_bound_that_is_none_counts_as_unstated(bound: Any) -> None:
    assert cost_of(json.dumps({"max_tokens": bound}).encode()) <= 1.25 * (DEFAULT_OUTPUT + 20)


def test_an_image_does_not_cost_its_bytes() -> None:
    url = "data:image/png;base64," + "iVBORw0KGgo" * 100_000
    assert cost_of(json.dumps({"url": url}).encode()) < 4_000
    assert cost_of(json.dumps({"text": "some words " * 100_000}).encode()) > 250_000


def test_bodies_made_to_be_slow_are_not() -> None:
    began = time.thread_time()
    cost_of((b"a" * 4_095 + b" ") * 2_000)
    cost_of(b'"' * 2_000_000)
    cost_of(b"[" * 1_000_000)
    assert time.thread_time() - began < 2


def test_requests_of_about_the_same_size_are_the_same_to_a_queue() -> None:
    assert len({cost_of(b" " * size) for size in range(40_000)}) <= 24


def test_the_average_follows_what_answers_cost() -> None:
    costs = Costs()
    costs.learn(100)
    assert costs.average == 100
    for _ in range(60):
        costs.learn(1_000)
    assert 950 < costs.average <= 1_000
