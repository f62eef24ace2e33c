"""Which account made a response, so that what builds on it goes there: no other one has it.

OpenAI keeps responses per organisation and project, and a request names an earlier one by ``previous_response_id``
(https://platform.openai.com/docs/guides/conversation-state, read 2026-11-28). Remembered in this process only, and for
so many responses as `MOST` says; of a response that nobody here has seen, any key may be asked.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..asgi.types import Message, Send

__all__ = ["MOST", "Makers"]

MOST: Final = 10_000
"""Responses of which the maker is remembered; the oldest is forgotten first."""

_LOOKED_AT: Final = 4_096  # bytes of an answer: its id stands at its head, also in a stream's first event
_ID: Final = re.compile(rb'"id"\s*:\s*"(resp[A-Za-z0-9_.-]{1,250})"')
_NAMED: Final = b'"previous_response_id"'


class _Names(msgspec.Struct, gc=False):
    previous_response_id: Any = None


_decoder = msgspec.json.Decoder(_Names)


class Makers:
    """Remembers who made what.

    Args:
        accounts: For each key's alias its account: its quota scope, or itself.
    """

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._accounts = dict(accounts)
        self._others = {
            account: frozenset(alias for alias, its in accounts.items() if its != account)
            for account in set(accounts.values())
        }
        self._made_by: OrderedDict[str, str] = OrderedDict()

    def inherit(self, other: Makers, same: Mapping[str, str]) -> None:
        """Remember what another one does of accounts that both have.

        Args:
            other: The other one.
            same: What keys are called here, by what they are called there.
        """
        accounts = {other._accounts[old]: self._accounts[new] for old, new in same.items()}
        for made, account in other._made_by.items():
            if account in accounts:
                self._remember(made, accounts[account])

    def excluded(self, body: bytes) -> frozenset[str]:
        """Aliases of the keys that cannot serve a request, since another account has what it builds on."""
        if _NAMED not in body:
            return frozenset()
        try:
            named = _decoder.decode(body).previous_response_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return frozenset()
        account = self._made_by.get(named) if type(named) is str else None
        return frozenset() if account is None else self._others[account]

    def learning(self, alias: str, send: Send) -> Send:
        """A ``send`` that learns from a good answer which response a key's account has made."""
        head: bytearray | None = None

        async def learn(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = bytearray() if message["status"] < 300 else None
            elif head is not None:
                head += message.get("body", b"")[: _LOOKED_AT - len(head)]
                found = _ID.search(head)
                if found is not None:
                    self._remember(found[1].decode("ascii"), self._accounts[alias])
                if found is not None or len(head) >= _LOOKED_AT:
                    head = None
            await send(message)

        return learn

    def _remember(self, made: str, account: str) -> None:
        self._made_by[made] = account
        self._made_by.move_to_end(made)
        if len(self._made_by) > MOST:
            self._made_by.popitem(last=False)
