"""An SQLite file that several processes of one machine share: its owner's only, with tables of a known version."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import ConfigurationError

__all__ = ["close_with", "open_sqlite"]


def open_sqlite(
    path: Path, *, schema: str, version: int, timeout: float, pragmas: Sequence[str] = ()
) -> sqlite3.Connection:
    """Open the file, and make it and its tables where they are missing.

    Args:
        path: The file; its folder must be there.
        schema: Statements that make the tables, each ended by ``;`` and a line end.
        version: Theirs, as ``PRAGMA user_version`` has it.
        timeout: Seconds to wait for another process that writes.
        pragmas: Settings of the connection: ``"foreign_keys = ON"``.

    Returns:
        A connection in autocommit mode, which any thread may use.

    Raises:
        ConfigurationError: The file is of a newer version.
        sqlite3.Error: It cannot be opened, or is no such file.
    """
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # what it will hold is nobody else's
    database = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", *pragmas):
            database.execute(f"PRAGMA {pragma}")
        _make_tables(database, path, schema, version)
    except BaseException:
        database.close()
        raise
    return database


def close_with(owner: object, database: sqlite3.Connection) -> Callable[[], object]:
    """Close a connection when nobody has its owner any more, at the latest when the process ends.

    A forked process must not close what came over the fork (https://sqlite.org/howtocorrupt.html, section 2.6, read
    2026-11-29), so there it stays as it is for as long as its owner.

    Args:
        owner: What opened it.
        database: The connection.

    Returns:
        What closes it now.
    """
    return weakref.finalize(owner, _close, database, os.getpid())


def _close(database: sqlite3.Connection, process: int) -> None:
    if os.getpid() == process:
        database.close()


def _make_tables(database: sqlite3.Connection, path: Path, schema: str, version: int) -> None:
    database.execute("BEGIN IMMEDIATE")  # of several processes that start at once, one makes the tables
    with database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found > version:
            raise ConfigurationError(f"{path} is of a newer version ({found})")
        if found == 0:
            for statement in schema.split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {version}")
