"""The store in memory: bounded in bytes and in time, the least recently used goes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.transforms.carry import MemoryCarryStore, recall, remember
from ds2api_asgi.transforms.carry.store import MAX_STORED, key_of
from ds2api_asgi.universal.capsule import Minter
from ds2api_asgi.universal.content import Part, Reasoning, Text, ToolCall, ToolResult
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.loss import LossKind
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import Request, Turn

MINTER = Minter.of("anthropic")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_value_lives_as_long_as_it_is_asked_for() -> None:
    clock = Clock()
    store = MemoryCarryStore(ttl=10, clock=clock)
    store.put(b"k", b"v")
    clock.now = 9
    assert store.get(b"k") == b"v"
    clock.now = 18
    assert store.get(b"k") == b"v"
    clock.now = 28
    assert store.get(b"k") is None
    assert store.size == 0


def test_the_least_recently_used_goes_first() -> None:
    store = MemoryCarryStore(max_bytes=6)
    for key in (b"a", b"b", b"c"):
        store.put(key, b"1")
    assert store.get(b"a") == b"1"
    store.put(b"d", b"1")
    assert [store.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"1", None, b"1", b"1"]


def test_what_has_expired_goes_before_what_is_young() -> None:
    clock = Clock()
    store = MemoryCarryStore(max_bytes=1000, ttl=10, clock=clock)
    store.put(b"old", b"x")
    clock.now = 11
    store.put(b"new", b"y")
    assert store.size == 4


@given(st.lists(st.tuples(st.binary(max_size=2), st.binary(max_size=9), st.booleans()), max_size=40))
def test_it_never_holds_more_than_it_may(steps: list[tuple[bytes, bytes, bool]]) -> None:
    store = MemoryCarryStore(max_bytes=20)
    model: dict[bytes, bytes] = {}
    for key, value, put in steps:
        if put:
            store.put(key, value)
            model[key] = value
        else:
            assert store.get(key) in (None, model.get(key))
        assert 0 <= store.size <= 20
    assert sum(len(k) + len(v) for k in set(model) if (v := store.get(k)) is not None) == store.size


def test_a_value_larger_than_the_store_is_not_kept_and_replaces_nothing_else() -> None:
    store = MemoryCarryStore(max_bytes=4)
    store.put(b"a", b"1")
    store.put(b"b", b"12345")
    assert (store.get(b"a"), store.get(b"b")) == (b"1", None)


@pytest.mark.parametrize(("max_bytes", "ttl"), [(0, 1.0), (1, 0.0)])
def test_bounds_that_cannot_work_are_refused(max_bytes: int, ttl: float) -> None:
    with pytest.raises(ConfigurationError):
        MemoryCarryStore(max_bytes=max_bytes, ttl=ttl)


def _thought(value: str) -> Reasoning:
    return Reasoning(text="th", opaque=(Opaque(kind="signature", value=value, protocol="anthropic"),))


def _user(text: str) -> Turn:
    return Turn(role="user", parts=(Text(text=text),))


def _assistant(*parts: Part) -> Turn:
    return Turn(role="assistant", parts=parts)


def _asked(*turns: Turn) -> Request:
    return Request(turns=turns, origin=Origin(protocol="ollama"))


def test_equal_answers_to_other_questions_or_other_clients_are_others() -> None:
    store = MemoryCarryStore()
    for question in ("a", "b"):
        remember(store, b"me", _user(question), [_thought(question), Text(text="OK")], MINTER)
    request, _ = recall(
        store, b"me", _asked(_user("a"), _assistant(Text(text="OK")), _user("b"), _assistant(Text(text="OK")))
    )
    values = [part.opaque[0].value for turn in request.turns for part in turn.parts if isinstance(part, Reasoning)]
    assert values == ["a", "b"]
    assert recall(store, b"you", _asked(_user("a"), _assistant(Text(text="OK"))))[1] == []


def test_results_without_an_id_answer_the_calls_that_the_store_named() -> None:
    store = MemoryCarryStore()
    calls = [ToolCall(name=name, arguments=JsonText("{}"), id=id_) for name, id_ in (("f", "1"), ("g", "2"))]
    remember(store, b"me", _user("q"), [_thought("s"), *calls], MINTER)
    back = [ToolCall(name=call.name, arguments=JsonText("{ }")) for call in calls]
    results = [Turn(role="tool", parts=(ToolResult(name=name, parts=(Text(text=name),)),)) for name in ("g", "f")]
    request, losses = recall(store, b"me", _asked(_user("q"), _assistant(*back), *results))
    assert [loss.kind for loss in losses] == [LossKind.STATEFUL]
    found = [part for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)]
    assert [(part.name, part.call_id) for part in found] == [("g", "2"), ("f", "1")]


def test_what_is_too_large_to_keep_is_reported() -> None:
    store = MemoryCarryStore()
    loss = remember(store, b"me", _user("q"), [_thought("x" * MAX_STORED)], MINTER)
    assert loss is not None
    assert loss.kind is LossKind.DROPPED
    assert store.size == 0


def test_an_answer_without_payloads_is_not_kept() -> None:
    store = MemoryCarryStore()
    assert remember(store, b"me", _user("q"), [Text(text="OK")], MINTER) is None
    assert store.size == 0


@pytest.mark.parametrize("garbage", [b"", b"x", b"\xc1", b"\x91\x91\xa1a", b"\x90"])
def test_garbage_in_a_shared_store_raises_nothing(garbage: bytes) -> None:
    store = MemoryCarryStore()
    question, answer = _user("q"), _assistant(Text(text="OK"))
    store.put(key_of(b"me", question, answer.parts), garbage)
    recall(store, b"me", _asked(question, answer))
