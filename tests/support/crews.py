"""A gateway of several workers, and clients that are sure of the one that they speak to."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from served import Served

__all__ = ["PASSWORD", "away", "door", "own_temporary", "state", "until", "workers_of"]

PASSWORD = "crew-canary-77-horses"
T = TypeVar("T")


def workers_of(served: Served) -> list[int]:
    """The processes that serve: the children that listen to their parent's pipes."""
    pid = served.process.pid
    children = [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


@contextmanager
def away(*pids: int) -> Iterator[None]:
    """Let processes stand still, as those do that hang."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        until(lambda pid=pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def door(served: Served, pid: int) -> Iterator[httpx.Client]:
    """A client whose connection one worker has, for all workers of uvicorn take from one socket."""
    with served.client(headers={"connection": "keep-alive"}) as client:
        with away(*(other for other in workers_of(served) if other != pid)):
            client.get("/health").raise_for_status()
        yield client


@contextmanager
def own_temporary() -> Iterator[Path]:
    """A folder for temporary files, with a short name: addresses of sockets are bounded."""
    folder = Path(tempfile.mkdtemp(prefix="crew-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def state(client: httpx.Client) -> Any:
    """The console's document."""
    answer = client.get("/console/api/state", headers={"authorization": f"Bearer {PASSWORD}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def until(found: Callable[[], T], *, seconds: float = 30.0) -> T:
    """Wait until something is found."""
    end = time.monotonic() + seconds
    while True:
        if one := found():
            return one
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
