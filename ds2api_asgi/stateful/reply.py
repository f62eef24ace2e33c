"""What a waiting client gets: the app's answer in the form that the client asked for, kept before its end is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from msgspec import Raw

from ..asgi.disconnect import Watch
from ..asgi.headers import RawHeaders
from ..asgi.loop import asyncio_loop
from ..asgi.respond import respond
from ..asgi.types import Message, Receive, Send
from ..framing.sse import write_comment
from .members import members
from .refusal import Refused, bad_gateway
from .replay import error_event, events_of, sse, type_of
from .rewrite import TERMINAL, RewrittenEvent, shown_event

__all__ = ["Reply", "say_events"]

_BROKE_OFF = "the app broke off before its answer was complete"
_OF_THE_BODY = frozenset({b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"})


class Reply:
    """Tells the client; see `answer.Listener`.

    Args:
        send: The client's.
        streams: Whether it asked for a stream. An app that answers otherwise is unfolded, or folded.
        keep: Keeps a response that has come to its end.
    """

    def __init__(self, send: Send, *, streams: bool, keep: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._streams = streams
        self._keep = keep
        self._headers: RawHeaders = []
        self._begun = False
        self._number = 0
        self._last: RewrittenEvent | None = None
        self._ended = False

    async def passed(self, message: Message) -> None:
        """An answer that is no response goes on as it is."""
        await self._send(message)

    async def whole(self, headers: RawHeaders, kept: bytes, shown: bytes) -> None:
        """Keep it, and tell it."""
        await self._keep(kept)
        if not self._streams:
            await respond(self._send, status=200, document=Raw(shown), headers=_without_body(headers))
            return
        await self.begun(headers)
        events = [sse(data, type_of(data)) for data in events_of(shown)]
        await self._say(b"".join(events), more=False)

    async def begun(self, headers: RawHeaders) -> None:
        """Start the stream, if there is to be one."""
        self._headers = headers
        if self._streams:
            self._begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _stream_headers(headers)})

    async def events(self, events: list[RewrittenEvent], *, comments: int, more: bool) -> None:
        """Tell events; of the last, first keep what it says."""
        for event in events:
            if event.type in TERMINAL and event.response is not None:
                self._last = event
                await self._keep(event.response)
            self._ended = self._ended or event.type in TERMINAL or event.type == "error"
        if self._streams:
            self._number += len(events)
            said = [sse(event.shown, event.type) for event in events]
            if not more and not self._ended:  # a clean end of a stream that was cut would pass for one
                said.append(error_event(bad_gateway(_BROKE_OFF).document["error"], self._number))
            if comments and not said:
                said.append(write_comment(b"ping"))
            if said or not more:
                await self._say(b"".join(said), more=more)
        elif not more:
            await self._fold()

    async def refused(self, refused: Refused) -> None:
        """Tell why there is no answer, or no end of it."""
        if self._begun:
            await self._say(error_event(refused.document["error"], self._number), more=False)
        else:
            await respond(self._send, status=refused.status, document=refused.document, headers=refused.headers)

    async def _fold(self) -> None:
        if self._last is None:
            await self.refused(bad_gateway(_BROKE_OFF))
            return
        shown = members(self._last.shown)["response"]
        await respond(self._send, status=200, document=Raw(shown), headers=_without_body(self._headers))

    async def _say(self, data: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


def _without_body(headers: RawHeaders) -> RawHeaders:
    return [header for header in headers if header[0] not in _OF_THE_BODY]


def _stream_headers(headers: RawHeaders) -> RawHeaders:
    """The headers of a stream of events.

    Args:
        headers: Those of the app's answer, of which what says nothing of its body stays.
    """
    kept = [header for header in _without_body(headers) if header[0] != b"cache-control"]
    return [*kept, (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


async def say_events(
    receive: Receive, send: Send, follow: AsyncGenerator[list[bytes], None], *, encrypted: bool
) -> None:
    """Stream events as they come, for as long as the client is there.

    Args:
        receive: The client's, its body read.
        send: The client's.
        follow: Gives the data of events, none for a keep-alive; closed at the end.
        encrypted: Whether the client may see encrypted reasoning.

    Raises:
        ClientGone: The client left.
    """
    async with aclosing(follow), Watch(receive, asyncio_loop()) as watch:
        await send({"type": "http.response.start", "status": 200, "headers": _stream_headers([])})
        async for news in follow:
            shown = news if encrypted else map(shown_event, news)
            said = b"".join([sse(data, type_of(data)) for data in shown]) or write_comment(b"ping")
            await send({"type": "http.response.body", "body": said, "more_body": True})
        watch.release()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
