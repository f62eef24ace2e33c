"""`Team`: the workers of a gateway, as the console of one of them asks the others and answers them.

Alone it is a team of one, which knows everything. What others do not tell in time is missing, and how many told is said
(`Heard`); what an operator does is sent to all, and reaches one that hangs when it goes on. Who starts learns from the
others which sessions were ended and which keys switched off, and goes on asking until all that are there have told.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar, assert_never

import anyio
from msgspec import Struct

from ...asgi.trace import Trace
from ...errors import ConfigurationError
from ...observe import Journal
from ...observe.live import MAX_SHOWN, Ended, Live, Running
from ...pool import KeyPool
from ..serving.peers import Peers
from .messages import (
    Changed,
    Changes,
    Done,
    EndSession,
    Find,
    Found,
    Known,
    Learn,
    Look,
    Question,
    Switch,
    encode,
    question_of,
    reply_of,
)
from .part import Own, Part, PoolPart
from .sessions import Session, Sessions

__all__ = ["Heard", "Team"]

_FRESH: Final = 0.5  # seconds for which keys are told again instead of being looked at anew
_SHARE: Final = 0.05  # of all time that looking at keys for others may take
_AGAIN: Final = 1.0  # seconds after which is asked again what was not told
_FOLLOWED: Final = 0.1  # seconds for which what has changed is not asked for again
_LONGEST_ID: Final = 1024
_KEPT: Final = 2 * MAX_SHOWN  # changed requests of others

_Reply = TypeVar("_Reply", bound=Struct)

_logger = logging.getLogger("ds2api_asgi.console")


class Heard(Struct, frozen=True, kw_only=True):
    """How other workers stand.

    Attributes:
        parts: Of those that told.
        missing: How many did not.
    """

    parts: list[Part]
    missing: int


class Team:
    """Asks and answers.

    Args:
        peers: How the others are asked; None: there are none, or they cannot be.
        count: How many workers there are, this one among them.
        own: Looks how this one stands.
        pools: Its pools by name, asked each time.
        journal: Its traces.
        live: Its requests.
        sessions: Who may look on.
        clock: Monotonic seconds.

    Attributes:
        switched: How often another worker had a key switched here.
    """

    def __init__(
        self,
        peers: Peers | None,
        count: int,
        *,
        own: Own,
        pools: Callable[[], Mapping[str, KeyPool]],
        journal: Journal | None,
        live: Live | None,
        sessions: Sessions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peers = peers
        self._count = count
        self._own = own
        self._pools = pools
        self._journal = journal
        self._live = live
        self._sessions = sessions
        self._clock = clock
        self.switched = 0
        self._seen: tuple[PoolPart, ...] = ()
        self._seen_until = -math.inf
        self._learning = peers is not None
        self._ordered: set[tuple[str, str]] = set()  # keys, while it learns
        self._cursors: dict[str, int] = {}
        self._following = False
        self._followed = -math.inf
        self._changed: OrderedDict[str, tuple[int, Running | Ended]] = OrderedDict()
        self._version = 0

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Learn what the others know, first once, and then until all have told."""
        if self._peers is None:
            yield
            return
        async with anyio.create_task_group() as group:
            if await self._learn(self._peers):
                group.start_soon(self._learn_on, self._peers)
            else:
                self._learned()
            yield
            group.cancel_scope.cancel()

    # What this one asks

    async def look(self) -> Heard:
        """How the others stand."""
        replies, missing = await self._ask(Look(), Part)
        return Heard(parts=list(replies.values()), missing=missing)

    async def find(self, name: str) -> tuple[Trace | None, int]:
        """The trace of a request, wherever it was; and where there is none, how many workers did not say so."""
        own = None if self._journal is None else self._journal.get(name)
        if own is not None or len(name) > _LONGEST_ID:
            return own, 0
        replies, missing = await self._ask(Find(id=name), Found)
        return next((found.trace for found in replies.values() if found.trace is not None), None), missing

    async def switch(self, pool: str, alias: str, *, on: bool) -> int:
        """A key was taken out here, or back in: do so at all others; how many have not done it."""
        self._note(pool, alias)
        replies, missing = await self._ask(Switch(pool=pool, alias=alias, on=on), Done, insist=True)
        return missing + sum(not done.ok for done in replies.values())

    async def end(self, session: Session) -> None:
        """End a session everywhere."""
        self._sessions.end(session)
        question = EndSession(turn=session.turn, id=session.id, expires=session.expires)
        _, missing = await self._ask(question, Done, insist=True)
        if missing:
            _logger.warning("%d workers have not said that they ended the session of who logged out", missing)

    async def follow(self) -> None:
        """Ask which requests have changed, for all who look on; `changes` has them then."""
        if self._peers is None or self._following or self._clock() < self._followed + _FOLLOWED:
            return
        self._following = True
        try:
            replies, _ = await self._ask(Changes(cursors=self._cursors), Changed)
            self._cursors = {name: changed.cursor for name, changed in replies.items()}
            for changed in replies.values():
                entries: list[Running | Ended] = [*changed.running, *changed.ended]
                for one in entries:
                    self._version += 1
                    self._changed[one.id] = self._version, one
                    self._changed.move_to_end(one.id)
            while len(self._changed) > _KEPT:
                self._changed.popitem(last=False)
        finally:
            self._following = False
            self._followed = self._clock()

    @property
    def cursor(self) -> int:
        """Where `changes` begins for who knows everything up to now."""
        return self._version

    def changes(self, cursor: int) -> tuple[int, list[Running | Ended]]:
        """What has changed at the others as far as `follow` found it; see `Live.since`."""
        found: list[Running | Ended] = []
        for version, one in reversed(self._changed.values()):
            if version <= cursor:
                break
            found.append(one)
        return self._version, found[::-1]

    async def _ask(
        self, question: Question, kind: type[_Reply], *, insist: bool = False
    ) -> tuple[dict[str, _Reply], int]:
        """What the others replied, and how many did not."""
        if self._peers is None:
            return {}, self._count - 1
        replies = await self._peers.ask(encode(question), insist=insist)
        read = {name: reply_of(raw, kind) for name, raw in replies.told.items()}
        told = {name: reply for name, reply in read.items() if reply is not None}
        return told, max(0, self._count - 1 - len(told))

    # What others ask

    async def answer(self, raw: bytes) -> bytes:
        """Reply to another worker.

        Raises:
            ValueError: It is no question.
        """
        return encode(await self._reply(question_of(raw)))

    async def _reply(self, question: Question) -> Struct:
        match question:
            case Look():
                return self._own.rest(await self._pools_seen())
            case Changes():
                return self._changes_since(None if self._peers is None else question.cursors.get(self._peers.name))
            case Find():
                return Found(trace=None if self._journal is None else self._journal.get(question.id))
            case Switch():
                return Done(ok=await self._switch(question.pool, question.alias, on=question.on))
            case EndSession():
                return Done(ok=self._sessions.take(question.turn, {question.id: question.expires}))
            case Learn():
                return await self._known()
            case _:
                assert_never(question)

    async def _pools_seen(self) -> tuple[PoolPart, ...]:
        """The pools, looked at a moment ago at most: looking at ten thousand keys takes 200 ms."""
        now = self._clock()
        if now >= self._seen_until:
            self._seen = await self._own.pools(shared=False)
            took = self._clock() - now
            self._seen_until = now + max(_FRESH, min(took / _SHARE, 10 * _FRESH))
        return self._seen

    def _changes_since(self, cursor: int | None) -> Changed:
        if self._live is None:
            return Changed(cursor=0, running=[], ended=[])
        if cursor is None:
            return Changed(cursor=self._live.cursor, running=[], ended=[])
        cursor, changed = self._live.since(cursor)
        running = [one for one in changed if isinstance(one, Running)]
        return Changed(cursor=cursor, running=running, ended=[one for one in changed if isinstance(one, Ended)])

    async def _switch(self, pool: str, alias: str, *, on: bool) -> bool:
        found = self._pools().get(pool)
        if found is None:
            return False
        try:
            await (found.enable(alias) if on else found.disable(alias))
        except ConfigurationError:
            return False
        self._note(pool, alias)
        self.switched += 1
        return True

    def _note(self, pool: str, alias: str) -> None:
        """A key was switched here."""
        self._seen_until = -math.inf
        if self._learning:
            self._ordered.add((pool, alias))

    async def _known(self) -> Known:
        off = [
            (pool.name, key.report.alias)
            for pool in await self._own.pools(shared=False)
            for key in pool.keys
            if key.report.switched_off
        ]
        turn, ended = self._sessions.ended
        return Known(turn=turn, ended=ended, off=off)

    async def _learn_on(self, peers: Peers) -> None:
        while True:
            await anyio.sleep(_AGAIN)
            if not await self._learn(peers):
                self._learned()
                return

    def _learned(self) -> None:
        self._learning = False
        self._ordered.clear()

    async def _learn(self, peers: Peers) -> int:
        """Learn from those that tell; how many are there that do not."""
        replies = await peers.ask(encode(Learn()), insist=True)
        for raw in replies.told.values():
            known = reply_of(raw, Known)
            if known is None:
                continue
            self._sessions.take(known.turn, known.ended)
            for pool, alias in known.off:
                if (pool, alias) not in self._ordered:  # what was ordered since then is newer
                    await self._switch(pool, alias, on=False)
        return replies.silent
