"""Both stores do the same, whatever is asked of them in whatever order; and each gives back what it must."""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
import traceback
from collections.abc import Coroutine
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule, run_state_machine_as_test

from ds2api_asgi.access import MemoryLimitStore, RedisLimitStore
from ds2api_asgi.access.client_limits import Limit, Unit
from ds2api_asgi.access.limit_store import Take, Taken
from ds2api_asgi.errors import ConfigurationError

LIMITS = (
    Limit(Unit.REQUESTS, 3, 60.0),
    Limit(Unit.TOKENS, 100, 60.0),
    Limit(Unit.TOKENS, 1_000, 86_400.0),
    Limit(Unit.TOKENS, 300, 500.0, budget=True),
)
START = 1_795_900_000.0
CLIENTS = st.sampled_from(["alice", "alice", "with {braces}:and*"])


def close(one: float, other: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-3)


class Stores(RuleBasedStateMachine):
    """The memory store is the model of the one in Redis."""

    leases = Bundle("leases")
    url: str
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        import redis.asyncio

        self.now = START
        self.memory = MemoryLimitStore(clock=lambda: self.now)
        self.client = redis.asyncio.Redis.from_url(self.url)
        # Keys expire by the server's own clock, which does not follow ours: longer than any test.
        self.redis = RedisLimitStore(
            self.client, prefix=f"test:{secrets.token_hex(8)}", lease_seconds=1e6, timeout=30.0
        )
        self.names = itertools.count()
        self.under_way: dict[str, int] = {}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @rule(seconds=st.sampled_from([0.0, 0.001, 1.0, 3.0, 7.5, 27.0, 30.0, 59.0, 300.0, 501.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        target=leases,
        client=CLIENTS,
        parts=st.dictionaries(
            st.sampled_from(LIMITS),
            st.sampled_from([0.0, 0.02, 0.25, 0.5, 0.5, 1.0, 1.0, 1.01]),
            min_size=1,
            max_size=2,
        ),
        concurrency=st.sampled_from([None, None, 1, 3]),
    )
    def take(self, client: str, parts: dict[Limit, float], concurrency: int | None) -> Any:
        lease = f"lease-{next(self.names)}"
        takes = [Take(limit, limit.amount * part) for limit, part in parts.items()]
        self.redis._now = self.now
        one: Taken = self.run(self.memory.take(client, lease, takes, concurrency))
        other: Taken = self.run(self.redis.take(client, lease, takes, concurrency))
        assert (one.granted, one.busy) == (other.granted, other.busy)
        for a, b in zip(one.standings, other.standings, strict=True):
            assert a.limit == b.limit
            assert close(a.remaining, b.remaining), (a, b)
            assert close(a.reset, b.reset), (a, b)
            assert close(a.retry_after, b.retry_after), (a, b)
        if concurrency is not None:
            assert one.busy == (self.under_way.get(client, 0) >= concurrency)
        if not one.granted:
            return multiple()
        self.under_way[client] = self.under_way.get(client, 0) + 1
        return client, lease, takes, one.at

    @rule(lease=consumes(leases), factors=st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 3.0])] * len(LIMITS)))
    def settle(self, lease: Any, factors: tuple[float, ...]) -> None:
        self._settle(*lease, factors)
        self.under_way[lease[0]] -= 1
        self._settle(*lease, factors)  # a lease that is over changes nothing

    @rule(client=CLIENTS)
    def settle_what_never_was(self, client: str) -> None:
        self._settle(client, "no such lease", [Take(LIMITS[0], 1.0)], self.now, (0.0,) * len(LIMITS))

    def _settle(self, client: str, name: str, takes: list[Take], at: float, factors: tuple[float, ...]) -> None:
        self.redis._now = self.now
        used = [take.cost * factors[LIMITS.index(take.limit)] for take in takes]
        for store in (self.memory, self.redis):
            self.run(store.settle(client, name, takes, used, at))

    def teardown(self) -> None:
        self.run(self.client.aclose())


def test_memory_and_redis_are_one_state_machine(redis_url: str) -> None:
    loop = asyncio.new_event_loop()
    Stores.url, Stores.loop = redis_url, loop
    try:
        run_state_machine_as_test(
            Stores,
            settings=settings(
                max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
    finally:
        loop.close()


@pytest.fixture
def memory() -> tuple[MemoryLimitStore, list[float]]:
    now = [START]
    return MemoryLimitStore(clock=lambda: now[0]), now


@pytest.mark.anyio
async def test_clients_that_use_nothing_are_forgotten(memory: tuple[MemoryLimitStore, list[float]]) -> None:
    store, now = memory
    takes = [Take(limit, 1.0) for limit in LIMITS]
    for number in range(3_000):
        taken = await store.take(f"client-{number}", "lease", takes, None)
        await store.settle(f"client-{number}", "lease", takes, [1.0] * len(takes), taken.at)
        now[0] += 200
    assert len(store) < 3_000 * len(LIMITS) / 2


@pytest.mark.anyio
async def test_a_take_of_several_limits_takes_from_all_or_from_none(
    memory: tuple[MemoryLimitStore, list[float]],
) -> None:
    store, _ = memory
    await store.take("alice", "one", [Take(LIMITS[0], 3.0)], None)
    denied = await store.take("alice", "two", [Take(LIMITS[1], 100.0), Take(LIMITS[0], 1.0)], None)
    assert not denied.granted
    assert denied.standings[0].remaining == 100
    assert denied.standings[1].retry_after == pytest.approx(20)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_redis_store_counts_by_the_servers_clock_and_leaves_nothing_behind_for_ever(
    redis_url: str, anyio_backend: str
) -> None:
    import redis.asyncio

    prefix = f"test:{secrets.token_hex(8)}"
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        store = RedisLimitStore(client, prefix=prefix, lease_seconds=30, timeout=30.0)
        takes = [Take(limit, 1.0) for limit in LIMITS]
        for number in range(3):
            assert (await store.take("alice", str(number), takes, None)).granted
        denied = await store.take("alice", "more", takes, None)
        assert not denied.granted
        assert 0 < denied.standings[0].retry_after <= 20
        assert abs(denied.at - (await client.time())[0]) < 2
        keys = [key async for key in client.scan_iter(match=f"*{prefix}*")]
        assert len(keys) == len(LIMITS) + 1
        assert min([await client.pttl(key) for key in keys]) > 0


def test_an_address_that_is_none_is_not_repeated() -> None:
    password = "ds2-canary"
    with pytest.raises(ConfigurationError) as raised:
        RedisLimitStore(f"redis://:{password}/x@localhost/0")
    assert password not in "".join(traceback.format_exception(raised.value))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_that_is_gone_or_hangs_is_an_oserror_without_its_address(
    redis_server: Any, anyio_backend: str
) -> None:
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(redis_server.url, retry=None) as client:
        store = RedisLimitStore(client, timeout=1.0)
        takes = [Take(LIMITS[0], 1.0)]
        assert (await store.take("alice", "one", takes, 1)).granted
        redis_server.pause()
        with anyio.fail_after(20), pytest.raises(OSError):
            await store.take("alice", "two", takes, None)
        redis_server.resume()
        redis_server.stop()
        with anyio.fail_after(20), pytest.raises(OSError) as caught:
            await store.take("alice", "three", takes, None)
        assert str(redis_server.port) not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_neither_store_gives_back_to_a_period_what_was_taken_in_another(
    redis_url: str, anyio_backend: str
) -> None:
    import redis.asyncio

    limit = LIMITS[3]
    now = [math.floor(START / limit.seconds) * limit.seconds + 1.0]
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        shared = RedisLimitStore(client, prefix=f"test:{secrets.token_hex(8)}", lease_seconds=1e6, timeout=30.0)
        for store in (MemoryLimitStore(clock=lambda: now[0]), shared):
            begun = now[0]
            for lease in ("old", "new"):
                shared._now = now[0]
                assert (await store.take("alice", lease, [Take(limit, 300.0)], None)).granted
                now[0] += limit.seconds if lease == "old" else 0.0
            await store.settle("alice", "old", [Take(limit, 300.0)], [0.0], begun)
            assert not (await store.take("alice", "more", [Take(limit, 1.0)], None)).granted
            await store.settle("alice", "new", [Take(limit, 300.0)], [100.0], now[0])
            assert (await store.take("alice", "more", [Take(limit, 200.0)], None)).granted
            now[0] = begun
