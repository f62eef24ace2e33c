"""When what processes share cannot be reached: requests go on or are refused, and nobody waits for long."""

from __future__ import annotations

import gc
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from ds2api_asgi import KeyPool
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool import (
    Ask,
    Empty,
    EmptyReason,
    Key,
    KeyState,
    Lease,
    Outcome,
    RateLimits,
    RedisKeyStore,
    RoundRobin,
    Secret,
    SQLiteKeyStore,
)
from ds2api_asgi.pool.health import Event
from ds2api_asgi.pool.keys import as_keys
from ds2api_asgi.testing import Driver
from ports import reserved_port
from redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

TIMEOUT = 1.0
"""Seconds; a busy machine takes less for a step, and tests wait as long for a server that hangs."""

RETRY = 0.1
RATE = Outcome(event=Event.RATE, seconds=100.0)
SERVED = Outcome(event=Event.SERVED)


def key(alias: str, **options: Any) -> Key:
    return Key(secret=Secret(f"sk-{alias}-secret"), alias=alias, **options)


def joined(store: Any, *keys: Key, limit: int | None = None) -> Any:
    store.join(as_keys(keys or [key("a"), key("b")]), strategy=RoundRobin(), max_concurrency=limit)
    return store


def redis_store(server: RedisServer, *keys: Key, limit: int | None = None, **options: Any) -> Any:
    options = {"timeout": TIMEOUT, "retry_every": RETRY, **options}
    return joined(RedisKeyStore(server.url, name="outage", **options), *keys, limit=limit)


async def lease_of(store: Any) -> Lease:
    lease = await store.acquire(Ask(model="m"))
    assert isinstance(lease, Lease), lease
    return lease


async def states(store: Any) -> dict[str, KeyState]:
    return {report.alias: report.state for report in await store.snapshot()}


@pytest.mark.parametrize("how", ["stop", "pause"])
async def test_a_store_goes_on_alone_with_what_it_knows_and_tells_it_afterwards(
    redis_server: RedisServer, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ds2api_asgi.pool")
    store = redis_store(redis_server, limit=2)
    first = await lease_of(store)
    assert await store.report(first, RATE)
    held = await lease_of(store)
    assert held.key == "b"
    getattr(redis_server, how)()
    began = time.monotonic()
    leases = [await lease_of(store)]
    assert time.monotonic() - began < 10 * TIMEOUT
    began = time.monotonic()
    assert isinstance(await store.acquire(Ask(model="m")), Empty)  # a rests, b has two
    await store.release(leases[0])
    leases = [await lease_of(store)]
    assert [lease.key for lease in leases] == ["b"]
    assert await store.report(held, Outcome(event=Event.REFUSED))
    assert await states(store) == {"a": KeyState.COOLING, "b": KeyState.DISABLED}
    assert time.monotonic() - began < 10 * TIMEOUT
    await store.release(first)
    assert [record.levelname for record in caplog.records if record.name == "ds2api_asgi.pool"] == ["WARNING"]

    redis_server.start() if how == "stop" else redis_server.resume()
    await anyio.sleep(2 * RETRY)
    await store.snapshot()
    other = redis_store(redis_server, limit=2)
    reports = {report.alias: report for report in await other.snapshot()}
    assert {alias: report.state for alias, report in reports.items()} == {"a": KeyState.COOLING, "b": KeyState.DISABLED}
    assert 90 < (reports["a"].until or 0) <= 100
    assert {alias: report.in_flight for alias, report in reports.items()} == {"a": 0, "b": 2}
    for lease in (held, *leases):
        await store.release(lease)
    assert [report.in_flight for report in await other.snapshot()] == [0, 0]
    assert [record.levelname for record in caplog.records if record.name == "ds2api_asgi.pool"] == ["WARNING", "INFO"]
    await store.aclose()
    await other.aclose()


async def test_of_two_who_learned_something_meanwhile_the_longer_rest_holds(redis_server: RedisServer) -> None:
    one, two = redis_store(redis_server, key("a")), redis_store(redis_server, key("a"))
    leases = [(store, await lease_of(store)) for store in (one, two)]
    redis_server.stop()
    for (store, lease), seconds in zip(leases, (50.0, 200.0), strict=True):
        assert await store.report(lease, Outcome(event=Event.RATE, seconds=seconds))
    redis_server.start()
    await anyio.sleep(2 * RETRY)
    for _ in range(2):
        untils = [(await store.snapshot())[0].until or 0 for store in (one, two)]
    assert all(190 < until <= 200 for until in untils), untils
    for store in (one, two):
        await store.aclose()


async def test_a_probe_of_a_process_that_is_not_heard_any_more_is_made_by_another(redis_server: RedisServer) -> None:
    one, two = redis_store(redis_server, key("a")), redis_store(redis_server, key("a"))
    lease = await lease_of(one)
    await one.report(lease, Outcome(event=Event.RATE, seconds=0.2))
    await one.release(lease)
    await anyio.sleep(0.25)
    probe = await lease_of(one)
    empty = await two.acquire(Ask(model="m"))
    assert empty.reason is EmptyReason.BUSY
    redis_server.stop()
    assert await lease_of(two)
    await one.release(probe)
    for store in (one, two):
        await store.aclose()


async def test_leases_last_through_an_outage_that_is_longer_than_they_are(redis_server: RedisServer) -> None:
    store = redis_store(redis_server, key("a"), limit=1, lease_ttl=2.0)
    lease = await lease_of(store)
    redis_server.stop()
    assert isinstance(await store.acquire(Ask(model="m")), Empty)
    await anyio.sleep(2.1)
    await store.renew(lease)
    assert isinstance(await store.acquire(Ask(model="m")), Empty)
    assert await store.report(lease, Outcome(event=Event.QUOTA))
    redis_server.start()
    await anyio.sleep(2 * RETRY)
    report = (await store.snapshot())[0]
    assert (report.in_flight, report.state) == (1, KeyState.EXHAUSTED)
    await store.aclose()


async def test_limits_hold_for_each_process_alone(redis_server: RedisServer) -> None:
    store = redis_store(redis_server, key("a", limits=RateLimits(rpm=3)))
    await store.release(await lease_of(store))
    redis_server.stop()
    for _ in range(2):
        await store.release(await lease_of(store))
    empty = await store.acquire(Ask(model="m"))
    assert empty.reason is EmptyReason.LIMITED
    await store.aclose()


async def test_where_nobody_may_go_on_alone_requests_are_refused_until_it_is_back(redis_server: RedisServer) -> None:
    asked = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    store = RedisKeyStore(redis_server.url, on_failure="refuse", timeout=TIMEOUT, retry_every=RETRY)
    pool = KeyPool(app, protocol="openai-chat", keys=["sk-1"], store=store, queue_timeout=0)

    async def status() -> int:
        body = {"model": "m", "messages": []}
        return (await Driver(pool).request("POST", "/v1/chat/completions", json=body)).status

    assert await status() == 200
    redis_server.stop()
    began = time.monotonic()
    assert [await status() for _ in range(5)] == [503] * 5
    assert time.monotonic() - began < 10 * TIMEOUT
    assert asked == 1
    redis_server.start()
    await anyio.sleep(2 * RETRY)
    assert await status() == 200
    await store.aclose()


async def test_a_server_that_was_never_there_costs_one_wait(unused_port: int) -> None:
    store = joined(RedisKeyStore(f"redis://127.0.0.1:{unused_port}/0", timeout=TIMEOUT, retry_every=60.0))
    began = time.monotonic()
    for _ in range(20):
        await store.release(await lease_of(store))
    assert time.monotonic() - began < 10 * TIMEOUT
    await store.aclose()


@pytest.fixture
def unused_port() -> Iterator[int]:
    pytest.importorskip("redis")
    with reserved_port() as port:
        yield port


async def test_a_server_that_is_emptied_is_told_everything_anew(redis_server: RedisServer) -> None:
    import redis.asyncio

    one, two = redis_store(redis_server), redis_store(redis_server)
    lease = await lease_of(one)
    assert await one.report(lease, RATE)
    await two.snapshot()
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushall()
        await client.script_flush()
    for store in (one, two, one, two):
        await store.snapshot()
    other = redis_store(redis_server)
    assert await states(other) == {"a": KeyState.COOLING, "b": KeyState.ACTIVE}
    assert [report.in_flight for report in await other.snapshot()] == [1, 0]
    await one.release(lease)
    assert [report.in_flight for report in await other.snapshot()] == [0, 0]
    for store in (one, two, other):
        await store.aclose()


async def test_nothing_secret_is_written_and_everything_expires(redis_server: RedisServer) -> None:
    import redis.asyncio

    store = redis_store(redis_server, key("a", limits=RateLimits(rpm=3, tpd=50, concurrency=2)), key("b"), limit=3)
    leases = [await lease_of(store) for _ in range(4)]
    await store.report(leases[0], RATE)
    await store.report(leases[1], SERVED)
    await anyio.sleep(0.01)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        names = [name async for name in client.scan_iter("*")]
        assert len(names) >= 7
        for name in names:
            assert name.startswith(b"{ds2api:pool:outage}:")
            assert 0 < await client.pttl(name) <= 7 * 86_400_000
            assert b"secret" not in await client.dump(name)
    await store.aclose()


async def test_a_client_of_the_users_works_and_one_that_decodes_is_refused(redis_server: RedisServer) -> None:
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        store = joined(RedisKeyStore(client))
        await store.release(await lease_of(store))
        await store.aclose()
        assert await client.ping()
    async with redis.asyncio.Redis.from_url(redis_server.url, decode_responses=True) as client:
        with pytest.raises(ConfigurationError, match="decode"):
            RedisKeyStore(client)


async def test_a_file_that_another_process_keeps_locked_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    store = joined(SQLiteKeyStore(path, timeout=TIMEOUT, retry_every=RETRY))
    lease = await lease_of(store)
    assert await store.report(lease, RATE)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.01)
            ticks += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        began = time.monotonic()
        assert (await lease_of(store)).key == "b"
        assert TIMEOUT / 2 < time.monotonic() - began < 10 * TIMEOUT
        assert ticks > 5  # the loop went on
        group.cancel_scope.cancel()
    database.execute("ROLLBACK")
    database.close()
    await anyio.sleep(2 * RETRY)
    assert [report.in_flight for report in await store.snapshot()] == [1, 1]
    store.close()


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "keys.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    store = joined(SQLiteKeyStore(tmp_path / "keys.db"))
    with pytest.raises(ConfigurationError, match="newer version"):
        await store.acquire(Ask())


async def test_a_file_is_its_owners_alone_and_its_log_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    store = joined(SQLiteKeyStore(path))
    for _ in range(3_000):
        await store.release(await lease_of(store))
    assert path.stat().st_mode & 0o077 == 0
    assert os.stat(f"{path}-wal").st_size < 16 * 2**20
    store.close()


async def test_a_file_is_closed_when_nobody_has_its_store_any_more(tmp_path: Path) -> None:
    store = joined(SQLiteKeyStore(tmp_path / "keys.db"))
    await store.release(await lease_of(store))
    log = tmp_path / "keys.db-wal"
    assert log.exists()
    del store
    gc.collect()
    assert not log.exists()  # the last to close the file takes the log with it


@pytest.mark.parametrize(
    "make",
    [
        lambda: SQLiteKeyStore(""),
        lambda: SQLiteKeyStore(":memory:"),
        lambda: SQLiteKeyStore("keys.db", lease_ttl=0),
        lambda: SQLiteKeyStore("keys.db", timeout=float("inf")),
        lambda: SQLiteKeyStore("keys.db", name="two words"),
        lambda: SQLiteKeyStore("keys.db", name="{}"),
        lambda: SQLiteKeyStore("keys.db", on_failure="hope"),  # type: ignore[arg-type]
        lambda: joined(joined(SQLiteKeyStore("keys.db"))),
    ],
)
async def test_values_that_cannot_work_are_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


async def test_a_pools_lease_is_renewed_while_its_request_runs_and_errors_come_through_bare(tmp_path: Path) -> None:
    store = SQLiteKeyStore(tmp_path / "keys.db", name="renewed", lease_ttl=1.5)
    other = joined(SQLiteKeyStore(tmp_path / "keys.db", name="renewed", lease_ttl=1.5), key("a"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(8):
            await anyio.sleep(0.3)
            assert [report.in_flight for report in await other.snapshot()] == [1]
        raise LookupError("from the app")

    pool = KeyPool(app, protocol="openai-chat", keys=[key("a")], store=store)
    with pytest.raises(LookupError, match="from the app"):
        await Driver(pool).request("POST", "/v1/chat/completions", json={"model": "m", "messages": []})
    assert [report.in_flight for report in await other.snapshot()] == [0]
    store.close()
    other.close()


async def test_a_file_that_cannot_be_made_is_an_outage_until_its_folder_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ds2api_asgi.pool")
    folder = tmp_path / "missing"
    alone = joined(SQLiteKeyStore(folder / "keys.db", retry_every=RETRY))
    strict = joined(SQLiteKeyStore(folder / "keys.db", retry_every=RETRY, on_failure="refuse"))
    await alone.release(await lease_of(alone))
    refused = await strict.acquire(Ask(model="m"))
    assert isinstance(refused, Empty)
    assert refused.reason is EmptyReason.UNKNOWN
    assert "No such file" in caplog.text
    assert "Traceback" not in caplog.text
    folder.mkdir()
    await anyio.sleep(2 * RETRY)
    await strict.release(await lease_of(strict))
    assert (folder / "keys.db").exists()
    alone.close()
    strict.close()
