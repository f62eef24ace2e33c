"""Connections to SQLite files: who opened one closes it, in its own process only."""

from __future__ import annotations

import gc
import os
import sqlite3
from pathlib import Path

import pytest

from ds2api_asgi.asgi.sqlite_file import close_with, open_sqlite


class Owner:
    """What opens a connection; it refers to itself, so only the garbage collector finds that nobody has it."""

    def __init__(self) -> None:
        self.me = self


def database_at(folder: Path) -> sqlite3.Connection:
    return open_sqlite(folder / "some.db", schema="CREATE TABLE some (one TEXT);\n", version=1, timeout=1.0)


def is_open(database: sqlite3.Connection) -> bool:
    try:
        database.execute("SELECT one FROM some")
    except sqlite3.ProgrammingError:
        return False
    return True


def test_a_connection_closes_with_its_owner(tmp_path: Path) -> None:
    owner, database = Owner(), database_at(tmp_path)
    close_with(owner, database)
    gc.collect()
    assert is_open(database)
    del owner
    gc.collect()
    assert not is_open(database)


def test_a_connection_can_be_closed_before_its_owner_goes(tmp_path: Path) -> None:
    owner, database = Owner(), database_at(tmp_path)
    close = close_with(owner, database)
    close()
    assert not is_open(database)
    close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_does_not_close_what_came_over_the_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, database = Owner(), database_at(tmp_path)
    with monkeypatch.context() as forked:
        close_with(owner, database)
        forked.setattr(os, "getpid", lambda: -1)
        del owner
        gc.collect()
    assert is_open(database)
    database.close()
