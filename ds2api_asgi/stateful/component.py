"""`StatefulResponses`: the state of the OpenAI Responses API in front of an app that has none.

It works in the request's own task, like every part; only background responses have tasks of their own, which the
part's lifespan owns. Requests that are not for ``/responses`` get the very same scope, receive and send.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from anyio.lowlevel import RunVar

from ..asgi.body import DEFAULT_MAX_BODY
from ..asgi.exchange import KEY
from ..asgi.headers import find
from ..asgi.lifespan import running
from ..asgi.path import relative_path
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import ClientGone, ConfigurationError
from .client import ClientOf, credential_of, digest_of
from .refusal import Refused, refuse
from .request import CreateRequest
from .retrieval import Retrieval
from .routes import Question, Route, creates, route_of
from .settings import Settings
from .store import MemoryResponseStore, ResponseStore
from .websocket import Session
from .workshop import Workshop

__all__ = ["StatefulResponses"]


class StatefulResponses:
    """Keep the conversations of Responses clients in front of an app that answers each request by itself.

        app = StatefulResponses(Translator(Upstream(URL), speaks="openai-chat"), store=SQLiteResponseStore("state.db"))

    Clients may then send ``previous_response_id`` and ``item_reference``, ask for ``background`` work, read, cancel
    and delete responses, and speak over a websocket. The app is only ever asked stateless requests, with
    ``store: false``. It may be any that answers ``POST /v1/responses``: a `Translator`, an `Upstream`, llama.cpp.

    Responses that are kept get ids of ours: those of apps need not be unique, and background work needs one before
    the app has been asked. Ids of items stay the app's. What cannot be had is refused in OpenAI's own words: an
    unknown response looks like another client's.

    Args:
        app: The ASGI app that answers.
        store: Where responses are kept; None: a `MemoryResponseStore` of its own, which is for one process only.
        client_of: Tells clients apart; the default is by the API key that they send, whichever header it is in.
            Clients that send none share one state.
        ask_encrypted: Whether encrypted reasoning is asked for with every response that is kept. It is hidden from
            clients that did not ask for it, and put back when they refer to it. False for apps that refuse to be asked.
        max_body: Bytes of a request, as its client sends it; more is answered 413.
        max_answer: Bytes of a whole answer, of an event, and of all events of a background response.
        max_background: How many background responses are worked on at a time, per process.
        max_queued: How many more may wait; further ones are answered 503.
        clock: Unix seconds.
        new_id: Makes the ids of responses; each must be new and hard to guess.

    Raises:
        ConfigurationError: A value cannot work.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        store: ResponseStore | None = None,
        client_of: ClientOf = credential_of,
        ask_encrypted: bool = True,
        max_body: int = DEFAULT_MAX_BODY,
        max_answer: int = DEFAULT_MAX_BODY,
        max_background: int = 64,
        max_queued: int = 1_000,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: f"resp_{secrets.token_hex(24)}",
    ) -> None:
        if max_body < 1 or max_answer < 1 or max_background < 1:
            raise ConfigurationError("max_body, max_answer and max_background are at least 1")
        if max_queued < 0:
            raise ConfigurationError("max_queued is at least 0")
        if store is not None and not hasattr(store, "put"):
            raise ConfigurationError("store is no store of responses, such as SQLiteResponseStore(path)")
        self.app = app
        self._places = max_background
        self._queue = max_queued
        self._settings = Settings(
            app=app,
            store=MemoryResponseStore(clock=clock) if store is None else store,
            client_of=client_of,
            ask_encrypted=ask_encrypted,
            max_body=max_body,
            max_answer=max_answer,
            clock=clock,
            new_id=new_id,
            workshop=RunVar(f"ds2api_asgi.stateful.{secrets.token_hex(8)}"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is for state, and pass everything else on."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket" if creates(relative_path(scope)):
                await Session(self._settings, self._client(scope), scope, receive, send).run()
            case "lifespan":
                await self._lifespan(scope, receive, send)
            case _:
                await self.app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        settings = self._settings
        started = False
        try:
            async with running(self.app, state=scope.get("state")):
                workshop = Workshop(places=self._places, queue=self._queue)
                async with workshop.open():
                    token = settings.workshop.set(workshop)
                    started = True
                    await send({"type": "lifespan.startup.complete"})
                    try:
                        await receive()
                    finally:
                        settings.workshop.reset(token)
        except ConfigurationError as error:
            if started:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            route = _route(scope)
        except Refused as refused:
            await refuse(send, refused, head=scope["method"] == "HEAD")
            return
        if route is None:
            await self.app(scope, receive, send)
            return
        try:
            await self._serve(route, scope, receive, send)
        except ClientGone:
            if KEY in scope:  # parts above must learn of it; a server would log it as a crash
                raise

    async def _serve(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        client = self._client(scope)
        if route.question in (Question.CREATE, Question.COUNT):
            generates = route.question is Question.CREATE
            await CreateRequest(self._settings, client, scope, receive, send, generates=generates).run()
        else:
            await Retrieval(self._settings, client, route, scope, receive, send).run()

    def _client(self, scope: Scope) -> str:
        return digest_of(self._settings.client_of(scope))


def _route(scope: Scope) -> Route | None:
    method: str = scope["method"]
    if method == "OPTIONS" and find(scope["headers"], b"access-control-request-method") is not None:
        return None  # a browser's preflight is for who answers CORS
    return route_of(method, relative_path(scope))
