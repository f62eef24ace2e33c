"""Ledgers, step by step: what they count, and that their windows are the windows of `pool.windows`."""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ds2api_asgi.pool.shared.ledger import Change, Seen, Status, Step, Take, WindowUse
from ds2api_asgi.pool.shared.redis import RedisLedger
from ds2api_asgi.pool.shared.sqlite import SQLiteLedger
from ds2api_asgi.pool.windows import Window

_names = (f"ledger-{os.getpid()}-{number}" for number in itertools.count())


class Desk:
    """A ledger with a clock, asked from outside of its loop."""

    def __init__(self, portal: BlockingPortal, kind: str, place: str) -> None:
        self.now = 1_764_000_000.0
        self.portal = portal
        self.ledger: Any
        if kind == "sqlite":
            self.ledger = SQLiteLedger(place, clock=lambda: self.now, timeout=5.0)
        else:
            self.ledger = RedisLedger(place, clock=lambda: self.now, timeout=5.0)
        self.anew()

    def anew(self) -> None:
        self.ledger.open(next(_names))
        self.epoch = ""

    def step(self, cursor: int = -1, **members: Any) -> Seen:
        async def ask() -> Seen:
            step = Step(cursor=cursor, epoch=self.epoch, fresh_epoch="first", **members)
            return self.ledger.at_once(step) or await self.ledger.step(step)

        seen = self.portal.call(ask)
        self.epoch = seen.epoch
        return seen

    def close(self) -> None:
        if isinstance(self.ledger, SQLiteLedger):
            self.ledger.close()
        else:
            self.portal.call(self.ledger.aclose)


@pytest.fixture(params=["sqlite", "redis"])
def desk(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Desk]:
    sqlite = request.param == "sqlite"
    place = str(tmp_path / "keys.db") if sqlite else request.getfixturevalue("redis_url")
    with start_blocking_portal() as portal:
        desk = Desk(portal, request.param, place)
        yield desk
        desk.close()


AMOUNTS = st.integers(0, 12) | st.sampled_from([0.5, 3.25])
STEPS = st.lists(st.tuples(st.floats(0, 40), AMOUNTS, st.none() | st.integers(-12, 12)), max_size=25)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])  # each begins a pool anew
@given(steps=STEPS, limit=st.integers(1, 20), seconds=st.sampled_from([60.0, 86_400.0, 7.0]))
def test_a_window_is_the_same_everywhere(
    desk: Desk, steps: list[tuple[float, float, int | None]], limit: int, seconds: float
) -> None:
    desk.anew()
    window = Window(limit, seconds)
    for number, (pause, amount, correction) in enumerate(steps):
        desk.now += pause * seconds / 60
        room = max(amount, 1)
        use = WindowUse(name="w", limit=limit, seconds=seconds, amount=amount, room=room)
        seen = desk.step(take=Take(id=str(number), counters=(), windows=(use,)), ttl=1e9)
        fits = window.ready_at(room, desk.now) <= desk.now
        assert seen.status is (Status.DONE if fits else Status.FULL)
        if not fits:
            told = Window(limit, seconds)
            told.recall(dict(seen.windows)["w"])
            assert told.ready_at(room, desk.now) == window.ready_at(room, desk.now)
            continue
        part = window.take(amount, desk.now)
        assert list(seen.parts) == [part]
        if correction is not None:
            window.correct(part, correction)
            desk.step(corrections=(("w", part, float(correction)),))


def test_a_step_that_is_sent_twice_is_done_once(desk: Desk) -> None:
    take = Take(id="1", counters=(("k", 2),))
    for _ in range(2):
        assert desk.step(take=take).status is Status.DONE
    assert list(desk.step(all_counts=True).counts) == [("k", 1)]
    desk.step(give=("1", "1", "unknown"))
    assert list(desk.step(all_counts=True).counts) == []


def test_nothing_is_done_when_there_is_no_room_for_all_of_it(desk: Desk) -> None:
    narrow = WindowUse(name="w", limit=1, seconds=60.0, amount=1, room=1)
    wide = WindowUse(name="v", limit=9, seconds=60.0, amount=1, room=1)
    first = Take(id="1", counters=(("k", 0),), windows=(narrow, wide))
    record = Change(name="k:a", text="anything")
    assert desk.step(take=first).status is Status.DONE
    second = Take(id="2", counters=(("k", 0), ("l", 0)), windows=(wide, narrow))
    assert desk.step(take=second, records=(record,)).status is Status.FULL
    seen = desk.step(all_counts=True)
    assert (list(seen.counts), list(seen.changes)) == ([("k", 1)], [])
    assert {name: sum(taken for _, taken in parts) for name, parts in seen.windows} == {"w": 1, "v": 1}


def test_a_strict_step_is_done_only_by_who_knows_all_changes(desk: Desk) -> None:
    seen = desk.step()
    assert (seen.sequence, seen.whole) == (0, True)
    written = desk.step(seen.sequence, strict=True, records=(Change(name="k:a", text="one", probe="7"),), stamp=5)
    assert (written.status, written.sequence) == (Status.DONE, 5)
    assert list(written.changes) == [Change(name="k:a", text="one", probe="7", version=5)]
    late = desk.step(seen.sequence, strict=True, records=(Change(name="k:b", text="two"),))
    assert (late.status, late.whole, [change.name for change in late.changes]) == (Status.CONFLICT, False, ["k:a"])
    assert desk.step(late.sequence, strict=True, needs="9").status is Status.GONE


def test_a_lease_that_ends_leaves_the_records_that_it_probes(desk: Desk) -> None:
    desk.step(
        take=Take(id="7", counters=(("k", 1),), probes=("k:a", "k:b")),
        records=(Change(name="k:a", text="one", probe="7"), Change(name="k:b", text="two", probe="8")),
        ttl=10.0,
    )
    desk.now += 10
    seen = desk.step()
    assert {change.name: change.probe for change in seen.changes} == {"k:a": "", "k:b": "8"}
    assert list(seen.counts) == [("k", 0)]


def test_a_sequence_never_goes_back_for_those_who_knew_an_earlier_ledger(desk: Desk) -> None:
    assert desk.step(base=41).sequence == 41
    assert desk.step(41, records=(Change(name="k:a", text="one"),)).sequence == 42


def test_a_step_that_nobody_waits_for_any_more_is_not_done_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = SQLiteLedger(tmp_path / "keys.db", clock=lambda: 1_764_000_000.0, timeout=5.0)
    ledger.open("pool")
    opening, may_open, open_file = threading.Event(), threading.Event(), ledger._open

    def open_slowly() -> sqlite3.Connection:
        opening.set()
        may_open.wait(20)
        return open_file()

    monkeypatch.setattr(ledger, "_open", open_slowly)

    async def ask() -> Seen:
        counted = Step(cursor=-1, epoch="", fresh_epoch="first", sums=(("served:a", 1),))
        async with anyio.create_task_group() as group:
            group.start_soon(ledger.step, counted)
            await anyio.to_thread.run_sync(opening.wait, 20)
            group.cancel_scope.cancel()
        may_open.set()
        return await ledger.step(Step(cursor=-1, epoch="", fresh_epoch="first", all_counts=True))

    # Who gave it up tells its sums once more.
    assert list(anyio.run(ask).sums) == []
    ledger.close()
