"""Responses that are kept: shown, listed, cancelled, deleted.

https://platform.openai.com/docs/api-reference/responses (read 2026-11-28) and the openai 3.54 SDK's types.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import parse_qsl

import anyio
from msgspec import Raw
from msgspec.structs import replace

from ..asgi.respond import respond
from ..asgi.types import Receive, Scope, Send
from .background import HEARTBEAT, Run
from .create import ENCRYPTED
from .envelope import failed, with_status
from .items import named_items, shown_item
from .refusal import Refused, invalid, refuse, response_not_found, store_failed
from .replay import events_of
from .reply import say_events
from .rewrite import without_thoughts
from .routes import Question, Route
from .settings import Settings
from .stored import StoredResponse

__all__ = ["Retrieval"]

_POLL: Final = 0.5  # seconds between two looks at a response that another process works on
_PAGE: Final = 20
_LONGEST_PAGE: Final = 100
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class Retrieval:
    """Serves requests for one response that is kept.

    Args:
        settings: The part's.
        client: Whose request it is.
        route: What it wants, and of which response.
        scope: The request's.
        receive: The client's.
        send: The client's.
    """

    def __init__(
        self, settings: Settings, client: str, route: Route, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._settings = settings
        self._client = client
        self._question = route.question
        self._id = route.id
        self._receive = receive
        self._send = send
        query: bytes = scope.get("query_string") or b""
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        self._query = dict(pairs)
        self._encrypted = any(value == ENCRYPTED for name, value in pairs if re.match(r"include(\[\d*\])?$", name))

    async def run(self) -> None:
        """Serve it.

        Raises:
            ClientGone: The client left while its stream ran.
            Exception: What the server's ``receive`` and ``send`` raise; what the store raises, when that is told.
        """
        try:
            found = await self._answer()
        except Refused as refused:
            await refuse(self._send, refused)
        except Exception:
            await refuse(self._send, store_failed())
            raise
        else:
            if isinstance(found, AsyncGenerator):
                await say_events(self._receive, self._send, found, encrypted=self._encrypted)
            else:
                await respond(self._send, status=200, document=found)

    async def _answer(self) -> Any:
        match self._question:
            case Question.GET:
                return await self._get()
            case Question.DELETE:
                return await self._delete()
            case Question.CANCEL:
                return await self._cancel()
            case _:
                return await self._input_items()

    async def _get(self) -> Raw | AsyncGenerator[list[bytes], None]:
        stream = self._flag("stream")
        after = self._number("starting_after", "the sequence number of an event")
        response = await self._found()
        if stream:
            return self._follow(response, -1 if after is None else after)
        if after is not None:
            raise invalid("starting_after needs stream=true", param="starting_after")
        return self._shown(response)

    async def _delete(self) -> dict[str, Any]:
        if not await self._settings.store.delete(self._client, self._id):
            raise response_not_found(self._id)
        self._stop_run()
        return {"id": self._id, "object": "response", "deleted": True}

    async def _cancel(self) -> Raw:
        response = await self._found()
        if not response.background:
            raise invalid("Cannot cancel a synchronous response.")
        if response.running:
            run = self._run()
            document = with_status(response.document if run is None else run.so_far, "cancelled")
            events = () if run is None else tuple(run.events_so_far)
            cancelled = replace(response, document=document, status="cancelled", lease=None, events=events)
            if await self._settings.store.advance(self._client, cancelled):
                self._stop_run()
                response = cancelled
            else:
                response = await self._found()
        return self._shown(response)

    async def _input_items(self) -> dict[str, Any]:
        """List what the response was generated from: "a list of items used to generate this response"."""
        limit = self._number("limit", "an integer")
        limit = _PAGE if limit is None else limit
        if not 1 <= limit <= _LONGEST_PAGE:
            raise invalid(f"limit must be between 1 and {_LONGEST_PAGE}", param="limit")
        order = self._query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise invalid("order must be asc or desc", param="order")
        response = await self._found()
        items = await self._input_of(response)
        if order == "desc":
            items.reverse()
        after = self._query.get("after")
        if after is not None:
            ids = [id_ for id_, _ in items]
            if after not in ids:
                raise invalid(f"No item with id '{after}' found.", param="after")
            items = items[ids.index(after) + 1 :]
        return self._page(items, limit)

    def _page(self, items: list[tuple[str, bytes]], limit: int) -> dict[str, Any]:
        page = items[:limit]
        return {
            "object": "list",
            "data": [Raw(shown_item(id_, item, encrypted=self._encrypted)) for id_, item in page],
            "first_id": page[0][0] if page else None,
            "last_id": page[-1][0] if page else None,
            "has_more": len(items) > limit,
        }

    async def _input_of(self, response: StoredResponse) -> list[tuple[str, bytes]]:
        history = await self._settings.store.history(self._client, response.id)
        past = () if history is None else history[:-1]  # what is gone cannot be shown
        items = [item for earlier in past for item in named_items(earlier)]
        items += list(named_items(response))[: len(response.input)]
        return list(dict(items).items())  # what was sent twice is one item: pages go on after an id

    async def _found(self) -> StoredResponse:
        response = await self._settings.store.get(self._client, self._id)
        if response is None:
            raise response_not_found(self._id)
        if response.running and response.lease is not None and response.lease < self._settings.clock():
            return await self._abandoned(response)
        return response

    async def _abandoned(self, response: StoredResponse) -> StoredResponse:
        """Nobody works on it any more: its process died."""
        document = failed(response.document, "server_error", "the server that worked on this response was stopped")
        ended = replace(response, document=document, status="failed", lease=None)
        await self._settings.store.advance(self._client, ended)
        return ended

    def _shown(self, response: StoredResponse) -> Raw:
        return Raw(response.document if self._encrypted else without_thoughts(response.document))

    async def _follow(self, response: StoredResponse, after: int) -> AsyncGenerator[list[bytes], None]:
        run = self._run()
        if run is not None and run.streams:
            async with aclosing(run.follow(after)) as follow:
                async for news in follow:
                    yield news
            return
        waited = 0.0
        while response.running:
            await anyio.sleep(_POLL)
            waited += _POLL
            if waited >= HEARTBEAT:
                waited = 0.0
                yield []
            try:
                response = await self._found()
            except Refused:
                return  # deleted meanwhile
        events = list(response.events or events_of(response.document))[after + 1 :]
        if events:
            yield events

    def _run(self) -> Run | None:
        workshop = self._settings.workshop.get(None)
        return None if workshop is None else workshop.find(self._client, self._id)

    def _stop_run(self) -> None:
        run = self._run()
        if run is not None:
            run.cancel()

    def _flag(self, name: str) -> bool:
        text = self._query.get(name, "false").lower()
        if text not in ("true", "false"):
            raise invalid(f"{name} must be true or false", param=name)
        return text == "true"

    def _number(self, name: str, words: str) -> int | None:
        text = self._query.get(name)
        if text is None:
            return None
        if not _NUMBER.fullmatch(text):
            raise invalid(f"{name} must be {words}", param=name)
        return int(text)
