"""The stream of what happens: `Events`, server-sent, to as many as look.

An event ``state`` every second (`Standing.interval`) has the whole document, an event ``request`` a request that
changed. Nothing is queued for anybody: each stream asks what has changed since it asked last, so one whose reader is
slow skips what was in between. Each ends when its session does, when its reader leaves, when that one takes nothing for
too long, and when the console is drained, for a server that shuts down waits for streams.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import anyio

from ...asgi.disconnect import while_connected
from ...asgi.types import Receive, Send
from ...errors import ClientGone
from ...framing.sse import write_event
from ...observe.live import Live
from ...universal import jsontext
from .answers import HEADERS, failure
from .standing import Standing, entry_document
from .team import Team

__all__ = ["MAX_LISTENERS", "STALLED", "TICK", "Events"]

TICK: Final = 0.25
"""Seconds between two looks for what has changed."""

MAX_LISTENERS: Final = 64
"""Streams at a time."""

STALLED: Final = 30.0
"""Seconds after which a reader that takes nothing is given up."""

_RETRY: Final = b"retry: 2000\n\n"


class Events:
    """Serves the stream.

    Args:
        standing: The document.
        live: The requests; None: there are only documents.
        team: Knows those of other workers.
        clock: Monotonic seconds.
    """

    def __init__(
        self, standing: Standing, live: Live | None, team: Team, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._standing = standing
        self._live = live
        self._team = team
        self._clock = clock
        self._listeners = 0
        self._draining = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return self._listeners

    def drain(self) -> None:
        """End all streams within `TICK`, and begin none; may be called from anywhere."""
        self._draining = True

    def resume(self) -> None:
        """Begin streams again, after a `drain` of an earlier life."""
        self._draining = False

    async def serve(self, receive: Receive, send: Send, *, still: Callable[[], bool]) -> None:
        """Answer a request with the stream.

        Args:
            receive: The request's, its body already read.
            send: The request's.
            still: Whether its sender may still listen.
        """
        if self._draining or self._listeners >= MAX_LISTENERS:
            words = "The gateway is shutting down." if self._draining else "Too many pages listen already."
            await failure(503, "unavailable", words, headers=((b"retry-after", b"5"),)).send(send)
            return
        self._listeners += 1
        try:
            await while_connected(receive, lambda: self._tell(send, still))
        except (ClientGone, OSError):
            pass
        finally:
            self._listeners -= 1

    async def _tell(self, send: Send, still: Callable[[], bool]) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            *HEADERS,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._team.follow()
        cursor, elsewhere = 0 if self._live is None else self._live.cursor, self._team.cursor
        due = self._clock()
        events = [_RETRY]
        while still() and not self._draining:
            if self._clock() >= due:
                events.append(write_event(await self._standing.document(), b"state"))
                due = max(due + self._standing.interval, self._clock())
            if self._live is not None:
                cursor, changed = self._live.since(cursor)
                await self._team.follow()
                elsewhere, others = self._team.changes(elsewhere)
                entries = (*changed, *others)
                events += [write_event(jsontext.dumps(entry_document(one)), b"request") for one in entries]
            if events and not await _put(send, b"".join(events)):
                break
            events = []
            await anyio.sleep(TICK)
        with anyio.move_on_after(STALLED):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _put(send: Send, body: bytes) -> bool:
    """Send a part; False: its reader takes nothing."""
    with anyio.move_on_after(STALLED) as scope:
        await send({"type": "http.response.body", "body": body, "more_body": True})
    return not scope.cancelled_caught
