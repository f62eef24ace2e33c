"""What a key costs: acquire and release through a `MemoryStore`, by strategy, number of keys, and share that rests.

    python benchmarks/selection.py [seconds]

Microseconds for each pair; the time of the loop around it is in them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from random import Random

from ds2api_asgi.pool import Ask, Empty, Key, MemoryStore, Outcome, Secret
from ds2api_asgi.pool.health import Event
from ds2api_asgi.pool.strategies import strategy_named

SIZES = (10, 1_000, 100_000)
CASES = ("round-robin", "least-used", "fill-first", "latency", "affinity", "affinity, 8 scopes")


async def store_of(case: str, size: int, resting: float) -> MemoryStore:
    """A store of keys, of which a share rests for an hour."""
    scopes = 8 if "scopes" in case else 0
    store = MemoryStore(rng=Random(1))
    keys = [
        Key(secret=Secret(f"sk-{at}"), alias=f"k{at}", quota_scope=f"s{at % scopes}" if scopes else None)
        for at in range(size)
    ]
    store.join(keys, strategy=strategy_named(case.split(",", maxsplit=1)[0]), max_concurrency=None)
    if scopes:
        for at in range(int(size * resting)):
            await store.switch(f"k{at}", on=False)
        return store
    for _ in range(int(size * resting)):
        lease = await store.acquire(Ask())
        assert not isinstance(lease, Empty)
        await store.report(lease, Outcome(event=Event.RATE, seconds=3600.0))
        await store.release(lease)
    return store


async def microseconds(store: MemoryStore, seconds: float) -> float:
    """The mean of as many pairs as go into the time."""
    asks = [Ask(conversation=f"c{number}") for number in range(997)]
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for ask in asks:
            await store.release(await store.acquire(ask))
        done += len(asks)
    return spent / done * 1e6


async def main(seconds: float) -> None:
    """Print the table."""
    print(f"{'strategy':<20}{'resting':>8}" + "".join(f"{size:>10,}" for size in SIZES))
    for case in CASES:
        for resting in (0.0, 0.5):
            times = [await microseconds(await store_of(case, size, resting), seconds) for size in SIZES]
            print(f"{case:<20}{resting:>8.0%}" + "".join(f"{each:>10.1f}" for each in times), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
