"""Websockets as requests: whose one is, and `SocketEnds`, its client's side; and what of one an upstream's side tells.

A websocket is one request, from its handshake to its close: OpenAI's Realtime, and the Responses API's websocket mode,
in which a client asks again and again. Its status is 101, or what its handshake was denied with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from ..asgi.denial import DENIAL
from ..asgi.facts import Closed
from ..asgi.path import query, relative_path
from ..asgi.types import Message, Receive, Scope, Send
from ..protocols.base import Claim, Operation
from ..protocols.openai_shared.sockets import is_realtime, model_asked
from .seen import SWITCHED, RequestSeen

if TYPE_CHECKING:
    from .watching import Watcher

__all__ = ["REALTIME", "SocketEnds", "claim_of", "is_good", "status_of"]

REALTIME: Final = "openai-realtime"
"""What a websocket of OpenAI's Realtime is called where a protocol would be."""

_RESPONSES: Final = re.compile(r"(?:/v1)?/responses")
_MAX_PEEKED: Final = 1024 * 1024
_MAX_MODEL: Final = 200
_GOOD: Final = frozenset({1000, 1001, 1005})
_NO_CODE: Final = 1005
_GONE: Final = 1006
_FORBIDDEN: Final = 403


class _Create(msgspec.Struct):
    model: Any = None
    response: Any = None


_create = msgspec.json.Decoder(_Create)


def claim_of(scope: Scope) -> Claim | None:
    """Whose a websocket is; None: nobody's that we know."""
    path = relative_path(scope)
    if is_realtime("openai-chat", path):
        model = model_asked(query(scope))
        return Claim(protocol=REALTIME, operation=Operation.GENERATE, model=UNSET if model is None else model)
    if _RESPONSES.fullmatch(path):
        return Claim(protocol="openai-responses", operation=Operation.GENERATE)
    return None


def is_good(code: int) -> bool:
    """Whether a close code says that nothing went wrong."""
    return code in _GOOD


def status_of(message: Message, status: int) -> int:
    """The status that a message of the app tells of a websocket.

    Args:
        message: What it sends.
        status: What it was so far; 0: nothing yet.
    """
    kind = message["type"]
    if status:
        return status
    if kind == "websocket.accept":
        return SWITCHED
    if kind == f"{DENIAL}.start":
        return int(message["status"])
    return _FORBIDDEN if kind == "websocket.close" else 0  # what servers make of it


class SocketEnds:
    """The client's side of a websocket.

    Args:
        watcher: Who is told.
        request: What is seen of it.
        receive: The client's.
        send: The client's.
    """

    __slots__ = ("_receive", "_request", "_send", "_watcher", "gone")

    def __init__(self, watcher: Watcher, request: RequestSeen, receive: Receive, send: Send) -> None:
        self._watcher = watcher
        self._request = request
        self._receive = receive
        self._send = send
        self.gone = False

    @property
    def source(self) -> Receive:
        """What the app is to receive from."""
        return self.receive

    async def receive(self) -> Message:
        """A message of the client."""
        message: Message = await self._receive()
        request = self._request
        if message["type"] == "websocket.receive":
            request.received += 1
            if request.model is None:
                request.model = _model_in(message)
        elif message["type"] == "websocket.disconnect":
            code = message.get("code") or _NO_CODE
            if request.code is None:
                self._close("client", code)
            self.gone = self.gone or (request.code == code and not is_good(code)) or not request.status
        return message

    async def send(self, message: Message) -> None:
        """A message of the app."""
        request = self._request
        kind = message["type"]
        if not request.status:
            request.status = status_of(message, 0)
            if request.status == SWITCHED:
                request.own.leave()  # from here on both sides speak when they like
            if kind in ("websocket.accept", f"{DENIAL}.start"):
                message = self._watcher.alter(self._watcher.starting, request, message)
        if kind == "websocket.send":
            request.sent += 1
        elif kind == "websocket.close" and request.status == SWITCHED and request.code is None:
            self._close("upstream", message.get("code") or 1000)
        try:
            await self._send(message)
        except OSError:  # what servers raise when nobody listens any more
            self.gone = True
            raise

    def finish(self, raised: str | None) -> None:
        """It is over."""
        request = self._request
        if request.status == SWITCHED and request.code is None and raised is None:
            self._close("client" if self.gone else "upstream", _GONE if self.gone else 1000)  # as servers then do
        request.end = self._end(raised)

    def _close(self, by: str, code: int) -> None:
        self._request.code = code
        self._request.exchange.note(Closed(by=by, code=code))

    def _end(self, raised: str | None) -> str:
        request = self._request
        if raised == "cancelled":
            return raised
        if self.gone:
            return "gone"
        if raised is not None:
            return "cut" if request.status else "raised"
        if request.status != SWITCHED:
            return "failed" if request.status else "raised"
        return "complete" if request.code is None or is_good(request.code) else "cut"


def _model_in(message: Message) -> str | None:
    """The model that a message names at its top, or in the request within; None: none."""
    text = message.get("text")
    if not isinstance(text, str) or len(text) > _MAX_PEEKED or '"model"' not in text:
        return None
    try:
        found = _create.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    inner = found.response.get("model") if isinstance(found.response, dict) else None
    model = found.model or inner
    return model[:_MAX_MODEL] if isinstance(model, str) else None
