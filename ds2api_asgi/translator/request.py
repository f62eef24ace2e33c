"""One request of a client that does not speak the app's protocol, from its claim to the end of its answer."""

from __future__ import annotations

from functools import partial

from ..asgi.body import Replay, read_body
from ..asgi.exchange import Exchange
from ..asgi.headers import find
from ..asgi.respond import respond
from ..asgi.types import Message, Receive, Scope, Send
from ..asgi.unwrapped import unwrapped
from ..errors import BodyTooLarge, ClientGone, LossRejected
from ..protocols.alive import keep_alive_of
from ..protocols.base import Claim, Protocol
from ..universal.failure import FailureKind
from ..universal.request import Request
from .answer import Answer
from .question import Inquiry, Question, Reply
from .scope import upstream_scope
from .settings import Settings

__all__ = ["TranslatedRequest"]


async def _send_head(send: Send, message: Message) -> None:
    """Send what answers HEAD: headers as for GET, and no body (some servers would write it)."""
    await send({**message, "body": b""} if message["type"] == "http.response.body" else message)


class _Presence:
    """A ``receive`` that remembers that the client left."""

    __slots__ = ("_receive", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False

    async def __call__(self) -> Message:
        message: Message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
        return message


class TranslatedRequest:
    """Asks the app in its own protocol and answers the client in the client's.

    Args:
        settings: The translator's.
        client: What the client speaks.
        claim: What it wants.
        scope: The request's scope, with its exchange.
        exchange: The request's journal.
        receive: The client's.
        send: The client's.
    """

    def __init__(
        self,
        settings: Settings,
        client: Protocol,
        claim: Claim,
        scope: Scope,
        exchange: Exchange,
        receive: Receive,
        send: Send,
    ) -> None:
        self._settings = settings
        self._client = client
        self._claim = claim
        self._scope = scope
        self._exchange = exchange
        self._receive = receive
        self._send = partial(_send_head, send) if scope["method"] == "HEAD" else send
        self._inquiry = Inquiry(settings, client, claim, scope, exchange)

    async def run(self) -> None:
        """Serve it.

        Raises:
            ClientGone: The client left before it had its answer.
            Exception: What the server's ``receive`` and ``send`` raise; what the app raises, after the client was told.
        """
        try:
            body = await self._body()
        except BodyTooLarge as error:
            await self._reply(self._inquiry.refusal(FailureKind.TOO_LARGE, 413, str(error)))
            return
        try:
            question = self._inquiry.question(body)
        except Exception:
            await self._reply(self._inquiry.refusal(FailureKind.SERVER, 500, "the request could not be translated"))
            raise
        if isinstance(question, Reply):
            await self._reply(question)
        else:
            await self._ask(question)

    async def _body(self) -> bytes:
        """The body; nothing is read of a request that has none or is refused without it."""
        if not self._inquiry.has_body or not self._claim.method_allowed:
            return b""
        limit = self._settings.max_body
        length = find(self._scope["headers"], b"content-length") or b""
        if length.isdigit() and int(length[:20]) > limit:
            raise BodyTooLarge(limit)
        replay = await read_body(self._receive, limit=limit)
        self._receive = replay
        return replay.take()

    async def _estimated(self, request: Request) -> bool:
        """Answer with an estimate, unless a guess is a loss that must not be."""
        try:
            reply = self._inquiry.estimate(request)
        except LossRejected:
            return False
        await self._reply(reply)
        return True

    async def _ask(self, question: Question) -> None:
        settings = self._settings
        presence = _Presence(self._receive)
        receive: Receive = presence
        if question.body is not None or self._inquiry.has_body:  # the client's has been read: nobody must wait for it
            receive = Replay(question.body or b"", presence, peeked=question.peeked)
        answer = Answer(
            self._send,
            settings.upstream,
            self._client,
            question.translation,
            limit=settings.max_answer,
            headers=question.headers,
            otherwise=None if question.estimate is None else partial(self._estimated, question.estimate),
        )
        if question.translation.streams and keep_alive_of(self._client):
            self._exchange.observe(answer.observe)
        scope = upstream_scope(
            self._scope, client=self._client, upstream=settings.upstream, route=question.route, body=question.body
        )
        try:
            with unwrapped():
                await settings.app(scope, receive, answer)
        except Exception as error:
            if answer.complete and isinstance(error, ClientGone):
                pass  # it heard that nobody waits any more, which is true
            elif (presence.gone and not answer.complete) or not await answer.broke(error):
                raise
        else:
            if presence.gone and not answer.complete:
                raise ClientGone  # an app that heard of it may return as it likes
            await answer.ended()
        settings.losses.note(self._exchange, answer.losses, of="answer")

    async def _reply(self, reply: Reply) -> None:
        head = self._scope["method"] == "HEAD"
        await respond(self._send, status=reply.status, document=reply.document, headers=reply.headers, head=head)
