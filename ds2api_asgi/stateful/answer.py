"""Answers of the app, taken as they come: whole, as a stream, or none of ours.

| state | the app's body |
|---|---|
| WAITING | dropped: there was no start |
| PASSING | handed on: an error, or no response object |
| WHOLE | kept, read at its end |
| EVENTS | read event by event |
| DONE | dropped |
| GIVEN_UP | refused: ClientGone stops the app |
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from ..asgi.headers import RawHeaders, find, media_type
from ..asgi.types import Message
from ..errors import BrokenStream, ClientGone, FramingError, InvalidDocument, TransportError
from ..framing.sse import SseEvent, SseParser
from .refusal import Refused, bad_gateway
from .rewrite import Rewrite, RewrittenEvent

__all__ = ["EVENT_STREAM", "Answer", "Listener"]

EVENT_STREAM = b"text/event-stream"
_JSON = b"application/json"
_BROKE_OFF = "the app broke off before its answer was complete"


class Listener(Protocol):
    """Who is told of an answer; first of its start, then of what there is, then of its end."""

    async def passed(self, message: Message) -> None:
        """A message of an answer that is no response: an error, or something else."""
        ...

    async def whole(self, headers: RawHeaders, kept: bytes, shown: bytes) -> None:
        """The whole answer, and all that there is."""
        ...

    async def begun(self, headers: RawHeaders) -> None:
        """A stream begins."""
        ...

    async def events(self, events: list[RewrittenEvent], *, comments: int, more: bool) -> None:
        """Events that came in one read.

        Args:
            events: The events.
            comments: How many keep-alives came with them.
            more: Whether others follow.
        """
        ...

    async def refused(self, refused: Refused) -> None:
        """The answer cannot be read; nothing follows."""
        ...


class _State(Enum):
    WAITING = "waiting"
    PASSING = "passing"
    WHOLE = "whole"
    EVENTS = "events"
    DONE = "done"
    GIVEN_UP = "given_up"


class Answer:
    """The ``send`` of one request to the app.

    Args:
        listener: Who is told.
        rewrite: Makes the client's answer of the app's.
        limit: Bytes of a whole answer, and of an event.
    """

    def __init__(self, listener: Listener, rewrite: Rewrite, *, limit: int) -> None:
        self._listener = listener
        self._rewrite = rewrite
        self._limit = limit
        self._state = _State.WAITING
        self._start: Message = {}
        self._headers: RawHeaders = []
        self._parts: list[bytes] = []
        self._size = 0
        self._parser = SseParser(max_line=limit, max_event=limit)
        self._comments = 0

    @property
    def given_up(self) -> bool:
        """Whether the answer was refused, and the app stopped."""
        return self._state is _State.GIVEN_UP

    @property
    def complete(self) -> bool:
        """Whether the app has said all."""
        return self._state is _State.DONE or self._state is _State.GIVEN_UP

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message of the app.

        Raises:
            ClientGone: The answer was refused already; there is nobody to go on for.
        """
        kind = message["type"]
        if kind == "http.response.start" and self._state is _State.WAITING:
            await self._begin(message)
        elif kind == "http.response.body":
            await self._body(bytes(message.get("body", b"")), more=bool(message.get("more_body", False)))

    async def broke(self, error: Exception) -> bool:
        """The app raised; tell who listens, if there is still something to tell.

        Returns:
            Whether that is all there is to do; False: the exception must go on.
        """
        if self.complete:
            return isinstance(error, ClientGone) and self.given_up
        await self._cut(bad_gateway(_BROKE_OFF))
        return isinstance(error, (BrokenStream, TransportError))

    async def ended(self) -> None:
        """The app returned; an answer that it did not finish was cut."""
        if not self.complete:
            await self._cut(bad_gateway("the app did not answer" if self._state is _State.WAITING else _BROKE_OFF))

    async def _cut(self, refused: Refused) -> None:
        passing = self._state is _State.PASSING
        self._state = _State.DONE
        if not passing:  # else its start is told already, and its form is nobody's business
            await self._listener.refused(refused)

    async def _begin(self, message: Message) -> None:
        self._start = message
        self._headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
        kind = media_type(self._headers)
        if not 200 <= message["status"] < 300 or kind not in (EVENT_STREAM, _JSON):
            self._state = _State.PASSING
            await self._listener.passed(message)
        elif (find(self._headers, b"content-encoding") or b"identity").strip().lower() != b"identity":
            await self._give_up("the app answered with a content-encoding that was not asked for")
        elif kind == EVENT_STREAM:
            self._state = _State.EVENTS
            await self._listener.begun(self._headers)
        else:
            self._state = _State.WHOLE

    async def _body(self, body: bytes, *, more: bool) -> None:
        match self._state:
            case _State.EVENTS:
                await self._stream(body, more=more)
            case _State.WHOLE:
                await self._keep(body, more=more)
            case _State.PASSING:
                self._state = self._state if more else _State.DONE
                await self._listener.passed({"type": "http.response.body", "body": body, "more_body": more})
            case _State.GIVEN_UP:
                raise ClientGone
            case _State.WAITING | _State.DONE:
                pass

    async def _stream(self, body: bytes, *, more: bool) -> None:
        try:
            found = self._parser.feed(body)
            if not more:
                found += self._parser.close()
        except FramingError as error:
            await self._give_up(f"the app's answer cannot be read: {error}")
            return
        if not more:
            self._state = _State.DONE
        comments = self._parser.comments - self._comments
        self._comments = self._parser.comments
        if found or comments or not more:
            events = [self._rewritten(event) for event in found]
            await self._listener.events(events, comments=comments, more=more)

    def _rewritten(self, event: SseEvent) -> RewrittenEvent:
        found = self._rewrite.event(event.data)
        if found.type:
            return found
        return RewrittenEvent(event.name.decode("utf-8", "replace"), found.data, found.shown)

    async def _keep(self, body: bytes, *, more: bool) -> None:
        self._size += len(body)
        if self._size > self._limit:
            await self._give_up(f"the app's answer is over the limit of {self._limit} bytes")
            return
        self._parts.append(body)
        if more:
            return
        self._state = _State.DONE
        whole = b"".join(self._parts)
        try:
            kept, shown = self._rewrite.document(whole)
        except InvalidDocument:  # it is the client who must judge of it
            await self._listener.passed(self._start)
            await self._listener.passed({"type": "http.response.body", "body": whole, "more_body": False})
        else:
            await self._listener.whole(self._headers, kept, shown)

    async def _give_up(self, problem: str) -> None:
        self._state = _State.GIVEN_UP
        self._parts = []
        await self._listener.refused(bad_gateway(problem))
