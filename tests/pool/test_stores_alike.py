"""Every store is one and the same to whoever asks, whatever happens in whatever order."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ds2api_asgi.pool import (
    Ask,
    Empty,
    Key,
    Lease,
    LeastUsed,
    MemoryStore,
    Outcome,
    RateLimits,
    RoundRobin,
    Secret,
    Spent,
    Strategy,
)
from ds2api_asgi.pool.health import Event
from ds2api_asgi.pool.keys import as_keys
from ds2api_asgi.pool.shared.redis import RedisKeyStore
from ds2api_asgi.pool.shared.sqlite import SQLiteKeyStore

TTL = 64.0  # a power of two, so that deadlines are exact whatever is added first
MODELS = ["m1", "m2", "größe", "two\nlines"]
_names = (f"alike-{number}" for number in itertools.count())


def key(alias: str, **options: Any) -> Key:
    return Key(secret=Secret(f"sk-{alias}"), alias=alias, **options)


KEYS = as_keys(
    [
        key("a"),
        key("b", quota_scope="org one"),
        key("c", quota_scope="org one", weight=2.0),
        key("d", models=frozenset({"m1"})),
    ]
)
ORG = {
    "quota_scope": "org one",
    "limits": RateLimits(rpm=6, tpd=100, concurrency=4),
    "model_limits": {"m2": RateLimits(rpd=9, concurrency=2), "größe": RateLimits(tpm=50)},
}
LIMITED = as_keys(
    [
        key("a", limits=RateLimits(rpm=2, tpm=40)),
        key("b", **ORG),
        key("c", weight=2.0, **ORG),
        key("d", models=frozenset({"m1"}), limits=RateLimits(concurrency=1)),
    ]
)
SPENT = [Spent(), Spent(tokens=0, called=False), Spent(tokens=0), Spent(tokens=5), Spent(tokens=60)]


class Still(Random):
    """Chance that is the same however often it is asked: who looks twice shall choose the same key."""

    def random(self) -> float:
        return 0.0

    def getrandbits(self, count: int, /) -> int:
        return 0


class Machine(RuleBasedStateMachine):
    """Does everything with all stores, and holds their answers against each other."""

    portal: BlockingPortal
    redis_url: str | None
    strategy: Strategy
    keys: tuple[Key, ...]
    limit: int | None
    total: int | None

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_764_000_000.0
        self.folder = tempfile.TemporaryDirectory()
        self.name = next(_names)
        self.stores: list[Any] = [MemoryStore(clock=lambda: self.now, rng=Still()), self.sqlite()]
        if self.redis_url is not None:
            self.stores.append(self.redis())
        for store in self.stores:
            self.join(store)
        self.open: list[tuple[list[Lease], float]] = []  # a lease in each store, and when it ends by itself

    def sqlite(self) -> SQLiteKeyStore:
        path = Path(self.folder.name) / "keys.db"
        return SQLiteKeyStore(path, lease_ttl=TTL, timeout=5.0, clock=lambda: self.now, rng=Still())

    def redis(self) -> RedisKeyStore:
        return RedisKeyStore(
            self.redis_url, name=self.name, lease_ttl=TTL, timeout=5.0, clock=lambda: self.now, rng=Still()
        )

    def join(self, store: Any) -> None:
        store.join(self.keys, strategy=self.strategy, max_concurrency=self.limit, max_total=self.total)

    def ask(self, name: str, *arguments: Any, leases: list[Lease] | None = None, **options: Any) -> list[Any]:
        async def call(store: Any, first: list[Any]) -> Any:
            return await getattr(store, name)(*first, *arguments, **options)

        return [
            self.portal.call(call, store, [] if leases is None else [leases[number]])
            for number, store in enumerate(self.stores)
        ]

    def alike(self, answers: list[Any]) -> Any:
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def end_leases(self) -> None:
        """What the memory store does not do by itself."""

        async def release(lease: Lease) -> None:
            await self.stores[0].release(lease)

        for entry in list(self.open):
            if entry[1] <= self.now:
                self.open.remove(entry)
                self.portal.call(release, entry[0][0])

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 30.0, TTL, 601.0, 3_601.0, 86_401.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.end_leases()

    @rule(
        model=st.sampled_from([*MODELS, None]),
        tried=st.sets(st.sampled_from("abcd"), max_size=2),
        tokens=st.sampled_from([0, 1, 7, 30]),
    )
    def acquire(self, model: str | None, tried: set[str], tokens: int) -> None:
        leases = self.ask("acquire", Ask(model=model, tried=frozenset(tried), tokens=tokens))
        self.alike([lease if isinstance(lease, Empty) else (lease.key, lease.model) for lease in leases])
        if not isinstance(leases[0], Empty):
            self.open.append((leases, self.now + TTL))

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        event=st.sampled_from([Event.RATE, Event.QUOTA, Event.REFUSED, Event.FORBIDDEN]),
        seconds=st.none() | st.sampled_from([0.0, 2.0, 90.0, 7_200.0]),
    )
    def fail(self, data: st.DataObject, event: Event, seconds: float | None) -> None:
        leases, _ = data.draw(st.sampled_from(self.open))
        self.alike(self.ask("report", Outcome(event=event, seconds=seconds), leases=leases))

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        soft=st.none() | st.sampled_from([0.5, 20.0]),
        left=st.none() | st.sampled_from([(0.0, 3.0), (1.0, 9.0)]),
        event=st.sampled_from([Event.SERVED, Event.SERVED, Event.TOLD]),
    )
    def serve(self, data: st.DataObject, soft: float | None, left: tuple[float, float] | None, event: Event) -> None:
        leases, _ = data.draw(st.sampled_from(self.open))
        self.alike(self.ask("report", Outcome(event=event, soft=soft, left=left), leases=leases))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), spent=st.sampled_from(SPENT), again=st.booleans())
    def release(self, data: st.DataObject, spent: Spent, again: bool) -> None:
        entry = data.draw(st.sampled_from(self.open))
        self.open.remove(entry)
        for _ in range(1 + again):
            self.ask("release", spent, leases=entry[0])
        self.alike(self.ask("report", Outcome(event=Event.RATE), leases=entry[0]))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), tokens=st.sampled_from([1, 7, 300]))
    def charge(self, data: st.DataObject, tokens: int) -> None:
        leases, _ = data.draw(st.sampled_from(self.open))
        self.ask("charge", tokens, leases=leases)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.open))
        self.ask("renew", leases=entry[0])
        self.open[self.open.index(entry)] = (entry[0], self.now + TTL)

    @rule(alias=st.sampled_from("abcd"), on=st.booleans())
    def operator(self, alias: str, on: bool) -> None:
        self.ask("switch", alias, on=on)

    @invariant()
    def snapshots_are_alike(self) -> None:
        self.alike(self.ask("snapshot"))

    def teardown(self) -> None:
        for store in self.stores[2:]:
            self.portal.call(store.aclose)
        self.stores[1].close()
        self.folder.cleanup()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.mark.parametrize(
    ("keys", "limit", "total"),
    [(KEYS, None, None), (KEYS, 1, None), (KEYS, 2, 3), (LIMITED, None, None), (LIMITED, 2, 4)],
)
@pytest.mark.parametrize("strategy", [RoundRobin(), LeastUsed()])
def test_memory_sqlite_and_redis_are_the_same(
    portal: BlockingPortal, redis_url: str, strategy: Strategy, keys: Any, limit: int | None, total: int | None
) -> None:
    members = {
        "portal": portal, "redis_url": redis_url, "strategy": strategy, "keys": keys, "limit": limit, "total": total
    }  # fmt: skip
    machine = type("Alike", (Machine,), members)
    run_state_machine_as_test(machine, settings=settings(max_examples=12, stateful_step_count=30, deadline=None))
