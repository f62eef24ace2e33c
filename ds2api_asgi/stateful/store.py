"""Where responses are kept: the interface, and the store that keeps them in memory.

A response belongs to one client, under a digest that `client` makes; no method finds one of another's. It lives for
the store's time after it was last written. What it continues lives at least as long as it does, so a conversation
never loses its beginning before its end.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ..errors import ConfigurationError
from .items import named_items
from .stored import StoredResponse

__all__ = ["DEFAULT_TTL", "MemoryResponseStore", "ResponseStore", "checked_ttl"]

DEFAULT_TTL: Final = 30 * 24 * 3600.0
"""Seconds: ``store`` keeps a response for at least 30 days, says the API."""

_SWEEP: Final = 60.0  # seconds between two looks at all entries


class ResponseStore(Protocol):
    """Where responses are kept. Every method is one step that nobody can come between, or does nothing."""

    async def put(self, client: str, response: StoredResponse) -> None:
        """Keep a response; one with the same id is replaced.

        Args:
            client: Whose it is, as `client.digest_of` says.
            response: The response.
        """
        ...

    async def advance(self, client: str, response: StoredResponse) -> bool:
        """Replace a response that is still running.

        Returns:
            Whether there was one: False when it is gone or has come to its end.
        """
        ...

    async def renew(self, client: str, id_: str, *, lease: float) -> bool:
        """Vouch for a running response until the Unix time `lease`, in seconds.

        Returns:
            Whether it is still running; False tells its worker to stop.
        """
        ...

    async def get(self, client: str, id_: str) -> StoredResponse | None:
        """The response, or None."""
        ...

    async def history(self, client: str, id_: str) -> tuple[StoredResponse, ...] | None:
        """The response and all that it continues, oldest first; None when one of them is missing."""
        ...

    async def items(self, client: str, ids: Iterable[str]) -> dict[str, bytes]:
        """Items of the client's responses by their ids, as they came; of several the newest, of unknown ids none."""
        ...

    async def delete(self, client: str, id_: str) -> bool:
        """Forget a response.

        Returns:
            Whether there was one.
        """
        ...


class _Entry(Struct):
    response: StoredResponse
    expires: float


_Key = tuple[str, str]


class MemoryResponseStore:
    """Keeps responses in this process, as many as its bounds allow; what was used least lately goes first.

    Every operation is a plain synchronous section under a lock, so it serves several event loops and threads at once.
    Within a conversation newer responses go before those that they continue.

    Args:
        ttl: Seconds that a response is kept.
        max_bytes: Bytes of all responses.
        max_entries: How many responses.
        clock: Unix seconds.

    Raises:
        ConfigurationError: A bound or a time that is not positive.
    """

    def __init__(
        self,
        *,
        ttl: float = DEFAULT_TTL,
        max_bytes: int = 256 * 1024 * 1024,
        max_entries: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_bytes < 1 or max_entries < 1:
            raise ConfigurationError("max_bytes and max_entries are at least 1")
        self._ttl = checked_ttl(ttl)
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()  # least lately used first
        self._owners: dict[_Key, dict[str, None]] = {}  # (client, item) -> the responses that have it, oldest first
        self._bytes = 0
        self._next_sweep = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._bytes

    async def put(self, client: str, response: StoredResponse) -> None:
        """Keep a response; see `ResponseStore.put`."""
        with self._lock:
            self._keep(client, response)

    async def advance(self, client: str, response: StoredResponse) -> bool:
        """Replace a running response; see `ResponseStore.advance`."""
        with self._lock:
            entry = self._entry(client, response.id)
            if entry is None or not entry.response.running:
                return False
            self._keep(client, response)
            return True

    async def renew(self, client: str, id_: str, *, lease: float) -> bool:
        """Vouch for a running response; see `ResponseStore.renew`."""
        with self._lock:
            entry = self._entry(client, id_)
            if entry is None or not entry.response.running:
                return False
            entry.response = replace(entry.response, lease=lease)
            return True

    async def get(self, client: str, id_: str) -> StoredResponse | None:
        """The response; see `ResponseStore.get`."""
        with self._lock:
            entry = self._entry(client, id_)
            if entry is None:
                return None
            self._entries.move_to_end((client, id_))
            return entry.response

    async def history(self, client: str, id_: str) -> tuple[StoredResponse, ...] | None:
        """The response and what it continues; see `ResponseStore.history`."""
        with self._lock:
            chain = self._chain(client, id_)
            for response in chain:
                self._entries.move_to_end((client, response.id))
            whole = bool(chain) and chain[-1].previous is None
            return tuple(reversed(chain)) if whole else None

    async def items(self, client: str, ids: Iterable[str]) -> dict[str, bytes]:
        """Items by their ids; see `ResponseStore.items`."""
        found: dict[str, bytes] = {}
        with self._lock:
            for wanted in ids:
                for owner in reversed(self._owners.get((client, wanted), {})):
                    entry = self._entry(client, owner)
                    if entry is not None:
                        found[wanted] = dict(named_items(entry.response))[wanted]
                        break
        return found

    async def delete(self, client: str, id_: str) -> bool:
        """Forget a response; see `ResponseStore.delete`."""
        with self._lock:
            there = self._entry(client, id_) is not None
            self._forget((client, id_))
            return there

    def _entry(self, client: str, id_: str) -> _Entry | None:
        entry = self._entries.get((client, id_))
        return entry if entry is not None and entry.expires > self._clock() else None

    def _chain(self, client: str, id_: str | None) -> list[StoredResponse]:
        """The response and what it continues, newest first, as far as it is there."""
        chain: dict[str, StoredResponse] = {}
        while id_ is not None and id_ not in chain:
            entry = self._entry(client, id_)
            if entry is None:
                break
            chain[id_] = entry.response
            id_ = entry.response.previous
        return list(chain.values())

    def _keep(self, client: str, response: StoredResponse) -> None:
        now = self._clock()
        expires = now + self._ttl
        self._sweep(now)
        self._forget((client, response.id))
        self._entries[client, response.id] = _Entry(response, expires)
        self._bytes += response.size
        for id_, _ in named_items(response):
            self._owners.setdefault((client, id_), {})[response.id] = None
        for ancestor in self._chain(client, response.previous):
            entry = self._entries[client, ancestor.id]
            entry.expires = max(entry.expires, expires)
            self._entries.move_to_end((client, ancestor.id))
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    def _sweep(self, now: float) -> None:
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP
            for key in [key for key, entry in self._entries.items() if entry.expires <= now]:
                self._forget(key)

    def _forget(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        client, id_ = key
        self._bytes -= entry.response.size
        for item, _ in named_items(entry.response):
            owners = self._owners.get((client, item), {})
            owners.pop(id_, None)
            if not owners:
                self._owners.pop((client, item), None)


def checked_ttl(ttl: float) -> float:
    """The time, if it can be one.

    Raises:
        ConfigurationError: It is not more than 0 seconds.
    """
    if not ttl > 0:
        raise ConfigurationError("ttl must be more than 0 seconds")
    return ttl
