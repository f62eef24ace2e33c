"""Which account has what: a file, a batch or a response exists in one account only, so what names it goes there.

Learned from answers, and remembered in this process only, for so many things as `MOST` says; of what nobody here has
seen, any key may be asked. What things there are, and where their ids stand, the protocol says
(`protocols.resources`). Where a request names things of several accounts, the first one counts: its path's before its
model, and that before those of its body.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from msgspec import Struct

from ..asgi.types import Message, Send
from ..protocols.base import Operation
from ..protocols.resources import Resources, Stated, named_in
from .errand import Errand

__all__ = ["MOST", "Lesson", "Makers"]

MOST: Final = 10_000
"""Things of which the account is remembered; what was neither stated nor named for longest is forgotten first."""

_LONGEST: Final = 512  # bytes within which an id stands together with its member's name


class Lesson(Struct, frozen=True, kw_only=True):
    """What a good answer will teach.

    Attributes:
        stated: Where it states ids; None: it states none.
        forgotten: The id of what it says is deleted, or None.
    """

    stated: Stated | None = None
    forgotten: str | None = None


class Makers:
    """Remembers who has what.

    Args:
        accounts: For each key's alias its account: its quota scope, or itself.
        resources: What accounts keep.
    """

    def __init__(self, accounts: Mapping[str, str], resources: Resources) -> None:
        self._accounts = dict(accounts)
        self._others = {
            account: frozenset(alias for alias, its in accounts.items() if its != account)
            for account in set(accounts.values())
        }
        self._resources = resources
        self._made_by: OrderedDict[str, str] = OrderedDict()
        # What stands in requests that name anything that is remembered: what was made for models' answers has few
        # words, and of most pools nothing else is remembered.
        self._words: frozenset[bytes] = frozenset()
        self._any_word = re.compile(b'"(?:%b)"' % "|".join(sorted(resources.names)).encode())
        self._generated = [(stated.marker, Lesson(stated=stated)) for stated in resources.generated]
        self._kept = Lesson(stated=resources.stated)

    def __len__(self) -> int:
        return len(self._made_by)

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
        self._words |= other._words

    def excluded(self, path: str, body: bytes, *, model: str | None = None) -> frozenset[str]:
        """Aliases of the keys that cannot serve a request, since another account has what it names.

        Args:
            path: Its path, if things are named in it.
            body: Its body, as far as it was read.
            model: The model that it asks for, which may be an account's own.
        """
        if not self._made_by:
            return frozenset()
        for made in self._named(path, body, model):
            account = self._made_by.get(made)
            if account is not None:
                self._made_by.move_to_end(made)
                return self._others[account]
        return frozenset()

    def lesson(self, errand: Errand, body: bytes) -> Lesson | None:
        """What is to be learned from the answer to a request; None: nothing.

        Args:
            errand: What it is about.
            body: Its body, as far as it was read.
        """
        if errand.operation is Operation.GENERATE:
            return next((lesson for marker, lesson in self._generated if marker in body), None)
        if errand.operation is not None:
            return None
        if errand.method == "DELETE":
            found = self._resources.path.fullmatch(errand.path)
            return None if found is None or found["more"] else Lesson(forgotten=found["id"])
        return None if errand.path.rstrip("/").endswith(self._resources.contents) else self._kept

    def learning(self, alias: str, lesson: Lesson, send: Send) -> Send:
        """A ``send`` that learns from an answer which things a key's account has.

        Args:
            alias: The key's.
            lesson: What there is to learn.
            send: Where the answer goes.
        """
        account = self._accounts[alias]
        stated = lesson.stated
        left = 0
        seen = b""

        async def learn(message: Message) -> None:
            nonlocal left, seen
            if message["type"] == "http.response.start":
                if 200 <= message["status"] < 300:
                    left = 0 if stated is None else stated.most
                    self._made_by.pop(lesson.forgotten or "", None)
            elif left and stated is not None:
                chunk = message.get("body", b"")[:left]
                left -= len(chunk)
                seen += chunk
                at = 0
                for found in stated.ids.finditer(seen):
                    self._remember(found[1].decode("ascii"), account)
                    self._words |= stated.words
                    at = found.end()
                seen = seen[max(at, len(seen) - _LONGEST) :]
                if at and stated.once:
                    left = 0
            await send(message)

        return learn

    def _named(self, path: str, body: bytes, model: str | None) -> Iterator[str]:
        """All that a request names, with more that it does not."""
        yield from _parts(path)
        if model:
            yield model
        if any(word in body for word in self._words) and self._any_word.search(body):
            for name in named_in(body, self._resources.names):
                yield name
                if "/" in name:
                    yield from _parts(name)

    def _remember(self, made: str, account: str) -> None:
        """Remember a thing; who said first that it is its own is right, whatever others repeat."""
        self._made_by.setdefault(made, account)
        self._made_by.move_to_end(made)
        if len(self._made_by) > MOST:
            self._made_by.popitem(last=False)


def _parts(path: str) -> Iterator[str]:
    """What a path, or an address, may name: each segment, alone and with the one before it, with a verb and without."""
    for before, segment in pairwise(path.split("/")):
        bare, colon, _ = segment.rpartition(":")
        for word in (segment, bare) if colon else (segment,):
            yield word
            yield f"{before}/{word}"
