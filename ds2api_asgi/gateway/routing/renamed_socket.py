"""`RenamedSocket`: a websocket whose messages say a model by another name on each side of us.

Clients of OpenAI's Realtime say ``session.model`` in ``session.update``, those of the Responses websocket ``model`` in
``response.create`` or its ``response``; providers say it at the same places of what they answer.
"""

from __future__ import annotations

from typing import Final

from ...asgi.types import Message, Receive, Send
from ...universal import jsontext
from .splice import renamed

__all__ = ["RenamedSocket"]

_NAMES: Final = frozenset({"model"})
_WITHIN: Final = frozenset({"session", "response"})


class RenamedSocket:
    """``receive`` and ``send`` of one websocket; messages that say no model pass as they are.

    Args:
        receive: The connection's.
        send: The connection's.
        asked: What the client calls the model.
        model: What the app beneath calls it. A client's message that says a third name keeps it.
        answers: Whether the app's messages say `asked`, too.
    """

    def __init__(self, receive: Receive, send: Send, *, asked: str, model: str, answers: bool) -> None:
        self._receive = receive
        self._send = send
        self._asked = jsontext.dumps(asked)
        self._model = jsontext.dumps(model)
        self._answers = answers

    async def receive(self) -> Message:
        """Take a message of the client."""
        return _changed(await self._receive(), "websocket.receive", self._model, only=self._asked)

    async def send(self, message: Message) -> None:
        """Take a message of the app."""
        await self._send(_changed(message, "websocket.send", self._asked) if self._answers else message)


def _changed(message: Message, kind: str, encoded: bytes, *, only: bytes | None = None) -> Message:
    text = message.get("text") if message["type"] == kind else None
    if not text or '"model"' not in text:
        return message
    body = renamed(text.encode("utf-8", "surrogatepass"), encoded, names=_NAMES, within=_WITHIN, only=only)
    return {**message, "text": body.decode("utf-8", "surrogatepass")}
