"""A websocket of OpenAI's Realtime for a key with an allow-list: no model is used there that the key may not use.

https://developers.openai.com/api/reference/resources/realtime/client-events (read 2026-11-29): the session's model
stands in the query, ``/v1/realtime?model=…``, and no message changes it. But a message may name another one beside it,
for writing down what is heard (``session.audio.input.transcription.model``, once
``session.input_audio_transcription.model``). So messages that may name a model are parsed, and written anew, so that
the app reads what was looked at; all others, sound above all, pass as they are. A session that only transcribes
(``?intent=transcription``) names its models in messages alone, and may choose none: it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

from ..asgi.exchange import Exchange
from ..asgi.facts import TurnedAway
from ..asgi.socket_data import data_of
from ..asgi.types import Message, Receive, Send
from ..errors import InvalidDocument
from ..protocols import registry
from ..universal import jsontext
from ..universal.failure import FailureKind
from .bounds import Checks
from .permission import Permission
from .refusal import Refused, words

__all__ = ["Realtime", "check_query"]

_OTHERS: Final = frozenset({"tools", "metadata", "prompt"})
"""Members in which clients have their own names."""


def check_query(permission: Permission, query: str) -> None:
    """Look at what a handshake asks for.

    Args:
        permission: The key's, which has an allow-list.
        query: Without the question mark, as it was encoded.

    Raises:
        Refused: It names no model, several, or one that the key may not use.
    """
    asked = parse_qsl(query, keep_blank_values=True)
    models = {value for name, value in asked if name.lower() == "model"}
    if len(models) != 1 or any(name.lower() in ("intent", "deployment") for name, _ in asked):
        raise Refused(FailureKind.PERMISSION, 403, "This client key is for certain models, and this names none.")
    _check(permission, models.pop())


class Realtime:
    """One connection that was let in.

    Args:
        checks: Of the documents.
        permission: The key's.
        caller: The key's name.
        exchange: The connection's.
        receive: The connection's.
        send: The connection's.
    """

    def __init__(
        self, checks: Checks, permission: Permission, caller: str, exchange: Exchange, receive: Receive, send: Send
    ) -> None:
        self._checks = checks
        self._permission = permission
        self._caller = caller
        self._exchange = exchange
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """The next message that the app may see; others are answered with an ``error`` event."""
        while True:
            message: Message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            data = data_of(message)
            if b'"model"' not in data and b"\\" not in data and message.get("text") is not None:
                return message
            try:
                event = self._event(data)
                for model in _models_in(event):
                    _check(self._permission, model)
            except Refused as refused:
                code = refused.failure.code or ""
                self._exchange.note(TurnedAway(status=refused.status, code=code, caller=self._caller))
                await self._tell(refused)
            else:
                return {"type": "websocket.receive", "text": jsontext.dumps(event).decode("utf-8", "replace")}

    def _event(self, data: bytes) -> dict[str, Any]:
        if len(data) > self._checks.max_body:
            raise Refused(FailureKind.TOO_LARGE, 413, f"the message is over the limit of {self._checks.max_body} bytes")
        self._checks.document(data)
        try:
            event = jsontext.loads(data)
        except InvalidDocument as error:
            raise Refused(FailureKind.INVALID, 400, f"the message is not accepted: {error}") from None
        if not isinstance(event, dict):
            raise Refused(FailureKind.INVALID, 400, "the message is not accepted: it must be an object")
        return event

    async def _tell(self, refused: Refused) -> None:
        document = words(registry.get("openai-chat"), refused).document
        event = {"type": "error", "error": document["error"]}
        await self._send({"type": "websocket.send", "text": jsontext.dumps(event).decode("utf-8", "replace")})


def _models_in(event: dict[str, Any]) -> Iterator[Any]:
    """The models that an event names, wherever settings stand; what is said in a conversation is no setting."""
    inner = [event]
    while inner:
        for name, value in inner.pop().items():
            if name == "model" and value is not None:
                yield value
            elif isinstance(value, dict) and name not in _OTHERS and name != "item":
                inner.append(value)


def _check(permission: Permission, model: Any) -> None:
    if not isinstance(model, str) or not permission.sees(model):
        raise Refused(FailureKind.PERMISSION, 403, "This client key may not use this model.", code="model_not_allowed")
