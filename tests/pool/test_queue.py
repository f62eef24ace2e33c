"""The queue by itself: fair shares, no idle slot while somebody could use it, nobody served after its deadline."""

from __future__ import annotations

import math
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2api_asgi.pool.ask import Ask
from ds2api_asgi.pool.queue import Queue, Round, Waiter
from ds2api_asgi.pool.store import Lease
from ds2api_asgi.pool.survey import Empty, EmptyReason

BUSY = Empty(reason=EmptyReason.BUSY)


def waiter(
    caller: str = "", model: str = "m", *, share: float = 1.0, tokens: int = 0, until: float = math.inf
) -> Waiter:
    return Waiter((Ask(model=model, caller=caller, share=share, tokens=tokens),), until)


class Slots:
    """Free slots by model, each with room for so many tokens."""

    def __init__(self) -> None:
        self.free: Counter[str] = Counter()
        self.room = 10
        self.asked = 0
        self.numbers = count(1)

    def serve(self, queue: Queue, now: float = 0.0) -> list[Waiter]:
        offers, served = Round(queue, now), []
        while (one := offers.next()) is not None:
            self.asked += 1
            ask = one.asks[0]
            model = str(ask.model)
            if self.free[model] and ask.tokens <= self.room:
                self.free[model] -= 1
                offers.served(one, Lease(id=next(self.numbers), key="k"))
                served.append(one)
            else:
                offers.passed_over(one, BUSY)
        return served


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.integers(1, 60))
def test_callers_share_by_their_shares_to_within_one_request(shares: list[int], served: int) -> None:
    queue, slots = Queue(), Slots()
    for number, share in enumerate(shares):
        for _ in range(served):
            queue.join(waiter(str(number), share=float(share)))
    slots.free["m"] = served
    counts = Counter(one.caller for one in slots.serve(queue))
    assert sum(counts.values()) == served
    turns = [counts[str(number)] / share for number, share in enumerate(shares)]
    assert max(turns) - min(turns) <= 1 / min(shares) + 1e-9


def test_one_caller_is_served_in_the_order_of_coming_and_a_crowd_costs_another_caller_one_turn() -> None:
    queue, slots = Queue(), Slots()
    crowd = [waiter("crowd") for _ in range(50)]
    for one in crowd:
        queue.join(one)
    slots.free["m"] = 20
    assert slots.serve(queue) == crowd[:20]
    late = waiter("late")
    queue.join(late)
    slots.free["m"] = 2
    assert late in slots.serve(queue)


def test_nobody_saves_up_turns_while_he_does_not_wait() -> None:
    queue, slots = Queue(), Slots()
    for _ in range(100):
        queue.join(waiter("busy"))
    queue.join(waiter("idle"))
    slots.free["m"] = 51
    slots.serve(queue)
    for _ in range(40):
        queue.join(waiter("idle"))
    slots.free["m"] = 40
    counts = Counter(one.caller for one in slots.serve(queue))
    assert abs(counts["busy"] - counts["idle"]) <= 1


def test_who_could_not_use_what_was_free_does_not_get_all_of_it_afterwards() -> None:
    queue, slots = Queue(), Slots()
    for _ in range(60):
        queue.join(waiter("a"))
        queue.join(waiter("b", "other"))
    slots.free["m"] = 30
    slots.serve(queue)
    for _ in range(30):
        queue.join(waiter("b"))
    slots.free["m"] = 20
    counts = Counter(one.caller for one in slots.serve(queue))
    assert abs(counts["a"] - counts["b"]) <= 2


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("join"),
            st.sampled_from("abc"),
            st.sampled_from("xyz"),
            st.sampled_from([0, 5, 20]),
            st.sampled_from([1.0, 3.0, math.inf]),
        ),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("free"), st.sampled_from("xyz"), st.integers(1, 3)),
        st.tuples(st.just("time"), st.sampled_from([0.5, 2.0])),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_no_slot_is_idle_while_somebody_could_use_it_and_nobody_is_served_late(steps: list[tuple[object, ...]]) -> None:
    queue, slots, now = Queue(), Slots(), 0.0
    waiting: list[Waiter] = []
    for step in steps:
        match step:
            case ("join", str(caller), str(model), int(tokens), float(patience)):
                waiting.append(waiter(caller, model, tokens=tokens, until=now + patience))
                queue.join(waiting[-1])
            case ("leave", int(place)) if waiting:
                one = waiting.pop(place % len(waiting))
                assert queue.leave(one) == (one.deadline >= now or one in queue) or one.deadline < now
                assert not queue.leave(one)
            case ("free", str(model), int(more)):
                slots.free[model] += more
            case ("time", float(seconds)):
                now += seconds
        for one in slots.serve(queue, now):
            assert one.deadline >= now
            waiting.remove(one)
        able = [one for one in waiting if one.deadline >= now]
        assert not [one for one in able if slots.free[str(one.asks[0].model)] and one.asks[0].tokens <= slots.room]
        assert all(one in queue for one in able)
        lines: dict[tuple[str, object], list[int]] = {}
        for one in queue:
            lines.setdefault((one.caller, one.kind), []).append(one.serial)
        assert all(serials == sorted(serials) for serials in lines.values())
    for one in waiting:
        queue.leave(one)
    assert len(queue) == 0
    assert queue.kinds() == []


def test_a_release_asks_once_for_each_kind_not_once_for_each_waiter() -> None:
    queue, slots = Queue(), Slots()
    for number in range(1_000):
        queue.join(waiter(str(number % 7), tokens=number % 3))
    slots.serve(queue)
    assert slots.asked <= 3
    slots.free["m"] = 1
    slots.serve(queue)
    assert slots.asked <= 8


@pytest.mark.parametrize("share", [0.0, -1.0, math.inf, math.nan])
def test_a_share_that_is_none_counts_as_one(share: float) -> None:
    queue, order = Queue(), []
    for _ in range(3):
        for caller in ("odd", "plain"):
            queue.join(Waiter((Ask(caller=caller, share=share if caller == "odd" else 1.0),)))
    offers = Round(queue, 0.0)
    while (first := offers.next()) is not None:
        order.append(first.caller)
        offers.served(first, Lease(id=1, key="k"))
    assert order == ["odd", "plain"] * 3
