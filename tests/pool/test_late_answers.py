"""What a ledger answers late, to who has gone on alone, says nothing of what was leased meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from ds2api_asgi.pool import Ask, Empty, Key, Lease, RoundRobin, Secret, SQLiteKeyStore
from ds2api_asgi.pool.keys import as_keys
from ds2api_asgi.pool.shared.ledger import Ledger, LedgerDown, Seen, Step

pytestmark = pytest.mark.anyio


class Moody:
    """A ledger whose first step is answered late, and which cannot be reached meanwhile."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.clock = ledger.clock
        self.waits = anyio.Event()
        self.goes_on = anyio.Event()

    def at_once(self, step: Step) -> Seen | None:
        del step
        return None

    async def step(self, step: Step) -> Seen:
        if self.waits.is_set():
            raise LedgerDown("gone")
        self.waits.set()
        seen = self._ledger.at_once(step) or await self._ledger.step(step)
        await self.goes_on.wait()
        return seen


async def test_a_late_answer_hides_no_lease_of_who_has_gone_on_alone(tmp_path: Path) -> None:
    store = SQLiteKeyStore(tmp_path / "keys.db", timeout=30.0, retry_every=3600.0)
    keys = as_keys([Key(secret=Secret("sk-one-secret"), alias="one")])
    store.join(keys, strategy=RoundRobin(), max_concurrency=3)
    await store.snapshot()
    moody: Any = Moody(store._link._ledger)
    store._link._ledger = moody
    found: list[Lease | Empty] = []

    async def acquire() -> None:
        found.append(await store.acquire(Ask(model="m")))

    async with anyio.create_task_group() as group:
        group.start_soon(acquire)
        await moody.waits.wait()
        await acquire()
        await acquire()
        moody.goes_on.set()
    assert [type(one) for one in found] == [Lease] * 3
    assert [report.in_flight for report in await store.snapshot()] == [3]
    await acquire()
    assert isinstance(found[-1], Empty)
    store.close()
