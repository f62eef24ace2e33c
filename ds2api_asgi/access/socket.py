"""A websocket of the Responses API: each message that asks for a response is held to models and limits as a request is.

https://developers.openai.com/api/docs/guides/websocket-mode (read 2026-11-28): a client sends ``response.create``, as
often as it likes and in several lanes at a time; each ends with ``response.completed``, ``failed`` or ``incomplete``,
or an ``error``. What is refused is answered with an ``error`` event, and the app does not see it; what is let through
is written anew, so that the app reads what was looked at.

Which message an end belongs to is not asked: lanes end in any order, and errors that end nothing look like those that
do. What counts is the sum. So each end settles the cheapest message under way, and who leaves has paid for the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.facts import TurnedAway
from ..asgi.socket_data import data_of
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import InvalidDocument
from ..protocols import registry
from ..protocols.base import Claim, Operation
from ..universal import jsontext
from ..universal.failure import FailureKind
from .asked import estimate
from .bounds import Checks
from .client_key import ClientKey
from .json_scan import Scan
from .permission import Permission
from .refusal import Refused, words
from .turnstile import Admission, Turnstile
from .usage import Usage, text_size, written

__all__ = ["Socket"]

_CLAIM: Final = Claim(protocol="openai-responses", operation=Operation.GENERATE)
_CREATE: Final = "response.create"
_ENDS: Final = (b'"response.completed"', b'"response.failed"', b'"response.incomplete"', b'"error"')
_FAILURES: Final = frozenset({"response.failed", "error"})
_END_TYPES: Final = _FAILURES | {"response.completed", "response.incomplete"}
_ENVELOPE: Final = Scan(max_depth=jsontext.MAX_DEPTH, unique=("response", "stream_id", "type"))
"""What decides which kind of message one is, and where its request stands; parsers must not differ on it."""


class _Asked(Struct, frozen=True, kw_only=True):
    """A message under way: what it took, in tokens, and what of that was for itself and not for its answer."""

    admission: Admission
    reserved: int
    seems: int


class Socket:
    """One connection that was let in.

    Args:
        turnstile: Of the limits.
        checks: Of the documents.
        permission: The key's.
        key: The client's.
        exchange: The connection's.
        receive: The connection's.
        send: The connection's.
        still_good: Whether the key would be let in now.
    """

    def __init__(
        self,
        turnstile: Turnstile,
        checks: Checks,
        permission: Permission,
        key: ClientKey,
        exchange: Exchange,
        receive: Receive,
        send: Send,
        *,
        still_good: Callable[[], Awaitable[bool]],
    ) -> None:
        self._turnstile = turnstile
        self._checks = checks
        self._permission = permission
        self._key = key
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._still_good = still_good
        self._under_way: list[_Asked] = []  # bound: lanes and places of the app within
        # Since nothing was under way: what the app has said, and how much of it has been paid for.
        self._events = self._bytes = self._paid = 0

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Serve it until it ends; what is under way then is settled."""
        try:
            await app(scope, self.receive, self.send)
        finally:
            unpaid = max(0, written(self._events, self._bytes) - self._paid)
            while self._under_way:
                asked = self._under_way.pop()
                cost = max(asked.reserved, asked.seems + unpaid)
                unpaid -= min(unpaid, cost - asked.seems)
                await self._turnstile.leave(asked.admission, cost if cost > asked.reserved else None)

    async def receive(self) -> Message:
        """The next message that the app may see."""
        while True:
            message: Message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            data = data_of(message)
            lane: Any = None
            try:
                event = self._event(data)
                lane = event.get("stream_id")
                if event.get("type") != _CREATE:
                    return message
                await self._admit(event)
            except Refused as refused:
                self._exchange.note(
                    TurnedAway(status=refused.status, code=refused.failure.code or "", caller=self._key.name)
                )
                await self._tell(refused, lane)
            else:
                return {"type": "websocket.receive", "text": jsontext.dumps(event).decode("utf-8", "replace")}

    async def send(self, message: Message) -> None:
        """A message of the app; the last one of a response settles what it took."""
        await self._send(message)
        if message["type"] != "websocket.send" or not self._under_way:
            return
        data = data_of(message)
        kind = _type_of(data) if any(word in data for word in _ENDS) else None
        if kind in _END_TYPES:
            await self._settle(data, failed=kind in _FAILURES)
        else:
            self._events += 1
            self._bytes += text_size(data)

    async def _settle(self, data: bytes, *, failed: bool) -> None:
        usage = Usage(stream=False)
        usage.feed(data)
        tokens = usage.tokens
        if tokens is None and failed:
            tokens = 0
        asked = min(self._under_way, key=lambda one: one.reserved)
        self._under_way.remove(asked)
        if self._under_way:
            self._paid += max(0, (asked.reserved if tokens is None else tokens) - asked.seems)
        else:
            self._events = self._bytes = self._paid = 0
        await self._turnstile.leave(asked.admission, tokens)

    def _event(self, data: bytes) -> dict[str, Any]:
        if len(data) > self._checks.max_body:
            raise Refused(FailureKind.TOO_LARGE, 413, f"the message is over the limit of {self._checks.max_body} bytes")
        self._checks.document(data)
        problem = _ENVELOPE.problem(data)
        if problem is not None:
            raise Refused(FailureKind.INVALID, 400, f"the message is not accepted: {problem}")
        try:
            event = jsontext.loads(data)
        except InvalidDocument as error:
            raise Refused(FailureKind.INVALID, 400, f"the message is not accepted: {error}") from None
        if not isinstance(event, dict):
            raise Refused(FailureKind.INVALID, 400, "the message is not accepted: it must be an object")
        return event

    async def _admit(self, event: dict[str, Any]) -> None:
        if not await self._still_good():
            raise Refused(FailureKind.AUTH, 401, "The client key is no longer good.")
        inner = event.get("response")
        body = jsontext.dumps(event if inner is None else inner)
        self._checks.document(body)
        if inner is not None and {"model", "models"} & event.keys():
            # Who reads the outer one would serve another model than who reads the inner one.
            raise Refused(FailureKind.INVALID, 400, "the member 'model' stands in the message twice")
        self._permission.check(_CLAIM, body)
        reserved = estimate(body, generates=True)
        admission = await self._turnstile.enter(self._key, reserved)
        seems = estimate(body, generates=False)
        self._under_way.append(_Asked(admission=admission, reserved=reserved, seems=seems))

    async def _tell(self, refused: Refused, lane: Any) -> None:
        document = words(registry.get("openai-responses"), refused).document
        event = {"type": "error", "status": refused.status, "error": document["error"]}
        if isinstance(lane, str):
            event["stream_id"] = lane
        await self._send({"type": "websocket.send", "text": jsontext.dumps(event).decode("utf-8", "replace")})


def _type_of(data: bytes) -> Any:
    try:
        event = jsontext.loads(data)
    except InvalidDocument:
        return None
    return event.get("type") if isinstance(event, dict) else None
