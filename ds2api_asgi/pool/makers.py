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
from typing import Final, Protocol

from msgspec import Struct

from ..asgi.types import Message, Send
from ..protocols.base import Operation
from ..protocols.resources import Resources, Stated, named_in, stated_in
from .errand import Errand

__all__ = ["MOST", "Lesson", "Makers"]

MOST: Final = 10_000
"""Things of which the account is remembered; what was neither stated nor named for longest is forgotten first."""

_LONGEST: Final = 512  # bytes within which an id stands together with its member's name
_DOCUMENT: Final = 1024 * 1024  # bytes of the largest document that is read for ids
_ANY: Final = frozenset((b'"',))
_NOBODY: Final[frozenset[str]] = frozenset()


class Lesson(Struct, frozen=True, kw_only=True):
    """What a good answer will teach.

    Attributes:
        generated: Where a model's answer states ids; None: it is a document about things that accounts keep.
        forgotten: The id of what such a document says is deleted; ``""``: nothing is.
    """

    generated: Stated | None = None
    forgotten: str = ""


class _Learn(Protocol):
    """Takes a part of an answer's body; tells whether it wants more."""

    def __call__(self, chunk: bytes, *, last: bool) -> bool: ...


class Makers:
    """Remembers who has what.

    Args:
        accounts: For each key's alias its account: its quota scope, or itself.
        resources: What accounts keep.
    """

    def __init__(self, accounts: Mapping[str, str], resources: Resources) -> None:
        self._accounts = dict(accounts)
        self._resources = resources
        self._made_by: OrderedDict[str, str] = OrderedDict()
        # What stands in requests that name anything that is remembered: what was made for models' answers has few
        # words, and of most pools nothing else is remembered.
        self._words: frozenset[bytes] = frozenset()
        self._any_word = re.compile(b'"(?:%b)"' % "|".join(sorted(resources.names)).encode())
        self._generated = [(stated.marker, Lesson(generated=stated)) for stated in resources.generated]
        self._kept = Lesson()

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
                self._remember(made, accounts[account], other._words)

    def excluded(self, errand: Errand, body: bytes, *, model: str | None) -> frozenset[str]:
        """Aliases of the keys that cannot serve a request, since another account has what it names.

        Args:
            errand: What it is about.
            body: Its body, as far as it was read.
            model: The model that it asks for, which may be an account's own.
        """
        if not self._made_by:
            return _NOBODY
        for made in self._named(errand, body, model):
            account = self._made_by.get(made)
            if account is not None:
                self._made_by.move_to_end(made)
                # Found anew each time: for ten thousand accounts to have it ready takes gigabytes.
                return frozenset([alias for alias, its in self._accounts.items() if its != account])
        return _NOBODY

    def lesson(self, errand: Errand, body: bytes) -> Lesson | None:
        """What is to be learned from the answer to a request; None: nothing.

        Args:
            errand: What it is about.
            body: Its body, as far as it was read.
        """
        if errand.operation is Operation.GENERATE:
            for marker, lesson in self._generated:
                if marker in body:
                    return lesson
            return None
        if errand.operation is not None or errand.path.rstrip("/").endswith(self._resources.contents):
            return None
        if errand.method == "DELETE":
            return Lesson(forgotten=errand.things[0]) if errand.whole else None
        return self._kept

    def learning(self, alias: str, lesson: Lesson, send: Send) -> Send:
        """A ``send`` that learns from an answer which things a key's account has.

        Args:
            alias: The key's.
            lesson: What there is to learn.
            send: Where the answer goes.
        """
        account = self._accounts[alias]
        learn = self._reader(account) if lesson.generated is None else self._scanner(account, lesson.generated)
        good = False

        async def through(message: Message) -> None:
            nonlocal good
            if message["type"] == "http.response.start":
                good = 200 <= message["status"] < 300
                if good and lesson.forgotten:
                    self._made_by.pop(lesson.forgotten, None)
                    good = False
            elif good:
                good = learn(message.get("body", b""), last=not message.get("more_body", False))
            await send(message)

        return through

    def _reader(self, account: str) -> _Learn:
        """Learns from a whole document."""
        document = bytearray()

        def read(chunk: bytes, *, last: bool) -> bool:
            document.extend(chunk)
            if len(document) > _DOCUMENT:
                document.clear()
                return False
            if last:
                for made in stated_in(bytes(document), self._resources):
                    self._remember(made, account, _ANY)
            return True

        return read

    def _scanner(self, account: str, stated: Stated) -> _Learn:
        """Learns from the bytes of an answer, whatever frames they are in."""
        left = stated.most
        seen = b""

        def scan(chunk: bytes, *, last: bool) -> bool:  # noqa: ARG001 - an id is found when it has come
            nonlocal left, seen
            chunk = chunk[:left]
            left -= len(chunk)
            seen += chunk
            at = 0
            for found in stated.ids.finditer(seen):
                self._remember(found[1].decode("ascii"), account, stated.words)
                if stated.once:
                    return False
                at = found.end()
            seen = seen[max(at, len(seen) - _LONGEST) :]
            return left > 0

        return scan

    def _named(self, errand: Errand, body: bytes, model: str | None) -> Iterator[str]:
        """All that a request names, with more that it does not."""
        yield from errand.things
        if model is not None and model.startswith(self._resources.models):
            yield model
        for name in named_in(body, self._resources) if self._may_name(body) else ():
            yield name
            if "/" in name:  # of an address, the end is a name
                yield "/".join(name.rsplit("/", 2)[-2:])

    def _may_name(self, body: bytes) -> bool:
        for word in self._words:  # asked of every request
            if word in body:
                return self._any_word.search(body) is not None
        return False

    def _remember(self, made: str, account: str, words: frozenset[bytes]) -> None:
        """Remember a thing; who said first that it is its own is right, whatever others repeat.

        Args:
            made: Its id.
            account: Whose it is.
            words: What stands in requests that name it.
        """
        self._made_by.setdefault(made, account)
        self._made_by.move_to_end(made)
        if len(self._made_by) > MOST:
            self._made_by.popitem(last=False)
        if not words <= self._words:
            self._words |= words
