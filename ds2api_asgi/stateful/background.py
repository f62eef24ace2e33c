"""Work that goes on when its client has gone: one background response, from its queue to its end.

| who | does what |
|---|---|
| the request | keeps the response as ``queued``, hands the work over, answers |
| the worker | asks the app, keeps ``in_progress``, the events, at last the end |
| the watcher beside it | renews the lease; when somebody cancelled or deleted the response, stops the worker |
| others | read the store; in the worker's own process also the events as they come |

So a response that is cancelled through another process stops within `RENEWAL`, and one whose process died is seen to
have failed once its lease is over.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import anyio
from msgspec.structs import replace

from ..asgi.headers import RawHeaders
from ..asgi.types import Message
from ..asgi.unwrapped import unwrapped
from ..errors import BrokenStream, ClientGone, InvalidDocument, TransportError
from .answer import Answer
from .envelope import failed, with_status
from .members import NULL, joined, listed, members, value
from .refusal import Refused
from .replay import events_of, numbered
from .rewrite import TERMINAL, Rewrite, RewrittenEvent
from .store import ResponseStore
from .stored import RUNNING, StoredResponse

__all__ = ["HEARTBEAT", "LEASE", "RENEWAL", "Ask", "Run"]

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a stream says that it is still there; proxies give up after 60."""

RENEWAL: Final = 2.0
"""Seconds between two looks of a worker at whether it is still wanted."""

LEASE: Final = 30.0
"""Seconds without a sign of life after which a running response counts as failed."""

_LAST_WORDS: Final = 5.0  # seconds to keep the end of a response while the host shuts down
_CODES: Final = {400: "invalid_prompt", 413: "invalid_prompt", 422: "invalid_prompt", 429: "rate_limit_exceeded"}
_BEGINNING: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_MAX_ERROR: Final = 64 * 1024

_logger = logging.getLogger("ds2api_asgi.stateful")

Ask = Callable[[Answer], Awaitable[None]]
"""Asks the app and gives its answer to what it is called with."""


class Run:
    """One background response at work; see `answer.Listener`.

    Args:
        response: As it is kept while it is queued.
        client: Whose it is.
        store: Where it is kept.
        streams: Whether its events are kept.
        rewrite: Makes the client's answer of the app's.
        limit: Bytes of the answer, and of all events.
        clock: Unix seconds.
    """

    def __init__(
        self,
        response: StoredResponse,
        client: str,
        store: ResponseStore,
        *,
        streams: bool,
        rewrite: Rewrite,
        limit: int,
        clock: Callable[[], float],
    ) -> None:
        self.response = response
        self.client = client
        self.streams = streams
        self.over = False
        self.events_so_far: list[bytes] = []
        self._store = store
        self._limit = limit
        self._clock = clock
        self._rewrite = rewrite
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._size = 0
        self._problem: tuple[str, str] | None = None
        self._status = 0
        self._error = b""

    # what others may ask

    @property
    def so_far(self) -> bytes:
        """The response object with the items that have ended."""
        return joined({**members(self.response.document), "output": listed(self._rewrite.items)})

    def cancel(self) -> None:
        """Stop working: the response was cancelled or deleted."""
        self._scope.cancel()

    async def follow(self, after: int) -> AsyncGenerator[list[bytes], None]:
        """The data of the events numbered above `after` as they come, until the last; none every `HEARTBEAT`.

        Args:
            after: A number; -1 for all events.
        """
        position = after + 1
        while True:
            news = self.events_so_far[position:]
            if news:
                position += len(news)
                yield news
            elif self.over:
                return
            else:
                with anyio.move_on_after(HEARTBEAT) as waiting:
                    await self._changed.wait()
                if waiting.cancelled_caught:
                    yield []

    # the work

    async def work(self, ask: Ask, turn: anyio.CapacityLimiter) -> None:
        """Ask the app when it is its turn and keep what it answers, to the end or until nobody wants it."""
        try:
            with unwrapped():
                async with anyio.create_task_group() as group:
                    group.start_soon(self._watch)
                    with self._scope:
                        async with turn:
                            await self._work(ask)
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _LAST_WORDS):
                await self._finish()
            self._leave()

    async def _work(self, ask: Ask) -> None:
        await self._advance(with_status(self.response.document, "in_progress"), "in_progress")
        self._say_again("response.in_progress")
        answer = Answer(self, self._rewrite, limit=self._limit)
        try:
            await ask(answer)
        except (ClientGone, TransportError, BrokenStream):
            pass
        except Exception:
            _logger.exception("the app failed while it worked on a background response")
            self._problem = self._problem or ("server_error", "the app failed")
        if self._problem is None:
            self._problem = self._explained()

    def _explained(self) -> tuple[str, str]:
        if self._status >= 400:
            return _CODES.get(self._status, "server_error"), _words(self._error, self._status)
        return "server_error", "the app broke off before its answer was complete"

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(RENEWAL)
            try:
                wanted = await self._store.renew(self.client, self.response.id, lease=self._clock() + LEASE)
            except Exception:  # a store that is busy now may not be so next time
                _logger.exception("a background response's lease could not be renewed")
                continue
            if not wanted:
                self.cancel()
                return

    async def _finish(self) -> None:
        if self.over:
            return
        stopped = ("server_error", "the server was stopped before the response was complete")
        code, words = self._problem or stopped
        await self._conclude(failed(self.so_far, code, words))

    async def _conclude(self, end: bytes, event: dict[str, bytes] | None = None) -> None:
        """Keep the end, and then tell it: who hears of it may continue the response at once.

        Nothing is kept or told when somebody else has ended it: cancelled, or deleted.

        Args:
            end: The whole response object.
            event: The event that tells it; None: one that says that it failed.
        """
        status = value(members(end).get("status", NULL))
        await self._advance(
            end,
            status if type(status) is str and status not in RUNNING else "completed",
            {"type": b'"response.failed"', "response": end} if event is None else event,
        )
        self._leave()

    async def _advance(self, document: bytes, status: str, event: dict[str, bytes] | None = None) -> None:
        lease = self._clock() + LEASE if status in RUNNING else None
        events: tuple[bytes, ...] = ()
        if self.streams and event is not None:
            events = (*self.events_so_far, numbered(event, len(self.events_so_far)))
        self.response = replace(self.response, document=document, status=status, lease=lease, events=events)
        if not await self._store.advance(self.client, self.response):
            self.cancel()
        elif event is not None:
            self._say(event)

    def _leave(self) -> None:
        self.over = True
        self._pulse()

    # the events

    def announce(self) -> None:
        """Say that the response is there, and waits for its turn."""
        self._say_again("response.created")
        self._say_again("response.queued")

    def _say_again(self, type_: str) -> None:
        self._say({"type": b'"%b"' % type_.encode(), "response": self.response.document})

    def _say(self, event: dict[str, bytes]) -> None:
        if self.streams:
            data = numbered(event, len(self.events_so_far))
            self._size += len(data)
            self.events_so_far.append(data)
            self._pulse()

    def _pulse(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    # what the app answers

    async def passed(self, message: Message) -> None:
        """An error of the app."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif len(self._error) < _MAX_ERROR:
            self._error += message["body"]

    async def whole(self, headers: RawHeaders, kept: bytes, shown: bytes) -> None:  # noqa: ARG002 - see `Listener`
        """The whole answer; to who follows it, as if it had been streamed."""
        told = [members(event) for event in events_of(kept)[2:]]  # without the two of its beginning, which were said
        last = told.pop() if told and "response" in told[-1] else None
        for event in told:
            self._say(event)
        await self._conclude(kept, last)

    async def begun(self, headers: RawHeaders) -> None:
        """A stream begins: that was said already."""

    async def events(self, events: list[RewrittenEvent], *, comments: int, more: bool) -> None:  # noqa: ARG002
        """Keep events, under numbers of our own, since two were said before the app began."""
        for event in events:
            if self.over or self._problem is not None:
                break
            try:
                found = members(event.data)
            except InvalidDocument:
                continue
            if event.type == "error":
                self._problem = ("server_error", _words(event.data, 500))
            elif event.type in TERMINAL and event.response is not None:
                await self._conclude(event.response, found)
            elif "type" in found and event.type not in _BEGINNING:
                self._say(found)
        if self._size > self._limit and not self.over:
            self._problem = ("server_error", f"the answer is over the limit of {self._limit} bytes")
            raise ClientGone

    async def refused(self, refused: Refused) -> None:
        """The answer cannot be read."""
        self._problem = self._problem or ("server_error", str(refused))


def _words(error: bytes, status: int) -> str:
    """The message of an error document, or of an ``error`` event, flat or nested."""
    try:
        found = value(error)
    except InvalidDocument:
        found = None
    if type(found) is dict:
        inner = found["error"] if type(found.get("error")) is dict else found
        if type(inner.get("message")) is str:
            return str(inner["message"])
    return f"the app answered {status}"
