"""One step of a ledger in SQLite: the tables, and what a transaction does with them."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from ..windows import PARTS, Window
from .ledger import Change, Seen, Status, Step, Take, WindowUse

__all__ = ["SCHEMA", "TABLES", "Transaction"]

SCHEMA: Final = """
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
"""Statements, parted by a semicolon at the end of a line."""

TABLES: Final = ("records", "leases", "counts", "sums", "parts", "pools")
"""All of them, each with a column ``pool``."""

_MAX_GONE: Final = 256  # records that are no more, of which those shall hear that have not looked for a while
_HELD: Final = msgspec.msgpack.Decoder(tuple[tuple[str, ...], tuple[str, ...]])


class Transaction:
    """One step in an open transaction.

    Args:
        database: The file, in a transaction that may write.
        pool: The pool's name.
        now: Seconds of the ledger's clock.
    """

    def __init__(self, database: sqlite3.Connection, pool: str, now: float) -> None:
        self._database = database
        self._pool = pool
        self._now = now
        self._counts: dict[str, int] = {}
        self._parts: list[int] = []
        self._sequence = 0
        self._bumped = False

    def run(self, step: Step) -> Seen:
        """Do the step."""
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
            self._update("UPDATE pools SET sequence = ? WHERE pool = ?", self._sequence)
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
                self._update("UPDATE leases SET deadline = ? WHERE id = ? AND pool = ?", self._now + step.ttl, lease.id)
        for name, amount in step.sums:
            self._do(
                "INSERT INTO sums VALUES (?, ?, ?) ON CONFLICT (pool, name) DO UPDATE SET sum = sum + excluded.sum",
                name, amount,
            )  # fmt: skip
        for window, part, difference in step.corrections:
            self._update(
                "UPDATE parts SET taken = max(taken + ?, 0) WHERE window = ? AND part = ? AND pool = ?",
                difference, window, part,
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
            self._do("DELETE FROM parts WHERE pool = ? AND window = ? AND part < ?", use.name, part - PARTS - 1)
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
                self._update(
                    "UPDATE records SET probe = '', version = ? WHERE name = ? AND pool = ?", self._sequence, name
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
                self._update("UPDATE pools SET floor = ? WHERE pool = ?", self._sequence)

    def _bump(self) -> None:
        if not self._bumped:
            self._bumped = True
            self._sequence += 1

    def _do(self, sql: str, *arguments: Any) -> None:
        self._database.execute(sql, (self._pool, *arguments))

    def _update(self, sql: str, *arguments: Any) -> None:
        """A statement whose last argument is the pool, since what is set comes first."""
        self._database.execute(sql, (*arguments, self._pool))

    def _row(self, sql: str, *arguments: Any) -> Any:
        return self._database.execute(sql, (self._pool, *arguments)).fetchone()

    def _rows(self, sql: str, *arguments: Any) -> list[Any]:
        return self._database.execute(sql, (self._pool, *arguments)).fetchall()
