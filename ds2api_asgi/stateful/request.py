"""One request for a response: made stateless, asked, kept."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
from msgspec import Raw
from msgspec.structs import replace

from ..asgi.body import Replay, read_body
from ..asgi.exchange import KEY
from ..asgi.headers import find
from ..asgi.headers import replace as replace_headers
from ..asgi.respond import respond
from ..asgi.types import Message, Receive, Scope, Send
from ..asgi.unwrapped import unwrapped
from ..errors import BodyTooLarge, ClientGone, InvalidDocument
from ..universal import jsontext
from .answer import Answer
from .background import LEASE, Ask, Run
from .connection import Connection
from .create import Conversation, Create, converse, read_create
from .envelope import envelope
from .members import NULL, members, value
from .refusal import Refused, invalid, misread, overloaded, refuse, store_failed, too_large
from .reply import Reply, say_events
from .rewrite import Rewrite
from .settings import Settings
from .stored import RUNNING, StoredResponse

__all__ = ["CreateRequest"]

_logger = logging.getLogger("ds2api_asgi.stateful")


class CreateRequest:
    """Serves ``POST /v1/responses`` and what else takes a conversation.

    Args:
        settings: The part's.
        client: Whose request it is.
        scope: The request's.
        receive: The client's.
        send: The client's.
        generates: Whether a response is asked for, not a count of its tokens.
        connection: What the client's websocket remembers; None over HTTP.
    """

    def __init__(
        self,
        settings: Settings,
        client: str,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        generates: bool,
        connection: Connection | None = None,
    ) -> None:
        self._settings = settings
        self._client = client
        self._scope = scope
        self._receive = receive
        self._send = send
        self._generates = generates
        self._connection = connection
        self._store = settings.store if connection is None else connection

    async def run(self) -> None:
        """Serve it.

        Raises:
            ClientGone: The client left before it had its answer.
            Exception: What the server's ``receive`` and ``send`` raise; what the app raises, after the client was told.
        """
        try:
            replay = await self._read()
            create = read_create(replay.body)
            self._check(create)
            conversation = await converse(create, self._store, self._client)
        except InvalidDocument as error:
            await refuse(self._send, misread(error))
        except Refused as refused:
            await refuse(self._send, refused)
        except ClientGone:
            raise
        except Exception:
            await refuse(self._send, store_failed())
            raise
        else:
            await self._serve(replay, conversation)

    async def _read(self) -> Replay:
        try:
            replay = await read_body(self._receive, limit=self._settings.max_body)
        except BodyTooLarge as error:
            raise too_large(str(error)) from None
        if (find(self._scope["headers"], b"content-encoding") or b"identity") != b"identity":
            raise invalid("the body is compressed, which is not supported")
        await replay()  # the body itself; what is left is the client's leaving
        return replay

    def _check(self, create: Create) -> None:
        if not create.background or not self._generates:
            return
        if self._connection is not None:
            raise invalid("background responses cannot be made over a websocket", param="background")
        workshop = self._settings.workshop.get(None)
        if workshop is None:
            raise invalid(
                "background responses need the lifespan of the server that runs this app, which is not running",
                param="background",
            )
        if workshop.full:
            raise overloaded("too many background responses are waiting")

    async def _serve(self, replay: Replay, conversation: Conversation) -> None:
        create = conversation.create
        if not self._generates:
            await self._pass_on(replay, conversation)
        elif create.background:
            await self._in_background(replay, conversation)
        elif create.store or self._connection is not None:
            await self._kept(replay, conversation)
        else:
            await self._forgotten(replay, conversation)

    async def _pass_on(self, replay: Replay, conversation: Conversation) -> None:
        if conversation.create.previous is None and conversation.input is conversation.create.input:
            await self._settings.app(self._scope, replay.again(), self._send)
            return
        body = conversation.body(generates=False, encrypted=False)
        await self._settings.app(self._scope_of(body), Replay(body, replay), self._send)

    async def _forgotten(self, replay: Replay, conversation: Conversation) -> None:
        """The client does not want it kept; what refers to nothing needs nothing of us."""
        create = conversation.create
        if create.previous is None and conversation.input is create.input:
            await self._settings.app(self._scope, replay.again(), self._send)
            return
        rewrite = Rewrite(_echo(create), encrypted=create.encrypted)

        async def forget(_: bytes) -> None:
            pass

        reply = Reply(self._send, streams=create.stream, keep=forget)
        body = conversation.body(generates=True, encrypted=False)
        await self._ask(body, replay, Answer(reply, rewrite, limit=self._settings.max_answer))

    async def _kept(self, replay: Replay, conversation: Conversation) -> None:
        create = conversation.create
        id_ = self._settings.new_id()
        echo = {"id": jsontext.json_string(id_), **_echo(create)}
        reply = Reply(self._send, streams=create.stream, keep=self._keep(id_, conversation))
        if self._connection is not None and value(create.members.get("generate", NULL), "generate") is False:
            now = int(self._settings.clock())
            document = envelope(create.members, {**echo, "completed_at": b"%d" % now}, status="completed", now=now)
            await reply.whole([], document, document)
            return
        body = conversation.body(generates=True, encrypted=self._settings.ask_encrypted)
        rewrite = Rewrite(echo, encrypted=create.encrypted)
        await self._ask(body, replay, Answer(reply, rewrite, limit=self._settings.max_answer))

    def _keep(self, id_: str, conversation: Conversation) -> Callable[[bytes], Awaitable[None]]:
        create = conversation.create

        async def keep(document: bytes) -> None:
            status = value(members(document).get("status", b'"completed"'))
            if type(status) is not str or status in RUNNING:
                return  # the app works on in some way of its own, of which we shall not hear
            response = StoredResponse(
                id=id_, status=status, document=document, input=conversation.input, previous=create.previous
            )
            if self._connection is not None and (not create.store or self._connection.remembers(create.previous)):
                # What is only remembered here cannot be continued from elsewhere, so it is repeated.
                response = replace(response, previous=None, input=(*conversation.past, *conversation.input))
            if self._connection is not None and not create.store:
                self._connection.remember(response)
                return
            try:
                await self._settings.store.put(self._client, response)
            except Exception:  # the answer is paid for, and good without being kept
                _logger.exception("a response could not be kept")

        return keep

    # background

    async def _in_background(self, replay: Replay, conversation: Conversation) -> None:
        settings, create = self._settings, conversation.create
        workshop = settings.workshop.get()
        id_ = settings.new_id()
        echo = {"id": jsontext.json_string(id_), **_echo(create), "background": b"true"}
        now = settings.clock()
        document = envelope(create.members, echo, status="queued", now=int(now))
        response = StoredResponse(
            id=id_,
            status="queued",
            document=document,
            input=conversation.input,
            previous=create.previous,
            background=True,
            lease=now + LEASE,
        )
        run = Run(
            response,
            self._client,
            settings.store,
            streams=create.stream,
            rewrite=Rewrite(echo, encrypted=True),
            limit=settings.max_answer,
            clock=settings.clock,
        )
        try:
            await settings.store.put(self._client, response)
        except Exception:
            await refuse(self._send, store_failed())
            raise
        workshop.start(run, self._asking(conversation.body(generates=True, encrypted=settings.ask_encrypted)))
        if create.stream:
            await say_events(replay, self._send, run.follow(-1), encrypted=create.encrypted)
        else:
            await respond(self._send, status=200, document=Raw(document))

    def _asking(self, body: bytes) -> Ask:
        async def ask(answer: Answer) -> None:
            await self._ask(body, _never, answer)

        return ask

    # the app

    async def _ask(self, body: bytes, leaving: Receive, answer: Answer) -> None:
        """Ask the app.

        Args:
            body: The body of the stateless request.
            leaving: The client's ``receive``, its own body read.
            answer: Takes the app's answer.
        """
        try:
            with unwrapped():
                await self._settings.app(
                    self._scope_of(body, background=leaving is _never), Replay(body, leaving), answer
                )
        except Exception as error:
            if not await answer.broke(error):
                raise
        else:
            await answer.ended()

    def _scope_of(self, body: bytes, *, background: bool = False) -> Scope:
        headers = replace_headers(
            self._scope["headers"],
            {
                b"accept-encoding": b"identity",
                b"content-type": b"application/json",
                b"content-length": b"%d" % len(body),
                b"expect": None,
                b"transfer-encoding": None,
            },
        )
        copy: Scope = {**self._scope, "headers": headers}
        if background:
            copy.pop(KEY, None)  # its deadline is that of a client who waits
        if copy.get("extensions"):  # an answer can only be made of body messages
            extensions = copy["extensions"].items()
            copy["extensions"] = {name: found for name, found in extensions if not name.startswith("http.response.")}
        return copy


async def _never() -> Message:
    """The ``receive`` of work for which nobody waits."""
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


def _echo(create: Create) -> dict[str, bytes]:
    """What every response object states of its request that the app was not told."""
    previous = NULL if create.previous is None else jsontext.json_string(create.previous)
    return {"previous_response_id": previous, "store": b"true" if create.store else b"false"}
