"""Workers that ask each other: who answers, who hangs, who is dead, and what a socket can be sent."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crews import own_temporary
from ds2api_asgi.gateway.serving import peers as module
from ds2api_asgi.gateway.serving.peers import MAX_QUESTION, REST, Peers, Replies

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="there are no such sockets")]


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_temporary() as made:
        yield made


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def a_dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def echo(question: bytes) -> bytes:
    return b"heard " + question


@asynccontextmanager
async def meeting(folder: Path, *answers: Any, **options: Any) -> AsyncIterator[list[Peers]]:
    """One that asks, and one more for each answer."""
    made = [Peers(folder, len(answers) + 1, **options) for _ in range(len(answers) + 1)]
    async with AsyncExitStack() as stack:
        for one, answer in zip(made, (None, *answers), strict=True):
            one.answer = answer
            await stack.enter_async_context(one.listening())
        yield made


async def test_all_others_are_asked_at_once(folder: Path) -> None:
    async with meeting(folder, echo, echo) as (one, two, three):
        assert one.count == 3
        for insist in (False, True):
            found = await one.ask(b"hello", insist=insist)
            assert found == Replies(told={two.name: b"heard hello", three.name: b"heard hello"}, silent=0)
        assert await two.ask(b"x" * MAX_QUESTION) == Replies(
            told={three.name: b"heard " + b"x" * MAX_QUESTION}, silent=0
        )
        assert modes(folder) == {0o600}
    assert names(folder) == set()
    assert await one.ask(b"hello") == Replies(told={}, silent=0)


async def test_who_has_nobody_to_answer_or_no_answer_is_there_and_tells_nothing(folder: Path, caplog: Any) -> None:
    async def nonsense(question: bytes) -> bytes:
        raise ValueError(question)

    async def broken(question: bytes) -> bytes:
        raise LookupError(question)

    async with meeting(folder, None, nonsense, broken, echo) as (one, *_, last):
        assert (await one.ask(b"hello")).told == {last.name: b"heard hello"}
        one._resting.clear()
        assert await one.ask(b"hello") == Replies(told={last.name: b"heard hello"}, silent=2)
    assert [record.getMessage() for record in caplog.records] == ["another worker could not be answered"] * 2
    assert "hello" not in caplog.records[0].getMessage()


async def test_one_that_hangs_is_left_alone_for_a_while_but_for_what_matters(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(module, "INSISTENCE", 0.05)
    now, asked = [100.0], []

    async def hang(question: bytes) -> bytes:
        asked.append(question)
        await anyio.sleep_forever()
        raise AssertionError

    async with meeting(folder, hang, clock=lambda: now[0]) as (one, hung):
        silent = Replies(told={}, silent=1)
        assert await one.ask(b"1") == silent
        assert await one.ask(b"2") == silent
        assert await one.ask(b"3", insist=True) == silent
        assert b"2" not in asked
        hung.answer = echo
        monkeypatch.setattr(module, "PATIENCE", 30.0)
        now[0] += REST
        assert await one.ask(b"4") == Replies(told={hung.name: b"heard 4"}, silent=0)


async def test_a_question_reaches_one_that_hung_when_it_goes_on(folder: Path, monkeypatch: Any) -> None:
    """As a process does that stands still: its socket takes connections, and nobody reads them."""
    monkeypatch.setattr(module, "INSISTENCE", 1.0)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(folder / f"{os.getpid()}-hung.sock"))
        hung.listen()
        assert (await Peers(folder, 2).ask(b"an order", insist=True)).silent == 1
        connection, _ = hung.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b"\0\0\0\x08an order"


async def test_what_the_dead_leave_is_cleared_away_and_nothing_else(folder: Path) -> None:
    for pid in (a_dead_pid(), os.getpid()):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(folder / f"{pid}-0a.sock"))
    async with meeting(folder, echo) as (one, two):
        for _ in range(2):
            assert await one.ask(b"?") == Replies(told={two.name: b"heard ?"}, silent=0)
        assert names(folder) == {f"{os.getpid()}-0a.sock", f"{one.name}.sock", f"{two.name}.sock"}


async def test_where_nobody_can_listen_it_is_logged_and_nothing_else_changes(folder: Path, caplog: Any) -> None:
    os.chmod(folder, 0o750)
    long = folder / ("long" * 40)
    os.mkdir(long, mode=0o700)
    for place in (folder, folder / "nowhere", long):
        one = Peers(place, 2)
        async with one.listening():
            assert await one.ask(b"hello") == Replies(told={}, silent=0)
    os.chmod(folder, 0o700)
    assert all("the other workers cannot ask this one" in record.getMessage() for record in caplog.records)
    assert len(caplog.records) == 3
    assert names(folder) == {long.name}


async def test_messages_are_bounded(folder: Path, monkeypatch: Any) -> None:
    async with meeting(folder, echo) as (one, two):
        assert await one.ask(b"x" * (MAX_QUESTION + 1), insist=True) == Replies(told={}, silent=1)
        monkeypatch.setattr(module, "MAX_REPLY", 10)
        assert (await one.ask(b"longer than that", insist=True)).told == {}
        assert (await one.ask(b"1", insist=True)).told == {two.name: b"heard 1"}


async def test_no_more_are_answered_at_a_time_than_may_be_and_none_is_dropped(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_ANSWERED", 2)
    monkeypatch.setattr(module, "INSISTENCE", 30.0)
    now, most = 0, 0

    async def count(question: bytes) -> bytes:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.sleep(0.001)
        now -= 1
        return question

    async with meeting(folder, count) as (one, two), anyio.create_task_group() as group:
        found: list[Replies] = []

        async def ask(number: int) -> None:
            found.append(await one.ask(b"%d" % number, insist=True))

        for number in range(20):
            group.start_soon(ask, number)
    assert sorted(int(one.told[two.name]) for one in found) == list(range(20))
    assert most <= 2


async def test_connections_are_taken_again_when_there_was_no_room_for_one(
    folder: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)

    class Full:
        """A listener that has too many files open at first."""

        def __init__(self, listener: Any) -> None:
            self._listener = listener
            self._full = 3

        async def accept(self) -> Any:
            if self._full:
                self._full -= 1
                raise OSError(24, "Too many open files")
            return await self._listener.accept()

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *_: object) -> None:
            await self._listener.aclose()

    one, two = Peers(folder, 2), Peers(folder, 2)
    two.answer = echo
    listen = two._listen

    async def full() -> Any:
        return Full(await listen())

    monkeypatch.setattr(two, "_listen", full)
    async with two.listening():
        assert (await one.ask(b"1", insist=True)).told == {two.name: b"heard 1"}
    assert len(caplog.records) == 3


framed = st.binary(max_size=40).map(lambda raw: len(raw).to_bytes(4, "big") + raw)


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=60) | framed, min_size=1, max_size=5))
def test_nothing_that_a_socket_is_sent_breaks_a_worker(sent: list[bytes]) -> None:
    async def check(folder: Path) -> None:
        async with meeting(folder, echo) as (one, two):
            for raw in sent:
                async with await anyio.connect_unix(folder / f"{two.name}.sock") as stream:
                    await stream.send(raw)
            assert (await one.ask(b"still there?")).told == {two.name: b"heard still there?"}

    with own_temporary() as folder:
        anyio.run(check, folder)
