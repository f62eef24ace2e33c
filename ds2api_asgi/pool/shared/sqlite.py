"""A ledger in an SQLite file, for several processes of one machine; a restart keeps what it holds.

A step is one transaction. With the write-ahead log and ``synchronous=NORMAL`` a commit is a write into the page cache
and waits for nothing: a step takes 70 microseconds (measured), and a worker thread to do it in would add 190. So steps
run where they are asked for. What may take long is left to threads: opening the file, waiting for another process that
writes, and moving the log into the file, which is what waits for the disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import anyio.to_thread

from ...asgi.sqlite_file import close_with, open_sqlite
from ...errors import ConfigurationError
from .ledger import KEEP, LedgerDown, Seen, Step
from .sqlite_step import SCHEMA, TABLES, Transaction
from .store import DEFAULT_LEASE_TTL, DEFAULT_RETRY, DEFAULT_TIMEOUT, OnFailure, SharedStore

__all__ = ["SCHEMA_VERSION", "SQLiteKeyStore", "SQLiteLedger"]

SCHEMA_VERSION: Final = 1
"""``PRAGMA user_version`` of the files that are written."""

_STEPS_TO_CHECKPOINT: Final = 1_000


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
        given_up = threading.Event()
        try:
            return await anyio.to_thread.run_sync(self._waiting, step, given_up, abandon_on_cancel=True)
        except (sqlite3.Error, OSError) as error:  # its folder may be missing, or be nobody's to write to
            raise LedgerDown(str(error)) from error
        finally:
            given_up.set()

    def close(self) -> None:
        """Close the file; the next step opens it again."""
        with self._lock:
            if self._database is not None and self._process == os.getpid():
                self._close()
            self._database = None

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._database = None
        self._steps = 0

    def _waiting(self, step: Step, given_up: threading.Event) -> Seen:
        if not self._lock.acquire(timeout=self._timeout):
            raise LedgerDown("another thread has waited for the file for too long")
        try:
            if self._database is None:
                self._database = self._open()
                self._close = close_with(self, self._database)
            database = self._database
            database.execute(f"PRAGMA busy_timeout = {int(self._timeout * 1000)}")
            try:
                database.execute("BEGIN IMMEDIATE")
            finally:
                database.execute("PRAGMA busy_timeout = 0")
            if given_up.is_set():  # its sums will be told once more, with the next step
                database.execute("ROLLBACK")
                raise LedgerDown("nobody waits for it any more")
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
            return Transaction(database, self._pool, self._now()).run(step)

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
        database = open_sqlite(
            self._path,
            schema=SCHEMA,
            version=SCHEMA_VERSION,
            timeout=self._timeout,
            pragmas=("wal_autocheckpoint = 0",),
        )
        try:
            self._forget_unused(database)
            database.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            database.close()
            raise
        return database

    def _forget_unused(self, database: sqlite3.Connection) -> None:
        """Forget pools that nobody has used for long; ours is used now."""
        database.execute("BEGIN IMMEDIATE")
        with database:
            now = self._now()
            database.execute("UPDATE pools SET used = ? WHERE pool = ?", (now, self._pool))
            unused = database.execute("SELECT pool FROM pools WHERE used < ?", (now - KEEP,)).fetchall()
            for table in TABLES:
                database.executemany(f"DELETE FROM {table} WHERE pool = ?", unused)  # noqa: S608 - names of ours


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


class SQLiteKeyStore(SharedStore):
    """Keeps the health of keys in a file: several processes of one machine use them as one, and restarts keep it.

    Cooldowns, probes, limits and the number of requests in flight hold for all processes together, and return when a
    process dies: its leases end after `lease_ttl`. A file on a network drive is not for it.

    When the file cannot be opened, or written for `timeout` seconds, the store goes on with what it knows, alone, as a
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
        """Close the file; the next operation opens it again. A store that nobody has any more closes it, too."""
        self._file.close()
