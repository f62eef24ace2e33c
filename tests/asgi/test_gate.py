from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.gate import Gate, GateState

START = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}


def body(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def test_a_held_response_is_flushed_in_order_and_the_rest_passes() -> None:
    gate = Gate()
    for message in (START, body(b"1"), body(b"2")):
        assert gate.push(message) == ()
    assert (gate.status, gate.headers, gate.body, gate.complete) == (200, [(b"a", b"b")], b"12", False)
    assert gate.open() == [START, body(b"1"), body(b"2")]
    assert gate.push(body(b"3", more=False)) == (body(b"3", more=False),)
    assert (gate.complete, gate.state, gate.body) == (True, GateState.OPEN, b"")


def test_an_open_gate_has_nothing_more_to_give() -> None:
    gate = Gate()
    gate.push(START)
    gate.open()
    assert list(gate.open()) == []


@pytest.mark.parametrize("bounds", [{"max_bytes": 3}, {"max_messages": 2}])
def test_a_gate_opens_by_itself_over_a_bound(bounds: dict[str, int]) -> None:
    gate = Gate(**bounds)
    assert gate.push(START) == ()
    assert gate.push(body(b"abc")) == ()
    assert gate.push(body(b"d")) == [START, body(b"abc"), body(b"d")]
    assert gate.state is GateState.OPEN


@given(st.lists(st.binary(max_size=4), max_size=12), st.integers(0, 12), st.integers(0, 8), st.integers(1, 6))
def test_wherever_it_opens_all_messages_pass_once_and_in_order(
    chunks: list[bytes], position: int, max_bytes: int, max_messages: int
) -> None:
    gate = Gate(max_bytes=max_bytes, max_messages=max_messages)
    messages = [START, *(body(chunk) for chunk in chunks), body(b"", more=False)]
    passed: list[Any] = []
    for index, message in enumerate(messages):
        if index == position:
            passed += gate.open()
        passed += gate.push(message)
    passed += gate.open()
    assert passed == messages
