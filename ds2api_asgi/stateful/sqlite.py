"""Responses in an SQLite file, which several processes of one machine share and which a restart keeps.

SQLite's write-ahead log lets readers and one writer at it at once (https://sqlite.org/wal.html, read 2026-11-28); a
file on a network drive is not for it. Every operation is one transaction in a worker thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio.to_thread
import msgspec

from ..asgi.sqlite_file import close_with, open_sqlite
from ..errors import ConfigurationError
from .items import named_items
from .store import DEFAULT_TTL, checked_ttl
from .stored import RUNNING, StoredResponse

__all__ = ["SCHEMA_VERSION", "SQLiteResponseStore"]

SCHEMA_VERSION: Final = 1
"""``PRAGMA user_version`` of the files that are written."""

_SCHEMA: Final = """
CREATE TABLE responses (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order in which they were written
    client TEXT NOT NULL,
    id TEXT NOT NULL,
    previous TEXT,
    status TEXT NOT NULL,
    background INTEGER NOT NULL,
    document BLOB NOT NULL,
    input BLOB NOT NULL,                       -- MessagePack: array of binaries
    events BLOB NOT NULL,                      -- the same
    lease REAL,
    expires REAL NOT NULL,
    UNIQUE (client, id)
);
CREATE INDEX responses_expires ON responses (expires);
CREATE TABLE items (
    client TEXT NOT NULL,
    id TEXT NOT NULL,
    response INTEGER NOT NULL REFERENCES responses (number) ON DELETE CASCADE
);
CREATE INDEX items_id ON items (client, id);
CREATE INDEX items_response ON items (response);
"""
# What a response continues lives as long as it does; UNION, not UNION ALL, ends where a conversation bites its tail.
_OUTLIVE: Final = """
WITH RECURSIVE chain (id) AS (
    SELECT :id
    UNION
    SELECT responses.previous FROM responses JOIN chain USING (id) WHERE client = :client AND expires > :now
)
UPDATE responses SET expires = max(expires, :expires)
WHERE client = :client AND expires > :now AND id IN (SELECT id FROM chain WHERE id IS NOT NULL)
"""
_COLUMNS: Final = "id, previous, status, background, document, input, events, lease"
_BUSY: Final = 10.0  # seconds that one process waits for another's transaction
_RUNNING: Final = ", ".join(f"'{status}'" for status in sorted(RUNNING))
_BLOBS: Final = msgspec.msgpack.Decoder(tuple[bytes, ...])

T = TypeVar("T")


class SQLiteResponseStore:
    """Keeps responses in a file.

    ``sqlite3.Error`` comes out of its methods when the file cannot be read or written.

    Args:
        path: The file; made with the first response, readable by its owner only. Its folder must be there.
        ttl: Seconds that a response is kept; expired ones are removed with the next that is written.
        clock: Unix seconds.

    Raises:
        ConfigurationError: A time that is not positive, a path that is no file's; from the first operation on: the
            file is of a newer version of this library.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, ttl: float = DEFAULT_TTL, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = Path(path)
        if str(path) == ":memory:" or not self._path.name:
            raise ConfigurationError("path is a file's; MemoryResponseStore keeps responses in memory")
        self._ttl = checked_ttl(ttl)
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    async def put(self, client: str, response: StoredResponse) -> None:
        """Keep a response; see `ResponseStore.put`."""
        await self._run(lambda database: self._keep(database, client, response))

    async def advance(self, client: str, response: StoredResponse) -> bool:
        """Replace a running response; see `ResponseStore.advance`."""

        def advance(database: sqlite3.Connection) -> bool:
            found = self._row(database, client, response.id)
            if found is None or not found.running:
                return False
            self._keep(database, client, response)
            return True

        return await self._run(advance)

    async def renew(self, client: str, id_: str, *, lease: float) -> bool:
        """Vouch for a running response; see `ResponseStore.renew`."""
        sql = f"UPDATE responses SET lease = ? WHERE client = ? AND id = ? AND expires > ? AND status IN ({_RUNNING})"  # noqa: S608
        arguments = (lease, client, id_, self._clock())
        return await self._run(lambda database: database.execute(sql, arguments).rowcount > 0)

    async def get(self, client: str, id_: str) -> StoredResponse | None:
        """The response; see `ResponseStore.get`."""
        return await self._run(lambda database: self._row(database, client, id_), writes=False)

    async def history(self, client: str, id_: str) -> tuple[StoredResponse, ...] | None:
        """The response and what it continues; see `ResponseStore.history`."""
        chain = await self._run(lambda database: self._chain(database, client, id_), writes=False)
        whole = bool(chain) and chain[-1].previous is None
        return tuple(reversed(chain)) if whole else None

    async def items(self, client: str, ids: Iterable[str]) -> dict[str, bytes]:
        """Items by their ids; see `ResponseStore.items`."""
        wanted = list(ids)

        def items(database: sqlite3.Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for id_ in wanted:
                row = database.execute(
                    f"SELECT {', '.join(f'responses.{name}' for name in _COLUMNS.split(', '))} FROM items"  # noqa: S608
                    " JOIN responses ON responses.number = items.response"
                    " WHERE items.client = ? AND items.id = ? AND expires > ? ORDER BY number DESC LIMIT 1",
                    (client, id_, self._clock()),
                ).fetchone()
                if row is not None:
                    found[id_] = dict(named_items(_response(row)))[id_]
            return found

        return await self._run(items, writes=False)

    async def delete(self, client: str, id_: str) -> bool:
        """Forget a response; see `ResponseStore.delete`."""

        def delete(database: sqlite3.Connection) -> bool:
            there = self._row(database, client, id_) is not None
            database.execute("DELETE FROM responses WHERE client = ? AND id = ?", (client, id_))
            return there

        return await self._run(delete)

    def close(self) -> None:
        """Close the file; the next operation opens it again. A store that nobody has any more closes it, too."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._close()
            self._connection = None

    def _row(self, database: sqlite3.Connection, client: str, id_: str) -> StoredResponse | None:
        row = database.execute(
            f"SELECT {_COLUMNS} FROM responses WHERE client = ? AND id = ? AND expires > ?",  # noqa: S608
            (client, id_, self._clock()),
        ).fetchone()
        return None if row is None else _response(row)

    def _chain(self, database: sqlite3.Connection, client: str, id_: str | None) -> list[StoredResponse]:
        """The response and what it continues, newest first, as far as it is there."""
        chain: dict[str, StoredResponse] = {}
        while id_ is not None and id_ not in chain:
            found = self._row(database, client, id_)
            if found is None:
                break
            chain[id_] = found
            id_ = found.previous
        return list(chain.values())

    def _keep(self, database: sqlite3.Connection, client: str, response: StoredResponse) -> None:
        now = self._clock()
        expires = now + self._ttl
        database.execute("DELETE FROM responses WHERE expires <= ?", (now,))
        database.execute("DELETE FROM responses WHERE client = ? AND id = ?", (client, response.id))
        number = database.execute(
            f"INSERT INTO responses (client, expires, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                client,
                expires,
                response.id,
                response.previous,
                response.status,
                response.background,
                response.document,
                msgspec.msgpack.encode(response.input),
                msgspec.msgpack.encode(response.events),
                response.lease,
            ),
        ).lastrowid
        ids = dict.fromkeys(id_ for id_, _ in named_items(response))
        database.executemany("INSERT INTO items VALUES (?, ?, ?)", [(client, id_, number) for id_ in ids])
        database.execute(_OUTLIVE, {"client": client, "id": response.previous, "now": now, "expires": expires})

    async def _run(self, operation: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        def transaction() -> T:
            with self._lock:
                database = self._opened()
                # Who may write says so at once: a reader that wants to write later may find that it cannot.
                database.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                with database:
                    return operation(database)

        return await anyio.to_thread.run_sync(transaction)

    def _opened(self) -> sqlite3.Connection:
        """The connection of this process: one that came over a fork must not be used."""
        if self._connection is None or self._process != os.getpid():
            self._connection = open_sqlite(
                self._path, schema=_SCHEMA, version=SCHEMA_VERSION, timeout=_BUSY, pragmas=("foreign_keys = ON",)
            )
            self._close = close_with(self, self._connection)
            self._process = os.getpid()
        return self._connection


def _response(row: Any) -> StoredResponse:
    id_, previous, status, background, document, input_, events, lease = row
    return StoredResponse(
        id=id_,
        previous=previous,
        status=status,
        background=bool(background),
        document=document,
        input=_BLOBS.decode(input_),
        events=_BLOBS.decode(events),
        lease=lease,
    )
