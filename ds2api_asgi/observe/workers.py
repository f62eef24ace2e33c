"""Several workers, one scrape: whichever worker is asked tells the numbers of all.

It stands on prometheus-client's multiprocess mode (https://prometheus.github.io/client_python/multiprocess/, read
2026-11-29), which ``PROMETHEUS_MULTIPROC_DIR`` switches on when prometheus-client is imported: every process writes its
numbers into files of that directory. What that mode leaves to others is done here:

- `prepare` makes the directory and empties it, before the first worker starts.
- How keys, queues and breakers stand is written beside the numbers (`Workers.write`), once a second.
- What a worker that is no more had counted is added to one file for all of them, so that counters never fall, and its
  own files go (by `Workers.read`). Whether it is no more is asked of the system by its process id, so all workers must
  live on one machine, in one container.

| file | holds |
|---|---|
| ``counter_PID.db``, ``histogram_PID.db``, ``gauge_MODE_PID.db`` | prometheus-client's, of a worker |
| ``counter_0.db``, ``histogram_0.db`` | of all workers that are no more |
| ``standing_PID.json``, ``standing_0.json`` | how things stand in a worker; what keys of the others had counted |
| ``lock`` | held by who reads all of it, or buries |
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import structs

from ..errors import ConfigurationError
from .extras import need
from .standing import Told, merged

__all__ = ["STALE", "VARIABLE", "Workers", "is_multiprocess", "lives", "prepare"]

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that says where; prometheus-client reads it when it is imported."""

STALE: Final = 30.0
"""Seconds after which a worker that tells nothing any more is left out, though its process lives."""

_FOLDED: Final = ("counter", "histogram", "summary")
_DEAD: Final = 0  # no process has this id


def prepare(directory: str | os.PathLike[str]) -> None:
    """Make the directory, or empty it of what an earlier run left; nothing else in it is touched.

    To be called by the process that starts the workers, before it does, with `VARIABLE` in their environment.

    Args:
        directory: Of this gateway alone.

    Raises:
        OSError: It cannot be made or written to.
    """
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.db", "*.db.buried", "standing_*.json", "standing_*.new"):
        for file in path.glob(pattern):
            file.unlink(missing_ok=True)
    (path / "lock").touch()


def is_multiprocess() -> bool:
    """Whether prometheus-client was told to write numbers into files, when it was imported."""
    return bool(getattr(need("prometheus_client.values", extra="metrics").ValueClass, "_multiprocess", False))


class Workers:
    """The directory, as one worker sees it.

    Args:
        directory: See `prepare`.

    Raises:
        ConfigurationError: It is not there.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._path = Path(directory)
        if not self._path.is_dir():
            raise ConfigurationError(f"{VARIABLE} is not a directory")

    def write(self, told: Told) -> None:
        """Tell the others how things stand here."""
        file = self._path / f"standing_{os.getpid()}.json"
        fresh = self._path / f"standing_{os.getpid()}.new"
        fresh.write_bytes(msgspec.json.encode(told))
        fresh.replace(file)

    def read(self, registry: Any, *, now: float) -> Told:
        """Put all numbers into a registry, and tell how things stand everywhere. It reads files: not for an event loop.

        Args:
            registry: An empty one.
            now: Unix time.
        """
        multiprocess = need("prometheus_client.multiprocess", extra="metrics")
        with self._locked():
            self._bury()
            found = list(multiprocess.MultiProcessCollector(None, path=str(self._path)).collect())
            standings = [told for pid, told in self._standings() if pid == _DEAD or now - told.when <= STALE]
        registry.register(_Found(found))
        return merged(standings)

    def _bury(self) -> None:
        dead = {pid for pid in self._pids() if pid != _DEAD and not lives(pid)}
        for pid in dead:
            for file in self._path.glob(f"gauge_*_{pid}.db"):
                file.unlink(missing_ok=True)
            for kind in _FOLDED:
                self._fold(kind, pid)
        gone = [(pid, told) for pid, told in self._standings() if pid in dead]
        if gone:
            kept = [told for pid, told in self._standings() if pid == _DEAD]
            counts = merged([*kept, *(_counts_only(told) for _, told in gone)])
            (self._path / f"standing_{_DEAD}.json").write_bytes(msgspec.json.encode(counts))
            for pid, _ in gone:
                (self._path / f"standing_{pid}.json").unlink(missing_ok=True)

    def _fold(self, kind: str, pid: int) -> None:
        mapped = need("prometheus_client.mmap_dict", extra="metrics").MmapedDict
        file = self._path / f"{kind}_{pid}.db"
        if not file.exists():
            return
        buried = file.with_suffix(".db.buried")
        file.rename(buried)  # who is killed in between must not let them be added twice
        total = mapped(str(self._path / f"{kind}_{_DEAD}.db"))
        try:
            for key, value, _, _ in mapped.read_all_values_from_file(str(buried)):
                before, _ = total.read_value(key)
                total.write_value(key, before + value, 0.0)
        finally:
            total.close()
            buried.unlink(missing_ok=True)

    def _pids(self) -> set[int]:
        names = [
            file.stem.rpartition("_")[2] for pattern in ("*.db", "standing_*.json") for file in self._glob(pattern)
        ]
        return {int(name) for name in names if name.isdecimal()}

    def _glob(self, pattern: str) -> list[Path]:
        return sorted(self._path.glob(pattern))

    def _standings(self) -> Iterator[tuple[int, Told]]:
        for file in self._glob("standing_*.json"):
            pid = file.stem.rpartition("_")[2]
            with contextlib.suppress(OSError, msgspec.DecodeError):
                told = msgspec.json.decode(file.read_bytes(), type=Told)
                yield (int(pid) if pid.isdecimal() else -1), told

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path / "lock").open("a") as file:
            _lock(file)
            yield


class _Found:
    """A collector of what was read."""

    def __init__(self, metrics: list[Any]) -> None:
        self._metrics = metrics

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> list[Any]:
        return self._metrics


def _counts_only(told: Told) -> Told:
    """What stays true of a worker that is no more: how often its keys were used."""
    pools = []
    for pool in told.pools:
        if pool.shared:  # the store knows
            continue
        keys = [structs.replace(key, state="active", until=None, in_flight=0) for key in pool.keys]
        pools.append(structs.replace(pool, up=True, waiting=0, keys=tuple(keys)))
    return Told(pools=tuple(pools))


def lives(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's, but there
    return True


def _lock(file: IO[str]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no such workers
        return
    fcntl.flock(file, fcntl.LOCK_EX)
