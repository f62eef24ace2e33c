"""A ledger in an SQLite file, for several processes of one machine; a restart keeps what it holds.

A step is one transaction. With the write-ahead log and ``synchronous=NORMAL`` a commit is a write into the page cache
(measured: 10 to 60 microseconds), and a thread to do it in would cost ten times as much; so steps run where they are
asked for. What may take long is left to threads: opening the file, waiting for another process that writes, and moving
the log into the file, which is what waits for the disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import anyio.to_thread
import msgspec

from ..errors import ConfigurationError
from .ledger import KEEP, Change, LedgerDown, Seen, Status, Step, Take, WindowUse
from .shared import DEFAULT_LEASE_TTL, DEFAULT_RETRY, DEFAULT_TIMEOUT, OnFailure, SharedStore
from .windows import PARTS, Window

__all__ = ["SCHEMA_VERSION", "SQLiteKeyStore", "SQLiteLedger"]

SCHEMA_VERSION: Final = 1
"""``PRAGMA user_version`` of the files that are written."""

_SCHEMA: Final = """
CREATE TABLE pools (
    pool TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    floor INTEGER NOT NULL,      -- records that are no more are not told from before it
    used REAL NOT NULL           -- when somebody last began to use it
) WITHOUT ROWID;
CREATE TABLE records (
    pool TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    probe TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pool, name)
) WITHOUT ROWID;
CREATE INDEX records_version ON records (pool, version);
CREATE TABLE leases (
    pool TEXT NOT NULL,
    id TEXT NOT NULL,
    deadline REAL NOT NULL,
    held BLOB NOT NULL,          -- MessagePack: the names it counts under, and the records it probes
    PRIMARY KEY (pool, id)
) WITHOUT ROWID;
CREATE INDEX leases_deadline ON leases (pool, deadline);
CREATE TABLE counts (
    pool TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (pool, name)
) WITHOUT ROWID;
CREATE TABLE sums (
    pool TEXT NOT NULL,
    name TEXT NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (pool, name)
) WITHOUT ROWID;
CREATE TABLE parts (
    pool TEXT NOT NULL,
    window TEXT NOT NULL,
    part INTEGER NOT NULL,
    taken REAL NOT NULL,
    PRIMARY KEY (pool, window, part)
) WITHOUT ROWID
"""
_TABLES: Final = ("records", "leases", "counts", "sums", "parts", "pools")
_MAX_GONE: Final = 256  # records that are no more, of which those shall hear that have not looked for a while
_STEPS_TO_CHECKPOINT: Final = 1_000
_HELD: Final = msgspec.msgpack.Decoder(tuple[tuple[str, ...], tuple[str, ...]])


class SQLiteLedger:
    """See the module.

    Args:
        path: The file.
        clock: Unix seconds, the same for all processes.
        timeout: Seconds to wait for another process that writes.
    """

    _database: sqlite3.Connection | None

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float], timeout: float) -> None:
        self._path = Path(path)
        if str(path) == ":memory:" or not self._path.name:
            raise ConfigurationError("path is a file's; MemoryStore keeps the health of keys in memory")
        self.clock: Callable[[], float] | None = clock
        self._now = clock
        self._timeout = timeout
        self._pool = ""
        self._begin()

    def open(self, pool: str) -> None:
        """Say which pool it is for; see `Ledger.open`."""
        self._pool = pool

    def at_once(self, step: Step) -> Seen | None:
        """Do a step if nobody need be waited for; see `Ledger.at_once`."""
        if self._process != os.getpid():
            self._begin()  # a connection that came over a fork must not be used, and its lock may be held for ever
        if self._steps >= _STEPS_TO_CHECKPOINT or not self._lock.acquire(blocking=False):
            return None
        try:
            database = self._database
            if database is None:
                return None
            database.execute("BEGIN IMMEDIATE")
            return self._transaction(database, step)
        except sqlite3.Error as error:
            if _is_busy(error):
                return None
            raise LedgerDown(str(error)) from error
        finally:
            self._lock.release()

    async def step(self, step: Step) -> Seen:
        """Do a step; see `Ledger.step`."""
        try:
            return await anyio.to_thread.run_sync(self._waiting, step, abandon_on_cancel=True)
        except sqlite3.Error as error:
            raise LedgerDown(str(error)) from error

    def close(self) -> None:
        """Close the file; the next step opens it again."""
        with self._lock:
            if self._database is not None and self._process == os.getpid():
                self._database.close()
            self._database = None

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._database = None
        self._steps = 0

    def _waiting(self, step: Step) -> Seen:
        if not self._lock.acquire(timeout=self._timeout):
            raise LedgerDown("another thread has waited for the file for too long")
        try:
            if self._database is None:
                self._database = self._open()
            database = self._database
            database.execute(f"PRAGMA busy_timeout = {int(self._timeout * 1000)}")
            try:
                database.execute("BEGIN IMMEDIATE")
            finally:
                database.execute("PRAGMA busy_timeout = 0")
            seen = self._transaction(database, step)
            if self._steps >= _STEPS_TO_CHECKPOINT:
                self._steps = 0
                self._checkpoint()
            return seen
        finally:
            self._lock.release()

    def _transaction(self, database: sqlite3.Connection, step: Step) -> Seen:
        self._steps += 1
        with database:
            return _Transaction(database, self._pool, self._now()).run(step)

    def _checkpoint(self) -> None:
        """Move the log into the file, and write once, since the first to write after that waits for the disk."""
        database = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None)
        try:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
            database.execute("UPDATE pools SET used = ? WHERE pool = ?", (self._now(), self._pool))
        except sqlite3.OperationalError as error:
            if not _is_busy(error):  # another process does the same
                raise
        finally:
            database.close()

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA wal_autocheckpoint = 0")
            self._prepare(database)
            database.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")  # of several processes that start at once, one makes the tables
        with database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise ConfigurationError(f"{self._path} is of a newer version ({version})")
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            now = self._now()
            database.execute("UPDATE pools SET used = ? WHERE pool = ?", (now, self._pool))
            unused = database.execute("SELECT pool FROM pools WHERE used < ?", (now - KEEP,)).fetchall()
            for table in _TABLES:
                database.executemany(f"DELETE FROM {table} WHERE pool = ?", unused)  # noqa: S608 - names of ours


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


class _Transaction:
    """One step in an open transaction."""

    def __init__(self, database: sqlite3.Connection, pool: str, now: float) -> None:
        self._database = database
        self._pool = pool
        self._now = now
        self._counts: dict[str, int] = {}
        self._parts: list[int] = []
        self._sequence = 0
        self._bumped = False

    def run(self, step: Step) -> Seen:
        row = self._row("SELECT epoch, sequence, floor FROM pools WHERE pool = ?")
        if row is None:
            row = (step.fresh_epoch, 0, 0)
            self._do("INSERT INTO pools VALUES (?, ?, 0, 0, ?)", step.fresh_epoch, self._now)
        epoch, before, floor = row
        self._sequence = max(before, step.base)
        cursor = -1 if step.epoch != epoch or step.cursor < floor else step.cursor
        self._settle(step)
        status = self._check(step, cursor)
        if status is Status.DONE:
            if step.take is not None:
                self._take(step.take, step.ttl)
            if step.records:
                self._write(step)
        if self._sequence != before:
            self._do("UPDATE pools SET sequence = ?2 WHERE pool = ?1", self._sequence)
        counts, sums = list(self._counts.items()), []
        windows: dict[str, list[tuple[int, float]]] = {}
        all_counts = step.all_counts or status is Status.FULL
        if all_counts:
            counts = self._rows("SELECT name, count FROM counts WHERE pool = ?")
            sums = self._rows("SELECT name, sum FROM sums WHERE pool = ?")
            for name, part, taken in self._rows("SELECT window, part, taken FROM parts WHERE pool = ? ORDER BY part"):
                windows.setdefault(name, []).append((part, taken))
        changes = []
        if cursor < self._sequence:
            found = self._rows("SELECT name, text, probe, version FROM records WHERE pool = ? AND version > ?", cursor)
            changes = [Change(*row) for row in found]
        return Seen(
            status=status, epoch=epoch, sequence=self._sequence, now=self._now, whole=cursor == -1, changes=changes,
            all_counts=all_counts, counts=counts, sums=sums, windows=list(windows.items()), parts=self._parts,
        )  # fmt: skip

    def _settle(self, step: Step) -> None:
        """What is done whatever the step's conditions are."""
        for (id_,) in self._rows("SELECT id FROM leases WHERE pool = ? AND deadline <= ?", self._now):
            self._give_back(id_)
        for id_ in step.give:
            self._give_back(id_)
        if step.take is not None:
            self._give_back(step.take.id)
        for lease in step.renew:
            if self._row("SELECT 1 FROM leases WHERE pool = ? AND id = ?", lease.id) is None:
                self._hold(lease, step.ttl)
            else:
                self._do("UPDATE leases SET deadline = ?3 WHERE pool = ?1 AND id = ?2", lease.id, self._now + step.ttl)
        for name, amount in step.sums:
            self._do(
                "INSERT INTO sums VALUES (?, ?, ?) ON CONFLICT (pool, name) DO UPDATE SET sum = sum + excluded.sum",
                name, amount,
            )  # fmt: skip
        for window, part, difference in step.corrections:
            self._do(
                "UPDATE parts SET taken = max(taken + ?4, 0) WHERE pool = ?1 AND window = ?2 AND part = ?3",
                window, part, difference,
            )  # fmt: skip

    def _check(self, step: Step, cursor: int) -> Status:
        if step.strict and (self._sequence != step.cursor or cursor == -1):
            return Status.CONFLICT
        if step.needs and self._row("SELECT 1 FROM leases WHERE pool = ? AND id = ?", step.needs) is None:
            return Status.GONE
        if step.take is not None:
            for name, most in step.take.counters:
                row = self._row("SELECT count FROM counts WHERE pool = ? AND name = ?", name)
                count = self._counts[name] = 0 if row is None else row[0]
                if most and count >= most:
                    return Status.FULL
            for use in step.take.windows:
                if self._window(use).ready_at(use.room, self._now) > self._now:
                    return Status.FULL
        return Status.DONE

    def _window(self, use: WindowUse) -> Window:
        window = Window(use.limit, use.seconds)
        window.recall(self._rows("SELECT part, taken FROM parts WHERE pool = ? AND window = ? ORDER BY part", use.name))
        return window

    def _take(self, take: Take, ttl: float) -> None:
        for use in take.windows:
            part = self._window(use).take(use.amount, self._now)
            self._parts.append(part)
            self._do(
                "INSERT INTO parts VALUES (?, ?, ?, ?)"
                " ON CONFLICT (pool, window, part) DO UPDATE SET taken = taken + excluded.taken",
                use.name, part, use.amount,
            )  # fmt: skip
            self._do("DELETE FROM parts WHERE pool = ?1 AND window = ?2 AND part < ?3", use.name, part - PARTS - 1)
        self._hold(take, ttl)

    def _hold(self, take: Take, ttl: float) -> None:
        for name, _ in take.counters:
            (self._counts[name],) = self._row(
                "INSERT INTO counts VALUES (?, ?, 1) ON CONFLICT (pool, name) DO UPDATE SET count = count + 1"
                " RETURNING count",
                name,
            )
        held = msgspec.msgpack.encode(([name for name, _ in take.counters], take.probes))
        self._do("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", take.id, self._now + ttl, held)

    def _give_back(self, id_: str) -> None:
        row = self._row("DELETE FROM leases WHERE pool = ? AND id = ? RETURNING held", id_)
        if row is None:
            return
        names, probed = _HELD.decode(row[0])
        for name in names:
            (count,) = self._row(
                "UPDATE counts SET count = count - 1 WHERE pool = ? AND name = ? RETURNING count", name
            ) or (0,)
            self._counts[name] = max(count, 0)
            if count <= 0:
                self._do("DELETE FROM counts WHERE pool = ? AND name = ?", name)
        for name in probed:
            if self._row("SELECT 1 FROM records WHERE pool = ? AND name = ? AND probe = ?", name, id_) is not None:
                self._bump()
                self._do(
                    "UPDATE records SET probe = '', version = ?3 WHERE pool = ?1 AND name = ?2", name, self._sequence
                )

    def _write(self, step: Step) -> None:
        self._bump()
        self._sequence = max(self._sequence, step.stamp)
        for record in step.records:
            self._do(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                record.name, record.text, record.probe, self._sequence,
            )  # fmt: skip
        if any(not record.text for record in step.records):
            (gone,) = self._row("SELECT count(*) FROM records WHERE pool = ? AND text = ''") or (0,)
            if gone > _MAX_GONE:
                self._do("DELETE FROM records WHERE pool = ? AND text = ''")
                self._do("UPDATE pools SET floor = ?2 WHERE pool = ?1", self._sequence)

    def _bump(self) -> None:
        if not self._bumped:
            self._bumped = True
            self._sequence += 1

    def _do(self, sql: str, *arguments: Any) -> None:
        self._database.execute(sql, (self._pool, *arguments))

    def _row(self, sql: str, *arguments: Any) -> Any:
        return self._database.execute(sql, (self._pool, *arguments)).fetchone()

    def _rows(self, sql: str, *arguments: Any) -> list[Any]:
        return self._database.execute(sql, (self._pool, *arguments)).fetchall()


class SQLiteKeyStore(SharedStore):
    """Keeps the health of keys in a file: several processes of one machine use them as one, and restarts keep it.

    Cooldowns, probes, limits and the number of requests in flight hold for all processes together, and return when a
    process dies: its leases end after `lease_ttl`. A file on a network drive is not for it.

    When the file cannot be written for `timeout` seconds, the store goes on with what it knows, alone, as a
    `MemoryStore` would: cooldowns stay, limits hold for each process by itself. It logs this once, tries again every
    few seconds, and then writes what it learned meanwhile. With ``on_failure="refuse"`` requests are refused with 503
    until then.

        KeyPool(app, protocol="openai-chat", keys=KEYS, store=SQLiteKeyStore("/var/lib/gateway/keys.db"))

    Args:
        path: The file; made by the first operation, readable by its owner only. Its folder must be there.
        name: What the pool is called there. None: a digest of its keys' aliases, so that pools never mix; a pool with
            a name keeps what it knows when keys are added.
        lease_ttl: Seconds after which the leases of a process that died are given back.
        timeout: Seconds that an operation may wait for the file.
        on_failure: ``"local"`` or ``"refuse"``.
        retry_every: Seconds between two attempts to reach it again.
        clock: Unix seconds.
        rng: Where strategies take their chance from; None: one of its own.

    Raises:
        ConfigurationError: A path that is no file's, a time that is not positive; from the first operation on: the
            file is of a newer version of this library.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        lease_ttl: float = DEFAULT_LEASE_TTL,
        timeout: float = DEFAULT_TIMEOUT,
        on_failure: OnFailure = "local",
        retry_every: float = DEFAULT_RETRY,
        clock: Callable[[], float] = time.time,
        rng: Random | None = None,
    ) -> None:
        self._file = SQLiteLedger(path, clock=clock, timeout=timeout)
        super().__init__(
            self._file,
            name=name,
            lease_ttl=lease_ttl,
            timeout=timeout,
            on_failure=on_failure,
            retry_every=retry_every,
            rng=rng,
        )

    def close(self) -> None:
        """Close the file; the next operation opens it again."""
        self._file.close()
