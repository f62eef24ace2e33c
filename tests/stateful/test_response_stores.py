"""Stores: both are one and the same to whoever asks, whatever happens in whatever order."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.stateful import MemoryResponseStore, ResponseStore, SQLiteResponseStore, StoredResponse
from ds2api_asgi.stateful.items import named_items

TTL = 100.0
CLIENTS = st.sampled_from(["ann", "bob"])
IDS = st.sampled_from(["resp_1", "resp_2", "resp_3", "resp_4"])
ITEMS = ["msg_a", "msg_b", "fc_c"]


def item(id_: str, text: str) -> bytes:
    return f'{{"type": "message", "id": "{id_}", "n": 1.00, "content": "{text}"}}'.encode()


@st.composite
def responses(draw: st.DrawFn) -> StoredResponse:
    output = draw(st.lists(st.builds(item, st.sampled_from(ITEMS), st.sampled_from("xyz")), max_size=2))
    input_ = draw(st.lists(st.builds(item, st.sampled_from(ITEMS), st.sampled_from("uvw")), max_size=2))
    return StoredResponse(
        id=draw(IDS),
        status=draw(st.sampled_from(["queued", "in_progress", "completed", "failed"])),
        document=b'{"output": [%b]}' % b", ".join(output),
        input=(*input_, *draw(st.sampled_from([(), (b'{"role": "user", "content": "\\ud800"}',)]))),
        previous=draw(st.none() | IDS),
        background=draw(st.booleans()),
        events=draw(st.sampled_from([(), (b'{"type": "a\n"}', b"{}")])),
        lease=draw(st.none() | st.just(12.5)),
    )


class Model:
    """A store that looks at everything each time: the newest writing comes last."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kept: dict[tuple[str, str], tuple[StoredResponse, float]] = {}

    def live(self, client: str, id_: str | None) -> StoredResponse | None:
        found = self.kept.get((client, id_ or ""))
        return found[0] if found is not None and found[1] > self.now else None

    def chain(self, client: str, id_: str | None) -> list[StoredResponse]:
        chain: list[StoredResponse] = []
        while (found := self.live(client, id_)) is not None and found not in chain:
            chain.append(found)
            id_ = found.previous
        return chain

    def put(self, client: str, response: StoredResponse) -> None:
        self.kept.pop((client, response.id), None)
        self.kept[client, response.id] = (response, self.now + TTL)
        for ancestor in self.chain(client, response.previous):
            self.kept[client, ancestor.id] = (ancestor, self.now + TTL)

    def item(self, client: str, id_: str) -> bytes | None:
        found = None
        for (owner, key), (response, _) in self.kept.items():
            if owner == client and self.live(client, key) is not None:
                found = dict(named_items(response)).get(id_, found)
        return found


class StoreMachine(RuleBasedStateMachine):
    portal: BlockingPortal

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.model = Model()
        self.path = Path(self.folder.name) / "state.db"
        self.stores: list[ResponseStore] = [
            MemoryResponseStore(ttl=TTL, clock=lambda: self.model.now),
            SQLiteResponseStore(self.path, ttl=TTL, clock=lambda: self.model.now),
        ]

    def ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        """What both stores say; it must be the same."""

        async def call(store: ResponseStore) -> Any:
            return await getattr(store, name)(*arguments, **options)

        memory, sqlite = (self.portal.call(call, store) for store in self.stores)
        assert memory == sqlite
        return memory

    @rule(seconds=st.sampled_from([0.0, 1.0, 50.0, 99.0, 100.0, 1_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds

    @rule(client=CLIENTS, response=responses())
    def put(self, client: str, response: StoredResponse) -> None:
        self.ask("put", client, response)
        self.model.put(client, response)

    @rule(client=CLIENTS, response=responses())
    def advance(self, client: str, response: StoredResponse) -> None:
        found = self.model.live(client, response.id)
        running = found is not None and found.running
        assert self.ask("advance", client, response) is running
        if running:
            self.model.put(client, response)

    @rule(client=CLIENTS, id_=IDS, lease=st.sampled_from([1.0, 2.5]))
    def renew(self, client: str, id_: str, lease: float) -> None:
        found = self.model.live(client, id_)
        running = found is not None and found.running
        assert self.ask("renew", client, id_, lease=lease) is running
        if found is not None and running:
            expires = self.model.kept[client, id_][1]
            fields = {name: getattr(found, name) for name in found.__struct_fields__}
            self.model.kept[client, id_] = (StoredResponse(**{**fields, "lease": lease}), expires)

    @rule(client=CLIENTS, id_=IDS)
    def get(self, client: str, id_: str) -> None:
        assert self.ask("get", client, id_) == self.model.live(client, id_)

    @rule(client=CLIENTS, id_=IDS)
    def history(self, client: str, id_: str) -> None:
        chain = self.model.chain(client, id_)
        whole = bool(chain) and chain[-1].previous is None
        assert self.ask("history", client, id_) == (tuple(reversed(chain)) if whole else None)

    @rule(client=CLIENTS, wanted=st.sets(st.sampled_from([*ITEMS, "none"])))
    def items(self, client: str, wanted: set[str]) -> None:
        known = {id_: found for id_ in wanted if (found := self.model.item(client, id_)) is not None}
        assert self.ask("items", client, wanted) == known

    @rule(client=CLIENTS, id_=IDS)
    def delete(self, client: str, id_: str) -> None:
        assert self.ask("delete", client, id_) is (self.model.live(client, id_) is not None)
        self.model.kept.pop((client, id_), None)

    @rule()
    def restart(self) -> None:
        self.stores[1].close()  # type: ignore[attr-defined]
        self.stores[1] = SQLiteResponseStore(self.path, ttl=TTL, clock=lambda: self.model.now)

    @invariant()
    def the_memory_store_counts_its_bytes(self) -> None:
        store: Any = self.stores[0]
        assert store.size == sum(entry.response.size for entry in store._entries.values())
        owned = {key for key, entry in store._entries.items() for _ in named_items(entry.response)}
        assert {(client, id_) for (client, _), ids in store._owners.items() for id_ in ids} == owned

    def teardown(self) -> None:
        self.stores[1].close()  # type: ignore[attr-defined]
        self.folder.cleanup()


def test_both_stores_are_the_same_and_as_the_model_says() -> None:
    with start_blocking_portal() as portal:
        machine = type("Machine", (StoreMachine,), {"portal": portal})
        run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))


def response(id_: str, *, previous: str | None = None, size: int = 100, status: str = "completed") -> StoredResponse:
    return StoredResponse(id=id_, status=status, document=b"{}".ljust(size), previous=previous)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [MemoryResponseStore, SQLiteResponseStore])
async def test_what_is_continued_lives_as_long_as_what_continues_it(
    anyio_backend: str, kind: Any, tmp_path: Path
) -> None:
    now = 0.0
    path = [tmp_path / "state.db"] if kind is SQLiteResponseStore else []
    store = kind(*path, ttl=100, clock=lambda: now)
    await store.put("ann", response("1"))
    await store.put("ann", response("beside", previous="1"))
    now = 60.0
    await store.put("ann", response("2", previous="1"))
    now = 120.0
    await store.put("ann", response("3", previous="2"))
    now = 199.0
    assert [found.id for found in await store.history("ann", "3")] == ["1", "2", "3"]
    assert await store.get("ann", "beside") is None
    now = 220.0
    assert await store.get("ann", "1") is None
    if path:
        store.close()


@pytest.mark.anyio
async def test_the_least_lately_used_goes_first(anyio_backend: str) -> None:
    store = MemoryResponseStore(max_entries=3)
    for name in "abc":
        await store.put("ann", response(name))
    await store.get("ann", "a")
    await store.put("bob", response("d"))
    assert [name for name in "abc" if await store.get("ann", name)] == ["a", "c"]
    assert len(store) == 3


@pytest.mark.anyio
async def test_bytes_are_bounded_and_what_is_over_them_alone_is_not_kept(anyio_backend: str) -> None:
    store = MemoryResponseStore(max_bytes=250)
    for name in "abc":
        await store.put("ann", response(name))
    assert [name for name in "abc" if await store.get("ann", name)] == ["b", "c"]
    await store.put("ann", response("huge", size=1_000))
    assert await store.get("ann", "huge") is None
    assert store.size <= 250


@pytest.mark.anyio
async def test_of_a_conversation_the_end_goes_before_the_beginning(anyio_backend: str) -> None:
    store = MemoryResponseStore(max_entries=3)
    await store.put("ann", response("1"))
    await store.put("ann", response("2", previous="1"))
    await store.put("ann", response("3", previous="2"))
    await store.put("ann", response("other"))
    assert await store.history("ann", "3") is None
    assert [found.id for found in await store.history("ann", "2") or ()] == ["1", "2"]


@pytest.mark.anyio
async def test_a_file_lasts_and_is_its_owners_alone(anyio_backend: str, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = SQLiteResponseStore(path)
    await first.put("ann", response("1"))
    assert path.stat().st_mode & 0o077 == 0
    second = SQLiteResponseStore(path)  # another worker
    assert await second.get("ann", "1") == response("1")
    await second.put("ann", response("2", previous="1"))
    assert [found.id for found in await first.history("ann", "2") or ()] == ["1", "2"]
    first.close()
    second.close()
    with closing(SQLiteResponseStore(path)) as third:
        assert await third.get("ann", "2") == response("2", previous="1")


@pytest.mark.anyio
async def test_a_file_is_closed_when_nobody_has_its_store_any_more(anyio_backend: str, tmp_path: Path) -> None:
    store = SQLiteResponseStore(tmp_path / "state.db")
    await store.put("ann", response("1"))
    log = tmp_path / "state.db-wal"
    assert log.exists()
    del store
    gc.collect()
    assert not log.exists()  # the last to close the file takes the log with it


@pytest.mark.anyio
async def test_expired_rows_are_removed_with_their_items(anyio_backend: str, tmp_path: Path) -> None:
    now = 0.0
    store = SQLiteResponseStore(tmp_path / "state.db", ttl=10, clock=lambda: now)
    kept = StoredResponse(id="1", status="completed", document=b"{}", input=(item("msg_a", "x"),))
    await store.put("ann", kept)
    now = 20.0
    await store.put("bob", response("2"))
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        assert database.execute("SELECT id FROM responses").fetchall() == [("2",)]
        assert database.execute("SELECT count(*) FROM items").fetchone() == (0,)


@pytest.mark.anyio
async def test_a_file_of_a_newer_version_is_refused(anyio_backend: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="newer version"):
        await SQLiteResponseStore(tmp_path / "state.db").get("ann", "1")


WORKER = """
import sys, anyio
from ds2api_asgi.stateful import SQLiteResponseStore, StoredResponse

async def main():
    store = SQLiteResponseStore(sys.argv[1])
    for at in range(20):
        id_ = f"{sys.argv[2]}-{at}"
        await store.put("ann", StoredResponse(id=id_, status="completed", document=b"{}"))
        assert await store.get("ann", id_) is not None
    if await store.advance("ann", StoredResponse(id="shared", status="completed", document=sys.argv[2].encode())):
        print("won")
    store.close()

anyio.run(main)
"""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_processes_write_at_once_and_one_of_them_ends_a_response(anyio_backend: str, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SQLiteResponseStore(path)
    await store.put("ann", response("shared", status="in_progress"))
    commands = [[sys.executable, "-c", WORKER, str(path), name] for name in ("left", "middle", "right")]
    said: list[bytes] = []

    async def work(command: list[str]) -> None:
        said.append((await anyio.run_process(command)).stdout)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for command in commands:
                group.start_soon(work, command)
    assert sorted(said) == [b"", b"", b"won\n"]
    for name in ("left", "middle", "right"):
        assert await store.get("ann", f"{name}-19") is not None
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_opens_the_file_anew(tmp_path: Path) -> None:
    store = SQLiteResponseStore(tmp_path / "state.db")
    first = store._opened()
    store._process = -1  # as after a fork: the connection is another process's
    second = store._opened()
    assert second is not first
    first.close()
    store.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MemoryResponseStore(ttl=0),
        lambda: MemoryResponseStore(max_bytes=0),
        lambda: MemoryResponseStore(max_entries=0),
        lambda: SQLiteResponseStore("state.db", ttl=-1),
        lambda: SQLiteResponseStore(":memory:"),
        lambda: SQLiteResponseStore(""),
    ],
)
def test_values_that_cannot_work_are_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()
