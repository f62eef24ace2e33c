"""What one websocket remembers: responses that their client did not want to be stored, for as long as it is connected.

https://developers.openai.com/api/docs/guides/websocket-mode (read 2026-11-28): a connection can continue its own
responses from memory, also with ``store: false``. Each is remembered with all that came before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from .items import named_items
from .store import ResponseStore
from .stored import StoredResponse

__all__ = ["MAX_BYTES", "MAX_RESPONSES", "Connection"]

MAX_RESPONSES: Final = 16
"""How many a connection remembers: more than the one that the API promises, since lanes may fork from each other."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of what a connection remembers; what they have in common counts each time."""


class Connection:
    """A store for one client, in front of the one that lasts; see `ResponseStore`.

    Args:
        store: The one that lasts.
    """

    def __init__(self, store: ResponseStore) -> None:
        self._store = store
        self._own: OrderedDict[str, StoredResponse] = OrderedDict()
        self._bytes = 0

    def remember(self, response: StoredResponse) -> None:
        """Remember a response, with its whole conversation as its input."""
        self._own[response.id] = response
        self._bytes += response.size
        while len(self._own) > MAX_RESPONSES or self._bytes > MAX_BYTES:
            _, oldest = self._own.popitem(last=False)
            self._bytes -= oldest.size

    def remembers(self, id_: str | None) -> bool:
        """Whether a response is remembered here, and nowhere else."""
        return id_ in self._own

    async def put(self, client: str, response: StoredResponse) -> None:
        """Keep a response where it lasts."""
        await self._store.put(client, response)

    async def advance(self, client: str, response: StoredResponse) -> bool:
        """Replace a running response; see `ResponseStore.advance`."""
        return await self._store.advance(client, response)

    async def renew(self, client: str, id_: str, *, lease: float) -> bool:
        """Vouch for a running response; see `ResponseStore.renew`."""
        return await self._store.renew(client, id_, lease=lease)

    async def get(self, client: str, id_: str) -> StoredResponse | None:
        """The response; see `ResponseStore.get`."""
        return self._own.get(id_) or await self._store.get(client, id_)

    async def history(self, client: str, id_: str) -> tuple[StoredResponse, ...] | None:
        """The response and what it continues; see `ResponseStore.history`."""
        own = self._own.get(id_)
        return await self._store.history(client, id_) if own is None else (own,)

    async def items(self, client: str, ids: Iterable[str]) -> dict[str, bytes]:
        """Items by their ids; see `ResponseStore.items`."""
        wanted = set(ids)
        found = {id_: item for response in self._own.values() for id_, item in named_items(response) if id_ in wanted}
        missing = wanted - found.keys()
        return {**await self._store.items(client, missing), **found} if missing else found

    async def delete(self, client: str, id_: str) -> bool:
        """Forget a response; see `ResponseStore.delete`."""
        own = self._own.pop(id_, None)
        self._bytes -= 0 if own is None else own.size
        return await self._store.delete(client, id_) or own is not None
