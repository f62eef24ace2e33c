"""How much may still be asked of a key: by configured limits, and by what the provider said."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import KeyPool
from ds2api_asgi.pool import Headroom, Key, RateLimits, Secret
from ds2api_asgi.pool.heard import MAX_HEARD, STALE, Heard
from ds2api_asgi.pool.windows import Window
from ds2api_asgi.protocols.base import Limits
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script

ANSWER = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
SAID = (
    (b"x-ratelimit-limit-requests", b"60"),
    (b"x-ratelimit-remaining-requests", b"12"),
    (b"x-ratelimit-reset-requests", b"3s"),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def configured(report: Any) -> dict[str, Headroom]:
    return {room.of: room for room in report.headroom if room.source == "configured"}


@pytest.mark.anyio
async def test_configured_limits_tell_what_is_left_for_all_keys_of_a_scope() -> None:
    clock = Clock()
    options: Any = {"quota_scope": "org", "limits": RateLimits(rpm=5, rpd=100, concurrency=2)}
    keys = [
        Key(secret=Secret("sk-1"), alias="one", **options),
        Key(secret=Secret("sk-2"), alias="two", **options),
        Key(secret=Secret("sk-3"), alias="free"),
    ]
    pool = KeyPool(
        ScriptedUpstream([json_script(ANSWER)] * 2),
        protocol="openai-chat",
        keys=keys,
        clock=clock,
        strategy="fill-first",
    )
    one, two, free = await pool.snapshot()
    assert one.headroom == two.headroom
    assert free.headroom == ()
    assert [(room.of, room.left, room.resets_in) for room in one.headroom] == [
        ("rpm", 5, None),
        ("rpd", 100, None),
        ("concurrency", 2, None),
    ]
    await Driver(pool).request("POST", "/v1/chat/completions", json={"model": "m", "messages": []})
    _, two, _ = await pool.snapshot()
    rooms = configured(two)
    assert (rooms["rpm"].left, rooms["rpd"].left) == (4, 99)
    assert 60 <= (rooms["rpm"].resets_in or 0) <= 61
    clock.now += 62
    _, two, _ = await pool.snapshot()
    rooms = configured(two)
    assert (rooms["rpm"].left, rooms["rpm"].resets_in, rooms["rpd"].left) == (5, None, 99)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 429, 400])
async def test_what_a_provider_says_is_told_until_it_is_over(status: int) -> None:
    clock = Clock()
    document: Any = ANSWER if status == 200 else {"error": {"message": "no", "type": "requests", "code": "x"}}
    pool = KeyPool(
        ScriptedUpstream([json_script(document, status=status, headers=SAID)]),
        protocol="openai-chat",
        keys=[Key(secret=Secret("sk-1"), alias="one"), Key(secret=Secret("sk-2"), alias="two")],
        clock=clock,
        strategy="fill-first",
    )
    await Driver(pool).request("POST", "/v1/chat/completions", json={"model": "m", "messages": []})
    clock.now += 1
    one, two = await pool.snapshot()
    said = Headroom(of="requests", model="m", limit=60, left=12, resets_in=2.0, source="provider", age=1.0)
    assert one.headroom == (said,)
    assert two.headroom == ()
    clock.now += 2
    one, _ = await pool.snapshot()
    assert one.headroom == ()


numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 100).map(float)
words = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.none() | st.text(max_size=3) | st.just("m" * 300),
        st.lists(
            st.builds(Limits, dimension=st.just("requests"), limit=numbers, remaining=numbers, reset_after=numbers)
        ),
        st.floats(0, 400),
    ),
    max_size=20,
)


@given(words)
def test_what_is_heard_is_sane_whatever_was_said(said: Any) -> None:
    clock = Clock()
    heard = Heard({"a": "org", "b": "b"}, clock=clock)
    for key, model, limits, later in said:
        heard.take(key, model, limits)
        clock.now += later
        for rooms in heard.headroom().values():
            for room in rooms:
                assert room.left >= 0
                assert math.isfinite(room.left)
                assert room.limit is None or math.isfinite(room.limit)
                assert room.resets_in is None or 0 < room.resets_in < math.inf
    assert len(heard) <= MAX_HEARD


def test_words_without_an_end_grow_stale_and_memory_is_bounded() -> None:
    clock = Clock()
    heard = Heard({"a": "a"}, clock=clock)
    heard.take("a", "m", [Limits(dimension="requests", remaining=1)])
    assert heard.headroom()
    clock.now += STALE
    assert not heard.headroom()
    for number in range(MAX_HEARD + 50):
        heard.take("a", f"m{number}", [Limits(dimension="requests", remaining=1)])
    assert len(heard) == MAX_HEARD


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 30)), max_size=30), st.floats(0, 100))
def test_a_window_that_says_when_all_is_left_keeps_its_word(taken: list[tuple[int, float]], wait: float) -> None:
    window, now = Window(10, 60.0), 0.0
    for amount, later in taken:
        now += later
        window.take(amount, now)
    now += wait
    left, whole = window.standing(now)
    assert 0 <= left <= 10
    if whole is None:
        assert left == 10
    else:
        assert window.standing(now + whole) == (10, None)


def test_a_word_on_a_key_that_the_pool_has_no_more_is_no_word() -> None:
    heard = Heard({"one": "org"}, clock=Clock())
    heard.take("gone", "m", [Limits(dimension="requests", limit=60, remaining=12, reset_after=3)])
    assert len(heard) == 0
