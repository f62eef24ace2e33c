"""The virtual loop runs what asyncio and anyio can do, in no time and always alike."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from ds2api_asgi.simulation import Deadlock, Leftovers, Livelock, VirtualLoop, run


def test_a_year_passes_in_a_moment() -> None:
    async def main(loop: VirtualLoop) -> float:
        await anyio.sleep(365 * 86_400.0)
        return loop.time()

    began = time.perf_counter()
    assert run(main) == 365 * 86_400.0
    assert time.perf_counter() - began < 1


def test_timers_come_in_order_of_their_time_and_at_their_time() -> None:
    seen: list[tuple[int, float]] = []

    async def sleeper(loop: VirtualLoop, number: int, seconds: float) -> None:
        await anyio.sleep(seconds)
        seen.append((number, loop.time()))

    async def main(loop: VirtualLoop) -> None:
        async with anyio.create_task_group() as group:
            for number, seconds in enumerate((3.0, 0.5, 2.0)):
                group.start_soon(sleeper, loop, number, seconds)

    run(main)
    assert seen == [(1, 0.5), (2, 2.0), (0, 3.0)]


def test_anyios_clock_deadlines_and_events_are_virtual() -> None:
    async def main(loop: VirtualLoop) -> tuple[float, bool]:
        with anyio.move_on_after(7) as scope:
            await anyio.Event().wait()
        assert anyio.current_time() == loop.time()
        return loop.time(), scope.cancelled_caught

    assert run(main) == (7.0, True)


def test_asyncios_own_waits_work() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        async def give(number: int) -> int:
            await asyncio.sleep(10 - number)
            return number

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), 3)
        assert loop.time() == 3
        return await asyncio.gather(*(give(number) for number in range(5)))

    assert run(main) == [0, 1, 2, 3, 4]


def _orders(seed: int | None) -> list[int]:
    seen: list[int] = []

    async def note(number: int) -> None:
        await anyio.sleep(1)
        seen.append(number)

    async def main(loop: VirtualLoop) -> None:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(note, number)

    run(main, seed=seed)
    return seen


def test_without_a_seed_the_order_is_asyncios() -> None:
    assert _orders(None) == list(range(20))


def test_a_seed_shuffles_what_is_ready_at_once_and_always_alike() -> None:
    assert _orders(1) == _orders(1)
    assert sorted(_orders(1)) == list(range(20))
    assert _orders(1) != _orders(2) != _orders(None)


def test_a_deadlock_is_told_with_the_tasks_and_where_they_wait() -> None:
    async def stuck(event: anyio.Event) -> None:
        await event.wait()

    async def main(loop: VirtualLoop) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(stuck, anyio.Event(), name="the-stuck-one")

    with pytest.raises(Deadlock, match=r"the-stuck-one in .*Event\.wait"):
        run(main)


def test_a_livelock_is_told() -> None:
    async def main(loop: VirtualLoop) -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(Livelock, match="main"):
        run(main)


def test_a_task_that_is_left_behind_is_told() -> None:
    async def main(loop: VirtualLoop) -> None:
        loop.create_task(anyio.sleep(5), name="orphan")
        await anyio.sleep(1)

    with pytest.raises(Leftovers, match="orphan"):
        run(main)


def test_a_failure_that_nobody_hears_of_is_told() -> None:
    async def fail() -> None:
        raise ValueError("unheard")

    async def main(loop: VirtualLoop) -> None:
        loop.create_task(fail())
        await anyio.sleep(1)

    with pytest.raises(Leftovers, match="unheard"):
        run(main)


def test_what_main_raises_comes_out_and_the_next_run_starts_anew() -> None:
    async def main(loop: VirtualLoop) -> None:
        await anyio.sleep(3)
        raise KeyError("mine")

    async def after(loop: VirtualLoop) -> float:
        return loop.time()

    with pytest.raises(KeyError, match="mine"):
        run(main)
    assert run(after) == 0


def test_there_are_no_threads() -> None:
    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(NotImplementedError):
            await asyncio.to_thread(time.time)

    run(main)


def test_a_cancelled_task_ends_and_its_timer_does_not_hold_the_time_up() -> None:
    async def main(loop: VirtualLoop) -> float:
        task = loop.create_task(anyio.sleep(1000))
        await anyio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await anyio.sleep(1)
        return loop.time()

    assert run(main) == 2.0
